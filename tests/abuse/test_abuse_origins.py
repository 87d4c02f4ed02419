"""Pages of other sites, by every way in: WebSockets, polls, posts, event streams, Socket.IO (row 42, F18)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from polls import ENGINE, Polls, answer, answered, get, post
from process import Server
from talk import SOCKET
from test_abuse_requests import HOSTS, ORIGINS
from wire import Wire, request

#: The ways in, and what they are answered with where they are allowed.
WAYS = {
    "websocket": "/",
    "comet websocket": "/push?transport=websocket",
    "comet polls": "/push?transport=polling",
    "comet eventsource": "/push?transport=eventsource",
    "comet iframe": "/push?transport=iframe",
    "eventsource": "/stream",
    "Socket.IO websocket": SOCKET,
    "Socket.IO polls": ENGINE,
}
#: The list that the server has been given.
LISTED = ("https://example.org", "http://localhost:3000")


@pytest.fixture(scope="module")
def choosy(io_threads: int) -> Iterator[Server]:
    options = [option for origin in LISTED for option in ("--origin", origin)]
    with Server(
        io_threads, {"session_timeout": 1.0}, (*options, "--socketio", json.dumps({"ping_timeout": 1.0}))
    ) as server:
        yield server
        server.is_well()


@pytest.fixture(scope="module")
def same_origin(io_threads: int) -> Iterator[Server]:
    with Server(io_threads, {"session_timeout": 1.0}, ("--origin", "same-origin", "--socketio", "{}")) as server:
        yield server


def allowed_status(way: str) -> int:
    return 101 if "websocket" in way else 200


def ask(way: str, target: str, host: str, origin: str | None) -> bytes:
    if "websocket" in way:
        return request(target, {"Host": host, "Origin": origin})
    return get(target, *([] if origin is None else [f"Origin: {origin}"]), host=host)


def fields(head: bytes, prefix: str = "access-control-") -> dict[str, str]:
    lines = head.decode("latin-1").lower().split("\r\n")[1:]
    return {name: value for name, _, value in (line.partition(": ") for line in lines) if name.startswith(prefix)}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("way", WAYS)
def test_F18_host_and_origin_decide_by_the_table_on_every_way_in(choosy: Server, way: str, host: str) -> None:
    for origin, listed in ORIGINS.items():
        with choosy.wire() as wire:
            wire.send(ask(way, WAYS[way], host, origin))
            head = wire.head()
        expected = 400 if HOSTS[host] == 400 else allowed_status(way) if listed else 403
        assert head.startswith(f"HTTP/1.1 {expected} ".encode()), (host, origin, head)
        same = origin is not None and origin.lower() == f"https://{host.lower()}"
        if expected in (101, 200) and origin is not None and not same and way != "websocket":
            # By name, and never by a star: the page's cookies came along.
            told = fields(head)
            assert told["access-control-allow-origin"] == origin.lower()
            assert told["access-control-allow-credentials"] == "true"
            assert "*" not in told.values()
            assert fields(head, "vary") == {"vary": "origin"}
        else:
            assert fields(head) == {}, (host, origin)


SAME = {
    ("example.org", "http://example.org"): True,
    ("example.org", "https://example.org"): True,
    ("example.org:443", "https://example.org"): True,
    ("example.org:8000", "http://example.org:8000"): True,
    ("EXAMPLE.org", "HTTP://example.ORG"): True,
    ("[::1]:8000", "http://[::1]:8000"): True,
    ("example.org", None): True,
    ("example.org", "http://example.org:8000"): False,
    ("example.org:8000", "http://example.org"): False,
    ("example.com", "http://example.com.evil.org"): False,
    ("example.com", "http://evil-example.com"): False,
    ("example.com", "http://user@example.com"): False,
    ("example.com", "file://example.com"): False,
    ("example.com", "null"): False,
    ("null", "null"): False,
    ("example.com", ""): False,
    ("example.com", "http://"): False,
    # A name of the attacker's that leads here (DNS rebinding): only a list of hosts' origins keeps that out.
    ("attacker.example", "http://attacker.example"): True,
}


@pytest.mark.parametrize("way", WAYS)
def test_row_42_same_origin_is_the_host_that_is_asked(same_origin: Server, way: str) -> None:
    for (host, origin), allowed in SAME.items():
        with same_origin.wire() as wire:
            wire.send(ask(way, WAYS[way], host, origin))
            head = wire.head()
        expected = allowed_status(way) if allowed else 403
        assert head.startswith(f"HTTP/1.1 {expected} ".encode()), (host, origin, head)
        assert fields(head) == {}, "what is of the same origin needs no leave"


@pytest.mark.parametrize(
    "origins", [["https://evil.example"], ["null"], ["https://example.org", "https://evil.example"]]
)
def test_row_42_another_page_can_neither_poll_nor_post_in_a_session(choosy: Server, origins: list[str]) -> None:
    lines = [f"Origin: {origin}" for origin in origins]
    with Polls(choosy) as polls, choosy.wire() as wire:
        polls.join()
        wire.send(get("/push?transport=polling"))
        comet = f"/push?transport=polling&sid={json.loads(answer(wire)[1][1:])['sid']}"
        for target in (polls.target, comet):
            attacks = [post(target, b"4x", *lines), get(target, *lines), post(target, b"1", *lines, "Cookie: io=x")]
            attacks.append(get(target, *lines).replace(b"GET", b"OPTIONS"))
            attacks.append(request(target, {"Origin": origins[0], "origin": origins[-1]}))
            for attack in attacks:
                with choosy.wire() as page:
                    page.send(attack)
                    head, _ = answered(page)
                    assert head.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), head
                    assert fields(head) == {}
        assert polls.is_there()
        wire.send(post(comet, b"4still here"))
        assert answer(wire) == (200, b"ok")


def preflight(wire: Wire, target: str, origin: str) -> bytes:
    wire.send(get(target, f"Origin: {origin}", "Access-Control-Request-Method: POST").replace(b"GET", b"OPTIONS"))
    return wire.head()


@pytest.mark.parametrize("target", ["/push?transport=polling", ENGINE, "/stream"])
def test_row_42_a_preflight_tells_listed_pages_only(choosy: Server, target: str) -> None:
    with choosy.wire() as wire:
        told = fields(preflight(wire, target, LISTED[0]))
        assert told["access-control-allow-origin"] == LISTED[0]
        assert told["access-control-allow-credentials"] == "true"
        assert "*" not in told.values()
    for origin in ("https://evil.example", "null", ""):
        with choosy.wire() as wire:
            head = preflight(wire, target, origin)
            assert head.startswith(b"HTTP/1.1 403 ")
            assert fields(head) == {}
