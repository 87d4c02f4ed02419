"""An HTTP client that runs on every event loop, on a plain socket: every byte is the test's to decide about."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from support.client import dial

if TYPE_CHECKING:
    from support.server import Server

__all__ = ["Answer", "Visitor", "visiting"]


@dataclass
class Answer:
    """A response; ``whole`` says that its body came to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


class Visitor:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""
        self._ended = False

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._sock.getsockname()[:2]
        return (host, port)

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view[: 1 << 20]) :]
            except BlockingIOError:
                await anyio.wait_writable(self._sock)
            except (BrokenPipeError, ConnectionResetError):
                return

    async def get(self, path: str, headers: str = "") -> Answer:
        await self.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n".encode())
        return await self.response()

    async def post(self, path: str, body: bytes, headers: str = "") -> Answer:
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
        await self.write(head + body)
        return await self.response()

    async def until(self, wanted: bytes) -> bytes | None:
        """Waits for these bytes without taking any; ``None`` if the connection ends before."""
        while wanted not in self._received:
            if not await self._read():
                return None
        return self._received

    async def response(self, *, head_only: bool = False) -> Answer:
        head = await self._take_line(b"\r\n\r\n")
        assert head is not None, "the connection has ended"
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if head_only or status in (100, 204, 304):
            return Answer(status, headers, b"", True)
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, *await self._chunks())
        length = headers.get("content-length")
        body = await self._take(None if length is None else int(length))
        return Answer(status, headers, body, length is None or len(body) == int(length))

    async def ended(self) -> bytes:
        """What comes until the end of the connection."""
        return await self._take(None)

    def finish(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Resets the connection."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        self._sock.close()

    # ---- how

    async def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while (line := await self._take_line(b"\r\n")) is not None:
            size = int(line, 16)
            piece = await self._take(size + 2)
            body += piece[:-2] if len(piece) == size + 2 else piece
            if size == 0:
                return body, True
        return body, False

    async def _take_line(self, end: bytes) -> bytes | None:
        while end not in self._received:
            if not await self._read():
                return None
        line, _, self._received = self._received.partition(end)
        return line

    async def _take(self, size: int | None) -> bytes:
        pieces, have = [self._received], len(self._received)
        self._received = b""
        while size is None or have < size:
            if not await self._read():
                break
            pieces.append(self._received)
            have += len(self._received)
            self._received = b""
        data = b"".join(pieces)
        if size is None:
            return data
        data, self._received = data[:size], data[size:]
        return data

    async def _read(self) -> bool:
        while not self._ended:
            try:
                data = self._sock.recv(1 << 18)
            except BlockingIOError:
                await anyio.wait_readable(self._sock)
                continue
            except ConnectionResetError:
                data = b""
            self._ended = not data
            self._received += data
            return bool(data)
        return False


@asynccontextmanager
async def visiting(server: Server) -> AsyncIterator[Visitor]:
    """A connection for the length of a block."""
    visitor = Visitor(dial(server.address))
    try:
        yield visitor
    finally:
        visitor.close()
