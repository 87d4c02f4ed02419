"""ASGI applications whose clients go, at every moment: what other servers have got wrong.

The cases are those of granian's issues 286, 318, 412, 575, 591, 616, 798, 818, 835 and 922.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hubbub import ClientDisconnected, Hub
from support.client import Client, Refused, dial
from support.http import visiting
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def without_lifespan(app: Any) -> Any:
    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] != "lifespan"
        await app(scope, receive, send)

    return wrapped


# ---- WebSockets that are open


async def test_pongs_that_nobody_has_asked_for_and_pings_are_no_events(serve: Serve) -> None:
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        for _ in range(2):
            await ws.send_bytes(b"got " + await ws.receive_bytes())

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    async with serve(Hub(app=app)) as server, server.connect() as client:
        client.protocol.send_pong(b"")
        await client.ping(b"there?")
        assert await client.recv_pong() == b"there?"
        # An empty message is one.
        await client.send(b"")
        assert await client.recv() == b"got "
        client.protocol.send_pong(b"unasked")
        await client.send(b"more")
        assert await client.recv() == b"got more"


async def test_an_application_that_does_not_look_at_the_end_ends_and_keeps_nobody_waiting(serve: Serve) -> None:
    ended: list[str] = []

    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            while True:
                event = await receive()
                if event["type"] == "websocket.connect":
                    await send({"type": "websocket.accept"})
                elif event["type"] == "websocket.receive":
                    await send({"type": "websocket.send", "text": event["text"]})
        finally:
            ended.append(scope["path"])

    async with serve(Hub(app=app)) as server, server.connect("/stays") as other:
        for number in range(3):
            async with server.connect(f"/{number}") as client:
                if number:
                    await client.close()
        await until(lambda: len(ended) == 3)
        await other.send("still served")
        assert await other.recv() == "still served"
    assert sorted(ended[:3]) == ["/0", "/1", "/2"]


@pytest.mark.parametrize("answers", [True, False], ids=["answered", "lost"])
async def test_who_closes_receives_the_end(serve: Serve, answers: bool) -> None:
    seen: list[Any] = []

    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
        seen.append(await receive())

    async with serve(Hub(app=app)) as server, server.connect() as client:
        if answers:
            assert await client.ended() == (4000, "enough")
        else:
            client.abort()
        await until(lambda: seen != [])
    (event,) = seen
    assert event["type"] == "websocket.disconnect"
    # The client's code where it has come by then; else ours, or that it is lost.
    assert event["code"] in ((4000,) if answers else (4000, 1006))


async def test_receiving_and_closing_from_two_tasks(serve: Serve) -> None:
    """A task receives while another one closes: Django Channels does so."""
    seen: list[Any] = []

    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def listen() -> None:
            while not seen or seen[-1]["type"] != "websocket.disconnect":
                seen.append(await receive())

        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await until(lambda: len(seen) == 1)
            await send({"type": "websocket.close", "code": 4000})

    async with serve(Hub(app=app)) as server, server.connect() as client:
        await client.send("hello")
        assert (await client.ended())[0] == 4000
        await until(lambda: len(seen) == 2)
    assert [event["type"] for event in seen] == ["websocket.receive", "websocket.disconnect"]
    assert seen[1]["code"] == 4000


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_sending_to_who_has_gone_raises_oserror_whether_one_has_been_told_or_not(serve: Serve, how: str) -> None:
    raised: list[type[BaseException]] = []

    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/told":
            assert (await receive())["type"] == "websocket.disconnect"
        try:
            while True:
                await send({"type": "websocket.send", "text": "on and on"})
                await anyio.sleep(0.001)
        except OSError as error:
            raised.append(type(error))
            # Closing what is closed is nothing.
            await send({"type": "websocket.close"}) if scope["path"] == "/close" else None
            raise

    async with serve(Hub(app=app)) as server:
        for path in ("/told", "/untold"):
            async with server.connect(path) as client:
                if how == "close":
                    await client.close()
                else:
                    client.abort()
        await until(lambda: len(raised) == 2)
    assert raised == [ClientDisconnected] * 2


async def test_frameworks_see_the_end_as_their_own_exception(serve: Serve) -> None:
    codes: list[int] = []

    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive_text()
        except WebSocketDisconnect as disconnect:
            codes.append(disconnect.code)
            raise

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    async with serve(Hub(app=app)) as server:
        async with server.connect() as client:
            await client.close(4321)
        async with server.connect() as client:
            await client.close(None)
        async with server.connect() as client:
            client.abort()
        await until(lambda: len(codes) == 3)
    assert codes == [4321, 1005, 1006]


# ---- WebSockets that are not open yet


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("waits", [True, False], ids=["receiving", "busy"])
async def test_a_client_that_goes_before_it_is_accepted(serve: Serve, how: str, waits: bool) -> None:
    seen: list[Any] = []
    gone = anyio.Event()

    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append((await receive())["type"])
        # Looking at a token, asking a database.
        if waits:
            seen.append(await receive())
        else:
            await gone.wait()
        try:
            await send({"type": "websocket.accept"})
        except OSError as error:
            seen.append(type(error))
            raise

    hub = Hub(app=app)
    async with serve(hub) as server:
        with dial(server.address) as sock:
            client = Client(sock, None)  # type: ignore[arg-type]
            await client.write(HANDSHAKE)
            await until(lambda: seen == ["websocket.connect"])
            if how == "reset":
                client.abort()
        await until(lambda: hub.stats()["connections"] == 0)
        gone.set()
        await until(lambda: len(seen) == (3 if waits else 2))
    told = [{"type": "websocket.disconnect", "code": 1006, "reason": ""}] if waits else []
    assert seen == ["websocket.connect", *told, ClientDisconnected]


async def test_who_refuses_receives_the_end(serve: Serve) -> None:
    seen: list[Any] = []

    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/close":
            await send({"type": "websocket.close"})
        else:
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"who?"})
        seen.append(await receive())

    async with serve(Hub(app=app)) as server:
        for path, status in (("/close", 403), ("/deny", 401)):
            with pytest.raises(Refused) as refused:
                async with server.connect(path):
                    pass
            assert refused.value.status == status
        await until(lambda: len(seen) == 2)
    assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}] * 2


async def test_who_receives_before_accepting_receives_what_comes_after(serve: Serve) -> None:
    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def answer(event: dict[str, Any]) -> None:
            if event["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
            elif event["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": event["text"]})

        async with anyio.create_task_group() as tasks:
            while True:
                event = await receive()
                if event["type"] == "websocket.disconnect":
                    return
                tasks.start_soon(answer, event)

    async with serve(Hub(app=app)) as server, server.connect() as client:
        await client.send("hello")
        assert await client.recv() == "hello"


# ---- HTTP


async def test_the_disconnect_comes_while_the_request_is_being_worked_on(serve: Serve) -> None:
    told: list[str] = []

    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        # What middleware does: it listens beside the work, and cancels it.
        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            told.append("disconnect")
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            told.append("working")
            await anyio.sleep_forever()
        told.append("cancelled")

    async with serve(Hub(app=app)) as server:
        async with visiting(server) as visitor:
            await visitor.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: told == ["working"])
        await until(lambda: len(told) == 3)
    assert told == ["working", "disconnect", "cancelled"]


async def test_a_silent_stream_is_cleaned_up_when_its_client_goes(serve: Serve) -> None:
    told: list[str] = []

    async def events() -> AsyncIterator[str]:
        try:
            yield "hi"
            await anyio.sleep_forever()
        finally:
            told.append("cleaned up")

    async def stream(request: Any) -> StreamingResponse:
        return StreamingResponse(events())

    app = Starlette(routes=[Route("/", stream)])
    async with serve(Hub(app=app)) as server:
        async with visiting(server) as visitor:
            await visitor.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await visitor.until(b"hi")
            assert told == []
        await until(lambda: told == ["cleaned up"])


async def test_a_response_in_the_middle_of_an_upload_arrives(serve: Serve) -> None:
    @without_lifespan
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        length = len((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"enough after %d" % min(length, 1)})

    hub = Hub(app=app)
    async with serve(hub) as server, visiting(server) as visitor:
        answer = await visitor.post("/", b"x" * 900_000)
        assert (answer.status, answer.body) == (200, b"enough after 1")
