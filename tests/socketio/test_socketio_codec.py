"""Packets of Socket.IO as Python sees them: what goes in comes out, the reference's parser agrees, and bad input is an
error in words."""

from __future__ import annotations

import base64
import contextlib
import enum
import json
import math
import sys
from collections import OrderedDict, namedtuple
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from hubbub._core import (
    MsgpackDecoder,
    SocketIoDecoder,
    SocketIoPacket,
    socketio_encode,
    socketio_encode_msgpack,
)
from hubbub.errors import HubbubError, PacketError

TRANSCRIPTS = Path(__file__).parents[2] / "rust" / "proto" / "tests" / "all" / "data" / "socketio.json"


def read(*messages: str | bytes, **limits: int) -> SocketIoPacket | None:
    decoder = SocketIoDecoder(**limits)
    packets = [decoder.feed(message) for message in messages]
    assert packets[:-1] == [None] * (len(messages) - 1)
    return packets[-1]


def parts(packet: SocketIoPacket | None) -> tuple[int, str, int | None, Any]:
    assert packet is not None
    return packet.type, packet.nsp, packet.id, packet.data


def sent(data: Any) -> str:
    """The JSON of an event's only argument."""
    (text,) = socketio_encode(2, "/", None, ["a", data])
    assert isinstance(text, str)
    assert text.startswith('2["a",')
    assert text.endswith("]")
    return text[6:-1]


def place(num: int) -> str:
    return f'{{"_placeholder":true,"num":{num}}}'


# ---- in


def test_each_type_of_packet_is_read() -> None:
    assert parts(read("0")) == (0, "/", None, None)
    assert parts(read('0/admin?x=1,{"token":"t"}')) == (0, "/admin?x=1", None, {"token": "t"})
    assert parts(read("1/admin,")) == (1, "/admin", None, None)
    assert parts(read('2["a",1,null]')) == (2, "/", None, ["a", 1, None])
    assert parts(read('2/n,18446744073709551615["a"]')) == (2, "/n", 2**64 - 1, ["a"])
    assert parts(read("37[]")) == (3, "/", 7, [])
    assert parts(read('4"no"')) == (4, "/", None, "no")
    assert parts(read('4{"message":"no"}')) == (4, "/", None, {"message": "no"})


def test_attachments_take_the_place_of_their_placeholders() -> None:
    packet = read(f'52-/n,3["a",{place(1)},{{"b":[{place(0)}]}}]', b"zero", b"one")
    assert parts(packet) == (2, "/n", 3, ["a", b"one", {"b": [b"zero"]}])
    assert parts(read(f"61-9[{place(0)}]", b"")) == (3, "/", 9, [b""])
    # Two for one attachment, and none for another, as in the reference.
    assert parts(read(f'52-["a",[{place(0)},{place(0)}]]', b"x", b"y"))[3] == ["a", [b"x", b"x"]]
    # What looks like one is none where no attachment was announced.
    assert parts(read(f'2["a",{place(0)}]'))[3] == ["a", {"_placeholder": True, "num": 0}]


def test_attachments_may_be_any_kind_of_bytes() -> None:
    for form in (bytes, bytearray, memoryview):
        packet = read(f'51-["a",{place(0)}]', form(b"abc"))
        assert packet is not None
        assert packet.data == ["a", b"abc"]
        assert type(packet.data[1]) is bytes


def test_what_waits_for_attachments_can_be_seen_and_forgotten() -> None:
    decoder = SocketIoDecoder()
    assert (decoder.pending_nsp, decoder.pending_bytes) == (None, 0)
    text = f'52-/chat,["a",{place(0)},{place(1)}]'
    assert decoder.feed(text) is None
    assert decoder.feed(b"12345") is None
    assert (decoder.pending_nsp, decoder.pending_bytes) == ("/chat", len(text) + 5)
    decoder.reset()
    assert (decoder.pending_nsp, decoder.pending_bytes) == (None, 0)
    with pytest.raises(PacketError, match="bytes came that no packet had announced"):
        decoder.feed(b"67890")
    assert parts(decoder.feed('2["b"]'))[3] == ["b"]


def test_numbers_are_as_python_reads_them() -> None:
    numbers = "[0,-1,9007199254740993,18446744073709551616,-123456789012345678901234567890,1.5,-0.0,1e3,5e-324]"
    seen = parts(read(f'2["a",{numbers}]'))[3][1]
    assert seen == json.loads(numbers)
    assert [type(each) for each in seen] == [type(each) for each in json.loads(numbers)]
    digits = "9" * 308
    assert parts(read(f'2["a",{digits}]'))[3] == ["a", int(digits)]
    # As in JavaScript: no number that could not be sent again.
    assert parts(read(f'2["a",{digits}0,-{digits}0,1e400]'))[3] == ["a", math.inf, -math.inf, math.inf]


def test_an_offence_is_in_words_and_what_was_kept_is_freed() -> None:
    table: list[tuple[str, list[str | bytes]]] = [
        ("a Socket.IO packet is empty", [""]),
        ("a Socket.IO packet has a type other than 0 to 6", ["7"]),
        ("the number of attachments is malformed", ['5["a"]']),
        ("a packet has too many attachments", [f'511-["a",{place(0)}]']),
        ("a namespace is too long", ["0/" + "a" * 4096]),
        ("the number of an acknowledgement is too large", ['218446744073709551616["a"]']),
        ("a packet's data is not JSON", ['2["a"']),
        ("a packet's data is not JSON", ['2["a",NaN]']),
        ("a packet's data is nested too deep", ['2["a",' + "[" * 64]),
        ("a packet's data has a number that is too long", ['2["a",' + "1" * 1025 + "]"]),
        ("a packet's data does not fit its type", ["2{}"]),
        ("an event's name is neither text nor a number", ["2[]"]),
        ("an event's name is reserved", ['2["disconnect"]']),
        ("a packet has too many arguments", ['2["a"' + ",1" * 257 + "]"]),
        ("a placeholder does not stand for an attachment", [f'51-["a",{place(1)}]']),
        ("text came while attachments were due", [f'51-["a",{place(0)}]', '2["b"]']),
        ("bytes came that no packet had announced", [b"abc"]),
        ("a packet is too big", [f'51-["a",{place(0)}]', bytes(1 << 20)]),
    ]
    for words, messages in table:
        decoder = SocketIoDecoder()
        for message in messages[:-1]:
            assert decoder.feed(message) is None
        with pytest.raises(PacketError) as caught:
            decoder.feed(messages[-1])
        assert str(caught.value) == words
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, HubbubError)
        assert decoder.pending_bytes == 0


def test_each_limit_can_be_set() -> None:
    fine: list[tuple[dict[str, int], str]] = [
        ({"max_attachments": 1}, f'52-["a",{place(0)},{place(1)}]'),
        ({"max_packet_bytes": 10}, '2["abcdefg"]'),
        ({"max_depth": 2}, '2["a",[[]]]'),
        ({"max_arguments": 1}, '2["a",1,2]'),
        ({"max_namespace_bytes": 4}, '2/abcd,["a"]'),
    ]
    for limits, text in fine:
        (name,) = limits
        with pytest.raises(PacketError):
            SocketIoDecoder(**limits).feed(text)
        SocketIoDecoder(**{name: limits[name] + 2}).feed(text)
    depth = '2["a",' + "[" * 199 + "]" * 200
    assert read(depth, max_depth=200) is not None
    for wrong in (0, 201):
        with pytest.raises(ValueError, match=f"max_depth is from 1 to 200, not {wrong}"):
            SocketIoDecoder(max_depth=wrong)


def test_what_is_no_message_is_a_type_error() -> None:
    for wrong in (None, 1, ["2"], object()):
        with pytest.raises(TypeError, match="str, bytes, bytearray or memoryview"):
            SocketIoDecoder().feed(wrong)  # type: ignore[arg-type]


def test_a_packet_can_be_matched_and_shown() -> None:
    packet = read('2/n,1["a","b"]')
    match packet:
        case SocketIoPacket(2, "/n", 1, ["a", *rest]):
            assert rest == ["b"]
        case _:
            pytest.fail("no match")
    assert repr(packet) == "SocketIoPacket(type=2, nsp='/n', id=1, data=['a', 'b'])"


# ---- out


def test_each_type_of_packet_is_written() -> None:
    assert socketio_encode(0, "/", None, None) == ["0"]
    assert socketio_encode(0, "/n", None, {"sid": "x"}) == ['0/n,{"sid":"x"}']
    assert socketio_encode(1, "/n", None, None) == ["1/n,"]
    assert socketio_encode(2, "/", None, ("a", [1, True])) == ['2["a",[1,true]]']
    assert socketio_encode(2, "/n", 2**64 - 1, ["a"]) == ['2/n,18446744073709551615["a"]']
    assert socketio_encode(3, "/", 0, []) == ["30[]"]
    assert socketio_encode(4, "/", None, "no") == ['4"no"']
    assert socketio_encode(4, "/n", None, {"message": "no"}) == ['4/n,{"message":"no"}']


def test_bytes_are_put_behind_the_packet() -> None:
    data = ["a", b"\x00", {"b": (bytearray(b"1"), memoryview(b"2"))}]
    text = f'53-/n,4["a",{place(0)},{{"b":[{place(1)},{place(2)}]}}]'
    assert socketio_encode(2, "/n", 4, data) == [text, b"\x00", b"1", b"2"]
    assert socketio_encode(5, "/n", 4, data) == [text, b"\x00", b"1", b"2"]
    assert socketio_encode(6, "/", 4, [b""]) == [f"61-4[{place(0)}]", b""]
    # Without bytes they are what they are without.
    assert socketio_encode(5, "/", None, ["a"]) == ['2["a"]']


def test_bytes_that_cannot_change_are_not_copied() -> None:
    blob = bytes(100_000)
    assert socketio_encode(2, "/", None, ["a", blob])[1] is blob
    packet = read(f'51-["a",{place(0)}]', blob)
    assert packet is not None
    assert packet.data[1] is blob
    changing = bytearray(b"before")
    messages = socketio_encode(2, "/", None, ["a", changing])
    changing[:] = b"after!"
    assert messages[1] == b"before"


def test_numbers_are_written_exactly() -> None:
    for number in (0, -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**300, -(10**300)):
        assert sent(number) == str(number)
    for number in (0.1, 1e21, 1.7976931348623157e308, 5e-324, -2.5):
        assert float(sent(number)) == number
    assert sent([math.nan, math.inf, -math.inf]) == "[null,null,null]"


def test_text_is_escaped_where_json_asks_for_it_and_nowhere_else() -> None:
    for text in [
        "",
        "plain",
        '"',
        "\\",
        "\n\r\t\b\f",
        "\0\x1f",
        "grüße 世界 😀",
        "\u2028",
        "x" * 31 + '"',
        "x" * 64 + "\n",
    ]:
        assert sent(text) == json.dumps(text, ensure_ascii=False)
        assert json.loads(sent(text)) == text


def test_keys_are_written_as_json_dumps_does() -> None:
    keys: dict[Any, int] = {"a": 1, 2: 3, 2**70: 4, 3.0: 5, 0.5: 6, True: 7, False: 8, None: 9, 'q"': 10, "ü": 11}
    keys |= {math.inf: 12, -math.inf: 13, math.nan: 14, 1e16: 15}
    assert sent(keys) == json.dumps(keys, separators=(",", ":"), ensure_ascii=False)


def test_subclasses_are_what_they_derive_from() -> None:
    class Colour(str, enum.Enum):
        RED = "red"

    class Number(enum.IntEnum):
        ONE = 1
        LARGE = 2**80

    class Ratio(float):
        def __repr__(self) -> str:
            return "half"

    class Names(list[str]):
        pass

    Point = namedtuple("Point", "x y")
    value = [Colour.RED, Number.ONE, Number.LARGE, Ratio(0.5), Names("ab"), Point(1, 2), OrderedDict(b=1)]
    assert sent(value) == f'["red",1,{2**80},0.5,["a","b"],[1,2],{{"b":1}}]'
    assert sent({Colour.RED: 1, Number.ONE: 2, Ratio(0.5): 3}) == '{"red":1,"1":2,"0.5":3}'


def test_what_cannot_be_json_is_named_with_the_path_to_it() -> None:
    class Thing:
        pass

    table: list[tuple[Any, str]] = [
        ({"user": [1, {"born": Thing()}]}, r"data\[1\]\['user'\]\[1\]\['born'\]: .*Thing cannot be sent"),
        ({1, 2}, r"data\[1\]: set cannot be sent"),
        (1j, r"data\[1\]: complex cannot be sent"),
        ({b"key": 1}, r"data\[1\]: a dict's key is bytes"),
        ({"a": {(1, 2): 1}}, r"data\[1\]\['a'\]: a dict's key is tuple"),
        ([memoryview(b"abcd")[::2]], r"data\[1\]\[0\]: .*contiguous"),
    ]
    for value, words in table:
        with pytest.raises(TypeError, match=words):
            sent(value)
    with pytest.raises(ValueError, match=r"data\[1\]\['name'\]: a str with lone surrogates"):
        sent({"name": "\ud800"})
    with pytest.raises(ValueError, match=r"data\[1\]: a str with lone surrogates"):
        sent({"\udfff": 1})
    for number in (10**309, -(10**309), 10**10_000):
        with pytest.raises(ValueError, match=r"data\[1\]: an int beyond what a double can hold"):
            sent(number)


def test_nesting_has_an_end() -> None:
    def nested(depth: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(depth - 1):
            value = [value]
        return value

    text = sent(nested(199))
    assert read(f'2["a",{text}]', max_depth=200) is not None
    within: dict[str, Any] = {}
    within["self"] = within
    for value in (nested(200), nested(sys.getrecursionlimit() * 10), within):
        with pytest.raises(ValueError, match=r"data\[1\].*\.\.\.: nested more than 200 deep, or within itself"):
            sent(value)


def test_what_a_receiver_would_refuse_is_refused_here() -> None:
    table: list[tuple[type[Exception], str, tuple[Any, ...]]] = [
        (ValueError, "from 0 to 6", (7, "/", None, None)),
        (ValueError, "begins with a slash", (0, "admin", None, None)),
        (ValueError, "has no comma", (0, "/a,b", None, None)),
        (ValueError, "have an id", (0, "/", 1, None)),
        (TypeError, "CONNECT takes a dict or None, not list", (0, "/", None, [])),
        (TypeError, "DISCONNECT takes no data, not dict", (1, "/", None, {})),
        (TypeError, "EVENT takes a list or tuple, the name first, not str", (2, "/", None, "a")),
        (ValueError, "an event has a name", (2, "/", None, [])),
        (TypeError, "an event's name is a str or a number, not NoneType", (2, "/", None, [None])),
        (TypeError, "an event's name is a str or a number, not bool", (2, "/", None, [True])),
        (ValueError, "'connect_error' is a reserved event", (2, "/", None, ["connect_error"])),
        (TypeError, "ACK takes a list or tuple, not NoneType", (3, "/", 1, None)),
        (TypeError, "CONNECT_ERROR takes a dict or str, not NoneType", (4, "/", None, None)),
        (ValueError, "only events and acknowledgements carry bytes", (4, "/", None, {"a": b""})),
        (ValueError, "has 11 attachments", (2, "/", None, ["a", *[b""] * 11])),
        (ValueError, "_placeholder", (2, "/", None, ["a", {"_placeholder": True, "num": 7}, b""])),
        (OverflowError, "too big|negative|unsigned", (2, "/", -1, ["a"])),
        (OverflowError, "too big|negative|unsigned", (2, "/", 2**64, ["a"])),
    ]
    for kind, words, arguments in table:
        with pytest.raises(kind, match=words):
            socketio_encode(*arguments)
    assert len(socketio_encode(2, "/", None, ["a", *[b""] * 11], max_attachments=11)) == 12
    assert sent({"_placeholder": True, "num": 7}) == place(7)


# ---- both


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)
PLAIN = JSON.filter(lambda value: "_placeholder" not in repr(value))
NAMESPACES = st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), max_size=20).map("/{}".format)
NAMES = TEXT.filter(
    lambda name: (
        name not in {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
    )
)
IDS = st.none() | st.integers(0, 2**64 - 1)


@given(nsp=NAMESPACES, id=IDS, name=NAMES, arguments=st.lists(PLAIN | st.binary(), max_size=8))
def test_an_event_comes_out_as_it_went_in(nsp: str, id: int | None, name: str, arguments: list[Any]) -> None:
    messages = socketio_encode(2, nsp, id, [name, *arguments])
    assert parts(read(*messages)) == (2, nsp, id, [name, *arguments])


@given(value=JSON)
def test_json_is_what_pythons_own_parser_reads(value: Any) -> None:
    text = sent(value)
    assert json.loads(text) == value
    packet = read(f'2["a",{text}]')
    assert packet is not None
    assert repr(packet.data) == repr(json.loads(f'["a",{text}]'))


@given(messages=st.lists(st.text(max_size=30).map("2{}".format) | st.text() | st.binary(), max_size=4))
def test_anything_is_a_packet_or_an_error(messages: list[str | bytes]) -> None:
    decoder = SocketIoDecoder()
    for message in messages:
        try:
            packet = decoder.feed(message)
        except PacketError:
            assert decoder.pending_nsp is None
        except UnicodeEncodeError:
            assert any("\ud800" <= letter <= "\udfff" for letter in str(message))
        else:
            assert (packet is None) == (decoder.pending_nsp is not None)


def revive(value: Any) -> Any:
    """Bytes stand as ``{"$bytes": base64}`` in the transcripts, dates as ``{"$date": milliseconds}``."""
    if isinstance(value, list):
        return [revive(each) for each in value]
    if isinstance(value, dict):
        if "$date" in value:
            return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=value["$date"])
        return base64.b64decode(value["$bytes"]) if "$bytes" in value else {k: revive(v) for k, v in value.items()}
    return value


def test_the_references_parser_writes_the_same_and_reads_the_same() -> None:
    transcripts = json.loads(TRANSCRIPTS.read_text(encoding="utf-8"))
    for case in transcripts["encode"]:
        packet, frames = revive(case["packet"]), revive(case["frames"])
        if not any(isinstance(each, float) for each in packet.get("data", [])):
            messages = socketio_encode(packet["type"], packet["nsp"], packet.get("id"), packet.get("data"))
            assert messages == frames
        came = read(*frames)
        assert parts(came) == (packet["type"], packet["nsp"], packet.get("id"), packet.get("data"))
    read_by_both = 0
    for case in transcripts["decode"]:
        decoder, packets = SocketIoDecoder(), []
        try:
            for frame in revive(case["frames"]):
                packets.append(decoder.feed(frame))
        except PacketError:
            continue
        if not case["failed"]:
            expected = [(p["type"], p["nsp"], p.get("id"), revive(p.get("data"))) for p in case["packets"]]
            assert [parts(packet) for packet in packets if packet is not None] == expected
            read_by_both += 1
    assert read_by_both > 60


# ---- MessagePack


def packed(*arguments: Any) -> list[Any]:
    """The arguments of an event after they were written and read."""
    (message,) = socketio_encode_msgpack(2, "/", None, ["a", *arguments])
    type, nsp, id, data = parts(MsgpackDecoder().feed(message))
    assert (type, nsp, id, data[0]) == (2, "/", None, "a")
    return list(data[1:])


def test_a_packet_is_one_message_with_the_bytes_in_it() -> None:
    messages = socketio_encode_msgpack(2, "/n", 7, ["a", b"\x00", (bytearray(b"1"), memoryview(b"2"))])
    assert len(messages) == 1
    assert type(messages[0]) is bytes
    assert parts(MsgpackDecoder().feed(messages[0])) == (2, "/n", 7, ["a", b"\x00", [b"1", b"2"]])
    assert parts(MsgpackDecoder().feed(bytearray(socketio_encode_msgpack(0, "/", None, None)[0]))) == (
        0,
        "/",
        None,
        None,
    )


def test_what_json_has_no_way_for_keeps_its_value() -> None:
    moment = datetime(2024, 2, 29, 23, 59, 59, 999_000, tzinfo=timezone(timedelta(hours=-5)))
    assert packed(math.inf, -math.inf, moment) == [math.inf, -math.inf, moment]
    assert math.isnan(packed(math.nan)[0])
    (back,) = packed(moment)
    assert back.tzinfo is timezone.utc
    early = datetime(1, 1, 1, tzinfo=timezone.utc)
    late = datetime(9999, 12, 31, 23, 59, 59, 999_000, timezone.utc)
    assert packed(early, late) == [early, late]
    # A Date has milliseconds.
    assert packed(datetime(2000, 1, 1, microsecond=1_499, tzinfo=timezone.utc))[0].microsecond == 1_000
    with pytest.raises(TypeError, match=r"data\[1\]\['at'\]: a datetime without a time zone"):
        packed({"at": datetime(2000, 1, 1)})


def test_the_limits_and_the_errors_are_those_of_the_other_parser() -> None:
    for number in (2**63 - 1, 2**63, 2**64 - 1, -(2**63)):
        assert packed(number) == [number]
    for number in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match=r"data\[1\]: an int beyond 64 bits"):
            packed(number)
    with pytest.raises(TypeError, match=r"data\[1\]\[0\]: object cannot be sent"):
        packed([object()])
    with pytest.raises(TypeError, match="EVENT takes a list or tuple"):
        socketio_encode_msgpack(2, "/", None, {})
    assert packed({1: 2, None: 3, False: 4, 0.5: 5}) == [{"1": 2, "null": 3, "false": 4, "0.5": 5}]

    decoder = MsgpackDecoder(max_packet_bytes=40, max_arguments=2, max_depth=2, max_namespace_bytes=5)
    table: list[tuple[str, Any]] = [
        ("a Socket.IO packet is empty", b""),
        ("a packet is not MessagePack", "2"),
        ("a packet is not MessagePack", b"\xc1"),
        ("a packet has no namespace", b"\x81\xa4type\x02"),
        ("a packet is too big", bytes(41)),
        ("a packet has too many arguments", socketio_encode_msgpack(3, "/", 1, [1, 2, 3])[0]),
        ("a packet's data is nested too deep", socketio_encode_msgpack(3, "/", 1, [[[]]])[0]),
        ("a namespace is too long", socketio_encode_msgpack(1, "/abcde", None, None)[0]),
    ]
    for words, message in table:
        with pytest.raises(PacketError) as caught:
            decoder.feed(message)
        assert str(caught.value) == words
    assert decoder.feed(socketio_encode_msgpack(3, "/abcd", 1, [[], 1])[0]).data == [[], 1]
    decoder.reset()
    assert (decoder.pending_nsp, decoder.pending_bytes) == (None, 0)
    with pytest.raises(ValueError, match="max_depth is from 1 to 200"):
        MsgpackDecoder(max_depth=0)


def test_what_the_references_msgpack_parser_writes_is_read() -> None:
    for case in json.loads(TRANSCRIPTS.read_text(encoding="utf-8"))["msgpack"]:
        packet = revive(case["packet"])
        came = MsgpackDecoder().feed(revive(case["frame"]))
        assert parts(came) == (packet["type"], packet["nsp"], packet.get("id"), packet.get("data"))


PACKABLE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.binary() | TEXT,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXT, inner, max_size=20),
    max_leaves=20,
)


@given(nsp=NAMESPACES, id=IDS, arguments=st.lists(PACKABLE, max_size=8))
def test_messagepack_comes_out_as_it_went_in(nsp: str, id: int | None, arguments: list[Any]) -> None:
    (message,) = socketio_encode_msgpack(3, nsp, id, arguments)
    packet = MsgpackDecoder().feed(message)
    assert (packet.type, packet.nsp, packet.id, repr(packet.data)) == (3, nsp, id, repr(arguments))


@given(start=st.sampled_from([b"", b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1a"]), rest=st.binary())
def test_any_bytes_are_a_packet_or_an_error(start: bytes, rest: bytes) -> None:
    with contextlib.suppress(PacketError):
        MsgpackDecoder().feed(start + rest)
