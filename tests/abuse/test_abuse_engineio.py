"""Engine.IO's sessions: posts and polls that are wrong or too many, ids, heartbeats nobody asked for (rows 34-38, 41),
and what the reference server does at the edges, row by row."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import select
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from polls import ENGINE, Polls, answer, get, post, statuses
from process import Serve, Server, eventually
from talk import SOCKET, Peer
from wire import BINARY, CLOSE, TEXT, frame, request

MEBIBYTE = 1 << 20

# ---- what the reference does with what it should not get


def text(*packets: str) -> bytes:
    return b"".join(frame(TEXT, packet.encode()) for packet in packets)


def bytes_(payload: bytes = b"x") -> bytes:
    return frame(BINARY, payload)


PLACE = '{"_placeholder":true,"num":0}'
#: What a client sends that is in / (but for the first ones), what the connection is closed with, and why its socket
#: ends; None: the connection goes on, or there is no socket. The reference closes without a code where it is 1008 here.
EDGES: dict[str, tuple[bytes, int | None, str | None]] = {
    "an event before CONNECT": (text('42["echo"]'), 1008, None),
    "CONNECT with an array": (text("40[1]"), 1008, None),
    "CONNECT with a string": (text('40"x"'), 1008, None),
    "CONNECT with true": (text("40true"), 1008, None),
    "a second CONNECT": (text("40", "40"), 1008, "forced server close"),
    "an event elsewhere": (text("40", '42/other,["echo"]'), 1008, "forced server close"),
    "an acknowledgement elsewhere": (text("40", "43/other,1[]"), 1008, "forced server close"),
    "DISCONNECT elsewhere": (text("40", "41/other,"), 1008, "forced server close"),
    "CONNECT_ERROR": (text("40", '44{"message":"x"}'), 1008, "forced server close"),
    "an event after DISCONNECT": (text("40", "41", '42["echo"]'), 1008, "client namespace disconnect"),
    "CONNECT after DISCONNECT": (text("40", "41", "40"), None, "client namespace disconnect"),
    "no name": (text("40", "42[]"), 1008, "forced close"),
    "an object": (text("40", "42{}"), 1008, "forced close"),
    "a reserved name": (text("40", '42["disconnect"]'), 1008, "forced close"),
    "no packet": (text("40", "4abc"), 1008, "forced close"),
    "letters before the JSON": (text("40", '42abc["echo"]'), 1008, "forced close"),
    "a number as a name": (text("40", "42[1,2]"), None, None),
    "an unknown acknowledgement": (text("40", "431[]"), None, None),
    "bytes without a packet": (text("40") + bytes_(), 1008, "forced close"),
    "text while attachments are due": (text("40", f'451-["echo",{PLACE}]', '42["echo"]'), 1008, "forced close"),
    "eleven attachments": (text("40", '4511-["echo"]'), 1008, "forced close"),
    "a bad num": (text("40", '451-["echo",{"_placeholder":true,"num":1}]') + bytes_(), 1008, "forced close"),
    "no attachments": (text("40", '450-["echo"]'), 1008, "forced close"),
    "an unknown type": (text("40", "7"), 1002, "parse error"),
    "an empty frame": (text("40", ""), 1002, "parse error"),
    # The reference ignores it, and gives the client up when it has not answered a ping.
    "close": (text("40", "1"), 1000, "transport close"),
    "upgrade": (text("40", "5"), None, None),
    "nothing": (text("40", "6"), None, None),
    "a ping": (text("40", "2"), 1002, "transport error"),
    "a message that is too long": (text("40", '42["echo","' + "x" * 1_000_000 + '"]'), 1009, "transport close"),
    "bytes that are too long": (
        text("40", f'451-["echo",{PLACE}]') + bytes_(b"x" * 1_000_001),
        1009,
        "transport close",
    ),
    "a lone surrogate in UTF-8": (text("40") + frame(TEXT, b'42["echo","\xed\xa0\x80"]'), 1007, "transport close"),
    "a frame without a mask": (text("40") + frame(TEXT, b"3", mask=None), 1002, "transport close"),
    "a query behind a namespace": (text("40", "40/other?x=1,"), None, None),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_of_the_protocol(talking: Server, edge: str) -> None:
    sent, code, reason = EDGES[edge]
    before = ends(talking)
    with Peer(talking) as other, Peer(talking) as peer:
        other.join()
        peer.wire.send(sent)
        if code is None:
            peer.wire.send(text('42999["settle"]'))
            while (packet := peer.recv()) != "3999[]":
                assert str(packet).startswith(('0{"sid":', '4/other?x=1,{"message":"Invalid namespace"}')), packet
        else:
            assert peer.ended() == code
        other.is_well()
        expected = Counter({f"disconnect {reason}": 1} if reason else {})
        assert eventually(lambda: ends(talking) - before == expected), ends(talking) - before


def ends(server: Server) -> Counter[str]:
    """How sockets have ended so far."""
    return Counter({key: count for key, count in server.report()["seen"].items() if key.startswith("disconnect ")})


#: Requests about a session that is on polls: what is answered, and whether the session stays.
REQUESTS: dict[str, tuple[str, str, bytes, int, bytes, bool]] = {
    "PUT": ("PUT", "", b"", 400, b'{"code":3,"message":"Bad request"}', True),
    "PUT with a body": ("PUT", "", b"4x", 413, b"No request body is taken here.\n", True),
    "DELETE": ("DELETE", "", b"", 400, b'{"code":3,"message":"Bad request"}', True),
    "HEAD": ("HEAD", "", b"", 400, b"", True),
    "a body that is too large": ("POST", "", b"4" * 1_000_001, 413, b"The body is larger than maxPayload.\n", True),
    "a body that is much too large": ("POST", "", b"4" * 3_000_000, 413, b"The request body is too large.\n", True),
    "no packet": ("POST", "", b"7", 400, b"Bad request: ", False),
    "EIO=3": ("GET", "&EIO=3", b"", 400, b'{"code":3,"message":"Bad request"}', True),
    "another transport": ("GET", "&transport=websocket", b"", 400, b'{"code":3,"message":"Bad request"}', True),
    "two ids": ("GET", "&sid=x", b"", 400, b'{"code":3,"message":"Bad request"}', True),
    "JSONP": ("GET", "&j=0", b"", 400, b'{"code":3,"message":"Bad request"}', True),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_edges_of_requests(talking: Server, name: str) -> None:
    method, query, body, status, said, stays = REQUESTS[name]
    with Polls(talking) as polls:
        polls.join()
        with talking.wire() as wire:
            head = f"{method} {polls.target}{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            with contextlib.suppress(ConnectionError):  # It may well have had enough.
                wire.send(head.encode() if body else head.replace("Content-Length: 0\r\n", "").encode())
                wire.send(body)
            answered = wire.head()
            assert answered.startswith(f"HTTP/1.1 {status} ".encode())
            assert wire.rest().startswith(said) if b"Connection: close" in answered else True
        assert polls.is_there() is stays


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (post(ENGINE, b"40"), b'{"code":2,"message":"Bad handshake method"}'),
        (get("/socket.io/?transport=polling"), b'{"code":5,"message":"Unsupported protocol version"}'),
        (get("/socket.io/?EIO=3&transport=polling"), b'{"code":5,"message":"Unsupported protocol version: the client'),
        (get("/socket.io/?EIO=4"), b'{"code":0,"message":"Transport unknown"}'),
        (get("/socket.io/?EIO=4&transport=constructor"), b'{"code":0,"message":"Transport unknown"}'),
        (get("/socket.io/?EIO=4&transport[]=polling"), b'{"code":0,"message":"Transport unknown"}'),
        (get("/socket.io/?EIO=4&EIO=4&transport=polling"), b'{"code":3,"message":"Bad request"}'),
        (get(SOCKET), b'{"code":3,"message":"Bad request"}'),
        (get("/socket.io/unknown.js"), b"Nothing is served here.\n"),
        (request(ENGINE), b"Bad request"),
        (request(f"{SOCKET}&sid=unknown"), b"Session ID unknown"),
    ],
)
def test_edges_of_requests_without_a_session(talking: Server, raw: bytes, said: bytes) -> None:
    with talking.wire() as wire:
        wire.send(raw)
        assert wire.head().startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
        assert wire.rest().startswith(said)
    assert talking.report()["socketio"]["clients"] == 0


# ---- row 34: bodies that are not what they say


def raw_post(polls: Polls, fields: str, body: bytes) -> bytes:
    return f"POST {polls.target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        ("Content-Length: -1", b"4x", 400),
        ("Content-Length: abc", b"4x", 400),
        ("Content-Length: +2", b"4x", 400),
        ("Content-Length: 0x2", b"4x", 400),
        ("Content-Length: 2, 2", b"4x", 400),
        ("Content-Length: 18446744073709551618", b"4x", 400),
        ("Content-Length: 9223372036854775807", b"4x", 413),
        ("Content-Length: 2\r\nContent-Length: 3", b"4x", 400),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked", b"2\r\n4x\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: gzip, chunked", b"2\r\n4x\r\n0\r\n\r\n", 501),
        ("Transfer-Encoding: chunked", b"-1\r\n4x\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"ffffffffffffffffff\r\n4x", 400),
        ("Transfer-Encoding: chunked", b"2\n4x\n0\n\n", 400),
        ("Transfer-Encoding: chunked", b"2\r\n4xy\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"ffffffff\r\n" + b"4" * 1_500_000, 413),
        (
            "Transfer-Encoding: chunked",
            b"10000\r\n" + b"4" * 65536 + b"\r\n" + (b"8000\r\n" + b"4" * 32768 + b"\r\n") * 60,
            413,
        ),
        ("Expect: a-miracle\r\nContent-Length: 2", b"4x", 417),
    ],
)
def test_row_34_a_body_that_lies_is_refused_and_the_session_stays(
    talking: Server, fields: str, body: bytes, status: int
) -> None:
    before = talking.memory()
    with Polls(talking) as polls:
        polls.join()
        with talking.wire() as wire:
            with contextlib.suppress(ConnectionError):
                wire.send(raw_post(polls, fields, body) + get("/canary"))
            assert statuses(wire.rest()) == [status]
        assert polls.is_there()
        assert polls.say('427["settle"]') == (200, b"ok")
        assert polls.heard(1) == ["437[]"]
    assert "canary" not in talking.report()["seen"]
    assert talking.memory() - before < 8 * MEBIBYTE


def test_row_34_a_body_that_never_ends_holds_nobody_up(talking: Server) -> None:
    with Polls(talking) as polls, contextlib.ExitStack() as stack:
        polls.join()
        for fields, body in (("Content-Length: 100", b"42"), ("Transfer-Encoding: chunked", b"5\r\n42")):
            wire = stack.enter_context(talking.wire())
            wire.send(raw_post(polls, fields, body))
        # Those who began before have no place in the queue until they are whole.
        assert polls.say('427["settle"]') == (200, b"ok")
        assert polls.heard(1) == ["437[]"]


def test_row_34_a_chunked_body_is_as_good_as_any(talking: Server) -> None:
    body = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in b'427["settle"]') + b"0\r\nTrailer: x\r\n\r\n"
    with Polls(talking) as polls:
        polls.join()
        polls.wire.send(raw_post(polls, "Transfer-Encoding: chunked", body))
        assert answer(polls.wire) == (200, b"ok")
        assert polls.heard(1) == ["437[]"]


# ---- row 35: heartbeats

PONGS = 100_000


@pytest.fixture(scope="module")
def beating(io_threads: int) -> Iterator[Server]:
    options = {"ping_interval": 0.3, "ping_timeout": 5.0, "max_http_buffer_size": 10_000}
    with Server(io_threads, {}, ("--ask", "--socketio", json.dumps(options))) as server:
        yield server
        server.is_well()


def test_row_35_a_hundred_thousand_pongs_are_one_heartbeat(beating: Server) -> None:
    with Peer(beating) as peer, Polls(beating) as polls:
        peer.join(), polls.join()
        before, threads, memory = beating.report(), beating.threads(), beating.memory()
        flood = text("3") * 1000
        for _ in range(PONGS // 1000):
            peer.wire.send(flood)
        for _ in range(PONGS // 4000):
            # 4,096 packets are the most that a post brings.
            assert polls.post(b"\x1e".join([b"3"] * 4000)) == (200, b"ok")
        peer.settled()
        after = beating.report()
        assert (after["tasks"], beating.threads()) == (before["tasks"], threads)
        assert after["objects"] - before["objects"] < 200
        assert beating.memory() - memory < 8 * MEBIBYTE
        # If each had its timer there would be thousands of pings now.
        times = []
        while len(times) < 4:
            if peer.wire.receive() == (TEXT, b"2"):
                times.append(time.monotonic())
                peer.wire.text("3")
        assert times[-1] - times[1] > 2 * 0.25, "each ping comes an interval after the last pong"
        assert polls.is_there()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_limit_of_the_endpoint_is_judged_before_anything_is_kept(beating: Server, opcode: int) -> None:
    with Peer(beating) as peer:
        peer.join()
        # The length alone, and a byte that belongs to it.
        peer.wire.send(frame(opcode, b"4", length=b"\x7e" + (10_002).to_bytes(2, "big")))
        assert peer.ended() == 1009


# ---- row 36: every request has exactly one answer

BAD_POSTS: list[tuple[str, bytes]] = [
    ("application/octet-stream", b"\x00\x01\x02"),
    ("application/octet-stream", b"\x04hello"),
    ("application/octet-stream", b"\xff" * 1000),
    ("text/plain", b""),
    ("text/plain", b"7"),
    ("text/plain", b"9probe"),
    ("text/plain", b"x"),
    ("text/plain", b"b!!!"),
    ("text/plain", b"bA"),
    ("text/plain", b"bAQI"[:3]),
    ("text/plain", b"4\xff"),
    ("text/plain", b"\xed\xa0\x80"),
    ("text/plain", b"\x1e"),
    ("text/plain", b"\x1e4"),
    ("text/plain", b"4a\x1e"),
    ("text/plain", b"4a\x1e\x1e4b"),
    ("text/plain", b"6\x1e" * 4096 + b"6"),
    ("text/plain", b"2"),
    ("text/plain", b"2probe"),
    ("application/x-www-form-urlencoded", b"d=4hello"),
    ("text/plain\r\nContent-Encoding: gzip", gzip.compress(b"4" + b"x" * 1_000_000)),
]


def test_row_36_bad_posts_are_answered_once_and_leave_nothing(talking: Server) -> None:
    talking.is_well()
    descriptors, memory = talking.descriptors(), talking.memory()
    for number in range(500):
        content_type, body = BAD_POSTS[number % len(BAD_POSTS)]
        polls = Polls(talking)
        polls.join()
        polls.wire.send(post(polls.target, body, f"Content-Type: {content_type}", "Connection: close"))
        everything = polls.wire.rest()
        # A ping is an answer in the wrong direction: the packets before it count, and the session ends all the same.
        assert statuses(everything) == [200 if body[:1] == b"2" else 400], (body, everything)
        polls.wire.socket.close()
        with talking.wire() as wire:
            wire.send(get(polls.target))
            status, content = answer(wire)
            # The last word, for the client to fetch; then nobody knows it.
            assert (status, content) in ((200, b"1"), (400, b'{"code":1,"message":"Session ID unknown"}'))
        if number % 100 < len(BAD_POSTS):
            assert not polls.is_there()
    assert eventually(lambda: talking.descriptors() <= descriptors)
    assert eventually(lambda: talking.report()["socketio"]["clients"] == 0)
    assert talking.memory() - memory < 8 * MEBIBYTE


# ---- row 37: ids

SIDS = [
    *["__proto__", "constructor", "hasOwnProperty", "toString", "", "0", "-1", "null", "undefined", "%00", "%0d%0a"],
    *["%ff", "%c3%bc", "%fc", "s" * 20, "A" * 32, "_" * 32, "s" * 10_000, "../../etc/passwd", "*", "%2e%2e"],
]


@pytest.mark.parametrize("sid", SIDS, ids=[repr(sid[:20]) for sid in SIDS])
def test_row_37_an_id_that_is_none_is_unknown(talking: Server, sid: str) -> None:
    with talking.wire() as wire:
        wire.send(get(f"{ENGINE}&sid={sid}"))
        assert answer(wire) == (400, b'{"code":1,"message":"Session ID unknown"}')
    with talking.wire() as wire:
        wire.send(post(f"{ENGINE}&sid={sid}", b"4x"))
        assert answer(wire) == (400, b'{"code":1,"message":"Session ID unknown"}')
    with talking.wire() as wire:
        wire.send(request(f"{SOCKET}&sid={sid}"))
        assert wire.head().startswith(b"HTTP/1.1 400 ")
        assert wire.rest() == b"Session ID unknown\n"


def test_row_37_an_id_with_one_letter_changed_is_nobodys(talking: Server) -> None:
    with Polls(talking) as polls:
        polls.join()
        for at in range(len(polls.sid)):
            other = polls.sid[:at] + ("B" if polls.sid[at] == "A" else "A") + polls.sid[at + 1 :]
            for raw in (get(f"{ENGINE}&sid={other}"), post(f"{ENGINE}&sid={other}", b"1")):
                with talking.wire() as wire:
                    wire.send(raw)
                    assert answer(wire) == (400, b'{"code":1,"message":"Session ID unknown"}')
        assert polls.is_there()


def test_row_37_a_session_that_went_on_to_a_websocket_takes_no_polls(talking: Server) -> None:
    with Polls(talking) as polls, talking.open(f"{SOCKET}&sid={polls.sid}") as wire:
        polls.join()
        wire.text("2probe")
        assert wire.receive() == (TEXT, b"3probe")
        wire.text("5")
        wire.text('427["settle"]')
        assert wire.receive() == (TEXT, b"437[]")
        for raw in (get(polls.target), post(polls.target, b"1"), request(f"{SOCKET}&sid={polls.sid}")):
            with talking.wire() as thief:
                thief.send(raw)
                assert statuses(thief.rest()) == [400]
        wire.text('428["settle"]')
        assert wire.receive() == (TEXT, b"438[]")
        wire.send(frame(CLOSE, b"\x03\xe8"))
        assert wire.receive().code == 1000


# ---- row 38: several requests at once


def test_row_38_a_second_poll_ends_the_session_and_both_are_answered(talking: Server) -> None:
    with Polls(talking) as polls, talking.wire() as second:
        polls.join()
        polls.wire.send(get(polls.target))
        # When this has come back the first of them waits.
        talking.report()
        second.send(get(polls.target))
        assert answer(second) == (400, b'{"code":3,"message":"Bad request"}')
        assert answer(polls.wire) == (200, b"1")
        assert not polls.is_there()


def test_row_38_a_hundred_polls_at_once_are_each_answered_once(talking: Server) -> None:
    with Polls(talking) as polls, contextlib.ExitStack() as stack:
        polls.join()
        wires = [stack.enter_context(talking.wire()) for _ in range(100)]
        for wire in wires:
            wire.send(get(polls.target, "Connection: close"))
        answers = [wire.rest() for wire in wires]
        assert all(len(statuses(answered)) == 1 for answered in answers)
        # Some may come in time for the last word, which is all that there is.
        ended, refused = b"\r\n\r\n1", b'\r\n\r\n{"code":3,"message":"Bad request"}'
        assert all(answered.endswith((ended, refused)) for answered in answers), answers
        assert not polls.is_there()


def test_row_38_posts_at_once_are_each_answered_and_all_heard(talking: Server) -> None:
    with Polls(talking) as polls, contextlib.ExitStack() as stack:
        polls.join()
        wires = [stack.enter_context(talking.wire()) for _ in range(100)]
        for number, wire in enumerate(wires):
            wire.send(post(polls.target, f'42{number}["settle"]'.encode(), "Connection: close"))
        assert [statuses(wire.rest()) for wire in wires] == [[200]] * 100
        assert sorted(polls.heard(100)) == sorted(f"43{number}[]" for number in range(100))


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_row_38_a_poll_whose_connection_is_closed_takes_nothing_with_it(talking: Server, how: str) -> None:
    with Polls(talking) as polls, Peer(talking) as other, talking.open() as blocker:
        polls.join(), other.join()
        for number in range(3):
            with talking.wire() as wire:
                wire.send(get(polls.target))
                talking.report()
                # It waits by now. Its end and the message are to be there at the same time.
                lines = len(talking.log)
                blocker.text("!block 0.1")
                talking.wait_for_log("blocking for", after=lines)
                if how == "reset":
                    wire.reset()
            other.emit("tell", number)
            assert other.event() == ["told", number]
            assert polls.heard(1) == [f'42["told",{number}]']


@pytest.mark.parametrize("body", [b"\x1e" * 1_000_000, b"6\x1e" * 499_999 + b"6", b"b\x1e" * 499_999])
def test_row_38_a_megabyte_of_separators_costs_little(talking: Server, body: bytes) -> None:
    memory, cpu = talking.memory(), talking.cpu()
    for _ in range(5):
        with Polls(talking) as polls:
            polls.join()
            status, content = polls.post(body)
            assert status == 400, content
            assert not polls.is_there()
    assert talking.cpu() - cpu < 2, "each was counted, and no packet was made"
    assert talking.memory() - memory < 16 * MEBIBYTE


def test_posts_that_come_faster_than_they_are_handled_wait_outside(serve: Serve) -> None:
    server = serve("--ask", "--drain", "0.5", "--socketio", "{}", close_timeout=0.5)
    with contextlib.ExitStack() as stack:
        polls, other = Polls(server), stack.enter_context(Peer(server))
        stack.callback(polls.wire.socket.close)
        polls.join(), other.join()
        assert polls.say('42["forever"]') == (200, b"ok")
        memory = server.memory()
        # From here on events wait in the inbox; beyond it, posts are not answered.
        wires = [stack.enter_context(server.wire()) for _ in range(20)]
        for wire in wires:
            wire.send(post(polls.target, b"\x1e".join([b'42["echo","%s"]' % (b"x" * 1000)] * 100), "Connection: close"))
        other.settled()
        assert not any(select.select([wire.socket for wire in wires], [], [], 0.2)[0])
        assert server.memory() - memory < 24 * MEBIBYTE
        # The end of the session frees them all.
        polls.wire.send(get(polls.target))
        server.report()
        with server.wire() as wire:
            wire.send(get(polls.target))
            assert answer(wire)[0] == 400
        assert {len(statuses(wire.rest())) for wire in wires} == {1}
        other.is_well()


def test_F25_sessions_by_polls_whose_clients_do_not_come_back_leave_nothing(serve: Serve) -> None:
    server = serve("--ask", "--socketio", json.dumps({"ping_interval": 0.3, "ping_timeout": 0.3}))
    before = server.report()
    with server.wire() as wire:
        for _ in range(20):
            wire.send(get(ENGINE) * 50)
            opened = [json.loads(answer(wire)[1][1:])["sid"] for _ in range(50)]
            wire.send(b"".join(post(f"{ENGINE}&sid={sid}", b"40\x1e42[0]") for sid in opened))
            assert {answer(wire) for _ in opened} == {(200, b"ok")}
    assert eventually(lambda: server.report()["sessions"] == 1, timeout=30)
    after = server.report()
    assert after["seen"]["disconnect ping timeout"] == 1000
    assert not any(after["socketio"][what] for what in ("clients", "unjoined", "sockets", "rooms"))
    assert after["objects"] - before["objects"] < 500
    assert eventually(lambda: server.report()["stats"]["connections"] == 1)


# ---- row 41: ids are secrets


def test_row_41_ids_differ_cannot_be_guessed_and_are_not_the_sockets(talking: Server) -> None:
    sids: set[str] = set()
    secrets: list[bytes] = []
    for _ in range(20):
        with talking.wire() as wire:
            # One connection asks for many sessions; each of them ends before there are too many.
            wire.send(get(ENGINE) * 250)
            opened = [json.loads(answer(wire)[1][1:])["sid"] for _ in range(250)]
            wire.send(b"".join(post(f"{ENGINE}&sid={sid}", b"1") for sid in opened))
            assert {answer(wire) for _ in opened} == {(200, b"ok")}
        sids.update(opened)
        secrets += [base64.urlsafe_b64decode(sid)[8:] for sid in opened]
    assert len(sids) == len(set(secrets)) == 5000
    # 128 random bits: each of them is set in about half of the ids (here in 40 to 60 of a hundred: 14 deviations).
    for bit in range(128):
        assert 2000 < sum(secret[bit // 8] >> bit % 8 & 1 for secret in secrets) < 3000
    with Polls(talking) as polls:
        assert polls.join() != polls.sid
        with talking.wire() as wire:
            wire.send(get(f"{ENGINE}&sid={polls.id}"))
            assert answer(wire)[0] == 400


def test_row_41_no_log_has_an_id(io_threads: int) -> None:
    options = ("--ask", "--access-log", "--socketio", "{}")
    with Server(io_threads, {"max_body_bytes": 100_000}, options) as server:
        with Polls(server) as polls, Polls(server) as upgraded, Peer(server) as peer, server.wire() as push:
            ids = [polls.sid, upgraded.sid, peer.opened["sid"]]
            ids += [polls.join(), upgraded.join(), peer.join()]
            push.send(get("/push?transport=polling"))
            ids.append(json.loads(answer(push)[1][1:])["sid"])
            comet = f"/push?transport=polling&sid={ids[-1]}"
            with server.open(f"{SOCKET}&sid={upgraded.sid}") as wire:
                wire.text("2probe")
                wire.receive()
                wire.text("5")
                wire.text('42["raise"]')
                wire.text('427["settle"]')
                assert wire.receive() == (TEXT, b"437[]")
            with server.wire() as first, server.wire() as second:
                for wire in (first, second):
                    wire.send(get(polls.target))
                assert {answer(wire)[0] for wire in (first, second)} <= {200, 400}
            attacks = [
                *(raw for target in (polls.target, comet) for raw in requests_that_fail(target)),
                get(f"/push?transport=eventsource&resume=1&sid={ids[-1]}&cursor=99"),
                get(f"/push?transport=websocket&sid={ids[-1]}"),
                get(comet + "&cursor=99"),
                request(comet.replace("polling", "carrier-pigeon")),
            ]
            for raw in attacks:
                with server.wire() as wire:
                    wire.send(raw)
                    wire.head()
            peer.emit("raise", 1)
            peer.send("2[]")
            peer.ended()
        server.is_well()
        server.process.terminate()
        assert server.process.wait(10) == 0
        server._reader.join()
        assert "sid=..." in server.text()
        for sid in ids[:3] + ids[-1:]:
            assert sid not in server.text()
            assert base64.urlsafe_b64decode(sid)[8:].hex() not in server.text()


def requests_that_fail(target: str) -> list[bytes]:
    """Which name a session all the same."""
    return [
        get(target).replace(b"GET", b"PUT"),
        get(target).replace(b"GET", b"get"),
        get(target).replace(b"HTTP/1.1", b"HTTP/1.2"),
        get(target).replace(b"Host: localhost", b"Host: a/b"),
        get(target.replace("?", "nothing?")),
        get(target, "Content-Length: 5") + b"hello",
        get(target, "Cookie: " + "c" * 20_000),
        post(target, b"4" * 2_000_000)[:500],
        post(target, b"", "Expect: a-miracle"),
        post(target, b"4\xff"),
        request(target),
    ]
