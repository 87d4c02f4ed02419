"""HTTP on a raw connection, and a client of Engine.IO by polls."""

from __future__ import annotations

import json
import re
from typing import Any

from process import Server
from wire import Wire

ENGINE = "/socket.io/?EIO=4&transport=polling"
SEPARATOR = "\x1e"


def get(target: str, *fields: str, host: str = "localhost") -> bytes:
    return _request(f"GET {target} HTTP/1.1", f"Host: {host}", *fields)


def post(target: str, body: bytes, *fields: str, host: str = "localhost") -> bytes:
    return _request(f"POST {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *fields) + body


def _request(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(wire: Wire) -> tuple[int, bytes]:
    """A whole response: its status and content."""
    head, content = answered(wire)
    return int(head.split(b" ", 2)[1]), content


def answered(wire: Wire) -> tuple[bytes, bytes]:
    """A whole response: its head and content."""
    head = wire.head()
    length = re.search(rb"Content-Length: (\d+)", head)
    if length is None:
        assert head.startswith(b"HTTP/1.1 204 "), head
        return head, b""
    size = int(length[1])
    wire._need(size)
    content = bytes(wire._buffer[:size])
    del wire._buffer[:size]
    return head, content


def statuses(everything: bytes) -> list[int]:
    """Of all the responses that these bytes begin with or hold."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", everything)]


class Polls:
    """One Engine.IO session: its handshake, polls and posts, on a connection or on several."""

    def __init__(self, server: Server, query: str = "") -> None:
        self.server = server
        self.wire = server.wire()
        self.wire.send(get(ENGINE + query))
        status, content = answer(self.wire)
        assert (status, content[:1]) == (200, b"0"), content
        self.opened: dict[str, Any] = json.loads(content[1:])
        self.sid: str = self.opened["sid"]
        self.target = f"{ENGINE}&sid={self.sid}"

    def __enter__(self) -> Polls:
        return self

    def __exit__(self, *_: object) -> None:
        """The session does not end with its connections."""
        self.wire.socket.close()
        with self.server.wire() as wire:
            wire.send(post(self.target, b"1"))
            answer(wire)

    def say(self, *packets: str) -> tuple[int, bytes]:
        """What a POST of these packets is answered with."""
        return self.post(SEPARATOR.join(packets).encode())

    def post(self, body: bytes, *fields: str) -> tuple[int, bytes]:
        self.wire.send(post(self.target, body, *fields))
        return answer(self.wire)

    def poll(self) -> list[str]:
        self.wire.send(get(self.target))
        status, content = answer(self.wire)
        assert status == 200, (status, content)
        return content.decode().split(SEPARATOR)

    def heard(self, count: int) -> list[str]:
        """So many messages, polling until they have come; pings are answered."""
        messages: list[str] = []
        while len(messages) < count:
            for packet in self.poll():
                if packet == "2":
                    assert self.say("3") == (200, b"ok")
                elif packet != "6":
                    messages.append(packet)
        return messages

    def join(self) -> str:
        """Into the namespace /; gives the socket's id."""
        assert self.say("40") == (200, b"ok")
        (packet,) = self.heard(1)
        self.id: str = json.loads(packet[2:])["sid"]
        return self.id

    def is_there(self) -> bool:
        """The program has the socket that it has joined as."""
        return self.id in self.server.report()["socketio"]["ids"]
