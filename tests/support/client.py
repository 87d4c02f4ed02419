"""A WebSocket client that runs on every event loop: the protocol is that of `websockets`, the I/O is a plain socket."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

__all__ = ["Client", "Ended", "Refused", "connect", "dial"]


class Ended(Exception):
    """The connection has ended: `code` and `reason` are those of the server's Close frame, or 1006."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The server has answered with something else than 101."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code, bytes(response.body or b""))
        self.status = response.status_code
        self.headers = response.headers
        self.body = bytes(response.body or b"")


class Client:
    """One connection. It reads only while something is awaited: until then it does not even answer pings."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        self.sock = sock
        self.protocol = protocol
        self.pongs: list[bytes] = []
        self.pings: list[bytes] = []
        self.response: Response | None = None
        self._messages: deque[str | bytes] = deque()

    @property
    def subprotocol(self) -> str | None:
        return self.protocol.subprotocol

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.sock.getsockname()[:2]
        return (host, port)

    async def send(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.protocol.send_text(data.encode())
        else:
            self.protocol.send_binary(data)
        await self._flush()

    async def ping(self, data: bytes = b"") -> None:
        self.protocol.send_ping(data)
        await self._flush()

    async def recv(self) -> str | bytes:
        while not self._messages:
            await self._pump()
        return self._messages.popleft()

    async def recv_pong(self) -> bytes:
        while not self.pongs:
            await self._pump()
        return self.pongs.pop(0)

    async def ended(self) -> tuple[int, str]:
        """Waits for the end of the connection: code and reason of the server's Close frame, or 1006."""
        try:
            while True:
                await self._pump()
        except Ended as ended:
            return ended.code, ended.reason

    async def close(self, code: int | None = 1000, reason: str = "") -> tuple[int, str]:
        """Sends a Close frame (`None`: without a code), and waits for the server's answer."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, reason)
            await self._flush()
        return await self.ended()

    def abort(self) -> None:
        """Resets the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    async def write(self, data: bytes) -> None:
        """Sends bytes as they are."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(self.sock)
            except (BrokenPipeError, ConnectionResetError):
                return

    async def read(self) -> bytes:
        """Some bytes as they are; none at the end."""
        while True:
            try:
                return self.sock.recv(65536)
            except BlockingIOError:
                await anyio.wait_readable(self.sock)
            except ConnectionResetError:
                return b""

    # ---- how

    async def open(self, headers: Mapping[str, str]) -> None:
        request = self.protocol.connect()
        request.headers.update(headers)
        self.protocol.send_request(request)
        await self._flush()
        self.protocol.receive_data(await self._read_head())
        while self.protocol.state is State.CONNECTING and self.protocol.handshake_exc is None:
            await self._feed()
        self._take_events()
        if isinstance(self.protocol.handshake_exc, InvalidStatus):
            raise Refused(self.protocol.handshake_exc.response)
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc

    async def _read_head(self) -> bytes:
        """The head of the answer and not a byte of what follows it."""
        while True:
            await anyio.wait_readable(self.sock)
            peeked = self.sock.recv(65536, socket.MSG_PEEK)
            end = peeked.find(b"\r\n\r\n")
            if end >= 0 or not peeked:
                return self.sock.recv(end + 4) if peeked else b""

    async def _pump(self) -> None:
        if self.protocol.state is State.CLOSED:
            raise Ended(self.protocol.close_code or 1006, self.protocol.close_reason or "")
        await self._feed()

    async def _feed(self) -> None:
        data = await self.read()
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        await self._flush()
        self._take_events()

    def _take_events(self) -> None:
        for event in self.protocol.events_received():
            self._take(event)

    def _take(self, event: object) -> None:
        if isinstance(event, Response):
            self.response = event
        elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            assert event.fin
            self._messages.append(bytes(event.data).decode())
        elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
            assert event.fin
            self._messages.append(bytes(event.data))
        elif isinstance(event, Frame) and event.opcode is Opcode.PONG:
            self.pongs.append(bytes(event.data))
        elif isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings.append(bytes(event.data))

    async def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                await self.write(data)
            else:
                try:
                    self.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    return


def dial(address: tuple[object, ...], *, receive_buffer: int | None = None) -> socket.socket:
    """A connected socket that does not block. `address` is one of `Listening.addresses`."""
    unix = address[0] == "unix"
    host = str(address[1])
    sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(host if unix else (host, int(str(address[2]))))
        if not unix:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        # A reset that comes with the connection makes connect() fail.
        sock.close()
        raise
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def connect(
    address: tuple[object, ...],
    path: str = "/",
    *,
    headers: Mapping[str, str] = {},
    subprotocols: Sequence[str] = (),
    origin: str | None = None,
    receive_buffer: int | None = None,
) -> AsyncIterator[Client]:
    """An open connection; the socket is closed at the end of the block, without a Close frame.

    Raises:
        Refused: the server has answered with something else than 101.
    """
    sock = dial(address, receive_buffer=receive_buffer)
    try:
        uri = parse_uri("ws://test" + path)
        protocol = ClientProtocol(uri, origin=origin, subprotocols=list(subprotocols) or None, max_size=None)
        client = Client(sock, protocol)
        await client.open(headers)
        yield client
    finally:
        sock.close()
