"""Event streams, polls and posts: requests in pieces, nobody's sessions, who does not read, floods, clients that do not
come back (F4, F13, F15-F17, F25)."""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import threading

import pytest
from polls import ENGINE, Polls, answer, get, post, statuses
from process import Serve, Server, eventually
from talk import Peer
from test_abuse_requests import CANARY, SMUGGLING
from wire import TEXT, Wire

MEBIBYTE = 1 << 20
POLL = "/push?transport=polling"
STREAM = "/push?transport=eventsource"


def begin(wire: Wire, query: str = "") -> str:
    """Opens a session by polls; gives its id."""
    wire.send(get(POLL + query))
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


@pytest.mark.parametrize("last", ["\xff", "9" * 5000, "-1", "null", "1:", ":1", "1:2:3", "a" * 15_000, "*", "0" * 40])
def test_a_stream_after_an_event_that_never_was_begins_anew(server: Server, last: str) -> None:
    with server.wire() as wire:
        wire.send(get("/stream", f"Last-Event-ID: {last}"))
        assert wire.head().startswith(b"HTTP/1.1 200 ")
        while b"data: hello\n\n" not in wire._buffer:
            wire._more()


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
        begin(newer)  # once this is answered, the poll has been read
        newer.send(get(f"{POLL}&sid={sid}&cursor=0"))
        assert answer(wire)[0] == 409
        wire.send(post(f"/push?sid={sid}", b"4x"))
        assert answer(wire) == (200, b"ok")
        assert answer(newer) == (200, b"4x")


def test_of_a_hundred_polls_at_once_each_is_answered_once(server: Server) -> None:
    with server.wire() as first, contextlib.ExitStack() as stack:
        sid = begin(first)
        wires = [stack.enter_context(server.wire()) for _ in range(100)]
        for wire in wires:
            wire.send(get(f"{POLL}&sid={sid}&cursor=0", "Connection: close"))
        with selectors.DefaultSelector() as selector:
            for wire in wires:
                selector.register(wire.socket, selectors.EVENT_READ, wire)
            while len(selector.get_map()) > 1:
                for key, _ in selector.select(20):
                    assert statuses(key.data.rest()) == [409]
                    selector.unregister(key.fileobj)
            (last,) = (key.data for key in selector.get_map().values())
        first.send(post(f"/push?sid={sid}", b"4x"))
        assert answer(first) == (200, b"ok")
        assert last.rest().endswith(b"\r\n\r\n4x")


@pytest.mark.parametrize("engine", [False, True])
def test_what_is_pipelined_behind_a_poll_is_not_read(talking: Server, engine: bool) -> None:
    with Polls(talking) as polls, talking.wire() as other:
        polls.join()
        target = polls.target if engine else f"{POLL}&sid={begin(other)}&cursor=0"
        memory = talking.memory()
        with talking.wire() as wire:
            wire.socket.settimeout(1)
            with pytest.raises(TimeoutError):
                wire.send(get(target) * ((32 << 20) // len(get(target))))
            assert talking.memory() - memory < 2 * MEBIBYTE
        talking.is_well()


# ---- F4: who does not read


class Readers:
    """Reads what comes to many, up to the last of so many numbered messages."""

    def __init__(self, wires: dict[Wire, bytes], messages: int) -> None:
        #: What stands before and behind the number of a message on each of them, as an expression.
        self._wires = wires
        self._last = messages - 1
        self._read = {wire: bytearray() for wire in wires}
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Readers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "not everything has come"

    def numbers(self) -> list[list[int]]:
        return [[int(number) for number in re.findall(self._wires[wire], read)] for wire, read in self._read.items()]

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for wire in self._wires:
                selector.register(wire.socket, selectors.EVENT_READ, wire)
            while selector.get_map():
                for key, _ in selector.select(20):
                    wire, read = key.data, self._read[key.data]
                    data = wire.socket.recv(MEBIBYTE)
                    assert data, "a normal reader was closed"
                    read += data
                    found = re.findall(self._wires[wire], read[-len(data) - 50 :])
                    if found and int(found[-1]) == self._last:
                        selector.unregister(key.fileobj)


def test_F4_who_takes_nothing_holds_nobody_up(serve: Serve) -> None:
    """Event streams that are not read, comet sessions and Socket.IO's that do not poll; beside them those who do."""
    each, rounds, messages = 10, 14, 500
    server = serve("--socketio", "{}")
    with contextlib.ExitStack() as stack:
        for target in ("/stream", STREAM):
            for _ in range(each):
                slow = stack.enter_context(server.wire(receive_buffer=4096))
                slow.send(get(target))
                assert slow.head().startswith(b"HTTP/1.1 200 ")
                if target == STREAM:
                    while b"event: session" not in slow._buffer or not slow._buffer.endswith(b"\n\n"):
                        slow._more()
                    with server.wire() as wire:
                        opened = re.search(rb'"sid":"([^"]+)"', slow._buffer)
                        wire.send(post(f"/push?sid={opened[1].decode() if opened else ''}", b"4!join streams"))
                        assert answer(wire) == (200, b"ok")
        for _ in range(each):
            wire = stack.enter_context(server.wire())
            wire.send(post(f"/push?sid={begin(wire)}", b"4!join streams"))
            assert answer(wire) == (200, b"ok")
            polls = Polls(server)
            stack.callback(polls.wire.socket.close)
            polls.join()
            assert polls.say('42["join","loud"]') == (200, b"ok")
            peer = stack.enter_context(Peer(server, receive_buffer=4096))
            peer.join()
            peer.emit("join", "loud")
            peer.settled()

        normal: dict[Wire, bytes] = {}
        for _ in range(3):
            stream = stack.enter_context(server.wire())
            stream.send(get("/stream"))
            while b"data: hello\n\n" not in stream._buffer:
                stream._more()
            socket = stack.enter_context(server.open())
            assert socket.ask("!join streams") == "joined"
            peer = stack.enter_context(Peer(server))
            peer.join()
            peer.emit("join", "loud")
            peer.settled()
            normal |= {stream: rb"data: (\d+) ", socket: rb"(\d+) \d+ x", peer.wire: rb'"numbered",(\d+),'}
        elsewhere = stack.enter_context(Peer(server))
        elsewhere.join()
        talker = stack.enter_context(server.open())
        before = server.memory()
        server.forget_peak()
        for number in range(rounds):
            # Less than outbox_bytes, and the next round comes when this one is read: nobody who reads is too slow.
            with Readers(normal, messages) as readers:
                talker.text(f"!flood streams {messages} 1000")
                elsewhere.emit("flood", messages, 1000, 0, ack=number)
                # Neither of these waits for the others.
                assert talker.receive() == (TEXT, b"flooded")
                assert elsewhere.recv() == f"3{number}[]"
            assert readers.numbers() == [list(range(messages))] * len(normal), "all of them, in order"
        grown = server.peak_memory() - before
        print(f"{grown >> 20} MiB more at the peak")
        stats = server.report()["stats"]
        assert stats["slow_closed"] == 5 * each
        assert grown < 5 * each * MEBIBYTE + 16 * MEBIBYTE


# ---- F15-F17: heads on the way to sessions

TARGETS = [POLL, STREAM, "/stream", ENGINE]


@pytest.mark.parametrize("target", TARGETS)
def test_F15_F16_heads_that_are_too_large_open_nothing(talking: Server, target: str) -> None:
    heads = [
        (get(f"{target}&x={'l' * (64 << 10)}"), 414),
        (get(target, "A: " + "l" * (16 << 10)), 431),
        (get(target, *["A: bbbbbbbbbbb"] * 1100), 431),
        (get(target, *["a: b"] * 10_000), 431),
        (post(target, b"4x", *["a: b"] * 10_000), 431),
    ]
    before, memory = talking.report()["stats"]["opened"], talking.memory()
    for raw, status in heads:
        with talking.wire() as wire:
            with contextlib.suppress(ConnectionError):
                wire.send(raw + CANARY)
            assert statuses(wire.rest()) == [status]
    assert talking.memory() - memory < 2 * MEBIBYTE
    after = talking.report()
    assert after["stats"]["opened"] == before + 1, "the report's own"
    assert "canary" not in after["seen"]


@pytest.mark.parametrize("target", TARGETS)
def test_F17_an_ambiguous_request_for_a_session_is_refused(talking: Server, target: str) -> None:
    before = talking.report()["stats"]["opened"]
    for name, raw, status in SMUGGLING:
        for method in (b"GET", b"POST"):
            attack = raw.replace(b"GET / HTTP/1.", b"%s %s HTTP/1." % (method, target.encode()))
            if attack == raw:
                continue
            with talking.wire() as wire:
                wire.send(attack + CANARY)
                assert statuses(wire.rest()) == [status], (name, method)
    after = talking.report()
    assert after["stats"]["opened"] == before + 1
    assert "canary" not in after["seen"]


def test_F17_what_a_post_brings_is_never_a_request(talking: Server) -> None:
    with Polls(talking) as polls, talking.wire() as wire:
        polls.join()
        comet = f"/push?sid={begin(wire)}"
        for target in (polls.target, comet):
            body = CANARY + b"4x"
            for raw in (
                post(target, body, "Content-Length: 0"),
                post(target, body, "Transfer-Encoding: chunked"),
                post(target, body[:-2]).replace(b"POST", b"PUT"),
                get(target, f"Content-Length: {len(body)}") + body,
                post(target, body).replace(b"Host: localhost", b"Host: a\r\nHost: b"),
            ):
                with talking.wire() as attacker:
                    attacker.send(raw + CANARY)
                    everything = attacker.rest()
                    assert [status // 100 for status in statuses(everything)] == [4], everything
        assert polls.is_there()
    assert "canary" not in talking.report()["seen"]


# ---- floods


def test_a_flood_of_posts_arrives_in_order_and_others_are_served(server: Server) -> None:
    posts, each = 500, 64
    memory = server.memory()
    with server.wire() as wire, server.open() as other:
        sid = begin(wire, "&record=flood")
        bodies = [b"\x1e".join(b"4%d" % (number * each + at) for at in range(each)) for number in range(posts)]
        # All of them at once on one connection: one after the other is read, none is answered before its turn.
        sender = threading.Thread(target=wire.send, args=(b"".join(post(f"/push?sid={sid}", body) for body in bodies),))
        sender.start()
        for number in range(posts):
            assert answer(wire) == (200, b"ok")
            if number % 50 == 0:
                assert other.ask("still here?") == "still here?"
        sender.join()
        assert server.memory() - memory < 24 * MEBIBYTE
        recorded = json.loads(other.ask("!recorded flood"))
        assert [int(text) for _, text in recorded] == list(range(posts * each))
        wire.send(post(f"/push?sid={sid}", b"1"))
        assert answer(wire) == (200, b"ok")


@pytest.mark.parametrize("target", [f"/push?sid={'A' * 32}", f"{ENGINE}&sid={'A' * 32}", "/push", ENGINE])
def test_bodies_for_nobody_are_not_read(talking: Server, target: str) -> None:
    memory = talking.memory()
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(talking.wire()) for _ in range(100)]
        for wire in wires:
            wire.send(post(target, b"4" * 1_000_000)[:100_000])
        for wire in wires:
            assert answer(wire)[0] in (400, 404)
        assert talking.memory() - memory < 8 * MEBIBYTE


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
