"""Whether a server does what a scenario counts on. What has not been seen to work is not measured."""

from __future__ import annotations

import socket
from collections.abc import Callable

from comparison.client import BINARY, PING, PONG, TEXT, Client, ProtocolError

PONG_SECONDS = 2


class Wrong(Exception):
    """The server does something else; says what."""


def check(mode: str, port: int) -> None:
    """Raises `Wrong` unless the server on `port` behaves as its mode says."""
    checks: dict[str, Callable[[int], None]] = {"raw": raw, "echo": echo, "broadcast": broadcast, "block": block}
    try:
        checks[mode](port)
    except TimeoutError:
        raise Wrong(f"{mode}: no answer within 10 s") from None
    except (ProtocolError, OSError) as error:
        raise Wrong(f"{mode}: {error}") from None


def raw(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"hello")
        if client.recv(100) != b"hello":
            raise Wrong("raw: the bytes do not come back")


def echo(port: int) -> None:
    with Client(port) as client:
        for opcode, payload in [
            (TEXT, b"a" * 64),
            (BINARY, bytes(range(256))),
            (TEXT, "größe ".encode() * 100),
            (TEXT, b"b" * (16 << 10)),
            (TEXT, b"c" * (1 << 20)),
        ]:
            client.send(opcode, payload)
            expect(client, opcode, payload, "echo")


def broadcast(port: int) -> None:
    with Client(port) as first, Client(port) as second, Client(port) as third:
        members = [first, second, third]
        # Who is a member already cannot be seen from outside, so everyone speaks until it hears itself.
        for number, member in enumerate(members):
            member.send(TEXT, b"here %d" % number)
            while member.receive() != (TEXT, b"here %d" % number):
                pass
        first.send(TEXT, b"everyone is here")
        for member in members:
            while member.receive() != (TEXT, b"everyone is here"):
                pass
        first.send(TEXT, b"a" * 64)
        first.send(TEXT, b"b" * 64)
        for member in members:
            expect(member, TEXT, b"a" * 64, "broadcast")
            expect(member, TEXT, b"b" * 64, "broadcast")


def block(port: int) -> None:
    with Client(port) as client:
        client.send(TEXT, b"0.01")
        expect(client, TEXT, b"0.01", "block")
        client.socket.settimeout(PONG_SECONDS)
        client.send(PING, b"?")
        try:
            expect(client, PONG, b"?", "block")
        except TimeoutError:
            raise Wrong("block: it does not answer pings") from None


def expect(client: Client, opcode: int, payload: bytes, mode: str) -> None:
    got_opcode, got = client.receive()
    if (got_opcode, got) != (opcode, payload):
        raise Wrong(
            f"{mode}: opcode {got_opcode} with {len(got)} bytes ({got[:20]!r}) instead of {opcode} with {len(payload)}"
        )
