"""A hub that another server hosts: `hub.asgi()` in uvicorn, hypercorn and granian, with real clients."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from websockets.exceptions import ConnectionClosed as Gone
from websockets.sync.client import connect as dial_sync

from hubbub import ConnectionClosed, EventStream, Hub, Limits, NotRunning, Request, Response, WebSocket
from support.client import Refused, connect
from support.hosts import host
from support.server import until

pytestmark = [
    pytest.mark.anyio,
    # uvicorn's oldest implementation of WebSocket.
    pytest.mark.filterwarnings("ignore:remove second argument of ws_handler"),
    pytest.mark.filterwarnings("ignore:websockets.legacy is deprecated"),
    pytest.mark.filterwarnings("ignore:The `websockets` implementation is deprecated"),
    # httpx, when a test leaves a response unread.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator:pytest.PytestUnraisableExceptionWarning"),
]

UVLOOP = ("asyncio", {"use_uvloop": True})
ASYNCIO = ("asyncio", {"use_uvloop": False})

#: Each host with each of its implementations of WebSocket, on the loops that it knows.
HOSTS = {
    "uvicorn-websockets": (ASYNCIO, "uvicorn", {"ws": "websockets"}),
    "uvicorn-sansio": (UVLOOP, "uvicorn", {"ws": "websockets-sansio"}),
    "uvicorn-wsproto-h11": (UVLOOP, "uvicorn", {"ws": "wsproto", "http": "h11"}),
    "uvicorn-lifespan-off": (UVLOOP, "uvicorn", {"lifespan": "off"}),
    "hypercorn": (("trio", {}), "hypercorn", {}),
}

Serve = Callable[[Any], AbstractAsyncContextManager[Any]]


@pytest.fixture(params=HOSTS.values(), ids=HOSTS)
def setting(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(setting: Any) -> object:
    return setting[0]


@pytest.fixture
def serve(setting: Any) -> Serve:
    """`async with serve(hub) as address`; an ASGI application will do as well."""
    _, name, options = setting
    return lambda app: host(app.asgi() if isinstance(app, Hub) else app, name, **options)


def url(address: tuple[str, str, int], path: str = "/") -> str:
    return f"http://{address[1]}:{address[2]}{path}"


def only_http(app: Any) -> Any:
    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] != "lifespan"
        await app(scope, receive, send)

    return wrapped


# ---- WebSockets


async def test_messages_go_both_ways_whole_and_in_order(serve: Serve) -> None:
    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    texts = [str(number) for number in range(500)]
    async with serve(hub) as address, connect(address) as client:
        for data in [*texts, "grün ☃", b"\0\xff", "", b"", "x" * 100_000, b"y" * 1_000_000]:
            await client.send(data)
            if data not in texts:
                continue
        got = [await client.recv() for _ in range(len(texts) + 6)]
        assert got == [*texts, "grün ☃", b"\0\xff", "", b"", "x" * 100_000, b"y" * 1_000_000]


async def test_the_request_is_the_clients_own(serve: Serve) -> None:
    hub, seen = Hub(), []

    @hub.websocket("/rooms/{room}", subprotocols=["b", "a"])
    async def endpoint(ws: WebSocket) -> None:
        request = ws.request
        seen.append((ws.remote_address, request.secure, ws.path_params, request.query, ws.subprotocol))
        seen.append((request.headers["x-own"], request.headers["host"], request.headers.get("origin")))
        await ws.send("hello")

    @hub.on_request
    def decide(request: Request) -> None:
        request.response_headers["X-From"] = "the hub"

    async with serve(hub) as address:
        where = "/rooms/a%20b?c=d%20e"
        headers = {"X-Own": "mine"}
        async with connect(address, where, headers=headers, subprotocols=["a", "b"], origin="https://x") as client:
            assert await client.recv() == "hello"
            assert client.subprotocol == "b"
            assert client.response is not None
            assert client.response.headers["x-from"] == "the hub"
            assert seen[0] == (client.address, False, {"room": "a b"}, {"c": "d e"}, "b")
            assert seen[1] == ("mine", "test", "https://x")


async def test_close_codes_and_reasons_go_to_the_client(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.websocket("/{code}")
    async def endpoint(ws: WebSocket) -> None:
        await ws.close(int(ws.path_params["code"]), "grün")

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(code)

    async with serve(hub) as address:
        for code in (1000, 1001, 1011, 3000, 4999):
            async with connect(address, f"/{code}") as client:
                assert await client.ended() == (code, "grün")
        # A hub that has heard nothing of its clients' end would still have them.
        await until(lambda: len(hub.sessions) == 0)


async def test_a_clients_close_ends_the_session_with_its_code(serve: Serve, setting: Any) -> None:
    hub, told = Hub(), []
    hub.on_close(lambda ws, code, reason: told.append((code, reason)))
    async with serve(hub) as address:
        for code in (1000, 4321):
            async with connect(address) as client:
                await client.close(code, "ta")
        await until(lambda: len(told) == 2)
    # hypercorn does not tell.
    assert told == (
        [(1006, "the peer closed the connection")] * 2 if setting[1] == "hypercorn" else [(1000, "ta"), (4321, "ta")]
    )


async def test_a_client_that_is_lost_is_1006(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.send("here")
        try:
            await ws.recv()
        except ConnectionClosed as closed:
            told.append(closed.code)
        over.set()

    async with serve(hub) as address, connect(address) as client:
        assert await client.recv() == "here"
        client.abort()
        await over.wait()
    assert told == [1006]


async def test_a_refusal_is_the_clients_answer(serve: Serve) -> None:
    hub = Hub(origins=["https://example.org"])
    opened = []
    hub.on_connection(lambda ws: opened.append(ws))

    @hub.on_request
    async def decide(request: Request) -> Response | None:
        await anyio.sleep(0)
        return Response(418, "no coffee", {"X-Tea": "yes"}) if request.path == "/tea" else None

    async with serve(hub) as address:
        with pytest.raises(Refused) as refused:
            async with connect(address, "/tea"):
                pass
        assert (refused.value.status, refused.value.body) == (418, b"no coffee")
        assert refused.value.headers["x-tea"] == "yes"
        with pytest.raises(Refused) as refused:
            async with connect(address, origin="https://evil.example"):
                pass
        assert refused.value.status == 403
    assert opened == []


async def test_a_host_without_denial_responses_answers_403(serve: Serve) -> None:
    hub = Hub()
    hub.on_request(lambda request: Response(418, "no coffee"))
    hosted = hub.asgi()

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            scope = {key: value for key, value in scope.items() if key != "extensions"}
        await hosted(scope, receive, send)

    async with serve(plain) as address:
        with pytest.raises(Refused) as refused:
            async with connect(address):
                pass
        assert refused.value.status == 403


async def test_a_broadcast_reaches_members_and_a_post_may_make_it(serve: Serve) -> None:
    async def publish(request: Any) -> PlainTextResponse:
        hub = request.scope["extensions"]["hubbub"]["hub"]
        sent = await hub.room("news").broadcast(await request.body())
        return PlainTextResponse(str(sent.reached))

    hub = Hub(app=Starlette(routes=[Route("/publish", publish, methods=["POST"])]))

    @hub.websocket("/ws")
    async def member(ws: WebSocket) -> None:
        ws.join("news")
        await ws.send("joined")
        async for _ in ws:
            pass

    async with serve(hub) as address, connect(address, "/ws") as one, connect(address, "/ws") as two:
        for client in (one, two):
            assert await client.recv() == "joined"
        async with httpx.AsyncClient() as http:
            answer = await http.post(url(address, "/publish"), content=b"extra, extra")
        assert (answer.status_code, answer.text) == (200, "2")
        for client in (one, two):
            assert await client.recv() == b"extra, extra"


async def test_who_comes_while_all_places_are_taken_waits_for_one(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub(limits=Limits(max_sessions=1))
    second: list[str] = []

    @hub.websocket("/{name}")
    async def endpoint(ws: WebSocket) -> None:
        await ws.send(ws.path_params["name"])
        await ws.recv()

    async def come(address: Any) -> None:
        async with connect(address, "/second") as client:
            second.append(str(await client.recv()))

    async with serve(hub) as address, anyio.create_task_group() as group:
        async with connect(address, "/first") as first:
            assert await first.recv() == "first"
            group.start_soon(come, address)
            await until(lambda: "as many connections as allowed" in caplog.text)
            assert second == []
        await until(lambda: second == ["second"])


# ---- HTTP


async def test_a_response_comes_through_as_it_is(serve: Serve) -> None:
    hub = Hub()

    @hub.on_request
    def page(request: Request) -> Response | None:
        if request.path == "/empty":
            return Response(204)
        return Response(200, request.target, {"Content-Type": "text/plain", "X-Method": request.method})

    async with serve(hub) as address, httpx.AsyncClient() as http:
        answer = await http.get(url(address, "/a%2Fb?c=%20"))
        assert (answer.status_code, answer.text) == (200, "/a%2Fb?c=%20")
        assert answer.headers["content-type"] == "text/plain"
        assert len(answer.headers.get_list("content-length")) == 1
        # What is the host's to say is said once.
        assert len(answer.headers.get_list("date")) <= 1
        assert "hubbub" not in answer.headers.get("server", "")
        assert (await http.get(url(address, "/empty"))).status_code == 204
        head = await http.head(url(address))
        assert (head.status_code, head.content, head.headers["x-method"]) == (200, b"", "HEAD")
        # The connection to the host is kept.
        assert (await http.get(url(address))).text == "/"


async def test_a_response_streams_out(serve: Serve) -> None:
    more = anyio.Event()

    @only_http
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first;", "more_body": True})
        # The rest is made only when the beginning has come.
        await more.wait()
        await send({"type": "http.response.body", "body": b"x" * 3_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b";last"})

    got = b""
    async with (
        serve(Hub(app=app)) as address,
        httpx.AsyncClient() as http,
        http.stream("GET", url(address)) as answer,
    ):
        async for piece in answer.aiter_raw():
            got += piece
            more.set()
    assert got == b"first;" + b"x" * 3_000_000 + b";last"


async def test_a_body_streams_in(serve: Serve) -> None:
    pieces = [bytes([number]) * 20_000 for number in range(40)]

    @only_http
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event["body"], event["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def upload() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    whole = b"".join(pieces)
    async with serve(Hub(app=app)) as address, httpx.AsyncClient() as http:
        for content in (b"", b"short", whole, upload()):
            answer = await http.post(url(address), content=content)
            assert answer.content == (content if isinstance(content, bytes) else whole)


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_when_it_is_wanted(
    serve: Serve, setting: Any
) -> None:
    if setting[1] == "hypercorn":
        pytest.skip("hypercorn asks for every body")
    asked: list[bytes] = []

    @only_http
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/read":
            asked.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async with serve(Hub(app=app)) as address:
        for path, interim in (("/read", True), ("/leave", False)):
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
            with anyio.fail_after(5):
                async with await anyio.connect_tcp(address[1], address[2]) as stream:
                    await stream.send(head.encode())
                    got = await stream.receive()
                    assert got.startswith(b"HTTP/1.1 100") is interim, got
                    if interim:
                        await stream.send(b"body")
                        while b"done" not in got:
                            got += await stream.receive()
    assert asked == [b"body"]


async def test_a_client_that_goes_is_a_disconnect(serve: Serve) -> None:
    seen, over = [], anyio.Event()

    @only_http
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        seen.append((await receive())["type"])
        seen.append((await receive())["type"])
        over.set()

    hub = Hub(app=app)
    async with serve(hub) as address:
        async with httpx.AsyncClient() as http, http.stream("GET", url(address)) as answer:
            async for piece in answer.aiter_raw():
                assert piece == b"x"
                break
        await over.wait()
        await until(lambda: hub.stats()["connections"] == 0)
    assert seen == ["http.request", "http.disconnect"]


async def test_a_response_that_breaks_off_does_not_pass_for_the_whole(serve: Serve, failures: list[Any]) -> None:
    @only_http
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    async with serve(Hub(app=app)) as address, httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(url(address))
    assert failures


async def test_a_body_that_is_too_large_is_answered_413(serve: Serve) -> None:
    @only_http
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it is not asked")

    async with serve(Hub(app=app, limits=Limits(max_body_bytes=1000))) as address, httpx.AsyncClient() as http:
        assert (await http.post(url(address), content=b"x" * 1001)).status_code == 413
        assert (await http.post(url(address), content=b"x" * 5_000_000)).status_code == 413


async def test_one_broadcast_arrives_by_every_transport(serve: Serve, tmp_path: Path) -> None:
    hub, joined = Hub(), []
    hub.static("/", tmp_path)
    (tmp_path / "page.txt").write_text("a file")

    @hub.comet("/push")
    async def member(ws: WebSocket) -> None:
        ws.join("clock")
        joined.append(ws.transport)
        async for _ in ws:
            pass

    @hub.eventsource("/stream")
    def stream(es: EventStream) -> None:
        es.join("clock")
        joined.append("stream")

    async with serve(hub) as address, httpx.AsyncClient(timeout=5) as http, connect(address, "/push") as client:
        answer = await http.get(url(address, "/page.txt"), headers={"Range": "bytes=2-"})
        assert (answer.status_code, answer.text) == (206, "file")
        opened = (await http.get(url(address, "/push?transport=polling"))).text
        sid = json.loads(opened[1:])["sid"]
        async with http.stream("GET", url(address, "/stream")) as events:
            await until(lambda: len(joined) == 3)
            hub.room("clock").broadcast("tick")
            async for line in events.aiter_lines():
                if line == "data: tick":
                    break
        assert (await http.get(url(address, f"/push?transport=polling&sid={sid}&cursor=0"))).text == "4tick"
        while "tick" not in str(await client.recv()):
            pass
        # The reader of the stream has gone.
        await until(lambda: len(hub.sessions) < 3)
    assert sorted(joined) == ["polling", "stream", "websocket"]


# ---- beginning and end


async def test_the_hub_runs_from_the_hosts_startup_to_its_shutdown(serve: Serve, setting: Any) -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        told.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        told.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    hub, closed = Hub(app=app), []

    @hub.websocket("/ws")
    async def endpoint(ws: WebSocket) -> None:
        await ws.send("here")
        async for _ in ws:
            pass

    lifespan = setting[2].get("lifespan") != "off"
    async with serve(hub) as address:
        assert told == (["lifespan.startup"] if lifespan else [])
        async with connect(address, "/ws") as client:
            assert await client.recv() == "here"
            closed.append(await client.close())
        assert told == ["lifespan.startup"]
    assert told == ["lifespan.startup", "lifespan.shutdown"][: 2 if lifespan else 1]


async def test_clients_are_told_when_the_host_goes(serve: Serve) -> None:
    hub, over = Hub(), anyio.Event()

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        over.set()

    async with anyio.create_task_group() as group:
        codes: list[int] = []

        async def wait(client: Any) -> None:
            codes.append((await client.ended())[0])

        async with serve(hub) as address:
            client_context = connect(address)
            client = await client_context.__aenter__()
            group.start_soon(wait, client)
            await until(lambda: len(hub.sessions) == 1)
        await until(lambda: codes != [])
        await over.wait()
        await client_context.__aexit__(None, None, None)
    # uvicorn says "service restart", hypercorn "internal error" if anything; the hub would say "going away".
    assert codes[0] in (1006, 1011, 1012)


@pytest.mark.parametrize("setting", [HOSTS["uvicorn-sansio"], HOSTS["hypercorn"]], ids=["uvicorn", "hypercorn"])
async def test_below_a_mount_paths_are_those_below_it_and_the_parents_lifespan_runs_the_hub(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/chat/{room}")
    async def chat(ws: WebSocket) -> None:
        await ws.send(f"{ws.path_params['room']} {ws.request.target}")

    live = hub.asgi()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live:
            assert hub.stats()["connections"] == 0
            yield

    app = Starlette(routes=[Mount("/live", app=live)], lifespan=lifespan)
    async with serve(app) as address:
        async with connect(address, "/live/chat/a%2Fb?c=d") as client:
            assert await client.recv() == "a/b /chat/a%2Fb?c=d"
        async with httpx.AsyncClient() as http:
            assert (await http.get(url(address, "/live/elsewhere"))).status_code == 404
    with pytest.raises(NotRunning):
        hub.stats()


async def test_a_hub_that_runs_cannot_be_hosted_and_says_so(failures: list[Any], anyio_backend: object) -> None:
    hub, sent = Hub(), []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event)

    async with hub.listening(port=0):
        await hub.asgi()({"type": "lifespan"}, receive, send)
        with pytest.raises(RuntimeError, match="running already"):
            async with hub.asgi():
                pass
    assert sent == [{"type": "lifespan.startup.failed", "message": "this hub is running already"}]


@pytest.mark.parametrize("setting", [HOSTS["uvicorn-sansio"]], ids=["uvicorn"])
async def test_an_application_that_fails_to_start_fails_the_host(serve: Serve, failures: list[Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(SystemExit):
        async with serve(Hub(app=app)):
            pass
    assert any("no database" in record.getMessage() for record in failures)


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_a_host_lets_through_that_cannot_be_a_request_is_refused(kind: str, tells: bool) -> None:
    sent: list[Any] = []
    events = [{"type": "http.request", "body": b""} if kind == "http" else {"type": "websocket.connect"}]

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    async def ask() -> None:
        scope = {
            "type": kind,
            "method": "GET",
            "path": "/\udc80",
            "headers": [],
            "subprotocols": ["\u4f60"],
            "extensions": {"websocket.http.response": {}} if tells else {},
        }
        async with Hub().asgi() as hosted:
            await hosted(scope, receive, send)

    asyncio.run(ask())
    if kind == "websocket" and not tells:
        assert sent == [{"type": "websocket.close"}]
    else:
        assert sent[0]["status"] == 400


@pytest.mark.filterwarnings("ignore:Using `httpx`")
def test_starlettes_test_client_is_a_host_with_and_without_a_lifespan() -> None:
    from starlette.testclient import TestClient

    hub = Hub()

    @hub.websocket("/{name}")
    async def endpoint(ws: WebSocket) -> None:
        await ws.send(f"{ws.path_params['name']} {ws.remote_address}")
        async for data in ws:
            await ws.send(data)

    hub.on_request(lambda request: Response(200, "page") if request.path == "/page" else None)
    hosted = hub.asgi()
    with TestClient(hosted) as client:
        for name in ("one", "two"):
            with client.websocket_connect(f"/{name}") as ws:
                assert ws.receive_text() == f"{name} None"
                ws.send_text("echo")
                assert ws.receive_text() == "echo"
        assert client.get("/page").text == "page"
    # Each is in an event loop of its own.
    client = TestClient(hosted)
    for _ in range(3):
        with client.websocket_connect("/three") as ws:
            assert ws.receive_text() == "three None"
        assert client.get("/page").text == "page"


def test_a_hub_whose_loop_has_ended_is_free_again() -> None:
    """One test has the hub in httpx, without a lifespan, and the next one lets it listen."""
    hub = Hub()
    hub.on_request(lambda request: Response(200, "page"))
    hosted = hub.asgi()

    async def hosting() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(hosted), base_url="http://a") as client:
            assert (await client.get("/")).text == "page"

    async def listening() -> None:
        async with (
            hub.listening(port=0, access_log=False) as listening,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.port}", trust_env=False) as client,
        ):
            assert (await client.get("/")).text == "page"
            with pytest.raises(RuntimeError, match="running already"):
                await hosting()
        assert hub._running.server is None

    for backend in ("asyncio", "trio"):
        anyio.run(hosting, backend=backend)
        anyio.run(hosting, backend=backend)
        hub.stop()
        anyio.run(listening, backend=backend)
        anyio.run(hosting, backend=backend)
        anyio.run(listening, backend=backend)


# ---- as programs

PROGRAM = """
from hubbub import Hub, Response

hub = Hub()

@hub.websocket("/echo")
async def echo(ws):
    try:
        async for data in ws:
            ws.send(data)
    finally:
        print("over", flush=True)

@hub.websocket("/close")
async def close(ws):
    await ws.close(4000, "enough")

@hub.on_request
def page(request):
    if request.path == "/page":
        return Response(200, f"page {request.remote_address[0]}")
    if request.path == "/no":
        return Response(403, "no")

app = hub.asgi()
"""

COMMANDS = {
    "uvicorn": ["uvicorn", "program:app", "--port", "{port}", "--log-level", "warning"],
    "uvicorn-lifespan-off": [
        "uvicorn",
        "program:app",
        "--port",
        "{port}",
        "--log-level",
        "warning",
        "--lifespan",
        "off",
    ],
    "granian": ["granian", "--interface", "asgi", "--port", "{port}", "--log-level", "warning", "program:app"],
    "granian-no-lifespan": [
        *("granian", "--interface", "asginl", "--port", "{port}", "--log-level", "warning", "program:app"),
    ],
    "hypercorn": ["hypercorn", "program:app", "--bind", "127.0.0.1:{port}", "--log-level", "warning"],
    "hypercorn-trio": [
        *("hypercorn", "program:app", "--bind", "127.0.0.1:{port}", "--log-level", "warning"),
        *("--worker-class", "trio"),
    ],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_host_from_the_command_line_serves_the_hub_and_ends_quietly(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    port = _free_port()
    arguments = [part.format(port=port) for part in command]
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        where = f"127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as http:
            assert http.get(f"http://{where}/page", timeout=20).text == "page 127.0.0.1"
            assert http.get(f"http://{where}/nowhere").status_code == 404
        with dial_sync(f"ws://{where}/echo", open_timeout=10) as ws:
            for data in ("hello", b"\0" * 300_000):
                ws.send(data)
                assert ws.recv(timeout=10) == data
        with dial_sync(f"ws://{where}/close") as ws, pytest.raises(Gone) as gone:
            ws.recv(timeout=10)
        assert gone.value.rcvd is not None
        assert (gone.value.rcvd.code, gone.value.rcvd.reason) == (4000, "enough")
        with pytest.raises(Exception, match="403"):
            dial_sync(f"ws://{where}/no")
        # One client is there when it ends.
        with dial_sync(f"ws://{where}/echo") as ws:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(Gone):
                ws.recv(timeout=10)
        output = process.communicate(timeout=20)[0]
    finally:
        # Its workers as well, if the test has failed.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert output.count("over") >= 1, output
    # hypercorn cancels what reads for its clients, and asyncio tells of each.
    if command is not COMMANDS["hypercorn"]:
        assert "Traceback" not in output, output
        assert "rror" not in output, output


def _free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
