"""Clients that write their packets in MessagePack: the official one, and whoever only pretends."""

from __future__ import annotations

import random
import shutil
from typing import Any

import pytest
from test_socketio_clients import try_official_client

from hubbub import Hub
from hubbub._core import MsgpackDecoder, socketio_encode_msgpack
from hubbub.socketio import Server, Socket
from support.client import Ended
from support.server import Serve, until
from support.socketio import Peer, connecting

pytestmark = pytest.mark.anyio

CONNECT, EVENT = 0, 2


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("transports", ["polling", "websocket", "polling,websocket"])
@pytest.mark.parametrize("client", ["socket.io-client", "socket.io-client-4.0", "socket.io-client-3.1"])
def test_the_official_client_gets_along_with_the_server(
    packages: None, port: int, client: str, transports: str
) -> None:
    try_official_client(port, client, transports, "msgpack", skipped=1 if client == "socket.io-client" else 3)


class Packing:
    """A client whose packets are MessagePack."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.decoder = MsgpackDecoder()

    async def join(self) -> None:
        await self.send(CONNECT, None)
        assert (await self.recv()).type == CONNECT

    async def send(self, type: int, data: Any) -> None:
        await self.peer.send(*socketio_encode_msgpack(type, "/", None, data))

    async def recv(self) -> Any:
        return self.decoder.feed(await self.peer.recv())


async def test_bad_input_ends_its_sender_and_nobody_else(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub, parser="msgpack")
    gone: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("echo", lambda *args: socket.emit("echo", *args))
        socket.on("disconnect", gone.append)

    (good,) = socketio_encode_msgpack(EVENT, "/", None, ["echo", {"a": [1, b"\x00", None]}, "x" * 40])
    dice = random.Random(19)
    table: list[str | bytes] = [
        "text is none",
        b"",
        b"\xc1",
        # An extension that nobody knows, a Date in the year 10000, a key that is no text.
        good[:-42] + b"\xd4\x05\x00",
        *socketio_encode_msgpack(EVENT, "/nowhere", None, ["echo"]),
        *(good[:end] for end in range(1, len(good), 9)),
        *(bytes(dice.randrange(256) for _ in range(dice.randrange(1, 60))) for _ in range(20)),
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 5000,
    ]
    async with serve(hub) as server, connecting(server) as bystander:
        other = Packing(bystander)
        await other.join()
        for number, message in enumerate(table):
            async with connecting(server) as peer:
                packing = Packing(peer)
                await packing.join()
                await peer.client.send("4" + message if isinstance(message, str) else message)
                await peer.ended()
            await until(lambda: len(gone) == number + 1)  # noqa: B023
            await other.send(EVENT, ["echo", number])
            assert (await other.recv()).data == ["echo", number]
        assert io.clients_count == 1
        assert {*gone} <= {"forced close", "forced server close"}, gone


async def test_whatever_bytes_are_turned_around_the_server_goes_on(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub, parser="msgpack")
    io.on("connection", lambda socket: socket.on("echo", lambda *args: socket.emit("echo", *args)))
    (good,) = socketio_encode_msgpack(EVENT, "/", None, ["echo", {"a": [1, b"\x00", None]}, 2.5, "text"])
    dice = random.Random(7)
    async with serve(hub) as server, connecting(server) as bystander:
        other = Packing(bystander)
        await other.join()
        answered = ended = 0
        for _ in range(150):
            message = bytearray(good)
            message[dice.randrange(len(message))] = dice.randrange(256)
            async with connecting(server) as peer:
                packing = Packing(peer)
                await packing.join()
                # What is still an event may have another name: the next one is answered, if the first one was let pass.
                await peer.client.send(bytes(message))
                await peer.client.send(good)
                try:
                    while (await packing.recv()).data != ["echo", {"a": [1, b"\x00", None]}, 2.5, "text"]:
                        pass
                    answered += 1
                except Ended:
                    ended += 1
        assert answered > 20
        assert ended > 20
        await other.send(EVENT, ["echo", 1])
        assert (await other.recv()).data == ["echo", 1]
