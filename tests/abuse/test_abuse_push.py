"""Event streams, polls and posts: requests in pieces, nobody's sessions, clients that do not come back (F13, F25)."""

from __future__ import annotations

import contextlib
import json

import pytest
from polls import answer, get, post
from process import Serve, Server, eventually
from wire import Wire

POLL = "/push?transport=polling"


def begin(wire: Wire) -> str:
    """Opens a session by polls; gives its id."""
    wire.send(get(POLL))
    status, content = answer(wire)
    assert (status, content[:1]) == (200, b"0"), content
    sid: str = json.loads(content[1:])["sid"]
    return sid


def in_pieces(wire: Wire, data: bytes) -> None:
    for at in range(len(data)):
        wire.send(data[at : at + 1])


def test_F13_a_session_by_polls_byte_by_byte(server: Server) -> None:
    with server.wire() as wire:
        in_pieces(wire, get(POLL))
        sid = json.loads(answer(wire)[1][1:])["sid"]
        in_pieces(wire, post(f"/push?sid={sid}", "4h\u00e9llo".encode()))
        assert answer(wire) == (200, b"ok")
        in_pieces(wire, get(f"{POLL}&sid={sid}&cursor=0"))
        assert answer(wire) == (200, "4h\u00e9llo".encode())
        in_pieces(wire, post(f"/push?sid={sid}", b"1"))
        assert answer(wire) == (200, b"ok")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/stream", b"data: hello\n\n"),
        ("/push?transport=eventsource", b"event: session\n"),
        ("/push?transport=iframe", b"parent.hubbub.open"),
    ],
)
def test_F13_a_stream_is_asked_for_byte_by_byte(server: Server, target: str, told: bytes) -> None:
    with server.wire() as wire:
        in_pieces(wire, get(target))
        assert wire.head().startswith(b"HTTP/1.1 200 ")
        while told not in wire._buffer:
            wire._more()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/push?transport=carrier-pigeon", 400),
        ("/push", 400),
        (f"{POLL}&cursor=-1", 400),
        (f"{POLL}&cursor=1&cursor=2", 400),
        (f"{POLL}&sid=short", 404),
        (f"{POLL}&sid={'A' * 32}", 404),
        (f"{POLL}&sid={'_' * 32}", 404),
        (f"/push?transport=eventsource&sid={'A' * 32}&cursor=0", 404),
        ("/push?transport=websocket", 400),
    ],
)
def test_what_makes_no_sense_is_refused_and_opens_nothing(server: Server, target: str, status: int) -> None:
    before = server.report()["stats"]["opened"]
    with server.wire() as wire:
        wire.send(get(target))
        assert answer(wire)[0] == status
    # The reports' own sessions are the only ones.
    assert server.report()["stats"]["opened"] == before + 1


def test_another_sessions_id_with_a_wrong_secret_gets_nothing(server: Server) -> None:
    with server.wire() as wire:
        sid = begin(wire)
        wrong = sid[:-4] + ("AAAA" if sid[-4:] != "AAAA" else "BBBB")
        for attack in (get(f"{POLL}&sid={wrong}&cursor=0"), post(f"/push?sid={wrong}", b"4x")):
            with server.wire() as thief:
                thief.send(attack)
                assert answer(thief)[0] == 404
        wire.send(get(f"{POLL}&sid={sid}&cursor=0&wait=0"))
        assert answer(wire) == (200, b"6")


@pytest.mark.parametrize("body", [b"", b"x", b"b!!!", b"4\xff", b"\x1e4a", b"11006", b"4\x1e" * 5000])
def test_a_post_that_is_no_packets_is_refused_and_the_session_stays(server: Server, body: bytes) -> None:
    with server.wire() as wire, server.wire() as other:
        sid = begin(wire)
        other.send(post(f"/push?sid={sid}", body))
        assert answer(other)[0] == 400
        wire.send(post(f"/push?sid={sid}", b"4still here"))
        assert answer(wire) == (200, b"ok")
        wire.send(get(f"{POLL}&sid={sid}&cursor=0"))
        assert answer(wire) == (200, b"4still here")


def test_of_two_polls_at_once_the_newer_one_waits(server: Server) -> None:
    with server.wire() as wire, server.wire() as newer:
        sid = begin(wire)
        wire.send(get(f"{POLL}&sid={sid}&cursor=0"))
        newer.send(get(f"{POLL}&sid={sid}&cursor=0"))
        assert answer(wire)[0] == 409
        wire.send(post(f"/push?sid={sid}", b"4x"))
        assert answer(wire) == (200, b"ok")
        assert answer(newer) == (200, b"4x")


@pytest.mark.slow
def test_F25_two_thousand_sessions_whose_clients_do_not_come_back_leave_nothing(serve: Serve) -> None:
    server = serve(session_timeout=0.5)
    before = server.report()
    with contextlib.ExitStack() as stack:
        wire = stack.enter_context(server.wire())
        for _ in range(2000):
            begin(wire)
        for _ in range(200):
            lost = stack.enter_context(server.wire())
            lost.send(get("/push?transport=eventsource"))
            lost.head()
            lost.reset()
    assert eventually(lambda: server.report()["sessions"] == 1)
    after = server.report()
    assert after["stats"]["session_timeouts"] >= 2000
    assert after["rooms"] == before["rooms"]
    assert eventually(lambda: server.report()["stats"]["connections"] == 1)
