"""Sessions by polls, event streams and Socket.IO, recorded once and sent in other pieces: whole, byte by byte, cut at
random. What both sides hear of them is the same (F13)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from polls import ENGINE, SEPARATOR, answer, get, post
from process import Server, eventually
from talk import SOCKET, packets
from wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, Wire, frame, request

#: Sends some bytes.
Send = Callable[[Wire, bytes], None]

PLACE = '{"_placeholder":true,"num":%d}'
LARGE = "ü" * 30_000
#: One session's packets of Socket.IO, of every kind.
SAID: list[str | bytes] = [
    "0",
    '0/other,{"token":"x"}',
    "0/unknown,",
    '2["echo"]',
    '2["echo",1,"ü\\u00fc",{"a":[null,true,1e3]}]',
    '27["any",1]',
    f'2["echo","{LARGE}"]',
    f'52-["echo",{PLACE % 0},{{"b":{PLACE % 1}}}]',
    b"\x00\x1e\xff" * 50_000,
    b"",
    '2/other,["echo","elsewhere"]',
    "31[]",
    '51-8["any",%s]' % (PLACE % 0),
    b"x" * 126,
    "1/other,",
    '29["settle"]',
]
FRAMES = (
    packets(*SAID[:6])
    + frame(PING, b"p" * 125)
    + packets(*SAID[6:])
    # A message in three fragments, with a pong among them; a pong of Engine.IO.
    + frame(TEXT, b'42["echo"', fin=False)
    + frame(PONG, b"")
    + frame(0, b',"in', fin=False)
    + frame(0, b' pieces"]')
    + frame(TEXT, b"3")
)
LINES = "one\ntwo\r\nthree\rfour"
LAST = '42["echo","in pieces"]'


def whole(wire: Wire, data: bytes) -> None:
    wire.send(data)


def byte_by_byte(wire: Wire, data: bytes) -> None:
    """But for the middle of what is very long: of that, a hundred bytes in a thousand."""
    at = 0
    while at < len(data):
        size = 900 if at % 1000 == 100 else 1
        wire.send(data[at : at + size])
        at += size


def cut(cuts: Iterable[int]) -> Send:
    def send(wire: Wire, data: bytes) -> None:
        at = 0
        for end in sorted(cut % (len(data) + 1) for cut in cuts):
            if end > at:
                wire.send(data[at:end])
                at = end
        wire.send(data[at:])

    return send


def nameless(packet: str) -> str:
    """A packet without the ids that differ from one session to the next."""
    return re.sub(r'"sid":"[^"]+"', '"sid":"..."', packet)


# ---- what is said, and what is heard of it


def by_websocket(server: Server, send: Send) -> list[Any]:
    """Handshake and frames in one go, so that the cuts may be anywhere; then the end."""
    with server.wire() as wire:
        send(wire, request(SOCKET) + FRAMES)
        assert wire.head().startswith(b"HTTP/1.1 101 ")
        heard: list[Any] = []
        # A pong comes from the network, and the program need not have been as quick.
        pongs: list[Any] = []
        while LAST not in heard:
            received = wire.receive()
            if received.opcode == PONG:
                pongs.append(received)
            else:
                heard.append(nameless(received.payload.decode()) if received.opcode == TEXT else received)
        send(wire, frame(CLOSE, b"\x03\xe8bye"))
        heard.append(wire.receive())
        assert wire.rest() == b""
        return pongs + heard


def by_polls(server: Server, send: Send) -> list[Any]:
    """A POST with everything, polls for what comes of it, the end."""
    with server.wire() as wire:
        send(wire, get(ENGINE))
        status, content = answer(wire)
        assert status == 200
        sid = json.loads(content[1:])["sid"]
        target = f"{ENGINE}&sid={sid}"
        body = SEPARATOR.join(
            "4" + said if isinstance(said, str) else "b" + base64.b64encode(said).decode() for said in SAID
        ).encode()
        chunks = b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in (body[:1], body[1:1000], body[1000:]))
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        # Three requests in one go: whole bodies, chunks, and nothing.
        send(wire, head + chunks + b"0\r\n\r\n" + post(target, b'428["settle"]') + post(target, b"6"))
        assert [answer(wire) for _ in range(3)] == [(200, b"ok")] * 3
        heard: list[str] = []
        while "438[]" not in heard:
            send(wire, get(target))
            status, content = answer(wire)
            assert status == 200
            heard += [nameless(packet) for packet in content.decode().split(SEPARATOR) if packet != "6"]
        send(wire, post(target, b"1") + get(f"{ENGINE}&sid=unknown"))
        heard += [answer(wire), answer(wire)]
        return heard


def by_eventsource(server: Server, send: Send) -> list[Any]:
    """A comet session on an event stream, with posts beside it."""
    with server.wire() as stream, server.wire() as wire:
        send(stream, get("/push?transport=eventsource", "Accept: text/event-stream"))
        assert stream.head().startswith(b"HTTP/1.1 200 ")
        while b"event: session\n" not in stream._buffer or not stream._buffer.endswith(b"\n\n"):
            stream._more()
        opened = re.search(rb'"sid":"([^"]+)"', stream._buffer)
        assert opened is not None
        sid = opened[1].decode()
        body = SEPARATOR.join(["4hello", f"4{LARGE}", "bAAECAw==", f"4{LINES}", "3"]).encode()
        send(wire, post(f"/push?sid={sid}", body) + post(f"/push?sid={sid}", b"4last"))
        while b"data: last\n\n" not in stream._buffer:
            stream._more()
        send(wire, post(f"/push?sid={sid}", b"11000 bye"))
        assert [answer(wire) for _ in range(3)] == [(200, b"ok")] * 3
        return [nameless(stream.rest().decode())]


TRANSPORTS = {"websocket": by_websocket, "polls": by_polls, "eventsource": by_eventsource}


class Recorded(dict[str, list[Any]]):
    def __repr__(self) -> str:
        return "what is heard of whole writes"  # hypothesis would write it all out.


@pytest.fixture(scope="module")
def recorded(talking: Server) -> Recorded:
    """What is heard when every request comes in one write."""
    return Recorded({name: say(talking, whole) for name, say in TRANSPORTS.items()})


def test_F13_the_recorded_sessions_are_what_they_should_be(recorded: Recorded) -> None:
    by_websocket, by_polls = recorded["websocket"], recorded["polls"]
    assert Frame(BINARY, b"\x00\x1e\xff" * 50_000) in by_websocket
    assert Frame(PONG, b"p" * 125) in by_websocket
    assert by_websocket[-2:] == [LAST, Frame(CLOSE, b"\x03\xe8bye")]
    for heard in (by_websocket, by_polls):
        texts = [packet for packet in heard if isinstance(packet, str)]
        for packet in ('40{"sid":"..."}', f'42["echo","{LARGE}"]', "439[]", "437[2]", "438[2]"):
            assert packet in texts
    assert by_polls[-2:] == [(200, b"ok"), (400, b'{"code":1,"message":"Session ID unknown"}')]
    (stream,) = recorded["eventsource"]
    # A text with CR, and bytes, are in base64.
    for told in ("data: hello\n\n", base64.b64encode(LINES.encode()).decode(), "data: last\n\n", '"bye"'):
        assert told in stream


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_F13_byte_by_byte(talking: Server, recorded: Recorded, transport: str) -> None:
    assert TRANSPORTS[transport](talking, byte_by_byte) == recorded[transport]


@pytest.mark.parametrize("transport", TRANSPORTS)
@given(cuts=st.lists(st.integers(0, 1 << 20), max_size=30))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
def test_F13_cut_at_random(talking: Server, recorded: Recorded, transport: str, cuts: list[int]) -> None:
    assert TRANSPORTS[transport](talking, cut(cuts)) == recorded[transport]


def test_F13_nothing_of_it_is_left(talking: Server) -> None:
    assert eventually(lambda: talking.report()["sessions"] == 1)
