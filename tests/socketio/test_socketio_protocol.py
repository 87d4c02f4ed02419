"""Packets as they are on the wire, and what becomes of clients that send what they should not."""

from __future__ import annotations

import gc
import json
from typing import Any

import anyio
import pytest

from hubbub import Hub
from hubbub.socketio import Server, Socket
from support.server import Serve, until
from support.socketio import Peer, connecting, joining

pytestmark = pytest.mark.anyio


def echoing(**options: Any) -> tuple[Hub, Server]:
    """Answers `echo` with what it brings, and writes down how sockets end."""
    hub = Hub()
    io = Server(hub, **options)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("echo", lambda *args: socket.emit("echo", *args))
        socket.on("settle", lambda: None)

    return hub, io


# ---- into a namespace


async def test_connect_is_answered_with_an_id_of_its_own(serve: Serve) -> None:
    hub, io = echoing()
    async with serve(hub) as server, connecting(server) as peer:
        await peer.send("0")
        answer = await peer.recv()
        assert isinstance(answer, str)
        data = json.loads(answer[1:])
        assert answer == '0{"sid":"%s"}' % data["sid"]  # noqa: UP031
        assert len(data["sid"]) == 20
        assert data["sid"] != peer.opened["sid"]
        assert set(io.sockets.sockets) == {data["sid"]}


async def test_ids_are_never_the_same(serve: Serve) -> None:
    from hubbub.socketio.socket import new_id

    assert len({new_id() for _ in range(100_000)}) == 100_000


async def test_auth_is_in_the_handshake(serve: Serve) -> None:
    hub, io = echoing()
    async with serve(hub) as server, connecting(server, query="&room=a%20b") as peer:
        await peer.join(auth={"token": "123"})
        (socket,) = io.sockets.sockets.values()
        assert socket.handshake.auth == {"token": "123"}
        assert socket.handshake.query["room"] == "a b"
        assert socket.handshake.address == "127.0.0.1"
        assert socket.handshake.url.startswith("/socket.io/?EIO=4")
        assert not socket.handshake.secure
        assert not socket.handshake.xdomain
        assert socket.request.headers["host"] == socket.handshake.headers["host"]


@pytest.mark.parametrize("name", ["/unknown", "/mw?x=1", "/__class__", "/%2f"])
async def test_an_unknown_namespace_is_refused_and_the_connection_stays(serve: Serve, name: str) -> None:
    hub, io = echoing()
    io.of("/mw")
    async with serve(hub) as server, connecting(server) as peer:
        assert await peer.asked(name) == '4%s,{"message":"Invalid namespace"}' % name  # noqa: UP031
        await peer.join()


async def test_who_has_left_a_namespace_can_come_back_with_a_new_id(serve: Serve) -> None:
    hub, io = echoing()
    reasons: list[str] = []
    io.on("connection", lambda socket: socket.on("disconnect", lambda reason: reasons.append(reason)))
    async with serve(hub) as server, connecting(server) as peer:
        first = await peer.join()
        await peer.send("1")
        second = await peer.join()
        assert first["sid"] != second["sid"]
        assert reasons == ["client namespace disconnect"]
        assert len(io.sockets.sockets) == 1


# ---- events


@pytest.mark.parametrize(
    "args", [[], [1, "2", 3.5, None, True], [{"a": {"b": [1]}}], ["grüße, 世界 🎉"], [9007199254740993]]
)
async def test_arguments_come_back_as_they_were_in_compact_json(serve: Serve, args: list[Any]) -> None:
    hub, _ = echoing()
    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("echo", *args)
        assert await peer.recv() == "2" + json.dumps(["echo", *args], ensure_ascii=False, separators=(",", ":"))


async def test_bytes_travel_as_attachments_behind_their_packet(serve: Serve) -> None:
    hub, _ = echoing()
    async with serve(hub) as server, joining(server) as peer:
        packet = '["echo",{"_placeholder":true,"num":1},{"a":[{"_placeholder":true,"num":0}]}]'
        await peer.send("52-" + packet, b"\1\2", b"")
        assert await peer.recv() == ('52-["echo",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]')
        assert [await peer.recv(), await peer.recv()] == [b"", b"\1\2"]


@pytest.mark.parametrize(("name", "text"), [("1", "1"), ("1.5", "1.5"), ("1e3", "1000"), ("-0", "0")])
async def test_a_number_as_an_event_is_heard_as_its_text(serve: Serve, name: str, text: str) -> None:
    hub, io = echoing()
    io.on("connection", lambda socket: socket.on(text, lambda *args: socket.emit("heard", *args)))
    async with serve(hub) as server, joining(server) as peer:
        await peer.send(f"2[{name},2]")
        assert await peer.event() == ["heard", 2]


async def test_an_event_that_nobody_listens_to_is_ignored(serve: Serve) -> None:
    hub, io = echoing()
    errors: list[object] = []
    io.on("connection", lambda socket: socket.on("error", errors.append))
    async with serve(hub) as server, joining(server) as peer:
        for name in ("__class__", "_end", "emit", "disconnect_sockets", "close", "error", "connection", "x" * 100_000):
            await peer.emit(name, "x", ack=1)
        await peer.send('31["an acknowledgement that nobody waits for"]', "3[]", "340[1,2,3]")
        await peer.settled()
        assert errors == []
        assert len(io.sockets.sockets) == 1


# ---- what costs the connection


OFFENCES = {
    "an event before CONNECT": ['2["echo"]'],
    "an acknowledgement before CONNECT": ["31[]"],
    "DISCONNECT before CONNECT": ["1"],
    "CONNECT with an array": ["0[1]"],
    "CONNECT with a string": ['0"x"'],
    "a second CONNECT": ["0", "0"],
    "CONNECT_ERROR": ["0", '4{"message":"x"}'],
    "an event for a namespace that it is not in": ["0", '2/other,["echo"]'],
    "DISCONNECT from a namespace that it is not in": ["0", "1/other,"],
    "an event after DISCONNECT": ["0", "1", '2["echo"]'],
    "an event without a name": ["0", "2[]"],
    "an event that is an object": ["0", "2{}"],
    "an event without data": ["0", "2"],
    "a reserved event: connect": ["0", '2["connect"]'],
    "a reserved event: connect_error": ["0", '2["connect_error"]'],
    "a reserved event: disconnect": ["0", '2["disconnect"]'],
    "a reserved event: disconnecting": ["0", '2["disconnecting"]'],
    "a reserved event: newListener": ["0", '2["newListener"]'],
    "a reserved event: removeListener": ["0", '2["removeListener"]'],
    "a name that is null": ["0", "2[null]"],
    "a name that is an object": ["0", '2[{"a":1}]'],
    "no packet": ["0", "abc"],
    "an event with letters before its JSON": ["0", '2abc["echo"]'],
    "no text at all": ["0", ""],
    "a type that does not exist": ["0", "7"],
    "an endless number for an acknowledgement": ["0", "2" + "9" * 30 + '["echo"]'],
    "an attachment without a packet": ["0", b"x"],
    "text while attachments are due": ["0", '51-["echo",{"_placeholder":true,"num":0}]', '2["echo"]'],
    "no attachments where there should be": ["0", '50-["echo"]'],
    "eleven attachments": ["0", "511-" + json.dumps(["echo"])],
    "no end of attachments": ["0", '5999999999-["echo"]'],
    "attachments for a namespace that it is not in": ["0", '51-/other,["echo",{"_placeholder":true,"num":0}]'],
    "NaN": ["0", '2["echo",NaN]'],
    "JSON nested without an end": ["0", '2["echo",' + "[" * 100_000 + "]" * 100_000 + "]"],
    "a number of a hundred thousand digits": ["0", '2["echo",' + "1" * 100_000 + "]"],
} | {
    f"a placeholder with {num}": ["0", '51-["echo",{"_placeholder":true,"num":%s}]' % num, b"x"]  # noqa: UP031
    for num in ("10", "1", "-1", '"splice"', "true", "1.0", "null")
}


@pytest.mark.parametrize("packets", OFFENCES.values(), ids=OFFENCES.keys())
async def test_an_offence_ends_the_connection_and_nobody_elses(serve: Serve, packets: list[str | bytes]) -> None:
    hub, io = echoing()
    async with serve(hub) as server, joining(server) as other:
        async with connecting(server) as peer:
            await peer.send(*packets)
            code, _ = await peer.ended()
            assert code in (1002, 1008, 1000, 1005, 1007)
        await until(lambda: len(io.sockets.sockets) == 1)
        await other.emit("echo", "still here")
        assert await other.event() == ["echo", "still here"]
        assert io.clients_count == 1


@pytest.mark.parametrize(("packet", "reason"), [("2[]", "forced close"), ('2/other,["x"]', "forced server close")])
async def test_sockets_of_an_offender_are_told_why_they_end(serve: Serve, packet: str, reason: str) -> None:
    hub = Hub()
    io = Server(hub)
    told: list[tuple[str, Any]] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("error", lambda error: told.append(("error", type(error).__name__)))
        socket.on("disconnecting", lambda reason: told.append(("disconnecting", (reason, socket.connected))))
        socket.on("disconnect", lambda reason: told.append(("disconnect", (reason, socket.connected))))

    async with serve(hub) as server, joining(server) as peer:
        await peer.send(packet)
        await peer.ended()
        errors = [("error", "PacketError")] if reason == "forced close" else []
        assert told == [*errors, ("disconnecting", (reason, True)), ("disconnect", (reason, False))]


async def test_what_is_unfinished_is_freed_when_its_sender_goes(serve: Serve) -> None:
    hub, io = echoing()
    async with serve(hub) as server:
        for _ in range(20):
            async with joining(server) as peer:
                await peer.send('52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"x" * 9000)
        await until(lambda: io.clients_count == 0)
        gc.collect()
        assert io._unfinished._until == {}
        assert io._unjoined._until == {}


async def test_attachments_that_do_not_come_end_the_connection(serve: Serve) -> None:
    from hubbub.socketio.deadlines import Deadlines

    hub, io = echoing()
    io._unfinished = Deadlines(0.05, io._unfinished._late)
    async with serve(hub) as server, joining(server) as peer:
        await peer.send('51-["echo",{"_placeholder":true,"num":0}]', b"x")
        assert await peer.recv() == '51-["echo",{"_placeholder":true,"num":0}]'
        assert await peer.recv() == b"x"
        await peer.send('51-["echo",{"_placeholder":true,"num":0}]')
        assert (await peer.ended())[1] == "attachments are missing"


# ---- who does not join


async def test_who_joins_no_namespace_in_time_is_closed(serve: Serve) -> None:
    hub, io = echoing(connect_timeout=0.1)
    async with serve(hub) as server, connecting(server) as peer, connecting(server) as other:
        await other.join()
        await peer.ended()
        await other.emit("echo")
        assert await other.event() == ["echo"]
        # And who has left all namespaces has as long again.
        await other.send("1")
        await other.ended()
        await until(lambda: io.clients_count == 0)


async def test_nobody_joins_more_namespaces_than_allowed(serve: Serve) -> None:
    import re

    hub, io = echoing(max_namespaces=3)
    io.of(re.compile("^/x"))
    async with serve(hub) as server, joining(server) as peer:
        assert [str(await peer.asked(f"/x{number}"))[:4] for number in range(4)] == ["0/x0", "0/x1", "4/x2", "4/x3"]
        assert len(io.namespaces) == 3


async def test_namespaces_that_a_client_was_put_out_of_count_until_it_is_in_again(serve: Serve) -> None:
    import re

    hub, io = echoing(max_namespaces=3)
    io.of(re.compile("^/x")).on("connection", lambda socket: socket.disconnect())
    async with serve(hub) as server, joining(server) as peer:
        for name in ("/x0", "/x0", "/x1", "/x1", "/x0"):
            assert str(await peer.asked(name)).startswith(f"0{name},")
            assert await peer.recv() == f"1{name},"
        assert await peer.asked("/x2") == '4/x2,{"message":"too many namespaces"}'
        await peer.settled()


async def test_names_with_control_characters_are_no_namespaces(serve: Serve) -> None:
    import re

    hub, io = echoing()
    io.of(re.compile("^/x"))
    async with serve(hub) as server, connecting(server) as peer:
        assert str(await peer.asked("/x\0room")).startswith("4/x")
        assert str(await peer.asked("/xroom")).startswith("0/x")


async def test_packets_for_a_namespace_that_we_have_ended_are_ignored_until_it_is_joined_again(serve: Serve) -> None:
    hub, io = echoing()
    io.of("/b").on("connection", lambda socket: socket.on("leave", socket.disconnect))
    async with serve(hub) as server, joining(server, "/b") as peer:
        await peer.join()
        await peer.send('2/b,["leave"]', '2/b,["late"]', "3/b,1[]", '51-/b,["late",{"_placeholder":true,"num":0}]', b"")
        assert await peer.recv() == "1/b,"
        await peer.settled()
        await peer.join("/b")
        await peer.send("1/b,", '2/b,["too late"]')
        await peer.ended()


async def test_a_server_on_another_path_is_another_server(serve: Serve) -> None:
    hub = Hub()
    servers = [Server(hub), Server(hub, "/other/")]

    async def joined(peer: Peer) -> None:
        await peer.join()
        (socket,) = servers[1].sockets.sockets.values()
        socket.join("room")

    async with serve(hub) as server, joining(server) as first, connecting(server, "/other/") as second:
        await joined(second)
        for io in servers:
            io.emit("for", io.path)
            io.to("room").emit("for the room of", io.path)
        assert await first.event() == ["for", "/socket.io/"]
        assert await second.event() == ["for", "/other/"]
        assert await second.event() == ["for the room of", "/other/"]
        with anyio.move_on_after(0.05):
            raise AssertionError(await first.recv())
