"""What programs get wrong, and what they are told."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from hubbub import Hub, WebSocket, socketio
from hubbub.socketio import ConnectError, Server, Socket, compat, lane
from support.server import Serve, until
from support.socketio import connecting, joining

pytestmark = pytest.mark.anyio


def settling(socket: Socket) -> None:
    socket.on("settle", lambda: None)


# ---- False


async def refuse_later(socket: Socket) -> bool:
    return False


def refuse_next(socket: Socket, next: Callable[..., None]) -> bool:
    return False


@pytest.mark.parametrize(
    "middleware", [lambda socket: False, refuse_later, refuse_next], ids=["function", "coroutine", "next"]
)
async def test_a_middleware_that_returns_false_refuses_and_is_told(
    serve: Serve, failures: list[logging.LogRecord], middleware: Any
) -> None:
    io = Server(Hub())
    io.use(middleware)
    io.on("connection", lambda socket: pytest.fail("it was refused"))
    async with serve(io.hub) as server, connecting(server) as peer:
        await peer.send("0")
        assert await peer.recv() == '4{"message":"internal error"}'
    assert [str(record.exc_info[1]) for record in failures if record.exc_info] == [
        "a middleware returns None or raises ConnectError; it has returned False"
    ]


@pytest.mark.parametrize("handler", [lambda socket: False, refuse_later], ids=["function", "coroutine"])
async def test_a_connection_handler_that_returns_false_disconnects_and_is_told(
    serve: Serve, failures: list[logging.LogRecord], handler: Any
) -> None:
    io = Server(Hub())
    io.on("connection", handler)
    async with serve(io.hub) as server, joining(server) as peer:
        assert await peer.recv() == "1"
    assert ["a connection handler returns None" in str(record.exc_info) for record in failures] == [True]


async def test_a_middleware_of_a_socket_that_returns_false_drops_the_event_and_is_told(
    serve: Serve, failures: list[logging.LogRecord]
) -> None:
    io = Server(Hub())
    heard: list[object] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.use(lambda event: event[0] != "no")
        socket.on("no", heard.append)
        socket.on("yes", heard.append)
        settling(socket)

    async with serve(io.hub) as server, joining(server) as peer:
        await peer.emit("no", 1)
        await peer.emit("yes", 2)
        await peer.settled()
    assert (heard, len(failures)) == ([2], 1)


# ---- decorators


def with_user(handler: Any) -> Any:
    @functools.wraps(handler)
    def given(socket: Any) -> Any:
        return handler(socket, "Ada")

    return given


def logged(handler: Any) -> Any:
    @functools.wraps(handler)
    def given(*args: Any, **kwargs: Any) -> Any:
        return handler(*args, **kwargs)

    return given


async def test_what_a_decorator_takes_counts_and_not_what_its_function_takes(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub)

    async def with_names(ws: WebSocket, user: str, room: str) -> None:
        await ws.send(user + room)

    @hub.websocket("/chat")
    @functools.wraps(with_names)
    async def chat(ws: WebSocket) -> None:
        await with_names(ws, "Ada", "lobby")

    @hub.on_message
    @functools.wraps(with_names)
    def message(ws: WebSocket, data: str) -> None:
        ws.send(data)

    @hub.on_request
    @with_user
    def request(request: Any, user: str) -> None:
        assert user == "Ada"

    @io.use
    @with_user
    def asked(socket: Socket, user: str) -> None:
        socket.data["user"] = user

    @io.on("connection")
    @with_user
    def connected(socket: Socket, user: str) -> None:
        def to_user(handler: Any) -> Any:
            @functools.wraps(handler)
            def given(text: str) -> Any:
                return handler(text, socket.data["user"], user)

            return given

        socket.on("say", to_user(lambda text, one, other: [text, one, other]))
        socket.on("plain", logged(lambda text: text))
        socket.on("ack", logged(lambda text, ack: ack(text)))

    async with (
        serve(hub) as server,
        joining(server) as peer,
        server.connect("/chat") as ws,
        server.connect("/") as other,
    ):
        assert await ws.recv() == "Adalobby"
        await other.send("hello")
        assert await other.recv() == "hello"
        await peer.emit("say", "hello", ack=1)
        await peer.emit("plain", "hello", ack=2)
        await peer.emit("ack", "hello", ack=3)
        packets = [await peer.recv() for _ in range(3)]
        assert packets == ['31[["hello","Ada","Ada"]]', '32["hello"]', '33["hello"]']


async def test_what_a_decorator_takes_counts_for_python_socketio_as_well(serve: Serve) -> None:
    sio = compat.AsyncServer(async_mode="asgi")

    def with_database(handler: Any) -> Any:
        @functools.wraps(handler)
        def given(sid: str, environ: Any, auth: Any) -> Any:
            return handler("database", sid, environ, auth, "more")

        return given

    @sio.on("connect")
    @with_database
    def connect(database: str, sid: str, environ: Any, auth: Any, more: str) -> bool:
        return (database, auth, more) == ("database", {"a": 1}, "more")

    hub = Hub()
    sio._bind(hub, "/socket.io/")
    async with serve(hub) as server, joining(server, auth={"a": 1}):
        pass


# ---- names of events


@pytest.mark.parametrize("event", ["say", "disconnect", "message", ""])
def test_a_namespace_has_no_events_of_clients(event: str) -> None:
    io = Server(Hub())
    for of in (io, io.of("/chat"), io.of(re.compile("/x"))):
        for on in (of.on, of.once):
            with pytest.raises(ValueError, match=re.escape(f"socket.on({event!r})")):
                on(event, lambda: None)
            with pytest.raises(ValueError, match=r"socket\.on"):
                on(event)
    with pytest.raises(ValueError, match="create-room"):
        io.adapter.on("created", lambda room: None)


# ---- arguments


@pytest.mark.parametrize("kind", ["function", "coroutine", "middleware", "once", "compat"])
async def test_arguments_that_a_handler_does_not_take_are_dropped(serve: Serve, kind: str) -> None:
    heard: list[object] = []

    async def later(text: str) -> str:
        heard.append(text)
        return text

    def at_once(text: str) -> str:
        heard.append(text)
        return text

    hub = Hub()
    if kind == "compat":
        sio = compat.AsyncServer(async_mode="asgi")
        sio.on("say", lambda sid, text: at_once(text))
        sio._bind(hub, "/socket.io/")
    else:
        io = Server(hub)

        @io.on("connection")
        def connected(socket: Socket) -> None:
            if kind == "middleware":
                socket.use(lambda event: None)
                socket.on_any(lambda event: None)
            (socket.once if kind == "once" else socket.on)("say", later if kind == "coroutine" else at_once)

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("say", "a", "b", {"c": 1}, ack=1)
        assert await peer.recv() == '31["a"]'
        if kind != "once":
            await peer.emit("say", "d", "e")
            await peer.emit("say", "f", ack=2)
            assert await peer.recv() == '32["f"]'
    assert heard == (["a"] if kind == "once" else ["a", "d", "f"])


async def test_a_typeerror_of_the_handlers_own_is_its_own(serve: Serve, failures: list[logging.LogRecord]) -> None:
    io, calls = Server(Hub()), []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        settling(socket)

        @socket.on("say")
        def say(text: str) -> None:
            calls.append(text)
            raise TypeError("its own")

    async with serve(io.hub) as server, joining(server) as peer:
        await peer.emit("say", "a")
        await peer.settled()
    assert (calls, len(failures)) == (["a"], 1)


async def test_what_takes_any_arguments_has_the_acknowledgement_and_the_log_says_so(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server(Hub())
    caplog.set_level(logging.DEBUG, "hubbub")

    @io.on("connection")
    def connected(socket: Socket) -> None:
        settling(socket)
        socket.on("say", lambda *args: len(args))
        socket.on("answer", lambda *args: args[-1](len(args)))

    async with serve(io.hub) as server, joining(server) as peer:
        await peer.emit("answer", "a", ack=1)
        assert await peer.recv() == "31[2]"
        await peer.emit("say", "a", ack=2)
        await peer.settled()
    assert [record.args[0] for record in caplog.records if "*args" in record.message and record.args] == ["say"]


# ---- what takes long


async def test_a_handler_that_others_wait_for_is_named(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "SLOW", 0.01)
    monkeypatch.setattr(lane, "_told", set())
    io, forever = Server(Hub()), anyio.Event()

    @io.on("connection")
    async def never_returns(socket: Socket) -> None:
        settling(socket)
        await forever.wait()

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    async with serve(io.hub) as server, joining(server) as peer:
        await peer.emit("settle", ack=1)
        await until(lambda: len(told()) == 1)
        assert "never_returns has not returned for 0.01 s" in told()[0]
        forever.set()
        assert await peer.recv() == "31[]"
        await peer.settled()
    assert len(told()) == 1


# ---- where clients connect


async def test_a_path_that_is_taken_for_a_namespace_is_told_once(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server(Hub())
    async with serve(io.hub) as server, connecting(server) as peer:
        for name in ("/socket.io/", "/socket.io", "/other"):
            assert await peer.asked(name) == f'4{name},{{"message":"Invalid namespace"}}'
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "'/socket.io/'" in warning
    assert "option path" in warning


# ---- namespaces that are named before clients come


def careful(nsp: socketio.Namespace, heard: list[str]) -> None:
    @nsp.use
    def asked(socket: Socket) -> None:
        if socket.handshake.auth != {"key": 1}:
            raise ConnectError("no")

    @nsp.on("connection")
    def connected(socket: Socket) -> None:
        heard.append(socket.nsp.name)


def allowed(name: str, auth: dict[str, Any]) -> bool:
    return name.startswith("/room-") and auth.get("key") is not None


async def allowed_later(name: str, auth: dict[str, Any]) -> bool:
    return allowed(name, auth)


@pytest.mark.parametrize(
    "which", [re.compile(r"^/room-\d+$"), allowed, allowed_later], ids=["pattern", "function", "coroutine"]
)
@pytest.mark.parametrize("when", ["before", "behind", "between"])
async def test_a_namespace_that_the_program_names_first_is_a_child_all_the_same(
    serve: Serve, which: Any, when: str
) -> None:
    io, heard = Server(Hub()), []
    if when == "before":
        io.of("/room-1")
    parent = io.of(which)
    if when == "between":
        io.of("/room-1")
    careful(parent, heard)
    nsp = io.of("/room-1")
    async with serve(io.hub) as server, connecting(server) as peer:
        nsp.emit("nobody is here")
        answer = await peer.asked("/room-1")
        assert answer in ('4/room-1,{"message":"no"}', '4/room-1,{"message":"Invalid namespace"}')
        assert await peer.asked("/room-1", {"key": 2}) == '4/room-1,{"message":"no"}'
        await peer.join("/room-1", {"key": 1})
        nsp.emit("by the namespace")
        parent.emit("by its parent")
        assert await peer.event("/room-1") == ["by the namespace"]
        assert await peer.event("/room-1") == ["by its parent"]
    assert heard == ["/room-1"]
    assert list(parent.children) == [nsp]


async def test_a_child_that_the_program_gives_handlers_has_those_of_its_pattern_as_well(serve: Serve) -> None:
    io, heard, own = Server(Hub()), [], []
    careful(io.of(re.compile(r"^/room-\d+$")), heard)
    io.of("/room-1").on("connection", own.append)
    io.of(lambda name, auth: name == "/apart").use(lambda socket: pytest.fail("it is a namespace by itself"))
    io.of("/apart").on("connection", own.append)
    async with serve(io.hub) as server, connecting(server) as peer:
        assert await peer.asked("/room-1") == '4/room-1,{"message":"no"}'
        await peer.join("/room-1", {"key": 1})
        await peer.join("/apart")
    assert (heard, len(own)) == (["/room-1"], 2)


async def test_a_namespace_that_is_only_sent_to_is_there_where_patterns_allow_others(serve: Serve) -> None:
    io = Server(Hub())
    io.of(re.compile(r"^/room-\d+$")).use(lambda socket: pytest.fail("it is for others"))
    io.of("/news")
    async with serve(io.hub) as server, connecting(server) as peer:
        await peer.join("/news")
