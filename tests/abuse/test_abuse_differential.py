"""What hubbub makes of a sequence of frames, beside what wsproto and websockets make of it (F27).

Each example is a session, of good frames and bad ones, that ends with a Close. All three have to hear the same messages
and the same pings, and to end with the same code. Where they differ by intention, `DIFFERENCES` says so in words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from process import Server
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame as WebsocketsFrame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Wire, close_payload, frame
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

#: Where they differ by intention, by the beginning of what is said about it.
DIFFERENCES = {
    "incomplete fragmented message": (
        "websockets refuses a Close between the fragments of a message; it is a control frame, and RFC 6455 §5.4 lets "
        "those stand there"
    ),
    "'utf-8' codec can't decode": (
        "a Close with two mistakes, a code and a text that may not be: websockets names the text, the others the code"
    ),
}


@dataclass
class Heard:
    """What came of a session."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    code: int | None = None


def from_hubbub(server: Server, asker: Wire, said: bytes) -> Heard:
    heard = Heard()
    with server.open("/?record=it") as wire:
        wire.send(said)
        received = wire.receive()
        while received.opcode != CLOSE:
            assert received.opcode == PONG
            heard.pings.append(received.payload)
            received = wire.receive()
        heard.code = received.code
        # Once it has ended, its handler has had all of its messages.
        wire.rest()
    for text, data in json.loads(asker.ask("!recorded it")):
        heard.messages.append((TEXT, data.encode()) if text else (BINARY, bytes.fromhex(data)))
    return heard


def from_wsproto(said: bytes) -> Heard:
    heard, connection, parts = Heard(), Connection(ConnectionType.SERVER), bytearray()
    try:
        connection.receive_data(said)
        for event in connection.events():
            if isinstance(event, Message):
                text = isinstance(event, TextMessage)
                assert text or isinstance(event, BytesMessage)
                parts += event.data.encode() if isinstance(event.data, str) else event.data
                if event.message_finished:
                    heard.messages.append((TEXT if text else BINARY, bytes(parts)))
                    parts.clear()
            elif isinstance(event, Ping):
                heard.pings.append(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                heard.code = int(event.code)
                break
    except RemoteProtocolError as error:
        hint = error.event_hint
        heard.code = int(hint.code) if isinstance(hint, CloseConnection) else 1002
    except LocalProtocolError:
        heard.code = 1002
    return heard


def from_websockets(said: bytes) -> tuple[Heard, str]:
    """Also, what it says about the last of it."""
    heard, parts, kind = Heard(), bytearray(), 0
    protocol = ServerProtocol(state=OPEN, max_size=None)
    protocol.receive_data(said)
    for event in protocol.events_received():
        assert isinstance(event, WebsocketsFrame)
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            kind = kind if event.opcode is Opcode.CONT else int(event.opcode)
            parts += event.data
            if event.fin:
                # It leaves UTF-8 to whoever reads the message.
                try:
                    if kind == TEXT:
                        parts.decode()
                except UnicodeDecodeError:
                    heard.code = 1007
                    return heard, "text that is no UTF-8"
                heard.messages.append((kind, bytes(parts)))
                parts.clear()
        elif event.opcode is Opcode.PING:
            heard.pings.append(bytes(event.data))
        elif event.opcode is Opcode.CLOSE:
            heard.code = Close.parse(bytes(event.data)).code
    error = protocol.parser_exc
    if error is not None:
        heard.code = 1007 if isinstance(error, UnicodeDecodeError) else 1002
        assert isinstance(error, (ProtocolError, UnicodeDecodeError)), error
    return heard, str(error)


TEXTS = st.text(max_size=40).map(str.encode)
PAYLOADS = st.one_of(TEXTS, st.binary(max_size=200), st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"x" * 126]))
CODES = st.sampled_from([999, 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1015, 1016, 2000, 3000, 4999, 5000])


@st.composite
def good_messages(draw: st.DrawFn) -> bytes:
    """A message in some fragments, with pings between them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    pieces = [payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    out = b""
    for at, piece in enumerate(pieces):
        out += frame(CONTINUATION if at else opcode, piece, fin=at == len(pieces) - 1)
        if draw(st.booleans()):
            out += frame(draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=125)))
    return out


#: Any frame at all; most of them are wrong somewhere.
ANY_FRAMES = st.builds(
    frame,
    st.sampled_from([CONTINUATION, TEXT, BINARY, 3, 7, CLOSE, PING, PONG, 11, 15]),
    PAYLOADS,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 1, 2, 4]),
    mask=st.sampled_from([b"\x11\x22\x33\x44", b"\x00\x00\x00\x00", None]),
)
REASONS = PAYLOADS.filter(lambda reason: len(reason) <= 123)
CLOSES = st.builds(lambda code, reason: frame(CLOSE, close_payload(code) + reason), CODES, REASONS)
SESSIONS = st.lists(st.one_of(good_messages(), good_messages(), ANY_FRAMES, CLOSES), max_size=6)
END = frame(CLOSE, close_payload(1000))


@pytest.fixture(scope="module")
def listener(io_threads: int):
    with Server(io_threads, {"ping_interval": None}) as server, server.open() as asker:
        yield server, asker
        server.is_well()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(frames=SESSIONS)
def test_F27_the_same_as_wsproto_and_websockets(listener: tuple[Server, Wire], frames: list[bytes]) -> None:
    said = b"".join(frames) + END
    ours, wsproto = from_hubbub(*listener, said), from_wsproto(said)
    websockets, words = from_websockets(said)
    assert ours == wsproto
    # It looks for UTF-8 at the end of a message, and may meet something else before.
    if websockets != ours and ours.code != 1007:
        assert any(words.startswith(difference) for difference in DIFFERENCES), (words, websockets, ours)
        assert (websockets.messages, websockets.pings) == (ours.messages, ours.pings)
        assert ours.code in (1000, 1002)
