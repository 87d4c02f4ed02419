"""Rooms, and who gets what is sent to them."""

from __future__ import annotations

import threading
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from hubbub import Hub, Limits, Session, TooManyRooms
from hubbub.socketio import AckTimeout, Server, Socket
from support.push import listening
from support.server import Serve, until
from support.socketio import Peer, joining

pytestmark = pytest.mark.anyio


def hub_and_server(**options: Any) -> tuple[Hub, Server]:
    hub = Hub()
    io = Server(hub, **options)
    io.on("connection", lambda socket: socket.on("settle", lambda: None))
    return hub, io


class Crowd:
    """Four clients: a in "ab" and "all", b in "ab" and "bc", c in "bc", d alone."""

    def __init__(self, io: Server, peers: list[Peer]) -> None:
        self.io = io
        self.peers = dict(zip("abcd", peers, strict=True))
        self.sockets = {name: io.sockets.sockets[peer.sid] for name, peer in self.peers.items()}
        self.sockets["a"].join("ab", "all")
        self.sockets["b"].join(["ab", "bc"])
        self.sockets["c"].join("bc")

    async def heard(self) -> dict[str, list[Any]]:
        """What each has heard up to now, by the events' names."""
        heard: dict[str, list[Any]] = {}
        for name, peer in self.peers.items():
            await peer.emit("settle", ack=0)
            heard[name] = []
            while (packet := await peer.recv()) != "30[]":
                heard[name].append(packet)
        return heard


async def crowd(stack: AsyncExitStack, server: Any, io: Server) -> Crowd:
    return Crowd(io, [await stack.enter_async_context(joining(server)) for _ in range(4)])


WHOM = {
    "everyone": (lambda io, s: io, "abcd"),
    "everyone of the namespace": (lambda io, s: io.of("/"), "abcd"),
    "a room": (lambda io, s: io.to("ab"), "ab"),
    "in_ is to": (lambda io, s: io.in_("ab"), "ab"),
    "two rooms": (lambda io, s: io.to("ab").to("bc"), "abc"),
    "two rooms at once": (lambda io, s: io.to("ab", "bc"), "abc"),
    "a list of rooms": (lambda io, s: io.to(["ab", "bc"]), "abc"),
    "an empty list is nobody": (lambda io, s: io.to([]), ""),
    "no room is nobody": (lambda io, s: io.to(), ""),
    "no room of a socket's is nobody": (lambda io, s: s["a"].to([]), ""),
    "no room and a room": (lambda io, s: io.to([]).to("ab"), "ab"),
    "a room that nobody is in": (lambda io, s: io.to("nobody"), ""),
    "one by its id": (lambda io, s: io.to(s["c"].id), "c"),
    "one by its id and a room": (lambda io, s: io.to(s["d"].id).to("ab"), "abd"),
    "two by their ids": (lambda io, s: io.to([s["d"].id, s["a"].id]), "ad"),
    "everyone but a room": (lambda io, s: io.except_("ab"), "cd"),
    "everyone but two rooms": (lambda io, s: io.except_(["ab", "bc"]), "d"),
    "everyone but one": (lambda io, s: io.except_(s["b"].id), "acd"),
    "a room but another": (lambda io, s: io.to("ab").except_("bc"), "a"),
    "one by its id but its room": (lambda io, s: io.to(s["c"].id).except_("bc"), ""),
    "everyone but the sender": (lambda io, s: s["a"].broadcast, "bcd"),
    "a room but the sender": (lambda io, s: s["a"].to("ab"), "b"),
    "a room that the sender is not in": (lambda io, s: s["d"].to("ab"), "ab"),
    "not to itself by its id": (lambda io, s: s["a"].to(s["a"].id), ""),
    "another by its id": (lambda io, s: s["a"].to(s["d"].id), "d"),
    "but the sender and a room": (lambda io, s: s["a"].except_("bc"), "d"),
    "a broadcast of the sender's to a room": (lambda io, s: s["b"].broadcast.to("ab").to("bc"), "ac"),
    "local, volatile and not compressed": (lambda io, s: io.local.volatile.compress(False).to("ab"), "ab"),
    "volatile of a socket": (lambda io, s: s["a"].volatile.broadcast, "bcd"),
    "not compressed of a socket": (lambda io, s: s["a"].compress(False).to("ab"), "b"),
    "with a time limit": (lambda io, s: s["a"].timeout(1).to("ab"), "b"),
}


@pytest.mark.parametrize(("whom", "who"), WHOM.values(), ids=WHOM.keys())
async def test_an_event_reaches_each_of_those_it_is_for_once(serve: Serve, whom: Any, who: str) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, AsyncExitStack() as stack:
        all_of_them = await crowd(stack, server, io)
        audience = whom(io, all_of_them.sockets)
        await audience.emit("text", 1)
        await audience.emit("bytes", b"\1", b"\2")
        audience.send("hello")
        heard = await all_of_them.heard()
        packet = '52-["bytes",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        everything = ['2["text",1]', packet, b"\1", b"\2", '2["message","hello"]']
        assert {name for name, events in heard.items() if events} == set(who)
        assert all(events in ([], everything) for events in heard.values())
        # The same, of those that ask who it would be.
        if hasattr(audience, "fetch_sockets"):
            sockets = await audience.fetch_sockets()
            assert {socket.id for socket in sockets} == {all_of_them.sockets[name].id for name in who}
            assert await audience.all_sockets() == {socket.id for socket in sockets}


async def test_what_is_sent_to_one_arrives_in_order_however_it_is_sent(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, joining(server) as peer:
        (socket,) = io.sockets.sockets.values()
        socket.join("room")
        ways = [socket.emit, io.emit, io.to("room").emit, io.to(socket.id).emit, io.to(socket.id, "room").emit]
        for number in range(100):
            ways[number % len(ways)]("event", number, b"x" * (number % 3))
        for number in range(100):
            packet = await peer.recv()
            assert packet == f'51-["event",{number},{{"_placeholder":true,"num":0}}]'
            assert await peer.recv() == b"x" * (number % 3)


async def test_packets_of_other_threads_do_not_come_between_a_packet_and_its_attachments(serve: Serve) -> None:
    hub, io = hub_and_server()

    def send(number: int) -> None:
        for _ in range(200):
            io.emit("event", number, b"first", b"second")

    async with serve(hub) as server, joining(server) as peer:
        threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            io.emit("event", 9, b"first", b"second")
            await anyio.sleep(0)
        for _ in range(800):
            packet = await peer.recv()
            assert isinstance(packet, str), packet
            assert [await peer.recv(), await peer.recv()] == [b"first", b"second"], packet
        for thread in threads:
            thread.join()


# ---- who is where


async def test_rooms_and_their_members_can_be_read(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, AsyncExitStack() as stack:
        everyone = await crowd(stack, server, io)
        ids = {name: socket.id for name, socket in everyone.sockets.items()}
        rooms = io.of("/").adapter.rooms
        own = {sid: {sid} for sid in ids.values()}
        assert rooms == own | {"ab": {ids["a"], ids["b"]}, "bc": {ids["b"], ids["c"]}, "all": {ids["a"]}}
        assert len(rooms) == 7
        assert "nobody" not in rooms
        assert io.adapter.sids == {
            ids["a"]: {ids["a"], "ab", "all"},
            ids["b"]: {ids["b"], "ab", "bc"},
            ids["c"]: {ids["c"], "bc"},
            ids["d"]: {ids["d"]},
        }
        a = everyone.sockets["a"]
        a.leave("ab")
        a.leave("not in it")
        a.join("all")
        assert a.rooms == {a.id, "all"}
        a.leave(a.id)
        assert a.rooms == {"all"}
        assert a.id not in rooms
        io.to(a.id).emit("not reached")
        io.emit("reached")
        a.join(a.id)
        io.to(a.id).emit("reached")
        heard = await everyone.heard()
        assert heard["a"] == ['2["reached"]', '2["reached"]']


async def test_another_socket_may_join_the_room_of_ones_id(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, AsyncExitStack() as stack:
        everyone = await crowd(stack, server, io)
        a, b = everyone.sockets["a"], everyone.sockets["b"]
        b.join(a.id)
        assert io.adapter.rooms[a.id] == {a.id, b.id}
        io.to(a.id).emit("both")
        io.except_(a.id).emit("neither")
        a.to(a.id).emit("nobody, as a is one of them and b is in its room")
        a.disconnect()
        assert io.adapter.rooms[a.id] == {b.id}
        io.to(a.id).emit("b alone")
        assert [await everyone.peers["b"].recv() for _ in range(2)] == ['2["both"]', '2["b alone"]']
        assert await everyone.peers["c"].recv() == '2["neither"]'


async def test_many_sockets_can_be_moved_and_ended_together(serve: Serve) -> None:
    hub, io = hub_and_server()
    reasons: list[str] = []
    io.on("connection", lambda socket: socket.on("disconnect", lambda reason: reasons.append(reason)))
    async with serve(hub) as server, AsyncExitStack() as stack:
        everyone = await crowd(stack, server, io)
        io.in_("ab").sockets_join("x", ["y"])
        assert io.adapter.rooms["x"] == io.adapter.rooms["y"] == io.adapter.rooms["ab"]
        io.in_("bc").sockets_leave("x")
        assert io.adapter.rooms["x"] == {everyone.sockets["a"].id}
        io.in_("bc").disconnect_sockets()
        assert await everyone.peers["b"].recv() == "1"
        assert await everyone.peers["c"].recv() == "1"
        assert len(io.sockets.sockets) == 2
        assert io.clients_count == 4
        io.disconnect_sockets(close=True)
        assert await everyone.peers["a"].recv() == "1"
        await everyone.peers["a"].ended()
        await everyone.peers["d"].ended()
        assert not io.adapter.rooms
        assert reasons == ["server namespace disconnect"] * 4


async def test_rooms_tell_what_becomes_of_them(serve: Serve) -> None:
    hub, io = hub_and_server()
    told: list[tuple[str, ...]] = []
    for event in ("create-room", "join-room", "leave-room", "delete-room"):
        io.adapter.on(event, lambda *args, event=event: told.append((event, *args)))
    async with serve(hub) as server, joining(server) as a:
        assert told == [("create-room", a.sid), ("join-room", a.sid, a.sid)]
        socket = io.sockets.sockets[a.sid]
        async with joining(server) as b:
            told.clear()
            socket.join("room")
            socket.join("room")
            io.sockets.sockets[b.sid].join("room")
            socket.leave("room")
            assert told == [
                ("create-room", "room"),
                ("join-room", "room", a.sid),
                ("join-room", "room", b.sid),
                ("leave-room", "room", a.sid),
            ]
            told.clear()
        await until(lambda: len(told) == 4)
        left = [("leave-room", b.sid, b.sid), ("leave-room", "room", b.sid)]
        assert set(told) == {*left, ("delete-room", b.sid), ("delete-room", "room")}


@pytest.mark.parametrize("wrong", [1, None, [1], ["a", None], b"room"])
async def test_a_rooms_name_is_text(serve: Serve, wrong: Any) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, joining(server):
        (socket,) = io.sockets.sockets.values()
        for call in (io.to, io.except_, socket.join, socket.to, io.sockets_join):
            with pytest.raises(TypeError, match="room"):
                call(wrong)


async def test_rooms_of_the_hub_are_others(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, joining(server) as peer:
        (socket,) = io.sockets.sockets.values()
        socket.join("room", "", "a\0b")
        hub.room("room").broadcast("not for Socket.IO")
        for room in ("room", "", "a\0b"):
            io.to(room).emit("event", room)
            assert await peer.event() == ["event", room]
        assert socket.conn.hub is hub
        assert type(socket.conn) is Session
        assert [socket.is_in(room) for room in ("room", "", socket.id, "another")] == [True, True, True, False]


async def test_an_event_is_encoded_once_and_handed_to_the_core_once(serve: Serve) -> None:
    hub, io = hub_and_server()
    encoded: list[Any] = []
    encode = io.sockets._encode

    def counting(*args: Any) -> Any:
        encoded.append(args)
        return encode(*args)

    async with serve(hub) as server, joining(server) as a, joining(server) as b:
        io.sockets._encode = counting
        before = hub.stats()["broadcasts"]
        await io.emit("event", 1)
        assert [await a.event(), await b.event()] == [["event", 1]] * 2
        assert hub.stats()["broadcasts"] == before + 1
    assert len(encoded) == 1


async def test_whether_there_is_a_room_is_known_without_its_members(serve: Serve) -> None:
    hub, io = hub_and_server()
    async with serve(hub) as server, joining(server) as peer:
        socket = io.sockets.sockets[peer.sid]
        socket.join("room")
        assert "room" in io.adapter.rooms
        assert peer.sid in io.adapter.rooms
        assert "elsewhere" not in io.adapter.rooms
        assert 5 not in io.adapter.rooms
        socket.leave(peer.sid)
        socket.leave("room")
        assert peer.sid not in io.adapter.rooms
        assert "room" not in io.adapter.rooms


async def test_nothing_is_sent_to_a_socket_that_has_ended(serve: Serve) -> None:
    hub, io = hub_and_server()
    sockets: list[Socket] = []
    io.on("connection", sockets.append)
    async with serve(hub) as server:
        async with joining(server) as peer:
            (socket,) = sockets
            socket.join("room")
            await peer.send("1")
            await peer.join()
            await socket.emit("late")
            await io.to(socket.id).emit("late")
            await io.to("room").emit("late")
            socket.join("room")
            socket.leave("room")
            socket.disconnect()
            assert socket.disconnected
            assert socket.rooms == {socket.id, "room"}
            await peer.settled()
        await until(lambda: not io.sockets.sockets)
        await socket.emit("late")
        await sockets[1].volatile.emit("late")
        await io.emit("for nobody")


async def test_the_sockets_that_are_fetched_can_do_what_remote_sockets_can(serve: Serve) -> None:
    hub, io = hub_and_server()
    reasons: list[str] = []
    io.on("connection", lambda socket: socket.on("disconnect", reasons.append))
    async with serve(hub) as server, joining(server, auth={"token": "t"}) as peer, joining(server) as other:
        own = io.sockets.sockets[peer.sid]
        own.join("a room")
        own.data["name"] = "Ada"
        (fetched,) = await io.in_("a room").fetch_sockets()
        assert {socket.id for socket in await io.fetch_sockets()} == {peer.sid, other.sid}
        assert fetched.id == peer.sid
        assert fetched.data == {"name": "Ada"}
        assert fetched.rooms == {peer.sid, "a room"}
        assert (fetched.handshake.auth, fetched.handshake.query["transport"]) == ({"token": "t"}, "websocket")
        fetched.emit("hello", 1)
        assert await peer.event() == ["hello", 1]
        fetched.join("another")
        fetched.leave("a room")
        io.to("a room").emit("nobody hears that")
        io.to("another").emit("in another")
        assert await peer.event() == ["in another"]

        async def answer() -> None:
            packet = await peer.recv()
            assert isinstance(packet, str)
            assert packet.endswith('["question"]')
            await peer.send(f"3{packet[1:].partition('[')[0]}[42]")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            assert await fetched.timeout(5).emit_with_ack("question") == 42
        with pytest.raises(AckTimeout):
            await fetched.timeout(0.01).emit_with_ack("question")
        assert str(await peer.recv()).endswith('["question"]')
        fetched.disconnect()
        assert await peer.recv() == "1"
        await until(lambda: reasons == ["server namespace disconnect"])
        assert [socket.id for socket in await io.fetch_sockets()] == [other.sid]


async def test_beyond_the_limit_of_rooms_join_raises_and_the_socket_goes_on(serve: Serve) -> None:
    hub = Hub(limits=Limits(rooms_per_session=2))
    io = Server(hub)
    raised: list[Exception] = []

    @io.use
    def early(socket: Socket) -> None:
        socket.join("a", socket.id)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("join")
        def join(*rooms: str) -> None:
            try:
                socket.join(*rooms)
            except TooManyRooms as error:
                raised.append(error)

    io.of("/other").on("connection", lambda socket: socket.join("x", "y"))
    async with serve(hub) as server, joining(server) as peer, joining(server) as other:
        socket, second = io.sockets.sockets[peer.sid], io.sockets.sockets[other.sid]
        # All of them or none.
        await peer.emit("join", "b", "c")
        await until(lambda: len(raised) == 1)
        assert socket.rooms == {socket.id, "a"}
        socket.join("a", socket.id, "b")
        with pytest.raises(TooManyRooms):
            socket.join("c")
        # Each namespace counts for itself.
        await peer.send("0/other,")
        assert (await peer.recv()).startswith("0/other,")
        assert [member.rooms - {member.id} for member in io.of("/other").sockets.values()] == [{"x", "y"}]
        # Who may still join does so.
        with pytest.raises(TooManyRooms):
            io.sockets_join("c")
        assert (socket.rooms, second.rooms) == ({socket.id, "a", "b"}, {second.id, "a", "c"})
        await io.to("c").emit("heard")
        assert await other.event() == ["heard"]


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
async def test_packets_have_no_place_among_what_rooms_remember(serve: Serve) -> None:
    hub = Hub(limits=Limits(history_messages=5))
    io = Server(hub)
    hub.eventsource("/stream")(lambda es: es.join("news"))
    async with serve(hub) as server, joining(server) as peer:
        await hub.room("news").broadcast("one")
        for number in range(3):
            await io.emit("packet", number)
            assert await peer.event() == ["packet", number]
        async with listening(server, "/stream") as stream:
            # Its place, before anything is said.
            place = await stream.next()
            assert place is not None
            assert str(place.id).endswith("-1")
            await until(lambda: len(hub.room("news")) == 1)
            await hub.room("news").broadcast("two")
            assert await stream.data() == "two"
            assert str(stream.last_id).endswith("-2")
