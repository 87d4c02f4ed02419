"""Requests that are too large, malformed, or mean something else than they seem (rows 1-14, F15-F18)."""

from __future__ import annotations

import re

import pytest
from process import Server, eventually
from wire import KEY, UPGRADE, request

CANARY = b"GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n"


def answer(server: Server, raw: bytes) -> tuple[int, bytes]:
    """The status and the whole answer to these bytes; the server has to end the connection itself."""
    with server.wire() as wire:
        wire.send(raw)
        everything = wire.rest()
    assert len(re.findall(rb"HTTP/1\.1 \d", everything)) == 1, f"one answer and no more: {everything!r}"
    return int(everything.split(b" ", 2)[1]), everything


def test_row_01_a_head_of_the_largest_size_may_come_byte_by_byte(server: Server) -> None:
    bare = len(request("/", {"X-Filler": ""}))
    raw = request("/", {"X-Filler": "f" * ((16 << 10) - bare)})
    assert len(raw) == 16 << 10
    before = server.cpu()
    with server.wire() as wire:
        for at in range(len(raw)):
            wire.send(raw[at : at + 1])
        assert wire.head().startswith(b"HTTP/1.1 101 ")
    spent = server.cpu() - before
    print(f"16384 writes of one byte: {spent * 1000:.0f} ms of processor time")
    assert spent < 2


def test_row_01_one_byte_more_is_answered_with_431(server: Server) -> None:
    status, _ = answer(server, request("/", {"X-Filler": "f" * (16 << 10)}))
    assert status == 431


def test_row_01_twenty_megabytes_of_head_are_not_read(server: Server) -> None:
    before = server.cpu()
    with server.wire() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Filler: ")
        try:
            for _ in range(20):
                wire.send(b"f" * (1 << 20))
        except (ConnectionError, TimeoutError):
            pass  # it may well have had enough
        assert wire.rest().startswith(b"HTTP/1.1 431 ")
    assert server.cpu() - before < 0.5


@pytest.mark.parametrize("lines", [101, 2001, 10_000])
def test_row_02_too_many_fields_are_refused_and_none_is_dropped(server: Server, lines: int) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items() if name != "Upgrade")
    fillers = "a: b\r\n" * (lines - len(UPGRADE))
    raw = f"GET / HTTP/1.1\r\n{fields}{fillers}Upgrade: websocket\r\n\r\n".encode()
    assert answer(server, raw)[0] == 431
    server.is_well()


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/", {"Content-Length": str(len(CANARY))}, 400),
        ("/", {"Transfer-Encoding": "chunked"}, 400),
        ("/recv", {"Content-Length": str(len(CANARY))}, 400),
        ("/", {"Sec-WebSocket-Version": "8"}, 426),
        ("/", {"Sec-WebSocket-Key": "short"}, 400),
        ("/", {"Upgrade": "h2c"}, 426),
        ("/page", {}, 200),
        ("/page", {"Upgrade": None, "Connection": "close"}, 200),
        ("/page", {"Upgrade": None, "Connection": None, "Content-Length": str(len(CANARY))}, 413),
    ],
)
def test_row_04_what_follows_a_refused_upgrade_is_never_a_request(
    server: Server, target: str, fields: dict[str, str | None], status: int
) -> None:
    assert answer(server, request(target, fields) + CANARY)[0] == status
    assert "canary" not in server.report()["seen"]


def test_row_04_the_canary_sings_when_it_is_asked(io_threads: int) -> None:
    with Server(io_threads, {}, ("--ask",)) as server:
        assert answer(server, request("/canary", {"Upgrade": None, "Connection": "close"}))[0] == 200
        assert server.report()["seen"]["canary"] == 1


@pytest.mark.parametrize(
    ("connection", "status"),
    [
        ("keep-alive, Upgrade", 101),
        ("UPGRADE", 101),
        ("close,,upgrade , x", 101),
        ("notupgrade", 426),
        ("upgradex", 426),
        ("up grade", 426),
        ("keep-alive", 426),
    ],
)
def test_row_05_connection_is_a_list_of_tokens(server: Server, connection: str, status: int) -> None:
    with server.wire() as wire:
        wire.send(request("/", {"Connection": connection}))
        assert wire.head().startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("value", [", " * 4000, '"' * 8000, ";" * 8000, "=" * 8000, " " * 8000 + "x y", "x;" * 4000])
@pytest.mark.parametrize("name", ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"])
def test_row_08_long_lists_of_nothing_cost_little(server: Server, name: str, value: str) -> None:
    before = server.cpu()
    with server.wire() as wire:
        wire.send(request("/", {name: value}))
        assert wire.head().split()[1] in (b"101", b"400")
    assert server.cpu() - before < 0.2


@pytest.mark.parametrize("offer", ["__proto__", "constructor; toString", "permessage-deflate; __proto__=1"])
def test_row_08_unknown_extensions_are_ignored(server: Server, offer: str) -> None:
    with server.wire() as wire:
        wire.send(request("/", {"Sec-WebSocket-Extensions": offer}))
        head = wire.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Extensions" not in head


def test_row_09_a_reset_at_any_moment_of_the_handshake_is_survived(server: Server) -> None:
    good, bad = request("/"), request("/", {"Sec-WebSocket-Key": "bad"})
    moments = [b"", b"G", good[:20], good[:-2], good[:-1], good, bad, bad + b"more"]
    server.is_well()
    before = server.descriptors()
    for _ in range(50):
        for sent in moments:
            wire = server.wire()
            wire.send(sent)
            wire.reset()
    assert eventually(lambda: server.descriptors() <= before), f"{before} -> {server.descriptors()}"
    server.is_well()
    assert "Traceback" not in server.text()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("EIO=4&EIO=3", 101),
        ("transport[]=x", 101),
        ("%", 101),
        ("%ff=%fe&%zz=%", 101),
        ("&&&===&&&", 101),
        ("a=1&" * 2000, 101),
        ("q" * 100_000, 414),
    ],
)
def test_row_10_any_query_can_be_read(server: Server, query: str, status: int) -> None:
    with server.wire() as wire:
        wire.send(request(f"/?{query}"))
        assert wire.head().startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("raw", "logged"),
    [
        (request("/a%0d%0aINFO%20forged"), "/a%0d%0aINFO%20forged"),
        (request("/page/\x1b[31mred"), "/page/%1B[31mred"),
        (request("/b\xe9\x9f"), "/b%E9%9F"),
        (b"GET /\x1b]0;title\x07 HTTP/1.1\r\nHost: x\r\n\r\n", "%1B]0;title%07"),
        (b"\x1b[2J\x00\xff\r\n\r\n", "%1B[2J%00%FF"),
    ],
)
def test_row_11_the_access_log_holds_no_control_characters(access_logged: Server, raw: bytes, logged: str) -> None:
    with access_logged.wire() as wire:
        wire.send(raw)
        assert wire.head()
    access_logged.wait_for_log(re.escape(logged))
    assert not any(char < " " or "\x7f" <= char < "\xa0" for line in access_logged.log for char in line)


@pytest.fixture(scope="module")
def access_logged(io_threads: int):
    with Server(io_threads, {}, ("--access-log",)) as server:
        yield server


@pytest.mark.parametrize("path", ["/inject-field", "/inject-name", "/inject-101", "/inject-subprotocol"])
@pytest.mark.parametrize("value", ["x%0d%0aX-Evil:%201", "x%0aX-Evil:%201", "x%00", "x%1b", "%7f"])
def test_row_11_nothing_the_program_says_can_split_the_answer(server: Server, path: str, value: str) -> None:
    status, everything = answer(server, request(f"{path}?value={value}"))
    assert status == 500
    assert b"X-Evil" not in everything
    assert b"\x00" not in everything
    server.wait_for_log(r"ValueError: .*control characters")


def test_row_14_pipelined_requests_pile_up_nowhere(server: Server) -> None:
    before = server.memory()
    with server.wire() as wire:
        page = request("/page", {"Upgrade": None, "Connection": "keep-alive"})
        wire.socket.settimeout(1)
        # Nobody reads the answers: it takes no further request, and the kernel no further byte.
        with pytest.raises(TimeoutError):
            wire.send(page * ((64 << 20) // len(page)))
        grown = server.memory() - before
        wire.reset()
    assert grown < 4 << 20, f"{grown} bytes more"
    server.is_well()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"l" * (64 << 10) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"l" * (16 << 10) + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: bbbbbbbbbbb\r\n" * 1100, 431),
        (b"A" * (10 << 20), 414),
    ],
)
def test_F15_too_large_is_said_before_it_is_read(server: Server, raw: bytes, status: int) -> None:
    before = server.memory()
    with server.wire() as wire:
        wire.send(raw[: 80 << 10])
        # handshake_timeout would answer with 408.
        assert wire.head().startswith(f"HTTP/1.1 {status} ".encode())
    assert server.memory() - before < 1 << 20


@pytest.mark.parametrize("pieces", [1, 10_000])
def test_F16_ten_thousand_field_lines_are_refused_cheaply(server: Server, pieces: int) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 10_000
    size = -(-len(raw) // pieces)
    before = server.cpu()
    with server.wire() as wire:
        try:
            for at in range(0, len(raw), size):
                wire.send(raw[at : at + size])
        except (ConnectionError, TimeoutError):
            pass
        assert wire.rest().startswith(b"HTTP/1.1 431 ")
    assert server.cpu() - before < 1


def get(*lines: str, first: str = "GET / HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


HOST = "Host: localhost"

#: Requests that two programs may read differently, and what is answered.
SMUGGLING: list[tuple[str, bytes, int]] = [
    ("two lengths", get(HOST, "Content-Length: 5", "Content-Length: 6"), 400),
    ("two equal lengths", get(HOST, "Content-Length: 5", "Content-Length: 5"), 400),
    ("a list of lengths", get(HOST, "Content-Length: 5, 5"), 400),
    ("a signed length", get(HOST, "Content-Length: +5"), 400),
    ("a negative length", get(HOST, "Content-Length: -5"), 400),
    ("a hexadecimal length", get(HOST, "Content-Length: 0x5"), 400),
    ("an empty length", get(HOST, "Content-Length:"), 400),
    ("a length in words", get(HOST, "Content-Length: five"), 400),
    ("a length beyond 64 bits", get(HOST, "Content-Length: 18446744073709551616"), 400),
    ("a length and chunks", get(HOST, "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    ("chunked twice", get(HOST, "Transfer-Encoding: chunked, chunked"), 400),
    ("chunked not last", get(HOST, "Transfer-Encoding: chunked, gzip"), 400),
    ("another coding", get(HOST, "Transfer-Encoding: gzip, chunked"), 501),
    ("an unknown coding", get(HOST, "Transfer-Encoding: xchunked"), 400),
    ("an empty coding", get(HOST, "Transfer-Encoding:"), 400),
    ("chunks in HTTP/1.0", get(HOST, "Transfer-Encoding: chunked", first="GET / HTTP/1.0"), 400),
    ("a folded line", get(HOST, "A: b", " folded"), 400),
    ("a folded first line", get(" folded", HOST), 400),
    ("space before the colon", get(HOST, "Content-Length : 5"), 400),
    ("no colon", get(HOST, "nothing"), 400),
    ("no name", get(HOST, ": value"), 400),
    ("a name that is no token", get(HOST, "a(b): c"), 400),
    ("NUL in a value", get(HOST, "A: b\0c"), 400),
    ("NUL in a name", get(HOST, "A\0: b"), 400),
    ("a bare CR in a value", get(HOST, "A: b\rContent-Length: 5"), 400),
    ("a bare LF", b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    ("one bare LF", b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\n\r\n", 400),
    ("control character in a value", get(HOST, "A: b\x01c"), 400),
    ("no host", get("A: b"), 400),
    ("two hosts", get(HOST, HOST), 400),
    ("the greeting of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("HTTP/2.0", get(HOST, first="GET / HTTP/2.0"), 505),
    ("HTTP/1.2", get(HOST, first="GET / HTTP/1.2"), 505),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("two spaces", get(HOST, first="GET  / HTTP/1.1"), 400),
    ("a tab", get(HOST, first="GET\t/ HTTP/1.1"), 400),
    ("a space in the target", get(HOST, first="GET /a b HTTP/1.1"), 400),
    ("a method that is no token", get(HOST, first="G@T / HTTP/1.1"), 400),
    ("a relative target", get(HOST, first="GET canary HTTP/1.1"), 400),
    ("an absolute target with a user", get(HOST, first="GET http://a@b/canary HTTP/1.1"), 400),
    ("another scheme", get(HOST, first="GET ftp://b/canary HTTP/1.1"), 400),
    ("two empty lines first", b"\r\n\r\n" + get(HOST), 400),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
]


@pytest.mark.parametrize(("raw", "status"), [case[1:] for case in SMUGGLING], ids=[case[0] for case in SMUGGLING])
def test_F17_an_ambiguous_request_is_refused_and_ends_the_connection(server: Server, raw: bytes, status: int) -> None:
    got, everything = answer(server, raw + CANARY)
    assert got == status, everything
    assert "canary" not in server.report()["seen"]


UPGRADES: list[tuple[str, bytes, int]] = [
    ("POST", request(first="POST / HTTP/1.1"), 405),
    ("lower case method", request(first="get / HTTP/1.1"), 405),
    ("HTTP/1.0", request(first="GET / HTTP/1.0"), 400),
    ("two keys", request().replace(b"\r\n\r\n", f"\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode()), 400),
    ("a key of 15 bytes", request("/", {"Sec-WebSocket-Key": "MTIzNDU2Nzg5MDEyMzQ1"}), 400),
    ("a key that is no base64", request("/", {"Sec-WebSocket-Key": "!" * 24}), 400),
    ("no key", request("/", {"Sec-WebSocket-Key": None}), 400),
    ("no version", request("/", {"Sec-WebSocket-Version": None}), 426),
    ("version 8", request("/", {"Sec-WebSocket-Version": "8"}), 426),
    ("two versions", request().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Version: 13\r\n\r\n"), 400),
    ("two origins", request("/", {"Origin": "http://a", "origin": "http://b"}), 400),
]


@pytest.mark.parametrize(("raw", "status"), [case[1:] for case in UPGRADES], ids=[case[0] for case in UPGRADES])
def test_F17_an_upgrade_that_is_wrong_is_refused_and_ends_the_connection(
    server: Server, raw: bytes, status: int
) -> None:
    got, everything = answer(server, raw + CANARY)
    assert got == status, everything
    assert (b"\r\nSec-WebSocket-Version: 13\r\n" in everything) == (b"only version 13" in everything.lower())


def test_F17_an_absolute_target_is_the_path_within_it(server: Server) -> None:
    with server.wire() as wire:
        wire.send(request(first="GET ws://localhost/recv HTTP/1.1"))
        assert wire.head().startswith(b"HTTP/1.1 101 ")
        assert wire.ask("hello") == "hello"


HOSTS = {
    "example.org": 101,
    "example.org:8000": 101,
    "EXAMPLE.org": 101,
    "[::1]:8000": 101,
    "127.0.0.1": 101,
    "attacker.example": 101,
    "": 400,
    "a/b": 400,
    "a?b": 400,
    "a#b": 400,
    "user@a": 400,
    "a b": 400,
    "a:port": 400,
    "a:65536": 400,
    "[::1": 400,
}

ORIGINS = {
    None: True,
    "https://example.org": True,
    "HTTPS://EXAMPLE.ORG": True,
    "http://localhost:3000": True,
    "http://example.org": False,
    "https://example.org:444": False,
    "https://example.org.evil.example": False,
    "https://evil-example.org": False,
    "https://example.org/": False,
    "https://example.org, https://evil.example": False,
    "null": False,
    "": False,
}


@pytest.fixture(scope="module")
def choosy(io_threads: int):
    with Server(io_threads, {}, ("--origin", "https://example.org", "--origin", "http://localhost:3000")) as server:
        yield server


@pytest.mark.parametrize("host", HOSTS)
def test_F18_host_and_origin_decide_exactly_by_the_table(choosy: Server, host: str) -> None:
    for origin, allowed in ORIGINS.items():
        with choosy.wire() as wire:
            wire.send(request("/", {"Host": host, "Origin": origin}))
            head = wire.head()
        expected = HOSTS[host] if HOSTS[host] == 400 or allowed else 403
        assert head.startswith(f"HTTP/1.1 {expected} ".encode()), (host, origin, head)
        assert b"access-control" not in head.lower()
