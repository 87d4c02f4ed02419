"""Connection state recovery: who comes back in time has lost nothing, and gets nothing twice."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from hubbub import Hub
from hubbub.socketio import ConnectError, ConnectionStateRecovery, Server, Socket
from support.server import Serve, Server as Listening, until
from support.socketio import Peer, connecting, joining

pytestmark = pytest.mark.anyio


def recovering(**options: Any) -> tuple[Hub, Server]:
    hub = Hub()
    io = Server(hub, connection_state_recovery=options or True)
    io.on("connection", lambda socket: socket.on("settle", lambda: None))
    return hub, io


class Returning:
    """A client as the official one is: it knows its pid, and the last offset that it has seen."""

    def __init__(self, server: Listening) -> None:
        self.server = server
        self.pid: str | None = None
        self.sid = ""
        self.offset: str | None = None
        self.heard: list[Any] = []
        self.recovered = False

    @asynccontextmanager
    async def connected(self, **more: Any) -> AsyncIterator[Peer]:
        auth = {"pid": self.pid, "offset": self.offset} if self.offset else {"pid": self.pid} if self.pid else {}
        async with connecting(self.server) as peer:
            await peer.send("0" + json.dumps(auth | more))
            while not (packet := str(await peer.recv())).startswith("0"):
                self.take(packet)
            told = json.loads(packet[1:])
            self.recovered = told["pid"] == self.pid
            self.pid, self.sid = told["pid"], told["sid"]
            yield peer

    def take(self, packet: str) -> None:
        event = json.loads(packet[1:])
        if isinstance(event[-1], str):
            self.offset = event[-1]
        self.heard.append(event[0])

    async def listen(self, peer: Peer) -> None:
        """Hears what has come up to now."""
        await peer.emit("settle", ack=0)
        while (packet := str(await peer.recv())) != "30[]":
            self.take(packet)


async def gone(io: Server) -> None:
    await until(lambda: not io.sockets.sockets)


# ---- on the wire


async def test_each_event_has_its_offset_as_its_last_argument(serve: Serve) -> None:
    hub, io = recovering()
    async with serve(hub) as server, joining(server) as peer:
        (socket,) = io.sockets.sockets.values()
        assert peer.pid is not None
        assert len(peer.pid) == 20
        assert peer.pid not in (peer.sid, peer.opened["sid"])
        socket.emit("one", 1)
        io.emit("all")
        io.to(peer.sid).emit("room", b"x")
        offsets = [(await peer.event())[-1], (await peer.event())[-1]]
        packet = await peer.recv()
        assert await peer.recv() == b"x"
        offsets.append(json.loads(str(packet)[3:])[-1])
        assert len(set(offsets)) == 3
        assert all(isinstance(offset, str) for offset in offsets)
        # Not what is acknowledged, and what is volatile only if its own last argument would be taken for one.
        socket.emit("asked", "x", lambda: None)
        assert str(await peer.recv()).endswith('["asked","x"]')
        socket.volatile.emit("volatile", 1)
        assert await peer.event() == ["volatile", 1]
        io.volatile.emit("volatile", "x")
        assert await peer.event() == ["volatile", "x", offsets[-1]]


async def test_without_it_there_is_neither_pid_nor_offset(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub)
    async with serve(hub) as server, connecting(server) as peer:
        assert set(await peer.join(auth={"pid": "x", "offset": "y"})) == {"sid"}
        io.emit("event")
        assert await peer.event() == ["event"]


@pytest.mark.parametrize(
    "wrong", [{"max_disconnection_duration": 0}, {"max_bytes": -1}, {"max_sessions": None}, {"max_bytes": True}]
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Server(connection_state_recovery=wrong)
    with pytest.raises(TypeError):
        Server(connection_state_recovery={"no such": 1})
    assert Server(connection_state_recovery=False).connection_state_recovery is None
    given = ConnectionStateRecovery(max_bytes=5)
    assert Server(connection_state_recovery=given).connection_state_recovery is given


# ---- coming back


async def test_who_comes_back_has_its_id_rooms_and_data_and_what_it_has_missed(serve: Serve) -> None:
    hub, io = recovering()
    sockets: list[Socket] = []
    io.on("connection", sockets.append)
    async with serve(hub) as server:
        me = Returning(server)
        async with me.connected() as peer:
            sockets[0].join("room", "left")
            sockets[0].data["name"] = "alice"
            io.emit("heard")
            await me.listen(peer)
            sockets[0].leave("left")
        before = me.sid
        await gone(io)
        io.emit("to all")
        sockets[0].emit("to me, who am not there")
        io.to(before).emit("to my id")
        io.to("room").emit("to my room")
        io.to("left").emit("to a room that I have left")
        io.to("other").emit("to a room of others")
        io.except_("room").emit("not to my room")
        io.to("other", "room").emit("to my room and another")
        io.volatile.emit("volatile")
        async with me.connected() as peer:
            assert me.recovered
            assert me.sid == before
            io.emit("and then")
            await me.listen(peer)
            new = sockets[1]
            assert new is not sockets[0]
            assert (new.recovered, sockets[0].recovered) == (True, False)
            assert new.rooms == {before, "room"}
            assert new.data == {"name": "alice"}
            assert io.adapter.rooms == {before: {before}, "room": {before}}
            io.to("room").emit("to my room")
            await me.listen(peer)
    missed = ["to all", "to me, who am not there", "to my id", "to my room", "to my room and another"]
    assert me.heard == ["heard", *missed, "and then", "to my room"]


async def test_missed_events_come_before_the_answer_to_connect(serve: Serve) -> None:
    hub, io = recovering()
    async with serve(hub) as server:
        async with joining(server) as peer:
            pid = peer.pid
            io.emit("event")
            offset = (await peer.event())[-1]
        await gone(io)
        io.emit("missed", b"\1")
        async with connecting(server) as peer:
            await peer.send("0" + json.dumps({"pid": pid, "offset": offset}))
            assert str(await peer.recv()).startswith('51-["missed",{"_placeholder":true,"num":0},')
            assert await peer.recv() == b"\1"
            assert json.loads(str(await peer.recv())[1:])["pid"] == pid


async def test_none_is_lost_and_none_comes_twice_however_often_the_connection_is_cut(serve: Serve) -> None:
    hub, io = recovering()
    sent, silent = 0, anyio.Event()

    async def speak() -> None:
        nonlocal sent
        while not silent.is_set():
            for emit in (io.emit, io.to("room").emit, io.to(me.sid).emit):
                emit(str(sent))
                sent += 1
            await anyio.sleep(0.001)

    io.on("connection", lambda socket: socket.join("room"))
    async with serve(hub) as server, anyio.create_task_group() as tasks:
        me = Returning(server)
        async with me.connected() as peer:
            tasks.start_soon(speak)
            await me.listen(peer)
        for _ in range(25):
            async with me.connected() as peer:
                assert me.recovered
                await me.listen(peer)
                peer.client.abort()
        silent.set()
        async with me.connected() as peer:
            await me.listen(peer)
    assert me.heard == [str(number) for number in range(sent)]


async def test_a_client_may_come_back_before_we_know_that_it_has_gone(serve: Serve) -> None:
    hub, io = recovering()
    told: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        told.append(socket.recovered)
        socket.on("disconnect", told.append)
        socket.data["number"] = socket.data.get("number", 0) + 1

    async with serve(hub, shutdown_timeout=0.5) as server:
        me = Returning(server)
        async with me.connected() as first:
            io.emit("heard")
            await me.listen(first)
            io.emit("sent to the dead connection")
            async with me.connected() as second:
                assert me.recovered
                await me.listen(second)
                assert told == [False, "transport close", True]
                assert len(io.sockets.sockets) == 1
                (socket,) = io.sockets.sockets.values()
                assert socket.data == {"number": 2}
                await until(lambda: io.clients_count == 1)
    assert me.heard == ["heard", "sent to the dead connection"]


async def test_one_who_has_not_been_sent_anything_recovers_without_an_offset(serve: Serve) -> None:
    hub, io = recovering()
    async with serve(hub) as server:
        io.emit("before its time")
        me = Returning(server)
        async with me.connected() as peer:
            await me.listen(peer)
        await gone(io)
        io.emit("missed")
        async with me.connected() as peer:
            await me.listen(peer)
            assert me.recovered
        await gone(io)
        me.offset = None
        async with me.connected():
            assert me.recovered
    # Whoever has forgotten its offset gets again what it may not have seen.
    assert me.heard == ["missed", "missed"]


async def test_a_quiet_client_recovers_however_much_others_have_been_sent(serve: Serve) -> None:
    hub, io = recovering(max_bytes=10_000)
    io.on("connection", lambda socket: socket.join(socket.handshake.auth.get("room", "quiet")))
    async with serve(hub) as server:
        me, other = Returning(server), Returning(server)
        async with me.connected() as peer:
            io.to("quiet").emit("heard")
            await me.listen(peer)
        async with other.connected(room="loud") as peer:
            io.to("loud").emit("heard")
            await other.listen(peer)
        await gone(io)
        io.to("loud").emit("lost")
        for _ in range(20):
            io.to("loud").emit("x" * 1000)
        io.to("quiet").emit("missed")
        async with me.connected() as peer:
            await me.listen(peer)
            assert me.recovered
            assert me.heard == ["heard", "missed"]
        async with other.connected(room="loud") as peer:
            await other.listen(peer)
            assert not other.recovered
            assert other.heard == ["heard"]


async def test_what_was_sent_to_a_room_before_it_was_joined_is_not_missed(serve: Serve) -> None:
    hub, io = recovering(max_bytes=10_000)
    async with serve(hub) as server:
        me = Returning(server)
        async with me.connected() as peer:
            (socket,) = io.sockets.sockets.values()
            for _ in range(20):
                io.to("room").emit("x" * 1000)
            io.to("room").emit("before I came")
            socket.join("room")
            socket.join("second")
            io.to("second").emit("before I left")
            socket.leave("second")
            io.to("second").emit("after I left")
            io.except_("second").emit("I am not there any more")
        await gone(io)
        async with me.connected() as peer:
            await me.listen(peer)
            assert me.recovered
    assert me.heard == ["before I left", "I am not there any more"]


# ---- not coming back


@pytest.mark.parametrize(
    "auth",
    [
        {"pid": "unknown"},
        {"pid": 1},
        {"pid": ["x"]},
        {"pid": None},
        {"offset": "abc"},
        {"offset": ""},
        {"offset": 5},
        {"offset": "{epoch}.ffffffffffff"},
        {"offset": "{epoch}.x"},
        {"offset": "{epoch}."},
        {"offset": "{epoch}.-1"},
        {"offset": "{epoch}.0"},
        {"offset": "00000000.1"},
        {"offset": "x" * 100_000},
    ],
)
async def test_who_says_what_cannot_be_is_somebody_new(serve: Serve, auth: dict[str, Any]) -> None:
    hub, io = recovering()
    async with serve(hub) as server:
        me = Returning(server)
        io.emit("first")
        async with me.connected() as peer:
            io.emit("event")
            await me.listen(peer)
        await gone(io)
        assert me.offset is not None
        if isinstance(auth.get("offset"), str):
            auth = {"offset": auth["offset"].replace("{epoch}", me.offset[:8])}
        before = me.sid
        async with me.connected(**auth) as peer:
            assert not me.recovered
            assert me.sid != before
            (socket,) = io.sockets.sockets.values()
            assert not socket.recovered


async def test_who_has_left_or_was_put_out_does_not_come_back(serve: Serve) -> None:
    hub, io = recovering()
    async with serve(hub) as server:
        me = Returning(server)
        async with me.connected() as peer:
            await peer.send("1")
            await gone(io)
        async with me.connected() as peer:
            assert not me.recovered
            io.disconnect_sockets()
            await peer.recv()
        async with me.connected() as peer:
            assert not me.recovered
            await peer.send("4")
            await peer.ended()
        async with me.connected() as peer:
            assert me.recovered


async def test_who_comes_back_too_late_is_somebody_new(serve: Serve) -> None:
    hub, io = recovering(max_disconnection_duration=0.05)
    recovery = io.sockets._recovery
    assert recovery is not None
    async with serve(hub) as server:
        me = Returning(server)
        async with me.connected() as peer:
            io.emit("event", "x")
            await me.listen(peer)
        await gone(io)
        io.emit("missed")
        await until(lambda: not recovery._sessions)
        await until(lambda: not recovery._log._entries)
        async with me.connected() as peer:
            assert not me.recovered
            await me.listen(peer)
    assert me.heard == ["event"]


async def test_so_many_clients_may_be_away(serve: Serve) -> None:
    hub, io = recovering(max_sessions=2)
    async with serve(hub) as server:
        clients = [Returning(server) for _ in range(3)]
        for client in clients:
            async with client.connected():
                pass
            await gone(io)
        recovered = []
        for client in reversed(clients):
            async with client.connected():
                recovered.append(client.recovered)
    assert recovered == [True, True, False]


@pytest.mark.parametrize("skip", [False, True])
async def test_the_middleware_is_asked_again_unless_it_is_skipped(serve: Serve, skip: bool) -> None:
    hub, io = recovering(skip_middlewares=skip)
    asked: list[tuple[bool, Any]] = []
    banned = False

    @io.use
    async def middleware(socket: Socket) -> None:
        asked.append((socket.recovered, socket.data.get("name")))
        socket.data["name"] = "alice"
        await anyio.sleep(0)
        if banned:
            raise ConnectError("banned")

    async with serve(hub) as server:
        me = Returning(server)
        async with me.connected():
            pass
        await gone(io)
        io.emit("missed")
        async with me.connected() as peer:
            await me.listen(peer)
            assert me.recovered
        assert asked == [(False, None)] + ([] if skip else [(True, "alice")])
        await gone(io)
        if not skip:
            banned = True
            io.emit("not for the banned")
            async with connecting(server) as peer:
                assert await peer.asked("/", {"pid": me.pid, "offset": me.offset}) == '4{"message":"banned"}'
            banned = False
        async with me.connected() as peer:
            assert me.recovered
            await me.listen(peer)
    assert me.heard == (["missed"] if skip else ["missed", "not for the banned"])


async def test_a_pid_is_given_back_to_one_client_alone(serve: Serve) -> None:
    hub, io = recovering()
    released = anyio.Event()

    @io.use
    async def middleware(socket: Socket) -> None:
        if socket.recovered:
            await released.wait()

    async with serve(hub) as server:
        me = Returning(server)
        async with me.connected():
            pass
        await gone(io)
        async with connecting(server) as first, connecting(server) as second:
            for peer in (first, second):
                await peer.send("0" + json.dumps({"pid": me.pid}))
                await until(lambda: io.sockets._asking == 1)
            answer = json.loads(str(await second.recv())[1:])
            assert answer["pid"] != me.pid
            released.set()
            assert json.loads(str(await first.recv())[1:]) == {"sid": me.sid, "pid": me.pid}
            assert len(io.sockets.sockets) == 2


async def test_events_of_other_threads_are_remembered_in_their_order(serve: Serve) -> None:
    hub, io = recovering()

    def speak(name: str) -> None:
        for number in range(100):
            io.emit(f"{name}{number}")

    async with serve(hub) as server:
        me = Returning(server)
        async with me.connected() as peer:
            threads = [threading.Thread(target=speak, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            offsets = []
            for _ in range(150):
                packet = str(await peer.recv())
                me.take(packet)
                offsets.append(int(str(me.offset)[9:], 16))
            for thread in threads:
                thread.join()
        assert offsets == sorted(offsets)
        await gone(io)
        async with me.connected() as peer:
            await me.listen(peer)
        for name in "ab":
            assert [event for event in me.heard if event[0] == name] == [f"{name}{number}" for number in range(100)]


async def test_what_is_remembered_stays_within_its_bounds(serve: Serve) -> None:
    hub, io = recovering(max_bytes=100_000)
    recovery = io.sockets._recovery
    assert recovery is not None
    async with serve(hub) as server, joining(server) as peer:
        (socket,) = io.sockets.sockets.values()
        for number in range(12_000):
            io.to(f"room {number}").emit("event")
            socket.join(f"room {number % 500}")
            socket.leave(f"room {number % 500}")
        await peer.settled()
        log = recovery._log
        assert log._bytes <= 100_000
        assert len(log._entries) < 300
        assert len(log._by_room) < 300
        assert len(log._forgot) <= 10_000
        assert socket._session is not None
        assert len(socket._session.left_rooms) <= 100


@pytest.mark.parametrize("io_threads", [0, 1, 4])
async def test_who_is_in_a_room_when_a_thread_sends_to_it_gets_it(serve: Serve) -> None:
    hub, io = recovering()

    def from_a_thread(*args: Any) -> None:
        thread = threading.Thread(target=io.to("room").emit, args=args)
        thread.start()
        thread.join()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("settle", lambda: None)

        @socket.on("go")
        def go() -> None:
            from_a_thread("before it has joined")
            socket.join("room")
            from_a_thread("while it is there")
            socket.emit("its own")
            socket.leave("room")
            from_a_thread("when it has left")
            socket.join("room")
            from_a_thread("last")
            socket.disconnect()

    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("go")
        heard = [json.loads(str(await peer.recv())[1:])[0] for _ in range(3)]
        assert heard == ["while it is there", "its own", "last"]
        assert await peer.recv() == "1"
