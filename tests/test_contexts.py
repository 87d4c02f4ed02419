"""Context variables: handlers that are functions have a context for each session, as tasks have."""

from __future__ import annotations

from contextvars import ContextVar

import pytest

from hubbub import Hub, Request, WebSocket
from hubbub.socketio import Server, Socket
from support.server import Serve, until
from support.socketio import joining

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]

V: ContextVar[str] = ContextVar("V", default="-")


@pytest.fixture(autouse=True)
def outside() -> None:
    V.set("outside")


async def test_what_a_handler_sets_is_seen_by_the_handlers_of_its_session_only(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        told.append(("connected", V.get()))

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send(V.get())
        V.set(data)

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(("closed", V.get()))

    async with serve(hub) as server:
        async with server.connect() as one, server.connect() as two, server.connect() as three:
            for client, data, seen in [
                (one, "a", "outside"),
                (two, "b", "outside"),
                (one, "c", "a"),
                (two, "d", "b"),
                (three, "outside", "outside"),
                (one, "e", "c"),
            ]:
                await client.send(data)
                assert await client.recv() == seen
            for client in (one, two, three):
                await client.close()
        await until(lambda: len(told) == 6)
    assert told == [("connected", "outside")] * 3 + [("closed", "e"), ("closed", "d"), ("closed", "outside")]
    assert V.get() == "outside"


@pytest.mark.parametrize("kind", ["function", "coroutine"])
async def test_what_on_request_sets_is_its_session_s_and_nobody_else_s(serve: Serve, kind: str) -> None:
    hub = Hub()

    @hub.on_request
    def decide(request: Request) -> None:
        assert V.get() == "outside"
        V.set(request.path)

    if kind == "function":

        @hub.on_message
        def message(ws: WebSocket, data: str) -> None:
            ws.send(V.get())

    else:

        @hub.on_message
        async def message_later(ws: WebSocket, data: str) -> None:
            ws.send(V.get())

    async with serve(hub) as server, server.connect("/one") as one, server.connect("/two") as two:
        for client, path in [(one, "/one"), (two, "/two"), (one, "/one")]:
            await client.send("x")
            assert await client.recv() == path


async def test_a_handler_that_raises_leaves_its_context(serve: Serve, failures: list[object]) -> None:
    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send(V.get())
        V.set(data)
        if data == "raise":
            raise RuntimeError("broken")

    async with serve(hub) as server:
        for _ in range(3):
            async with server.connect() as client:
                await client.send("raise")
                assert await client.recv() == "outside"
                await client.ended()
    assert len(failures) == 3


async def test_socketio_handlers_have_a_context_for_each_client(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("say")
        def say(data: str) -> None:
            socket.emit("before", V.get())
            V.set(data)

    async with serve(hub) as server, joining(server) as one, joining(server) as two:
        for peer, data, seen in [(one, "a", "outside"), (two, "b", "outside"), (one, "c", "a"), (two, "d", "b")]:
            await peer.emit("say", data)
            assert await peer.event() == ["before", seen]
