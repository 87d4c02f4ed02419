"""Many at once: slow readers, resets, no descriptors, churn, and names without end (F4, F6, F7, F24, F25, row 13)."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import resource
import selectors
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from process import Serve, Server, eventually, expect_no_growth, percentile
from wire import TEXT, Wire, frame, request

MEBIBYTE = 1 << 20


@pytest.mark.alone
def test_F4_slow_readers_do_not_hold_up_the_others(serve: Serve) -> None:
    readers, messages = 50, 8000
    server = serve()
    with contextlib.ExitStack() as stack:
        elsewhere = [stack.enter_context(server.open()) for _ in range(2)]
        for wire in elsewhere:
            assert wire.ask("!join elsewhere") == "joined"
        slow = [stack.enter_context(server.open(receive_buffer=4096)) for _ in range(readers)]
        normal = [stack.enter_context(server.open()) for _ in range(readers)]
        for wire in [*slow, *normal]:
            assert wire.ask("!join loud") == "joined"
        talker = stack.enter_context(server.open())
        before = server.memory()
        server.forget_peak()

        crowd = Crowd(normal, messages)
        with crowd:
            talker.text(f"!flood loud {messages} 1000 0.02")
            for number in range(20):
                elsewhere[0].text(f"!say elsewhere {number}")
                assert elsewhere[1].receive() == (TEXT, str(number).encode())
            assert talker.receive() == (TEXT, b"flooded")
        grown = server.peak_memory() - before
        p50, p99 = (percentile(crowd.latencies, share) for share in (0.5, 0.99))
        print(f"{grown >> 20} MiB more at the peak; p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
        assert crowd.numbers == list(range(messages)), "all of them, in order"
        assert len(set(crowd.digests())) == 1, "the others got the same bytes"
        assert server.report()["stats"]["slow_closed"] == readers
        assert grown < readers * MEBIBYTE + 16 * MEBIBYTE
        assert p50 < 0.5


class Crowd:
    """Reads what comes to many; the first one's messages are looked at, the others' bytes are compared with its."""

    def __init__(self, wires: list[Wire], messages: int) -> None:
        self.numbers: list[int] = []
        self.latencies: list[float] = []
        self._wires = wires
        self._messages = messages
        self._hashes = [hashlib.blake2b() for _ in wires]
        self._bytes = [0] * len(wires)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "not everything has come"

    def digests(self) -> list[bytes]:
        return [one.digest() for one in self._hashes]

    def _run(self) -> None:
        first = bytearray()
        with selectors.DefaultSelector() as selector:
            for at, wire in enumerate(self._wires):
                selector.register(wire.socket, selectors.EVENT_READ, at)
            while len(self.numbers) < self._messages or len(set(self._bytes)) > 1:
                for key, _ in selector.select(20):
                    data = key.fileobj.recv(MEBIBYTE)
                    assert data, "a normal reader was closed"
                    self._hashes[key.data].update(data)
                    self._bytes[key.data] += len(data)
                    if key.data == 0:
                        first += data
                        self._look(first)

    def _look(self, received: bytearray) -> None:
        """Takes whole frames from the front; those here are all between 126 and 65535 bytes."""
        at, now = 0, time.monotonic_ns()
        while len(received) - at >= 4:
            assert received[at] == 0x81
            assert received[at + 1] == 126
            end = at + 4 + int.from_bytes(received[at + 2 : at + 4], "big")
            if end > len(received):
                break
            number, sent, _ = bytes(received[at + 4 : at + 64]).split(b" ", 2)
            self.numbers.append(int(number))
            self.latencies.append((now - int(sent)) / 1e9)
            at = end
        del received[:at]


def test_F6_resets_during_broadcasts_harm_nobody_else(serve: Serve) -> None:
    server = serve()
    server.is_well()
    rng = random.Random(6)
    baseline = server.descriptors()
    for _ in range(3):
        with contextlib.ExitStack() as stack:
            stay = [stack.enter_context(server.open()) for _ in range(50)]
            go = [server.open() for _ in range(50)]
            for wire in [*stay, *go]:
                assert wire.ask("!join room") == "joined"
            talker = stack.enter_context(server.open())
            lines = len(server.log)
            talker.text("!flood room 3000 200 0.005")
            rng.shuffle(go)
            with Crowd(stay, 3000) as crowd:
                for wire in go:
                    time.sleep(rng.random() * 0.002)
                    wire.reset()
                assert talker.receive() == (TEXT, b"flooded")
            assert crowd.numbers == list(range(3000))
            assert len(set(crowd.digests())) == 1
            assert len(server.log) - lines <= len(go), "a line for each of them at most"
    assert eventually(lambda: server.descriptors() <= baseline)
    report = server.report()
    assert (report["rooms"], report["sessions"]) == (0, 1)
    server.is_well()


@pytest.mark.alone
def test_F7_without_descriptors_it_waits_and_goes_on_serving(serve: Serve) -> None:
    server = serve()
    with contextlib.ExitStack() as stack:
        old = [stack.enter_context(server.open()) for _ in range(20)]
        limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        room = 20
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.descriptors() + room, limits[1]))

        new = [server.wire() for _ in range(100)]
        for wire in new:
            stack.callback(wire.socket.close)
            wire.send(request())
        for wire in new[:room]:
            assert wire.head().startswith(b"HTTP/1.1 101 ")
        cpu, trips, started = server.cpu(), [], time.monotonic()
        while time.monotonic() - started < 3:
            for wire in old:
                moment = time.monotonic()
                assert wire.ask("still here?") == "still here?"
                trips.append(time.monotonic() - moment)
            time.sleep(0.05)
        busy = (server.cpu() - cpu) / 3
        complaints = [line for line in server.log if "descriptors" in line]
        p99 = percentile(trips, 0.99)
        print(f"p99 of the old ones {p99 * 1000:.1f} ms, {busy:.0%} of a core, {len(complaints)} lines")
        assert p99 < 0.3
        assert busy < 0.3
        assert 1 <= len(complaints) <= 6

        for wire in new[:10]:
            wire.socket.close()
        freed = time.monotonic()
        for wire in new[room : room + 10]:
            assert wire.head().startswith(b"HTTP/1.1 101 ")
        assert time.monotonic() - freed < 3
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        for wire in new[room + 10 :]:
            assert wire.head().startswith(b"HTTP/1.1 101 ")
    server.is_well()


def test_F7_as_many_sessions_as_allowed_and_then_the_next(serve: Serve) -> None:
    server = serve(max_sessions=10)
    first = [server.open() for _ in range(10)]
    late = server.wire()
    late.send(request())
    server.wait_for_log("as many connections as allowed")
    assert first[0].ask("hello") == "hello"
    first[1].socket.close()
    assert late.head().startswith(b"HTTP/1.1 101 ")
    for wire in [*first, late]:
        wire.socket.close()
    server.is_well()


def test_F24_coming_and_going_leaves_nothing_behind(serve: Serve) -> None:
    cycles = 4000
    server = serve()
    churn(server, cycles)
    before, memory = settled(server), server.memory()
    descriptors, threads = server.descriptors(), server.threads()
    churn(server, cycles)
    after = settled(server)
    grown = server.memory() - memory
    print(f"{grown / 1024 / cycles:.3f} KiB more for each, {after['objects'] - before['objects']} objects in all")
    # The deadlines of those that have gone are forgotten when their time comes, not before.
    assert grown < cycles * 0.1 * 1024 + MEBIBYTE // 2
    assert eventually(lambda: server.descriptors() <= descriptors)
    assert server.threads() == threads
    assert after["tasks"] == before["tasks"]
    assert after["objects"] - before["objects"] < 100
    assert after["rooms"] == 0
    assert after["seen"]["closed"] - before["seen"]["closed"] >= cycles // 2
    server.is_well()


def churn(server: Server, cycles: int) -> None:
    """Half of them at functions, half at a coroutine; each third ends without a word."""

    def one(number: int) -> None:
        wire = server.open("/" if number % 2 else "/recv")
        if number % 2:
            assert wire.ask(f"!join room-{number}") == "joined"
        assert wire.ask("echo") == "echo"
        if number % 3 == 0:
            wire.reset()
            return
        wire.send(frame(8, b"\x03\xe8"))
        assert wire.receive().code == 1000
        # The server is to have the last word, so that it is not our side that remembers the connection.
        wire.reset()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(cycles)))


def settled(server: Server) -> dict:
    """The report when everyone has gone."""
    assert eventually(lambda: server.report()["sessions"] == 1)
    return server.report()


@pytest.mark.unstable(
    reason="memory grew on in 3 of 40 runs, before this waited for the loop; few runs since, all passed"
)
def test_row_13_a_path_is_not_remembered(serve: Serve) -> None:
    server = serve("--access-log")
    server.log.clear()

    numbers = itertools.count()

    def visit() -> None:
        for number in itertools.islice(numbers, 4000):
            wire = server.wire()
            wire.send(request(f"/{number}/{'p' * 200}?q={number}"))
            assert wire.head()
            wire.reset()
        # What still waits for the loop is no growth.
        assert eventually(lambda: server.report()["sessions"] == 1)

    visit()
    expect_no_growth(server, visit, 4000 * 60)  # less than the paths would take
    server.is_well()


def test_F25_rooms_that_were_left_are_gone(serve: Serve) -> None:
    server = serve()
    with server.open() as wire:
        # Commands on their way between two threads may take some megabytes at a time.
        expect_no_growth(server, lambda: wire.ask("!rooms 20000"), 20_000 * 40)
    assert server.report()["rooms"] == 0
