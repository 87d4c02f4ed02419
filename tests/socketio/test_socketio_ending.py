"""How sockets end, and what their handlers are told."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from hubbub import Hub
from hubbub.socketio import Server, Socket
from support.http import visiting
from support.server import Serve, until
from support.socketio import PATH, Peer, connecting, joining

pytestmark = pytest.mark.anyio


def telling(**options: Any) -> tuple[Hub, Server, list[tuple[Any, ...]]]:
    hub = Hub()
    io = Server(hub, **options)
    told: list[tuple[Any, ...]] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.join("room")
        rooms = {socket.id, "room"}

        @socket.on("disconnecting")
        def disconnecting(reason: str, description: Any) -> None:
            told.append(("disconnecting", reason, socket.rooms == rooms, socket.connected))

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            told.append(("disconnect", reason, socket.rooms == rooms, socket.connected))

    return hub, io, told


def ended(reason: str) -> list[tuple[Any, ...]]:
    return [("disconnecting", reason, True, True), ("disconnect", reason, True, False)]


async def leave(peer: Peer) -> None:
    await peer.send("1")


async def close(peer: Peer) -> None:
    await peer.client.close()


async def close_engine(peer: Peer) -> None:
    await peer.client.send("1")


async def reset(peer: Peer) -> None:
    peer.client.abort()


async def no_packet(peer: Peer) -> None:
    await peer.client.send("9")


async def wrong_direction(peer: Peer) -> None:
    await peer.client.send("2")


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (leave, "client namespace disconnect"),
        (close, "transport close"),
        (close_engine, "transport close"),
        (reset, "transport error"),
        (no_packet, "parse error"),
        (wrong_direction, "transport error"),
    ],
)
async def test_handlers_are_told_why_a_client_has_gone(serve: Serve, way: Any, reason: str) -> None:
    hub, io, told = telling()
    async with serve(hub) as server, joining(server) as peer:
        await way(peer)
        await until(lambda: len(told) == 2)
        assert told == ended(reason)
        assert not io.sockets.sockets
        assert not io.adapter.rooms


async def test_a_client_that_does_not_answer_pings_is_given_up(serve: Serve) -> None:
    hub, _, told = telling(ping_interval=0.05, ping_timeout=0.05)
    async with serve(hub) as server, joining(server) as peer:
        await until(lambda: len(told) == 2)
        assert told == ended("ping timeout")
        assert peer.opened["pingInterval"] == 50


async def test_a_server_that_stops_says_so(serve: Serve) -> None:
    hub, io, told = telling()
    async with serve(hub) as server, joining(server) as peer:
        io.close()
        await peer.ended()
        assert told == ended("server shutting down")


async def test_a_hub_that_stops_tells_its_sockets(serve: Serve) -> None:
    hub, _, told = telling()
    async with anyio.create_task_group() as tasks:
        async with serve(hub) as server:
            sock = joining(server)
            peer = await sock.__aenter__()
            tasks.start_soon(peer.ended)
        await sock.__aexit__(None, None, None)
    assert told == ended("server shutting down")


@pytest.mark.parametrize("whole", [False, True])
async def test_the_server_may_end_a_socket_or_its_connection(serve: Serve, whole: bool) -> None:
    hub, io, told = telling()
    other = io.of("/other")
    async with serve(hub) as server, joining(server) as peer:
        await peer.join("/other")
        (socket,) = io.sockets.sockets.values()
        socket.disconnect(whole)
        socket.disconnect(whole)
        assert told == ended("server namespace disconnect")
        assert await peer.recv() == "1"
        if whole:
            assert await peer.recv() == "1/other,"
            await peer.ended()
            assert not other.sockets
        else:
            assert len(other.sockets) == 1


async def test_polls_end_as_well(serve: Serve) -> None:
    hub, io, told = telling()
    query = f"{PATH}?EIO=4&transport=polling"
    async with serve(hub) as server, visiting(server) as visitor:
        sid = (await visitor.get(query)).body.decode().split('"sid":"')[1].split('"')[0]
        assert (await visitor.post(f"{query}&sid={sid}", b"40")).body == b"ok"
        assert (await visitor.get(f"{query}&sid={sid}")).body.startswith(b'40{"sid":"')
        io.emit("event", b"\1", b"\2")
        packet = b'452-["event",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]\x1ebAQ==\x1ebAg=='
        assert (await visitor.get(f"{query}&sid={sid}")).body == packet
        io.disconnect_sockets(close=True)
        assert told == ended("server namespace disconnect")
        assert (await visitor.get(f"{query}&sid={sid}")).body == b"41"
        assert (await visitor.get(f"{query}&sid={sid}")).body == b"1"


async def test_what_is_volatile_is_left_out_for_a_client_that_does_not_read(serve: Serve) -> None:
    hub, io, _ = telling()
    async with serve(hub) as server, joining(server, receive_buffer=4096) as peer, joining(server) as other:
        socket = io.sockets.sockets[peer.sid]
        while socket.conn.buffered_amount == 0:
            socket.emit("filling", "x" * 50_000)
            # When this has arrived, the network has written what it could of that.
            io.sockets.sockets[other.sid].emit("turn")
            assert await other.event() == ["turn"]
        for number in range(3):
            socket.volatile.emit("volatile", number)
            await io.volatile.emit("volatile", number)
            assert await other.event() == ["volatile", number]
        # The broadcasts count once per member that did not get them.
        await until(lambda: hub.stats()["volatile_dropped"] == 6)
        assert hub.stats()["dropped"] == 3
        socket.emit("behind it all")
        while (event := await peer.event())[0] == "filling":
            pass
        assert event == ["behind it all"]


async def test_the_msgpack_parser_speaks_to_clients_that_have_it(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub, parser="msgpack")

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("echo", lambda *args: socket.emit("echo", *args))

    # {"type":0,"nsp":"/"}, and {"type":2,"nsp":"/","data":["echo",b"\1"]} as the parser for JavaScript writes them.
    connect = b"\x82\xa4type\x00\xa3nsp\xa1/"
    event = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa4echo\xc4\x01\x01"
    async with serve(hub) as server, connecting(server) as peer:
        await peer.send(connect)
        assert bytes(await peer.recv()).startswith(b"\x83\xa4type\x00")  # type: ignore[arg-type]
        await peer.send(event)
        answer = await peer.recv()
        assert isinstance(answer, bytes)
        assert answer.endswith(b"\x92\xa4echo\xc4\x01\x01")
        await peer.send("no MessagePack")
        await peer.ended()
    with pytest.raises(ValueError, match="parser"):
        Server(parser="yaml")  # type: ignore[arg-type]
