"""Frames: lengths, reserved bits, floods, bad UTF-8, and every cut (rows 15-24, F12, F13, F21, F22)."""

from __future__ import annotations

import random
import socket
import threading
import time

import pytest
from process import Server, percentile
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Wire, close_payload, frame, request

MEBIBYTE = 1 << 20


def send_what_it_takes(wire: Wire, data: bytes, times: int) -> int:
    """Sends the data again and again, until the server has had enough. Gives how often it took it."""
    for sent in range(times):
        try:
            wire.send(data)
        except (ConnectionError, TimeoutError):
            return sent
    return times


def test_row_15_a_million_fragments_of_one_byte_cost_no_more_than_the_message(server: Server) -> None:
    server.is_well()
    before = server.memory()
    with server.open() as wire:
        wire.send(frame(BINARY, b"x", fin=False))
        grown = 0
        for _ in range(100):
            wire.send(frame(CONTINUATION, b"x", fin=False) * 10_000)
            grown = max(grown, server.memory() - before)
        send_what_it_takes(wire, frame(CONTINUATION, b"x", fin=False) * 10_000, 10)
        assert wire.receive().code == 1009
    # The message itself may take 1 MiB, and a buffer that grows may take twice that for a moment.
    assert grown < 4 * MEBIBYTE, f"{grown} bytes more"


def test_row_15_a_million_empty_fragments_are_stopped_after_64(server: Server) -> None:
    before = server.cpu()
    with server.open() as wire:
        wire.send(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 62)
        wire.send(frame(PING, b"still well"))
        assert wire.receive() == (PONG, b"still well")
        send_what_it_takes(wire, frame(CONTINUATION, b"", fin=False) * 10_000, 100)
        assert wire.receive().code == 1008
    assert server.cpu() - before < 1


def test_row_16_many_fragments_cost_in_proportion(io_threads: int) -> None:
    with Server(io_threads, {"max_message_bytes": 8 * MEBIBYTE, "outbox_bytes": 16 * MEBIBYTE}) as server:
        spent = {}
        for count in (1024, 32_768, 65_536, 131_072):  # the first warms it up
            message = frame(BINARY, b"f" * 64, fin=False) + frame(CONTINUATION, b"f" * 64, fin=False) * (count - 2)
            message += frame(CONTINUATION, b"f" * 64)
            before = server.cpu()
            with server.open() as wire:
                wire.send(message)
                assert wire.receive().payload == b"f" * 64 * count
            spent[count] = server.cpu() - before
        print(
            f"65536 fragments of 64 bytes: {spent[65_536] * 1000:.0f} ms; twice as many: {spent[131_072] * 1000:.0f} ms"
        )
        assert spent[65_536] < 1
        # The clock ticks in hundredths of a second.
        assert spent[131_072] < 3 * spent[65_536] + 0.05


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(BINARY, length=b"\x7f" + (2**63 - 1).to_bytes(8, "big")), 1009),
        (frame(BINARY, length=b"\x7f" + (2**63).to_bytes(8, "big")), 1002),
        (frame(BINARY, length=b"\x7f" + (2**64 - 1).to_bytes(8, "big")), 1002),
        (frame(BINARY, length=b"\x7f" + (MEBIBYTE + 1).to_bytes(8, "big")), 1009),
        (frame(TEXT, length=b"\x7f" + (MEBIBYTE + 1).to_bytes(8, "big")), 1009),
        (frame(BINARY, b"xx", fin=False) + frame(0, length=b"\x7f" + (2**63 - 1).to_bytes(8, "big")), 1009),
        (frame(BINARY, b"xx", fin=False) + frame(0, length=b"\x7f" + (MEBIBYTE - 1).to_bytes(8, "big")), 1009),
        (frame(BINARY, length=b"\x7e" + (125).to_bytes(2, "big")), 1002),
        (frame(BINARY, length=b"\x7f" + (65535).to_bytes(8, "big")), 1002),
        (frame(PING, length=b"\x7e" + (126).to_bytes(2, "big")), 1002),
        (frame(CLOSE, length=b"\x7f" + (2**63 - 1).to_bytes(8, "big")), 1002),
    ],
)
def test_row_17_a_length_is_judged_before_anything_is_read_or_kept(server: Server, sent: bytes, code: int) -> None:
    before = server.memory()
    with server.open() as wire:
        wire.send(sent)
        # message_timeout would close with 1008.
        assert wire.receive().code == code
        assert server.memory() - before < MEBIBYTE


def test_row_18_reserved_bits_and_opcodes_fail_that_connection_only(server: Server) -> None:
    with server.open() as bystander:
        for opcode in range(16):
            for rsv in range(8):
                for fin in (False, True):
                    control = opcode >= 8
                    good = rsv == 0 and opcode in (TEXT, BINARY, CLOSE, PING, PONG) and (fin or not control)
                    with server.open() as wire:
                        wire.send(frame(opcode, rsv=rsv, fin=fin) + frame(CLOSE))
                        got = wire.until_close()
                    # An empty close frame is answered by an empty one.
                    assert got.code == (1005 if good else 1002), (opcode, rsv, fin)
        assert bystander.ask("still here?") == "still here?"


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_row_19_a_frame_without_a_mask_fails_the_connection(server: Server, opcode: int) -> None:
    with server.open() as wire:
        wire.send(frame(opcode, b"", mask=None))
        assert wire.receive().code == 1002


def test_row_20_a_ping_between_all_fragments_loses_nothing(server: Server) -> None:
    text = "größer als 世界 🎉" * 20
    raw = text.encode()
    with server.open() as wire:
        for at in range(len(raw)):
            wire.send(frame(CONTINUATION if at else TEXT, raw[at : at + 1], fin=at == len(raw) - 1))
            wire.send(frame(PING, str(at).encode()))
        received = [wire.receive() for _ in range(len(raw) + 1)]
    assert [pong.payload for pong in received if pong.opcode == PONG] == [str(at).encode() for at in range(len(raw))]
    assert [message.payload for message in received if message.opcode == TEXT] == [raw]


CODES = {
    **dict.fromkeys([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014], True),
    **dict.fromkeys([3000, 3999, 4000, 4999], True),
    **dict.fromkeys([0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535], False),
}


def test_row_21_close_codes_are_judged_one_by_one(server: Server) -> None:
    for code, valid in CODES.items():
        with server.open() as wire:
            wire.send(frame(CLOSE, close_payload(code)))
            assert wire.receive().code == (code if valid else 1002), code
    for payload, answer in [(b"\x03", 1002), (close_payload(1000) + b"\xff", 1007), (b"", 1005)]:
        with server.open() as wire:
            wire.send(frame(CLOSE, payload))
            assert wire.receive().code == answer


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("send int", "TypeError"),
        ("send None", "TypeError"),
        ("send list", "TypeError"),
        ("send doubles", "TypeError"),
        ("send strided", "TypeError"),
        ("send surrogate", "UnicodeEncodeError"),
        ("ping int", "TypeError"),
        ("ping doubles", "TypeError"),
        ("ping long", "ValueError"),
        ("ping long in bytes", "ValueError"),
        ("reason long", "ValueError"),
        ("reason long in bytes", "ValueError"),
        ("reason bytes", "TypeError"),
        ("reason doubles", "TypeError"),
        ("code 1005", "ValueError"),
        ("code 1006", "ValueError"),
        ("code 0", "ValueError"),
        ("code 65536", "ValueError"),
        ("code text", "TypeError"),
        ("room int", "TypeError"),
    ],
)
def test_row_22_wrong_arguments_raise_and_nothing_is_sent(server: Server, attempt: str, error: str) -> None:
    with server.open() as wire:
        assert wire.ask("!try " + attempt.replace(" ", "_")).startswith(f"{error}: ")
        assert wire.ask("next") == "next"


def test_row_23_pongs_that_nobody_asked_for_are_nothing(server: Server) -> None:
    rng = random.Random(23)
    with server.open("/pings") as wire:
        pings = [wire.receive() for _ in range(100)]
        assert {ping.opcode for ping in pings} == {PING}
        pongs = [frame(PONG, rng.randbytes(rng.randrange(126))) for _ in range(1000)]
        pongs += [frame(PONG, ping.payload) for ping in pings] * 2
        rng.shuffle(pongs)
        wire.send(b"".join(pongs))
        assert wire.receive().payload == b"100"
    server.is_well()


@pytest.mark.alone
def test_F21_row_24_a_flood_of_pings_is_not_hoarded_and_does_not_disturb(io_threads: int) -> None:
    flood = frame(PING, b"p" * 125) * 1000
    with Server(io_threads) as server, server.open() as bystander:
        server.is_well()
        before = server.memory()
        trips: list[float] = []
        done = threading.Event()

        def echo() -> None:
            while not done.is_set():
                started = time.monotonic()
                assert bystander.ask("echo") == "echo"
                trips.append(time.monotonic() - started)
                done.wait(0.005)

        other = threading.Thread(target=echo)
        other.start()
        with server.open(receive_buffer=4096) as wire:
            started = time.monotonic()
            wire.socket.settimeout(2)  # it may also stop taking them
            sent = send_what_it_takes(wire, flood, 1000)
            seconds = time.monotonic() - started
            grown = server.memory() - before
        done.set()
        other.join()
        print(
            f"{sent * len(flood) / 1e6:.0f} MB of pings in {seconds:.1f} s; {grown >> 10} KiB more; "
            f"meanwhile p50 {percentile(trips, 0.5) * 1000:.1f} ms, p99 {percentile(trips, 0.99) * 1000:.1f} ms"
        )
        assert grown < 2 * MEBIBYTE
        assert percentile(trips, 0.5) < 0.2
        server.is_well()


VALID = ["κόσμε", "a\x00b", "\x7f\u0080\u07ff\u0800\uffff", "\U00010000\U0010ffff", "\ufeff", "\ud7ff\ue000", "🎉🎉"]
INVALID = [
    b"\x80", b"a\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80",
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff", b"\xceX", b"\xe2\x82", b"\xf0\x9f\x8e", b"ok\xc3",
]  # fmt: skip


def cuts(raw: bytes) -> list[list[bytes]]:
    """Every way to cut it in two, or in three around one byte."""
    twos = [[raw[:at], raw[at:]] for at in range(len(raw) + 1)]
    return twos + [[raw[:at], raw[at : at + 1], raw[at + 1 :]] for at in range(len(raw))]


def as_fragments(pieces: list[bytes]) -> bytes:
    last = len(pieces) - 1
    return b"".join(frame(CONTINUATION if at else TEXT, piece, fin=at == last) for at, piece in enumerate(pieces))


def test_F12_valid_text_comes_back_however_it_is_cut(server: Server) -> None:
    with server.open() as wire:
        for text in VALID:
            raw = text.encode("utf-8", "surrogatepass")
            for pieces in cuts(raw):
                wire.send(as_fragments(pieces))
                assert wire.receive() == (TEXT, raw)


def test_F12_invalid_text_is_refused_however_it_is_cut(server: Server) -> None:
    for raw in INVALID:
        for pieces in cuts(raw):
            with server.open() as wire:
                wire.send(as_fragments(pieces))
                assert wire.receive().code == 1007, pieces


def test_F12_the_first_impossible_byte_is_enough(server: Server) -> None:
    with server.open() as wire:
        whole = frame(TEXT, b"\xce\xba\xe1\xf4\x90" + b"x" * 1000)
        wire.send(whole[: 6 + 2 + 5])  # a part of one frame
        assert wire.receive().code == 1007


def session() -> bytes:
    """All that a client may say, from the handshake to the Close."""
    rng = random.Random(13)
    said = [request("/"), frame(PING, b""), frame(PONG, b"nobody asked")]
    for size in (0, 1, 125, 126, 127, 65_535, 65_536):
        said.append(frame(BINARY, rng.randbytes(size), mask=rng.randbytes(4)))
        said.append(frame(PING, rng.randbytes(size % 126)))
    text = "aé世🎉" * 500
    raw = text.encode()
    said.append(frame(TEXT, raw))
    said += [as_fragments([raw[:1001], b"", raw[1001:1003], raw[1003:]])]
    said.append(frame(TEXT, b"one ", fin=False) + frame(PING, b"between") + frame(CONTINUATION, b"two"))
    said.append(frame(CLOSE, close_payload(4321, "bye")) + frame(TEXT, b"after the end"))
    return b"".join(said)


def heard(server: Server, pieces: list[bytes]) -> tuple[list, list]:
    """What a client hears that sends these pieces: messages, and pongs, whose order to each other is free.

    A client that ends at once may find its last messages unanswered: the Close frame waits until all answers are there.
    """
    end = len(frame(CLOSE, close_payload(4321, "bye")) + frame(TEXT, b"after the end"))
    said = b"".join(pieces)
    with server.wire() as wire:
        sizes = [len(piece) for piece in pieces]

        def send() -> None:
            at = 0
            for size in sizes:
                wire.send(said[at : min(at + size, len(said) - end)])
                at += size

        sender = threading.Thread(target=send)
        sender.start()
        assert wire.head().startswith(b"HTTP/1.1 101 ")
        messages, pongs = [], []
        while len(messages) < 10:
            received = wire.receive()
            (pongs if received.opcode == PONG else messages).append(received)
        sender.join()
        for at in range(len(said) - end, len(said)):
            wire.send(said[at : at + 1])
        closing = wire.receive()
        while closing.opcode == PONG:
            pongs.append(closing)
            closing = wire.receive()
        assert closing.code == 4321
        assert wire.socket.recv(1) == b"", "nothing comes after the Close"
    return messages, pongs


def test_F13_how_the_bytes_are_cut_makes_no_difference(server: Server) -> None:
    said = session()
    rng = random.Random(7)
    messages, pongs = heard(server, [said])
    assert len(messages) == 7 + 3
    assert len(pongs) == 1 + 7 + 1
    pace = [[said[at : at + 1] for at in range(len(said))]]
    for _ in range(10):
        places = sorted(rng.sample(range(1, len(said)), rng.randrange(1, 200)))
        pace.append([said[start:end] for start, end in zip([0, *places], [*places, len(said)], strict=True)])
    for pieces in pace:
        assert heard(server, pieces) == (messages, pongs)


def test_F22_a_legal_message_of_a_megabyte_in_tiny_fragments_comes_back(server: Server) -> None:
    with server.open() as wire:
        pieces = [frame(BINARY, b"a", fin=False), frame(CONTINUATION, b"b", fin=False) * (MEBIBYTE - 2)]
        sender = threading.Thread(target=lambda: [wire.send(piece) for piece in [*pieces, frame(CONTINUATION, b"c")]])
        sender.start()
        assert wire.receive().payload == b"a" + b"b" * (MEBIBYTE - 2) + b"c"
        sender.join()


def test_rest_of_a_refused_message_is_swallowed_so_that_the_reason_arrives(server: Server) -> None:
    with server.open() as wire:
        wire.send(frame(BINARY, length=b"\x7f" + (64 * MEBIBYTE).to_bytes(8, "big")))
        send_what_it_takes(wire, b"x" * MEBIBYTE, 16)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.receive().code == 1009
