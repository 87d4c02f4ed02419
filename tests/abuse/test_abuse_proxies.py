"""Headers that a proxy should write, and somebody else does (row 6), and addresses that come in crowds (row 13)."""

from __future__ import annotations

import contextlib
import itertools
import json
import random

import pytest
from process import Serve, Server, eventually, expect_no_growth
from wire import request

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

BAD = {
    "http": request("/"),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "zeroes": bytes(5000),
    "line without an end": b"PROXY TCP4 " + b"1" * 5000,
    "line of spaces": b"PROXY" + b" " * 5000,
    "line with a NUL": b"PROXY TCP4 192.0.2.1\0 198.51.100.7 4711 443\r\n",
    "line feed alone": LINE.replace(b"\r", b""),
    "port too large": LINE.replace(b"4711", b"70000"),
    "addresses of two families": LINE.replace(b"192.0.2.1", b"::1"),
    "version 1 in binary": SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
    "unknown command": SIGNATURE + b"\x2a\x11\0\x0c" + bytes(12),
    "unknown family": SIGNATURE + b"\x21\xf1\0\x0c" + bytes(12),
    "datagrams": SIGNATURE + b"\x21\x12\0\x0c" + bytes(12),
    "addresses cut off": SIGNATURE + b"\x21\x21\0\x0c" + bytes(12),
    "64 KiB": SIGNATURE + b"\x21\x11\xff\xff" + bytes(65535),
    "signature twice": SIGNATURE * 2,
}


@pytest.fixture
def proxied(serve: Serve) -> Server:
    return serve("--trusted-proxy", "127.0.0.1", "--proxy-protocol")


def stats(server: Server, header: bytes = LINE, fields: dict[str, str | None] | None = None) -> dict[str, int]:
    """The figures, asked for by way of the proxy."""
    with server.wire() as wire:
        wire.send(header)
        wire.upgrade("/", fields)
        figures: dict[str, int] = json.loads(wire.ask("!report"))["stats"]
        return figures


def test_row_06_bad_proxy_headers_are_closed_without_an_answer(proxied: Server) -> None:
    for count, (name, data) in enumerate(BAD.items(), 1):
        with proxied.wire() as wire:
            # It may have seen enough before it has all of it.
            with contextlib.suppress(ConnectionError):
                wire.send(data)
            assert wire.rest() == b"", name
        assert stats(proxied)["proxy_refused"] == count, name
    figures = stats(proxied)
    assert (figures["refused"], figures["panics"]) == (0, 0)


def test_row_06_a_good_header_may_come_byte_by_byte_and_random_ones_do_no_harm(proxied: Server) -> None:
    with proxied.wire() as wire:
        for at in range(len(LINE)):
            wire.send(LINE[at : at + 1])
        wire.upgrade("/")
        assert wire.ask("hello") == "hello"
    random.seed(7)
    for _ in range(200):
        start = random.choice(
            [b"PROXY ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21", SIGNATURE + b"\x21\x11\0\x0c"]
        )
        with proxied.wire() as wire:
            try:
                wire.send(start + random.randbytes(random.randrange(60)))
            except ConnectionError:
                continue
    # The unfinished ones go with their clients, long before their deadline.
    assert eventually(lambda: stats(proxied)["connections"] == 1)
    assert stats(proxied)["panics"] == 0


def test_row_13_a_crowd_of_addresses_leaves_nothing_behind(serve: Serve) -> None:
    server = serve("--trusted-proxy", "127.0.0.1", max_sessions_per_address=1)
    reporters = itertools.count()

    def figures() -> dict[str, int]:
        # Each time from another address: the one before may not have gone yet.
        return stats(server, b"", {"X-Forwarded-For": f"2001:db8:0:{next(reporters):x}::1"})

    def crowd(start: int) -> None:
        for n in range(start, start + 2000):
            with server.wire() as wire:
                wire.upgrade("/", {"X-Forwarded-For": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"})
        assert eventually(lambda: figures()["connections"] == 1)

    starts = itertools.count(0, 2000)
    crowd(next(starts))
    expect_no_growth(server, lambda: crowd(next(starts)), 2000 * 100)
    # Every one of them may come again.
    crowd(0)
    assert figures()["address_refused"] == 0
    server.is_well()
