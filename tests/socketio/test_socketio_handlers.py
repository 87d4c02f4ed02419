"""Handlers of sockets: who is called with what, in which order, and what their failures cost."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import anyio
import pytest

from hubbub import Hub
from hubbub.socketio import Ack, AckLost, Adapter, Server, Socket
from support.handlers import KINDS, as_coroutine
from support.server import Serve, until
from support.socketio import joining

pytestmark = pytest.mark.anyio

kinds = pytest.mark.parametrize("kind", KINDS)


def hub_and_server(**options: Any) -> tuple[Hub, Server]:
    hub = Hub()
    io = Server(hub, **options)
    io.on("connection", lambda socket: socket.on("settle", lambda: None))
    return hub, io


# ---- listening


async def test_several_handlers_are_called_in_the_order_in_which_they_were_added(serve: Serve) -> None:
    hub, io = hub_and_server()
    heard: list[tuple[str, tuple[Any, ...]]] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        def first(*args: Any) -> None:
            heard.append(("first", args))

        @socket.once("event")
        def only(*args: Any) -> None:
            heard.append(("only", args))

        @socket.on("event")
        async def last(*args: Any) -> None:
            heard.append(("last", args))

        assert socket.listeners("event") == [first, only, last]

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event", 1, "2")
        await peer.emit("event")
        await peer.settled()
    assert heard == [(name, (1, "2")) for name in ("first", "only", "last")] + [("first", ()), ("last", ())]


async def test_handlers_can_be_taken_away(serve: Serve) -> None:
    hub, io = hub_and_server()
    heard: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        def again() -> None:
            heard.append("again")

        def gone() -> None:
            heard.append("gone")

        socket.on("a", again)
        socket.on("a", gone)
        socket.on("a", again)
        socket.off("a", gone)
        socket.off("a", again)
        socket.once("a", gone)
        socket.off("a", gone)
        socket.off("a", print)
        socket.on("b", gone)
        socket.off("b")
        assert socket.listeners("a") == [again]

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("a")
        await peer.emit("b")
        await peer.settled()
    assert heard == ["again"]


async def test_a_handler_may_add_and_remove_handlers(serve: Serve) -> None:
    hub, io = hub_and_server()
    heard: list[int] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        def handler() -> None:
            heard.append(len(heard))
            socket.off("event")
            socket.on("event", handler)
            socket.on("event", handler)

        socket.on("event", handler)

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event")
        await peer.emit("event")
        await peer.settled()
    assert heard == [0, 1, 2]


def test_what_cannot_be_a_handler_is_refused() -> None:
    io = Server(Hub())
    for wrong in (1, "text", (x for x in ())):
        with pytest.raises(TypeError):
            io.on("connection", wrong)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="generator"):

        @io.on("connection")
        def generator(socket: Socket) -> Any:
            yield socket

    for listen in (io.on, io.once):
        with pytest.raises(TypeError, match="name is str, not int"):
            listen(1, print)  # type: ignore[arg-type]
        # Without an event, and without the parentheses.
        with pytest.raises(TypeError, match="the name of an event comes first"):
            listen(lambda socket: None)  # type: ignore[arg-type]


@kinds
async def test_catch_all_listeners_see_every_event_before_its_handlers(serve: Serve, kind: Any) -> None:
    hub, io = hub_and_server()
    heard: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("event", kind(lambda data: heard.append(("handler", data))))

        def any_event(event: str, data: object = None) -> None:
            heard.append(("any", event, data))

        def first(event: str, data: object = None) -> None:
            heard.append(("first", event, data))

        listener = kind(any_event)
        socket.on_any(listener)
        socket.prepend_any(kind(first))
        assert len(socket.listeners_any()) == 2

        @socket.on("quiet")
        def quiet() -> None:
            socket.off_any(listener)
            socket.off_any()

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event", 1)
        await peer.emit("nobody listens")
        await peer.emit("quiet")
        await peer.emit("event", 2)
        await peer.settled()
    assert heard == [
        ("first", "event", 1),
        ("any", "event", 1),
        ("handler", 1),
        ("first", "nobody listens", None),
        ("any", "nobody listens", None),
        ("first", "quiet", None),
        ("any", "quiet", None),
        ("handler", 2),
    ]


async def test_catch_all_listeners_see_what_is_sent(serve: Serve) -> None:
    hub, io = hub_and_server()
    sent: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        if not sent:
            socket.on_any_outgoing(lambda event, *args: sent.append((event, args)))
            socket.prepend_any_outgoing(lambda event, *args: sent.append("first"))
        socket.join("room")

        @socket.on("go")
        def go() -> None:
            socket.emit("mine", 1)
            socket.emit("asked", 2, lambda: None)
            socket.broadcast.emit("for others")
            io.emit("for all")
            io.to("room").except_(socket.id).emit("not for me")
            io.to("room").emit("for the room")
            socket.off_any_outgoing()
            assert socket.listeners_any_outgoing() == []
            socket.emit("unseen")

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("go")
        heard = [(await peer.recv()) for _ in range(5)]
        assert heard[0] == '2["mine",1]'
        await peer.settled()
    assert sent[::2] == ["first"] * 4
    assert sent[1::2] == [("mine", (1,)), ("asked", (2,)), ("for all", ()), ("for the room", ())]


async def test_a_listener_for_what_is_sent_makes_no_broadcast_look_at_all_sockets(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, io = hub_and_server()
    sent: list[Any] = []
    monkeypatch.setattr(Adapter, "select", lambda *_: pytest.fail("all sockets were looked at"))

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.join("room")
        socket.on_any_outgoing(lambda event: sent.append((socket.id, event)))

    async with serve(hub) as server, joining(server) as one, joining(server) as other:
        a, b = one.sid, other.sid
        io.sockets.sockets[b].leave("room")
        io.emit("all")
        io.to("room").emit("room")
        io.to(b).emit("id")
        io.to("room").to(b).emit("both")
        io.except_("room").emit("not room")
        io.except_(a).emit("not id")
        io.to("nowhere").emit("nobody")
        io.sockets.sockets[a].broadcast.emit("others")
        io.sockets.sockets[b].disconnect()
        io.emit("left")
    expected = {"all": {a, b}, "room": {a}, "id": {b}, "both": {a, b}, "not room": {b}, "not id": {b}, "others": {b}}
    expected["left"] = {a}
    assert len(sent) == sum(map(len, expected.values()))
    assert {(sid, event) for event, sids in expected.items() for sid in sids} == set(sent)


# ---- order


async def test_functions_are_called_without_a_task(serve: Serve) -> None:
    hub, io = hub_and_server()
    spawned: list[object] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        def event(number: int, ack: Ack) -> None:
            ack(number)

        socket.on("sending", lambda number: socket.emit("sent", number))

    async with serve(hub) as server, joining(server) as peer:
        bridge = io.scheduler.bridge
        spawn = bridge.spawn
        bridge.spawn = lambda work: spawned.append(work) or spawn(work)  # type: ignore[method-assign,func-returns-value]
        for number in range(100):
            await peer.emit("event", number, ack=number)
            assert await peer.recv() == f"3{number}[{number}]"
            await peer.emit("sending", number)
            assert await peer.event() == ["sent", number]
    assert spawned == []


@kinds
async def test_events_of_one_socket_are_handled_in_order_one_at_a_time(serve: Serve, kind: Any) -> None:
    hub, io = hub_and_server()
    handled: list[int] = []
    busy = 0

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("slow")
        async def slow(number: int) -> None:
            nonlocal busy
            busy += 1
            assert busy == 1
            await anyio.sleep(0.001 * (number % 3))
            busy -= 1
            handled.append(number)

        @socket.on("event")
        @kind
        def event(number: int) -> None:
            assert busy == 0
            handled.append(number)

    async with serve(hub) as server, joining(server) as peer:
        for number in range(60):
            await peer.emit("slow" if number % 3 == 0 else "event", number)
        await peer.settled()
    assert handled == list(range(60))


async def test_sockets_do_not_wait_for_each_other(serve: Serve) -> None:
    hub, io = hub_and_server()
    io.of("/other").on("connection", lambda socket: socket.on("settle", lambda: None))
    released = anyio.Event()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("wait")
        async def wait() -> None:
            await released.wait()
            socket.emit("done")

    async with serve(hub) as server, joining(server) as peer, joining(server) as other:
        await peer.emit("wait")
        await other.settled()
        # Nor do those of one connection.
        await peer.join("/other")
        await peer.settled("/other")
        released.set()
        assert await peer.event() == ["done"]


async def test_with_concurrency_so_many_events_are_handled_at_the_same_time(serve: Serve) -> None:
    hub, io = hub_and_server(concurrency=3)
    busy, most = 0, 0
    released = anyio.Event()
    ended: list[int] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("wait")
        async def wait() -> None:
            nonlocal busy, most
            busy += 1
            most = max(busy, most)
            await released.wait()
            busy -= 1

        socket.on("disconnect", lambda reason: ended.append(busy))

    async with serve(hub) as server:
        async with joining(server) as peer:
            for _ in range(10):
                await peer.emit("wait")
            await until(lambda: busy == 3)
        await until(lambda: not io.sockets.sockets)
        assert ended == []
        released.set()
        await until(lambda: ended == [0])
    assert most == 3


async def test_events_wait_for_a_connection_handler_that_is_a_coroutine(serve: Serve) -> None:
    hub, io = hub_and_server()
    heard: list[str] = []

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        assert await socket.emit_with_ack("who are you?") == "me"
        socket.on("event", lambda: heard.append("event"))

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event")
        assert await peer.recv() == '20["who are you?"]'
        await peer.send('30["me"]')
        await until(lambda: heard == ["event"])


async def test_a_client_whose_handlers_are_slow_is_not_read_without_an_end(serve: Serve) -> None:
    hub, io = hub_and_server()
    released = anyio.Event()
    count = 0

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        async def event(data: str) -> None:
            nonlocal count
            await released.wait()
            count += 1

    async with serve(hub) as server, joining(server) as peer:
        with anyio.move_on_after(0.5):
            while True:
                await peer.emit("event", "x" * 8000)
        assert hub.stats()["inbox_pauses"] >= 1
        (socket,) = io.sockets.sockets.values()
        assert socket._lane is not None
        waiting = len(socket._lane._waiting)
        assert waiting < 64
        released.set()
        await until(lambda: count > waiting + 1)


async def test_what_came_before_the_end_is_handled_before_the_end(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.join("room")

        @socket.on("event")
        async def event(number: int) -> None:
            await anyio.sleep(0.01)
            told.append(number)

        @socket.on("disconnecting")
        async def disconnecting(reason: str) -> None:
            told.append((reason, socket.rooms == {socket.id, "room"}))

        @socket.on("disconnect")
        async def disconnect(reason: str, description: object) -> None:
            told.append(reason)

    async with serve(hub) as server, joining(server) as peer:
        for number in range(3):
            await peer.emit("event", number)
        await peer.send("1")
        await until(lambda: not io.sockets.sockets)
        assert not io.adapter.rooms
        await until(lambda: len(told) == 5)
    reason = "client namespace disconnect"
    assert told == [0, 1, 2, (reason, True), reason]


async def test_what_waits_when_we_end_a_socket_is_not_handled_any_more(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        async def event(number: int) -> None:
            told.append(number)
            await anyio.sleep(0.01)
            socket.disconnect()

        socket.on("disconnect", told.append)

    async with serve(hub) as server, joining(server) as peer:
        for number in range(3):
            await peer.emit("event", number)
        assert await peer.recv() == "1"
        await until(lambda: len(told) == 2)
        await peer.join()
        await peer.settled()
        assert told == [0, "server namespace disconnect"]


# ---- failures


@kinds
@pytest.mark.parametrize("event", ["connection", "event", "any", "disconnecting", "disconnect", "outgoing"])
async def test_a_handler_that_raises_is_logged_and_the_connection_lives(
    serve: Serve, kind: Any, event: str, failures: list[Any]
) -> None:
    hub, io = hub_and_server()

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    failing = as_coroutine(fail) if kind is as_coroutine else fail

    @io.on("connection")
    def connected(socket: Socket) -> None:
        if event == "any":
            socket.on_any(failing)
        elif event == "outgoing":
            socket.on_any_outgoing(failing)
        elif event != "connection":
            socket.on(event, failing)
        socket.on("event", lambda: socket.emit("heard"))
        socket.on("disconnect", lambda: gone.append(socket.id))

    gone: list[str] = []
    if event == "connection":
        io.on("connection", failing)
    async with serve(hub) as server:
        async with joining(server) as peer:
            await peer.emit("event")
            assert await peer.event() == ["heard"]
            await peer.settled()
        await until(lambda: len(gone) == 1)
        await until(lambda: len(failures) > 0)
    assert {str(record.exc_info[1]) for record in failures} == {"broken"}


@pytest.mark.parametrize("arguments", range(6))
@pytest.mark.parametrize("ack", [None, 7])
@pytest.mark.parametrize("parameters", range(4))
async def test_a_handler_with_the_wrong_number_of_parameters_costs_nothing_but_a_line_in_the_log(
    serve: Serve, arguments: int, ack: int | None, parameters: int, failures: list[Any]
) -> None:
    hub, io = hub_and_server()
    handlers = [lambda: None, lambda a: None, lambda a, b: None, lambda a, b, c: None]
    io.on("connection", lambda socket: socket.on("event", handlers[parameters]))
    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event", *range(arguments), ack=ack)
        # Arguments that it does not take are dropped.
        if parameters <= arguments and ack is not None:
            assert await peer.recv() == "37[]"
        await peer.settled()
        fits = parameters <= arguments or (ack is not None and parameters == arguments + 1)
        assert len(failures) == (0 if fits else 1)
        assert len(io.sockets.sockets) == 1


# ---- middleware of a socket


@kinds
async def test_a_middleware_of_a_socket_may_change_an_event_or_refuse_it(serve: Serve, kind: Any) -> None:
    hub, io = hub_and_server()
    heard: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        def double(event: list[Any]) -> None:
            if event[0] == "number":
                event[1] *= 2

        def refuse(event: list[Any], next: Any) -> None:
            if event[0] == "secret":
                next(PermissionError("not for you"))
            elif event[0] == "never":
                next("no")
            else:
                next()

        def fail(event: list[Any]) -> None:
            if event[0] == "fails":
                raise RuntimeError("broken")

        for middleware in (double, refuse, fail):
            wrapped = functools.wraps(middleware)(as_coroutine(middleware))
            socket.use(wrapped if kind is as_coroutine else middleware)
        for name in ("number", "secret", "never", "fails"):
            socket.on(name, functools.partial(lambda name, *args: heard.append((name, *args)), name))
        socket.on("error", lambda error: heard.append(str(error)))

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("number", 21)
        await peer.emit("secret")
        await peer.emit("never")
        await peer.emit("fails")
        await peer.emit("number", 4)
        await peer.settled()
    assert heard == [("number", 42), "not for you", "no", "broken", ("number", 8)]


async def test_a_middleware_may_call_next_later(serve: Serve) -> None:
    hub, io = hub_and_server()
    waiting: list[Any] = []
    heard: list[int] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.use(lambda event, next: waiting.append(next) if event[0] == "event" else next())
        socket.on("event", heard.append)

    async with serve(hub) as server, joining(server) as peer:
        for number in range(2):
            await peer.emit("event", number)
        for number in range(2):
            await until(lambda number=number: len(waiting) == number + 1)  # type: ignore[misc]
            assert heard == list(range(number))
            waiting[number]()
        await peer.settled()
    assert heard == [0, 1]


@pytest.mark.parametrize("wrong", [1, lambda: None, lambda a, b, c: None])
def test_what_cannot_be_a_middleware_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="middleware"):
        Server(Hub()).use(wrong)


# ---- what is cancelled inside of a handler


async def awaiting_something_that_is_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.sleep(3600))
    await asyncio.sleep(0)
    task.cancel()
    await task


class Odd(BaseException):
    """Neither an Exception nor something that ends the program."""


async def raising_something_odd() -> None:
    await anyio.lowlevel.checkpoint()
    raise Odd


@pytest.fixture(params=[awaiting_something_that_is_cancelled, raising_something_odd], ids=["cancelled", "odd"])
def fail(request: pytest.FixtureRequest, anyio_backend_name: str) -> Any:
    if request.param is awaiting_something_that_is_cancelled and anyio_backend_name == "trio":
        pytest.skip("tasks of trio cannot be cancelled so")
    return request.param


async def test_events_stay_in_order_behind_one_in_which_something_is_cancelled(
    serve: Serve, failures: list[Any], fail: Any
) -> None:
    hub, io = hub_and_server()
    heard: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        async def event(number: int) -> None:
            heard.append(number)
            if number % 3 == 0:
                await fail()
            await anyio.lowlevel.checkpoint()

        @socket.on("disconnect")
        def disconnected(reason: str) -> None:
            heard.append(reason)

    async with serve(hub) as server:
        async with joining(server) as peer:
            for number in range(7):
                await peer.emit("event", number)
            await peer.settled()
            assert heard == [*range(7)]
            await peer.send("1")
        await until(lambda: len(heard) == 8)
    assert heard[7] == "client namespace disconnect"
    assert len(failures) == 3
    assert all("the handler of 'event' has failed" in record.getMessage() for record in failures)


async def test_disconnect_is_told_behind_a_handler_in_which_something_is_cancelled(
    serve: Serve, failures: list[Any], fail: Any
) -> None:
    hub, io = hub_and_server()
    heard: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        async def event() -> None:
            heard.append("event")
            await until(lambda: not socket.connected)
            await fail()

        @socket.on("disconnect")
        def disconnected(reason: str) -> None:
            heard.append("disconnect")

    async with serve(hub) as server:
        async with joining(server) as peer:
            await peer.emit("event")
            await until(lambda: heard == ["event"])
        await until(lambda: heard == ["event", "disconnect"])
    assert len(failures) == 1


async def test_a_middleware_in_which_something_is_cancelled_refuses(
    serve: Serve, failures: list[Any], fail: Any
) -> None:
    hub, io = hub_and_server()

    async def middleware(socket: Socket) -> None:
        await fail()

    io.of("/closed").use(middleware)
    async with serve(hub) as server, joining(server) as peer:
        assert await peer.asked("/closed") == '4/closed,{"message":"internal error"}'
    assert len(failures) == 1


async def test_what_is_asked_of_a_client_that_has_gone_fails_its_disconnect_handler(
    serve: Serve, failures: list[Any]
) -> None:
    hub, io = hub_and_server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("disconnect")
        async def disconnected(reason: str) -> None:
            await socket.emit_with_ack("still there?")
            raise AssertionError("what follows would be left out in silence")

    async with serve(hub) as server:
        async with joining(server):
            pass
        await until(lambda: failures != [])
    assert len(failures) == 1
    assert isinstance(failures[0].exc_info[1], AckLost)
