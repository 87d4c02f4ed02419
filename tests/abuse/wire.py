"""A client that can do everything wrong: raw sockets, raw requests, raw frames."""

from __future__ import annotations

import base64
import socket
import ssl
import struct
import zlib
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = base64.b64encode(b"sixteen bytes!!!").decode()
MASK = b"\x11\x22\x33\x44"

#: The fields of a good upgrade request.
UPGRADE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(target: str = "/", fields: dict[str, str | None] | None = None, first: str | None = None) -> bytes:
    """An upgrade request; a field of ``None`` is left out, ``first`` replaces the request line."""
    lines = [first or f"GET {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**UPGRADE, **(fields or {})}.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: bytes | None = None,
) -> bytes:
    """A client's frame; ``length`` is written instead of the true one: seven bits in a byte, and what extends them."""
    if length is None:
        size = len(payload)
        if size < 126:
            length = bytes([size])
        elif size < 65536:
            length = struct.pack("!BH", 126, size)
        else:
            length = struct.pack("!BQ", 127, size)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if mask is None:
        return head + length + payload
    return head + bytes([length[0] | 0x80]) + length[1:] + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    if not payload:
        return b""
    key = int.from_bytes(mask * (len(payload) // 4 + 1), "big") >> 8 * (4 - len(payload) % 4)
    return (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


#: Asks for permessage-deflate as browsers do.
DEFLATE: dict[str, str | None] = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
#: The first of the reserved bits: the message is compressed.
COMPRESSED = 4


def deflated(data: bytes, level: int = 9) -> bytes:
    """A message's payload (RFC 7692 §7.2.1), that refers to none before it."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack("!H", code) + reason.encode()


class Frame(NamedTuple):
    """What the server sent."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a Close frame."""
        assert self.opcode == CLOSE, self
        return struct.unpack_from("!H", self.payload)[0] if self.payload else 1005


#: Who the server is, is not what these tests are about.
TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname = False
TRUSTING.verify_mode = ssl.CERT_NONE


class Wire:
    """One connection."""

    def __init__(
        self,
        port: int,
        *,
        receive_buffer: int | None = None,
        source: str = "127.0.0.1",
        tls: bool = False,
        polite: bool = False,
    ) -> None:
        #: It answers pings by itself.
        self.polite = polite
        #: The server's compressed messages, once that has been agreed on.
        self._inflater: zlib._Decompress | None = None
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        if source != "127.0.0.1":
            self.socket.bind((source, 0))
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = TRUSTING.wrap_socket(self.socket)
        self._buffer = bytearray()

    def upgrade(self, target: str = "/", fields: dict[str, str | None] | None = None) -> None:
        self.send(request(target, fields))
        self.upgraded()

    def upgraded(self) -> bytes:
        """The head of the 101, which has to come now."""
        head = self.head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        if b"\r\nSec-WebSocket-Extensions: permessage-deflate" in head:
            self._inflater = zlib.decompressobj(wbits=-15)
        return head

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # ---- out

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def text(self, text: str) -> None:
        self.send(frame(TEXT, text.encode()))

    def reset(self) -> None:
        """Ends it with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # ---- in

    def head(self) -> bytes:
        """A response's head."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        head = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        return head

    def receive(self) -> Frame:
        """The next frame; of a compressed message what it says."""
        received = self._receive()
        while self.polite and received.opcode == PING:
            self.send(frame(PONG, received.payload))
            received = self._receive()
        return received

    def _receive(self) -> Frame:
        self._need(2)
        first, size = self._buffer[0], self._buffer[1]
        compressed = first & 0x70 == 0x40 and first & 15 in (TEXT, BINARY) and self._inflater is not None
        assert compressed or first & 0x70 == 0, "the server sets a reserved bit that means nothing"
        assert size < 128, "the server does not mask"
        assert first & 0x80, "the server sends whole messages"
        at = 2
        if size == 126:
            self._need(4)
            (size,), at = struct.unpack_from("!H", self._buffer, 2), 4
        elif size == 127:
            self._need(10)
            (size,), at = struct.unpack_from("!Q", self._buffer, 2), 10
        self._need(at + size)
        payload = bytes(self._buffer[at : at + size])
        del self._buffer[: at + size]
        if compressed and self._inflater is not None:
            payload = self._inflater.decompress(payload + b"\x00\x00\xff\xff")
        return Frame(first & 15, payload)

    def ask(self, text: str) -> str:
        """Sends a text message and gives the next one that comes."""
        self.text(text)
        answer = self.receive()
        assert answer.opcode == TEXT, answer
        return answer.payload.decode()

    def until_close(self) -> Frame:
        """Skips messages and pongs up to the server's Close frame."""
        while True:
            received = self.receive()
            if received.opcode == CLOSE:
                return received

    def rest(self) -> bytes:
        """Everything up to the server's FIN; a reset counts as one."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionError):
            return bytes(self._buffer)

    def _need(self, size: int) -> None:
        while len(self._buffer) < size:
            self._more()

    def _more(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError(f"the server ended the connection; the last bytes were {bytes(self._buffer[-200:])!r}")
        self._buffer += data
