"""A client of Socket.IO on a raw WebSocket."""

from __future__ import annotations

import json
from typing import Any

from process import Server
from wire import BINARY, CLOSE, TEXT, Frame, Wire, frame

SOCKET = "/socket.io/?EIO=4&transport=websocket"
#: What a connection is closed with that brings what is no packet, or one that does not belong there.
OFFENDED = 1008


def packets(*written: str | bytes) -> bytes:
    """Packets of Socket.IO and attachments as frames."""
    return b"".join(frame(TEXT, b"4" + one.encode()) if isinstance(one, str) else frame(BINARY, one) for one in written)


class Peer:
    """One connection. What it says are packets of Socket.IO, or frames as they are on its `wire`."""

    def __init__(self, server: Server, *, query: str = "", **options: Any) -> None:
        self.wire: Wire = server.open(SOCKET + query, **options)
        opened = self.wire.receive().payload
        assert opened.startswith(b"0{"), opened
        self.opened: dict[str, Any] = json.loads(opened[1:])
        #: The last word of the server, once it has been said.
        self.last: Frame | None = None

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.socket.close()

    def send(self, *written: str | bytes) -> None:
        """In one write."""
        self.wire.send(packets(*written))

    def recv(self) -> str | bytes:
        """The next packet or attachment; pings are answered."""
        while True:
            opcode, payload = self.wire.receive()
            if opcode == BINARY:
                return payload
            assert opcode == TEXT, (opcode, payload)
            if payload == b"2":
                self.wire.text("3")
            else:
                assert payload.startswith(b"4"), payload
                return payload[1:].decode()

    def join(self, nsp: str = "/", auth: Any = None) -> str:
        """Into a namespace; gives the socket's id."""
        answer = self.asked(nsp, auth)
        start = "0" if nsp == "/" else f"0{nsp},"
        assert answer.startswith(start + "{"), answer
        sid: str = json.loads(answer[len(start) :])["sid"]
        return sid

    def asked(self, nsp: str, auth: Any = None) -> str:
        """What the server says when it is asked for a namespace."""
        written = "" if nsp == "/" else f"{nsp},"
        self.send(f"0{written}{'' if auth is None else json.dumps(auth)}")
        answer = self.recv()
        assert isinstance(answer, str)
        return answer

    def emit(self, *args: Any, ack: int | None = None, nsp: str = "/") -> None:
        written = "2" if nsp == "/" else f"2{nsp},"
        self.send(f"{written}{'' if ack is None else ack}{json.dumps(args)}")

    def event(self) -> list[Any]:
        """The next packet, which is an event of the namespace / without bytes."""
        packet = self.recv()
        assert isinstance(packet, str)
        assert packet.startswith("2["), packet
        args: list[Any] = json.loads(packet[1:])
        return args

    def settled(self) -> None:
        """Everything that was sent before has been handled, and nothing was said of it."""
        self.emit("settle", ack=999)
        assert self.recv() == "3999[]"

    def is_well(self) -> None:
        """It is there, and gets what is sent to everyone."""
        self.emit("tell", "still here")
        assert self.event() == ["told", "still here"]

    def ended(self) -> int:
        """Skips what comes up to the server's Close frame, and the end of the connection; the code."""
        while True:
            received = self.wire.receive()
            if received.opcode == CLOSE:
                # A Close frame is answered; the server has the last word.
                self.wire.send(frame(CLOSE, received.payload))
                assert self.wire.rest() == b""
                return received.code
