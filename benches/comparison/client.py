"""A WebSocket client on a blocking socket: enough to check servers, with nothing to install."""

from __future__ import annotations

import os
import socket
from types import TracebackType

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class ProtocolError(Exception):
    """The server did not answer as a WebSocket server should."""


class Client:
    """An open connection. A server that stays silent for `timeout` seconds raises TimeoutError."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.received = b""
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.shake_hands(port)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def shake_hands(self, port: int) -> None:
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self.received:
            self.receive_more()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ProtocolError(f"the handshake is answered with {head.splitlines()[0]!r}")

    def send(self, opcode: int, payload: bytes) -> None:
        """Sends one masked frame."""
        length = len(payload)
        if length < 126:
            header = bytes([0x80 | opcode, 0x80 | length])
        elif length < 1 << 16:
            header = bytes([0x80 | opcode, 0x80 | 126]) + length.to_bytes(2, "big")
        else:
            header = bytes([0x80 | opcode, 0x80 | 127]) + length.to_bytes(8, "big")
        key = os.urandom(4)
        mask = int.from_bytes((key * (length // 4 + 1))[:length], "big")
        masked = (int.from_bytes(payload, "big") ^ mask).to_bytes(length, "big")
        self.socket.sendall(header + key + masked)

    def receive(self) -> tuple[int, bytes]:
        """The next message or control frame: opcode and payload. The server's pings are left out."""
        kind, payload = 0, b""
        while True:
            first, part = self.receive_frame()
            opcode = first & 0x0F
            if opcode == PING:
                continue
            if opcode >= CLOSE:
                return opcode, part
            kind, payload = kind or opcode, payload + part
            if first & 0x80:
                return kind, payload

    def receive_frame(self) -> tuple[int, bytes]:
        first, second = self.take(2)
        if first & 0x70 or second & 0x80:
            raise ProtocolError(f"a frame begins with {first:#x} {second:#x}")
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self.take(2 if length == 126 else 8), "big")
        return first, self.take(length)

    def take(self, length: int) -> bytes:
        while len(self.received) < length:
            self.receive_more()
        taken, self.received = self.received[:length], self.received[length:]
        return taken

    def receive_more(self) -> None:
        part = self.socket.recv(1 << 20)
        if not part:
            raise ProtocolError("the server closes the connection")
        self.received += part
