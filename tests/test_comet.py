"""Sessions that any transport carries: to handlers they are WebSockets."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from hubbub import ConnectionClosed, Hub, Limits, Request, Response, Session, WebSocket
from support.push import Patron, browsing, listening, opened
from support.server import Serve, Server, until

pytestmark = [
    pytest.mark.anyio,
    # On trio, httpx leaves the generators of a stream that has not ended to the garbage collector.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]


class Caller:
    """One client by one transport: sends, receives, ends."""

    def __init__(self, send: Any, recv: Any, close: Any) -> None:
        self.send, self.recv, self.close = send, recv, close


@asynccontextmanager
async def calling(server: Server, transport: str, path: str = "/push") -> AsyncIterator[Caller]:
    if transport == "websocket":
        async with server.connect(f"{path}?transport=websocket") as client:
            assert json.loads(str(await client.recv())[1:])["recovered"] is False

            async def recv() -> object:
                data = await client.recv()
                return data[1:] if isinstance(data, str) else data

            async def send(data: str | bytes) -> None:
                await client.send(f"4{data}" if isinstance(data, str) else data)

            yield Caller(send, recv, client.close)
        return
    async with browsing(server) as http:
        patron = Patron(http, path)
        if transport == "polling":
            await patron.begin()
            yield Caller(patron.send, patron.recv, patron.close)
        elif transport == "eventsource":
            async with patron.stream() as stream:

                async def next_data() -> object:
                    return (await stream.told()).data

                yield Caller(patron.send, next_data, patron.close)
        else:
            async with http.stream("GET", path, params={"transport": "iframe"}) as response:
                assert response.headers["content-type"] == "text/html; charset=utf-8"
                lines = response.aiter_lines()
                assert (await anext(lines)).startswith("<!doctype html>")
                found = re.fullmatch(r"<script>.*open\((.*)\)</script>", await anext(lines))
                assert found is not None
                patron.sid = json.loads(found[1])["sid"]

                async def next_call() -> object:
                    line = await anext(lines)
                    return json.loads(line.removeprefix("<script>parent.hubbub(").removesuffix(")</script>"))

                yield Caller(patron.send, next_call, patron.close)
                await lines.aclose()  # type: ignore[attr-defined]


TRANSPORTS = ("websocket", "eventsource", "iframe", "polling")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_handler_serves_each_transport_alike(serve: Serve, transport: str) -> None:
    hub = Hub()
    ended: list[tuple[int | None, str]] = []

    @hub.comet("/push")
    async def push(ws: Session) -> None:
        assert type(ws) is Session
        assert repr(ws) == f"<Session {ws.id} '/push' open>"
        ws.join("lobby")
        await ws.send(f"{ws.transport} {ws.path} {ws.remote_address is not None}")
        try:
            async for data in ws:
                await ws.send(f"you said {data!r}")
        finally:
            ended.append((ws.close_code, ws.close_reason))

    async with serve(hub) as server, calling(server, transport) as caller:
        assert await caller.recv() == f"{transport} /push True"
        await caller.send("hello </script>")
        assert await caller.recv() == "you said 'hello </script>'"
        await caller.send(b"\x00\xff")
        assert await caller.recv() == r"you said b'\x00\xff'"
        assert (await hub.room("lobby").broadcast("all")).reached == 1
        assert await caller.recv() == "all"
        await caller.close(4000, "gone home")
        await until(lambda: bool(ended))
    assert ended == [(4000, "gone home")]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_without_a_handler_of_its_own_it_has_the_hubs(serve: Serve, transport: str) -> None:
    hub = Hub()
    hub.comet("/push")
    closed: list[tuple[int, str]] = []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.send("welcome")

    @hub.on_message
    def message(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    @hub.on_close
    def close(ws: WebSocket, code: int, reason: str) -> None:
        closed.append((code, reason))

    async with serve(hub) as server:
        async with calling(server, transport) as caller:
            assert await caller.recv() == "welcome"
            for number in range(20):
                await caller.send(str(number))
            for number in range(20):
                assert await caller.recv() == str(number)
            await caller.close(1000, "")
            await until(lambda: bool(closed))
        # Elsewhere they serve WebSockets, as always.
        async with server.connect("/") as client:
            assert await client.recv() == "welcome"
    assert closed[0] == (1000, "")


async def test_one_broadcast_reaches_all_transports_in_order(serve: Serve) -> None:
    hub = Hub()

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        ws.join("lobby")
        await ws.send("in")
        await ws.recv()

    @hub.eventsource("/events")
    def events(es: WebSocket) -> None:
        es.join("lobby")

    async with (
        serve(hub) as server,
        calling(server, "websocket") as one,
        calling(server, "eventsource") as two,
        calling(server, "iframe") as three,
        calling(server, "polling") as four,
        listening(server, "/events") as five,
    ):
        callers = [one, two, three, four]
        for caller in callers:
            assert await caller.recv() == "in"
        await until(lambda: len(hub.room("lobby")) == 5)
        for number in range(30):
            hub.room("lobby").broadcast(f"{number}")
        for number in range(30):
            for caller in callers:
                assert await caller.recv() == str(number)
            assert await five.data() == str(number)


async def test_a_session_goes_on_with_another_transport_and_its_handler_notices_nothing(serve: Serve) -> None:
    hub = Hub()
    seen: list[tuple[str, str]] = []

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        async for data in ws:
            seen.append((ws.transport, str(data)))
            await ws.send(f"got {data}")

    async with serve(hub) as server, opened(server, "/push") as patron:
        sid = patron.sid
        await patron.send("one")
        assert await patron.recv() == "got one"
        async with patron.stream() as stream:
            assert patron.open["recovered"] is True
            assert patron.sid == sid
            await patron.send("two")
            assert await stream.data() == "got two"
            patron.cursor += 1
        [ws] = hub.sessions
        await until(lambda: ws.transport == "polling")
        # Nobody is there just now.
        await ws.send("while you were away")
        assert await patron.recv() == "while you were away"
        query = f"transport=websocket&sid={sid}&cursor={patron.cursor}"
        async with server.connect(f"/push?{query}") as client:
            assert json.loads(str(await client.recv())[1:])["recovered"] is True
            await client.send("4three")
            assert await client.recv() == "4got three"
        assert list(hub.sessions) == [ws]
    assert seen == [("polling", "one"), ("eventsource", "two"), ("websocket", "three")]


async def test_a_client_that_does_not_come_back_is_closed_with_1006(serve: Serve) -> None:
    hub = Hub(limits=Limits(session_timeout=0.05))
    ended: list[ConnectionClosed] = []

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        try:
            await ws.recv()
        except ConnectionClosed as closed:
            ended.append(closed)
            raise

    async with serve(hub) as server, opened(server, "/push") as patron:
        await until(lambda: bool(ended))
        assert ended[0].code == 1006
        assert hub.stats()["session_timeouts"] == 1
        response = await patron.client.get("/push", params={"transport": "polling", **patron.place})
        assert response.status_code == 404
        again = await patron.client.get("/push", params={"transport": "polling", **patron.place, "resume": "1"})
        assert again.status_code == 200
        assert '"recovered":false' in again.text


async def test_a_handler_that_returns_or_raises_ends_the_session(serve: Serve, failures: list[object]) -> None:
    hub = Hub()

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        if await ws.recv() == "raise":
            raise ValueError("on purpose")

    async with serve(hub) as server:
        for word, end in (("return", (1000, "")), ("raise", (1011, "internal error"))):
            async with opened(server, "/push") as patron:
                await patron.send(word)
                assert await patron.recv() == end
                assert (await patron.post("4late")).status_code == 404
    assert len(failures) == 1


async def test_send_waits_while_the_client_is_away_and_goes_on_when_it_comes(serve: Serve) -> None:
    hub = Hub(limits=Limits(high_water_bytes=10_000))
    sent: list[int] = []

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        for number in range(10):
            await ws.send("x" * 8000)
            sent.append(number)
        await ws.recv()

    async with serve(hub, shutdown_timeout=0.5) as server, opened(server, "/push") as patron:
        await until(lambda: len(sent) == 1)
        await anyio.sleep(0.05)
        assert len(sent) < 3
        for _ in range(10):
            assert await patron.recv() == "x" * 8000
        assert len(sent) >= 9


@pytest.mark.parametrize("transport", ["eventsource", "iframe", "polling"])
async def test_only_a_websocket_can_be_pinged(serve: Serve, transport: str) -> None:
    hub = Hub()

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        with pytest.raises(RuntimeError, match=f"carried by {transport}"):
            ws.ping()
        await ws.send("done")

    async with serve(hub) as server, calling(server, transport) as caller:
        assert await caller.recv() == "done"


async def test_rooms_that_a_client_asks_for_are_the_servers_to_give(serve: Serve) -> None:
    hub = Hub()
    joined: dict[str, list[str]] = {}

    def none_secret(ws: WebSocket, name: str) -> bool:
        return name != "secret" and ws.path == "/some"

    async def handler(ws: WebSocket) -> None:
        joined[ws.path] = sorted(ws.rooms)
        await ws.recv()

    hub.comet("/none")(handler)
    hub.comet("/all", rooms=True)(handler)
    hub.comet("/some", rooms=none_secret)(handler)
    hub.comet("/handlers", rooms=True)

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        joined[ws.path] = sorted(ws.rooms)

    asked = [*"ab", "secret", "grün & blau"]
    async with serve(hub) as server:
        for path in ("/none", "/all", "/some", "/handlers"):
            async with opened(server, path, room=asked):
                await until(lambda path=path: path in joined)  # type: ignore[misc]
        async with opened(server, "/all", room=[str(number) for number in range(100)]):
            await until(lambda: len(joined["/all"]) > 10)
    assert joined.pop("/all") == sorted(str(number) for number in range(64))
    everything = sorted(asked)
    assert joined == {"/none": [], "/some": [name for name in everything if name != "secret"], "/handlers": everything}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_on_request_decides_about_the_opening_and_not_about_what_follows(serve: Serve, transport: str) -> None:
    hub = Hub()
    asked: list[tuple[str, bool]] = []

    @hub.on_request
    async def request(request: Request) -> Response | None:
        asked.append((request.query["transport"], request.is_websocket))
        if "no" in request.query:
            return Response(401, "who are you?\n")
        request.state.name = "ann"
        return None

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        await ws.send(f"hello {ws.state.name}")
        async for data in ws:
            await ws.send(data)

    async with serve(hub) as server:
        async with calling(server, transport) as caller:
            assert await caller.recv() == "hello ann"
            await caller.send("again")
            assert await caller.recv() == "again"
        if transport != "websocket":
            async with browsing(server) as http:
                response = await http.get("/push", params={"transport": transport, "no": "1"})
                assert (response.status_code, response.text) == (401, "who are you?\n")
    assert asked[0] == (transport, transport == "websocket")
    assert len(asked) == (1 if transport == "websocket" else 2)


async def test_transports_and_origins_are_those_that_are_listed(serve: Serve) -> None:
    hub = Hub(origins=["https://hub.example"])

    async def handler(ws: WebSocket) -> None:
        await ws.recv()

    hub.comet("/polls", transports=["polling"])(handler)
    hub.comet("/listed", origins=["https://a.example"])(handler)
    async with serve(hub) as server, browsing(server) as http:
        response = await http.get("/polls", params={"transport": "eventsource"})
        assert response.status_code == 400
        assert "not offered" in response.text
        for path, origin, status in (
            ("/polls", "https://hub.example", 200),
            ("/polls", "https://a.example", 403),
            ("/listed", "https://a.example", 200),
            ("/listed", "https://hub.example", 403),
        ):
            response = await http.get(path, params={"transport": "polling"}, headers={"Origin": origin})
            assert response.status_code == status
            allowed = response.headers.get("access-control-allow-origin")
            assert allowed == (origin if status == 200 else None)
        preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        response = await http.options("/listed", headers=preflight)
        assert response.status_code == 204
        assert response.headers["access-control-allow-credentials"] == "true"


async def test_a_slow_handler_holds_its_own_posts_back_and_nobody_elses(serve: Serve) -> None:
    hub = Hub(limits=Limits(inbox_messages=2))
    go = anyio.Event()

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        if (await ws.recv()) == "slow":
            await go.wait()
        async for data in ws:
            await ws.send(data)

    async with serve(hub) as server, opened(server, "/push") as slow, opened(server, "/push") as quick:
        posted = []

        async def post(number: int) -> None:
            await slow.send(str(number))
            posted.append(number)

        await slow.send("slow")
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(post, number)
            for word in ("quick", "one", "two"):
                await quick.send(word)
            assert (await quick.recv(), await quick.recv()) == ("one", "two")
            assert len(posted) < 5
            go.set()
        assert sorted([await slow.recv() for _ in range(5)]) == list("01234")  # type: ignore[type-var]


async def test_a_hub_that_stops_tells_the_client_of_a_poll(serve: Serve) -> None:
    hub = Hub()

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        await ws.recv()

    ends: list[object] = []
    async with AsyncExitStack() as stack, anyio.create_task_group() as group:
        async with serve(hub, shutdown_timeout=8.0) as server:
            http = await stack.enter_async_context(browsing(server))
            patron, away = Patron(http, "/push"), Patron(http, "/push")
            await patron.begin()
            await away.begin()

            async def wait() -> None:
                ends.append(await patron.recv())

            group.start_soon(wait)
            await until(lambda: hub.stats()["requests"] == 3)
            began = anyio.current_time()
        # Nobody asks for the other one, which does not hold it up.
        assert anyio.current_time() - began < 4
    assert ends == [(1001, "")]


async def test_curl_polls_posts_and_listens(serve: Serve) -> None:
    hub = Hub()

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        async for data in ws:
            await ws.send(f"{ws.transport}: {data}")

    async with serve(hub) as server:
        base = f"http://{server.address[1]}:{server.address[2]}/push"

        async def curl(*arguments: str) -> str:
            done = await anyio.run_process(["curl", "--silent", "--show-error", "--max-time", "8", *arguments])
            return done.stdout.decode()

        opening = await curl(f"{base}?transport=polling")
        sid = json.loads(opening[1:])["sid"]
        assert await curl("--data-binary", "4hello", f"{base}?sid={sid}") == "ok"
        assert await curl(f"{base}?transport=polling&sid={sid}&cursor=0") == "4polling: hello"
        assert await curl("--data-binary", "4bye", f"{base}?sid={sid}") == "ok"
        assert await curl("--data-binary", "1", f"{base}?sid={sid}") == "ok"
        status = await curl("--output", "/dev/null", "--write-out", "%{http_code}", f"{base}?sid={sid}", "-d", "4x")
        assert status == "404"


def test_wrong_arguments_are_refused_at_once() -> None:
    hub = Hub()

    def function(ws: WebSocket) -> None: ...

    async def no_session() -> None: ...

    async def rule(ws: WebSocket, name: str) -> bool:
        return False

    with pytest.raises(ValueError, match="path"):
        hub.comet("push")
    for transports in ("polling", [], ["pigeon"]):
        with pytest.raises(ValueError, match="transports"):
            hub.comet("/", transports=transports)  # type: ignore[arg-type]
    for rooms in ("red", None, rule):
        with pytest.raises(TypeError, match="rooms"):
            hub.comet("/", rooms=rooms)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async def"):
        hub.comet("/one")(function)
    with pytest.raises(TypeError, match="called with"):
        hub.comet("/other")(no_session)
    with pytest.raises(TypeError, match="origins"):
        hub.comet("/", origins="https://a.example")
    with pytest.raises(TypeError, match="subprotocols"):
        hub.comet("/", subprotocols="chat")
