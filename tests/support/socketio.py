"""A client of Socket.IO whose every packet the test decides about, on one WebSocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.client import Client
from support.server import Server

__all__ = ["PATH", "Peer", "connecting", "joining"]

PATH = "/socket.io/"


class Peer:
    """One Engine.IO client. What it sends and receives are packets of Socket.IO, and attachments."""

    def __init__(self, client: Client, opened: dict[str, Any]) -> None:
        self.client = client
        self.opened = opened
        self.sid = ""
        self.pid: str | None = None

    async def send(self, *packets: str | bytes) -> None:
        for packet in packets:
            await self.client.send("4" + packet if isinstance(packet, str) else packet)

    async def recv(self) -> str | bytes:
        """The next packet or attachment; pings are answered."""
        while True:
            message = await self.client.recv()
            if isinstance(message, bytes):
                return message
            if message == "2":
                await self.client.send("3")
            else:
                assert message.startswith("4"), message
                return message[1:]

    async def event(self, nsp: str = "/") -> list[Any]:
        """The next packet, which is an event without bytes in this namespace."""
        packet = await self.recv()
        prefix = "2" if nsp == "/" else f"2{nsp},"
        assert isinstance(packet, str)
        assert packet.startswith(prefix), packet
        return list(json.loads(packet[len(prefix) :].lstrip("0123456789")))

    async def emit(self, *args: Any, nsp: str = "/", ack: int | None = None) -> None:
        """Sends an event without bytes."""
        prefix = "2" if nsp == "/" else f"2{nsp},"
        await self.send(f"{prefix}{'' if ack is None else ack}{json.dumps(args)}")

    async def join(self, nsp: str = "/", auth: Any = None) -> dict[str, Any]:
        """Into a namespace: what CONNECT has brought."""
        written = "" if nsp == "/" else f"{nsp},"
        await self.send(f"0{written}{'' if auth is None else json.dumps(auth)}")
        answer = await self.recv()
        assert isinstance(answer, str)
        assert answer.startswith(f"0{written}"), answer
        data = dict(json.loads(answer[1 + len(written) :]))
        self.sid, self.pid = data["sid"], data.get("pid")
        return data

    async def asked(self, nsp: str, auth: Any = None) -> str | bytes:
        """What the server says when it is asked for a namespace."""
        await self.send(f"0{nsp},{'' if auth is None else json.dumps(auth)}")
        return await self.recv()

    async def settled(self, nsp: str = "/") -> None:
        """Everything sent before has been handled: the server's `settle` handler answers behind it."""
        await self.emit("settle", nsp=nsp, ack=999)
        written = "3" if nsp == "/" else f"3{nsp},"
        assert await self.recv() == f"{written}999[]"

    async def ended(self) -> tuple[int, str]:
        return await self.client.ended()


@asynccontextmanager
async def connecting(server: Server, path: str = PATH, query: str = "", **options: Any) -> AsyncIterator[Peer]:
    """A client that is in no namespace yet."""
    target = f"{path}?EIO=4&transport=websocket{query}"
    async with server.connect(target, **options) as client:
        opened = await client.recv()
        assert isinstance(opened, str)
        assert opened.startswith("0{"), opened
        yield Peer(client, json.loads(opened[1:]))


@asynccontextmanager
async def joining(server: Server, nsp: str = "/", auth: Any = None, **options: Any) -> AsyncIterator[Peer]:
    """A client in a namespace."""
    async with connecting(server, **options) as peer:
        await peer.join(nsp, auth)
        yield peer
