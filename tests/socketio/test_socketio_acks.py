"""Acknowledgements, from clients and from handlers."""

from __future__ import annotations

import functools
import gc
import weakref
from typing import Any

import anyio
import pytest

from hubbub import Hub
from hubbub.socketio import Ack, AckLost, AckTimeout, Server, Socket
from support.server import Serve, until
from support.socketio import joining

pytestmark = pytest.mark.anyio


def hub_and_server(**options: Any) -> tuple[Hub, Server]:
    hub = Hub()
    io = Server(hub, **options)
    io.on("connection", lambda socket: socket.on("settle", lambda: None))
    return hub, io


def only(io: Server) -> Socket:
    (socket,) = io.sockets.sockets.values()
    return socket


# ---- from handlers


class Calculator:
    def add(self, a: int, b: int, ack: Ack) -> None:
        ack(a + b)

    def __call__(self, a: int, b: int, ack: Ack) -> None:
        ack(a + b)


async def coroutine_with_ack(a: int, b: int, ack: Ack) -> None:
    await anyio.sleep(0)
    ack(a + b)


async def coroutine_that_returns(a: int, b: int) -> int:
    await anyio.sleep(0)
    return a + b


def wrapped(a: int, b: int, ack: Ack) -> None:
    ack(a + b)


@functools.wraps(wrapped)
def wrapper(*args: Any) -> Any:
    return wrapped(*args)


@pytest.mark.parametrize(
    "handler",
    [
        lambda a, b, ack: ack(a + b),
        lambda a, b, ack=None: ack(a + b),
        lambda a, b, callback=None: callback(a + b),
        lambda *args: args[-1](sum(args[:-1])),
        lambda a, b: a + b,
        lambda a, b=0: a + b,
        lambda a, b, c=0: a + b + c,
        Calculator().add,
        Calculator(),
        functools.partial(lambda zero, a, b, ack: ack(zero + a + b), 0),
        coroutine_with_ack,
        coroutine_that_returns,
        wrapper,
    ],
)
async def test_a_handler_acknowledges_by_its_last_argument_or_by_what_it_returns(serve: Serve, handler: Any) -> None:
    hub, io = hub_and_server()
    io.on("connection", lambda socket: socket.on("add", handler))
    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("add", 3, 4, ack=12)
        assert await peer.recv() == "312[7]"


@pytest.mark.parametrize(
    ("value", "answer"),
    [(None, "[]"), ((), "[]"), ((1, "2"), '[1,"2"]'), ([1, 2], "[[1,2]]"), (False, "[false]"), ({"a": 1}, '[{"a":1}]')],
)
async def test_what_is_returned_is_what_is_acknowledged(serve: Serve, value: Any, answer: str) -> None:
    hub, io = hub_and_server()
    io.on("connection", lambda socket: socket.on("event", lambda: value))
    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event", ack=0)
        assert await peer.recv() == f"30{answer}"


async def test_what_sending_returns_is_nothing(serve: Serve) -> None:
    hub, io = hub_and_server()
    io.on("connection", lambda socket: socket.on("event", lambda: socket.emit("sent")))
    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event", ack=0)
        assert [await peer.recv(), await peer.recv()] == ['2["sent"]', "30[]"]


async def test_bytes_can_be_acknowledged(serve: Serve) -> None:
    hub, io = hub_and_server()
    io.of("/b").on("connection", lambda socket: socket.on("event", lambda: b"\1\2"))
    async with serve(hub) as server, joining(server, "/b") as peer:
        await peer.emit("event", nsp="/b", ack=5)
        assert await peer.recv() == '61-/b,5[{"_placeholder":true,"num":0}]'
        assert await peer.recv() == b"\1\2"


async def test_an_event_is_acknowledged_once_and_at_any_time(serve: Serve) -> None:
    hub, io = hub_and_server()
    acks: list[Ack] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        def keep(ack: Ack) -> str:
            acks.append(ack)
            return "what is returned does not count, as it has been given the acknowledgement"

        socket.on("event", lambda: "nor that")

    async with serve(hub) as server:
        async with joining(server) as peer:
            await peer.emit("event", ack=1)
            await peer.settled()
            (ack,) = acks
            assert not ack.called
            ack("later")
            ack("again")
            assert await peer.recv() == '31["later"]'
            await peer.settled()
            await peer.emit("event", ack=2)
            await until(lambda: len(acks) == 2)
        await until(lambda: not io.sockets.sockets)
        acks[1]("too late")


async def test_the_first_handler_that_returns_something_acknowledges(serve: Serve) -> None:
    hub, io = hub_and_server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("event", lambda: None)
        socket.on("event", coroutine_that_says("first"))
        socket.on("event", lambda: "second")

    def coroutine_that_says(text: str) -> Any:
        async def say() -> str:
            return text

        return say

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event", ack=1)
        assert await peer.recv() == '31["first"]'


async def test_what_cannot_be_sent_is_the_handlers_error(serve: Serve, failures: list[Any]) -> None:
    hub, io = hub_and_server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("returned", lambda: object())
        socket.on("sent", lambda: socket.emit("event", {1, 2}))
        socket.on("reserved", lambda: socket.emit("disconnect"))
        socket.on("unnamed", lambda: socket.emit(1))  # type: ignore[arg-type]

    async with serve(hub) as server, joining(server) as peer:
        for event in ("returned", "sent", "reserved", "unnamed"):
            await peer.emit(event, ack=1)
        await peer.settled()
    kinds = [type(record.exc_info[1]) for record in failures]
    assert kinds == [TypeError, TypeError, ValueError, TypeError]


# ---- from a client


async def test_a_client_acknowledges_to_a_callback(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []
    async with serve(hub) as server, joining(server) as peer:
        only(io).emit("event", "x", lambda *args: told.append(args))

        async def later(*args: Any) -> None:
            await anyio.sleep(0)
            told.append(args)

        only(io).emit("event", later)
        assert await peer.recv() == '20["event","x"]'
        assert await peer.recv() == '21["event"]'
        await peer.send('31["b",2]', "30[]", '30["again"]', "3[]")
        await peer.settled()
        await until(lambda: len(told) == 2)
        assert sorted(told) == [(), ("b", 2)]


@pytest.mark.parametrize(
    ("answer", "value"), [("[]", None), ("[1]", 1), ('["a",2]', ("a", 2)), ("[null]", None), ("[[1,2]]", [1, 2])]
)
async def test_an_acknowledgement_can_be_awaited(serve: Serve, answer: str, value: Any) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, joining(server) as peer:
        reply = only(io).emit_with_ack("event", b"x")
        assert await peer.recv() == '51-0["event",{"_placeholder":true,"num":0}]'
        assert await peer.recv() == b"x"
        await peer.send(f"30{answer}")
        assert await reply == value
        assert await reply == value


async def test_a_handler_can_ask_its_client_while_events_wait(serve: Serve) -> None:
    hub, io = hub_and_server()
    heard: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("event")
        async def event(number: int) -> None:
            heard.append((number, await socket.timeout(5).emit_with_ack("more?")))

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("event", 1)
        await peer.emit("event", 2)
        assert await peer.recv() == '20["more?"]'
        await peer.send('30["first"]')
        assert await peer.recv() == '21["more?"]'
        await peer.send('31["second"]')
        await peer.settled()
    assert heard == [(1, "first"), (2, "second")]


async def test_a_time_limit_ends_the_waiting(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []
    async with serve(hub) as server, joining(server) as peer:
        socket = only(io)
        with pytest.raises(AckTimeout) as late:
            await socket.timeout(0.02).emit_with_ack("event")
        assert isinstance(late.value, TimeoutError)
        assert str(late.value) == "operation has timed out"
        socket.timeout(0.02).emit("event", lambda error, answer: told.append((type(error), answer)))
        socket.timeout(5).emit("event", lambda error, answer: told.append((error, answer)))
        await until(lambda: len(told) == 1)
        await peer.send('30["too late"]', '31["too late"]', '32["in time"]')
        await peer.recv()
        await peer.recv()
        await peer.recv()
        await peer.settled()
        assert told == [(AckTimeout, None), (None, "in time")]
        assert not socket._debts


async def test_who_waits_for_a_client_that_goes_is_told(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []
    async with serve(hub) as server, joining(server) as peer:
        socket = only(io)
        reply = socket.emit_with_ack("event")
        socket.timeout(60).emit("event", lambda error, answer: told.append(error.reason))
        socket.emit("event", lambda: told.append("never called"))
        await peer.send("1")
        with pytest.raises(AckLost) as lost:
            await reply
        assert lost.value.reason == "client namespace disconnect"
        assert told == ["client namespace disconnect"]
        with pytest.raises(AckLost):
            await socket.emit_with_ack("event")
        assert socket.emit("event") is not None


async def test_who_stops_waiting_leaves_nothing_behind(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, joining(server):
        socket = only(io)
        with anyio.move_on_after(0.02):
            await socket.emit_with_ack("event")
        assert not socket._debts


async def test_a_callback_that_fails_is_logged(serve: Serve, failures: list[Any]) -> None:
    hub, io = hub_and_server()

    def fail() -> None:
        raise RuntimeError("broken")

    async def fail_later() -> None:
        raise RuntimeError("broken")

    async with serve(hub) as server, joining(server) as peer:
        only(io).emit("event", fail)
        only(io).emit("event", fail_later)
        await peer.recv()
        await peer.recv()
        await peer.send("30[]", "31[]")
        await peer.settled()
        await until(lambda: len(failures) == 2)


async def test_a_socket_that_has_ended_is_freed(serve: Serve) -> None:
    hub, io = hub_and_server(connection_state_recovery={"max_disconnection_duration": 0.05})
    references: list[weakref.ref[Any]] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        references.append(weakref.ref(socket._client.ws))
        socket.join("room")
        socket.data["name"] = socket.handshake.url
        socket.on("event", lambda ack: socket.emit("never acknowledged", ack))
        socket.emit("never acknowledged", lambda: None)

        @socket.on("slow")
        async def slow() -> None:
            await socket.timeout(0.01).emit_with_ack("question")

    async with serve(hub) as server:
        for _ in range(3):
            async with joining(server) as peer:
                await peer.emit("event", ack=1)
                await peer.emit("slow")
                await peer.recv()
        await until(lambda: not io.sockets.sockets and not io.clients_count)
        await until(lambda: gc.collect() >= 0 and all(reference() is None for reference in references))


# ---- from many


async def test_a_broadcast_gathers_the_answers_of_all(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []
    async with serve(hub) as server, joining(server) as a, joining(server) as b, joining(server) as c:
        sockets = io.sockets.sockets
        sockets[a.sid].join("room")
        sockets[b.sid].join("room")
        reply = io.to("room").timeout(5).emit_with_ack("event", "x")
        io.timeout(5).emit("event", lambda error, answers: told.append((error, sorted(answers))))
        for number, peer in enumerate((a, b)):
            assert await peer.recv() == '20["event","x"]'
            await peer.send(f"30[{number}]", '30["again"]', f"31[{number}]")
        # Who was not asked is not heard.
        await c.send('30["me too"]')
        assert sorted(await reply) == [0, 1]
        assert told == []
        await c.send("31[2]")
        await until(lambda: told == [(None, [0, 1, 2])])
        assert not io.sockets._debts


async def test_a_broadcast_that_not_all_answer_in_time_gives_what_came(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []
    async with serve(hub) as server, joining(server) as a, joining(server) as b:
        reply = io.timeout(0.2).emit_with_ack("event")
        io.timeout(0.2).emit("event", lambda error, answers: told.append((type(error), answers)))
        await a.recv()
        await a.recv()
        await a.send('30["a"]', "31[]")
        with pytest.raises(AckTimeout) as late:
            await reply
        assert late.value.responses == ["a"]
        await until(lambda: told == [(AckTimeout, [None])])
        await b.send('30["too late"]')
        assert not io.sockets._debts


async def test_a_broadcast_to_nobody_is_complete_at_once(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, joining(server):
        assert await io.to("nobody").timeout(5).emit_with_ack("event") == []
        assert await only(io).broadcast.timeout(5).emit_with_ack("event") == []


async def test_a_broadcast_is_not_asked_to_be_acknowledged_for_ever(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub):
        with pytest.raises(ValueError, match="time limit"):
            io.emit_with_ack("event")
        with pytest.raises(ValueError, match="time limit"):
            io.to("room").emit("event", print)
        for wrong in (-1, None, "1", True):
            with pytest.raises(ValueError, match="time limit"):
                io.timeout(wrong)  # type: ignore[arg-type]


async def test_the_other_servers_of_a_cluster_of_one_have_nothing_to_say(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[Any] = []
    async with serve(hub):
        io.server_side_emit("event", 1)
        io.of("/x").server_side_emit("event", lambda error, answers: told.append((error, answers)))
        assert await io.server_side_emit_with_ack("event") == []
        assert told == [(None, [])]
        for reserved in ("connect", "connection", "disconnect", "new_namespace"):
            with pytest.raises(ValueError, match="reserved"):
                io.server_side_emit(reserved)
