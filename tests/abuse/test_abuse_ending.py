"""How connections end, and how the server does (F8, F23)."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytest
from process import Serve, Server, eventually
from wire import BINARY, CLOSE, TEXT, Wire, close_payload, frame

COUNT = 100
#: Seconds for the peer's Close frame in these tests.
CLOSE_TIMEOUT = 0.5


@pytest.fixture(scope="module")
def closer(io_threads: int):
    with Server(io_threads, {"close_timeout": CLOSE_TIMEOUT}) as server:
        yield server
        server.is_well()


def ends_since(server: Server, before: dict[str, int], code: int) -> int:
    """How many sessions have ended with this code; the sessions of reports themselves end with 1006."""
    now = server.report()["ends"]

    def count(ends: dict[str, int]) -> int:
        return sum(number for end, number in ends.items() if end.startswith(str(code)))

    return count(now) - count(before)


@pytest.mark.alone
def test_F23_a_client_that_never_answers_close_is_dropped_in_time(closer: Server) -> None:
    before = closer.report()
    wires = [closer.open() for _ in range(COUNT)]
    for wire in wires:
        wire.text("!close 1000")
    for wire in wires:
        assert wire.receive().code == 1000
    started = time.monotonic()
    for wire in wires:
        assert wire.rest() == b""
        wire.socket.close()
    assert CLOSE_TIMEOUT - 0.3 < time.monotonic() - started < CLOSE_TIMEOUT + 2
    assert closer.report()["stats"]["close_timeouts"] - before["stats"]["close_timeouts"] == COUNT
    assert ends_since(closer, before["ends"], 1006) >= COUNT


def test_row_25_closing_does_not_wait_for_a_client_that_reads_nothing(closer: Server) -> None:
    before = closer.report()
    wires = [closer.open("/farewell", receive_buffer=4096) for _ in range(20)]
    assert eventually(lambda: closer.report()["seen"].get("farewells begun", 0) == len(wires))
    assert eventually(lambda: closer.report()["seen"].get("farewells", 0) == len(wires)), "await ws.close() returns"
    assert closer.report()["stats"]["close_timeouts"] - before["stats"]["close_timeouts"] == len(wires)
    assert eventually(lambda: closer.report()["sessions"] == 1)
    assert closer.report()["tasks"] <= before["tasks"]
    for wire in wires:
        wire.socket.close()


def test_F23_nothing_after_a_clients_close_is_heard(closer: Server) -> None:
    before = closer.report()
    for _ in range(COUNT):
        with closer.open() as wire:
            wire.send(frame(CLOSE, close_payload(3456, "bye")) + frame(TEXT, b"!raise ValueError") + b"\xff" * 100)
            assert wire.receive() == (CLOSE, close_payload(3456, "bye"))
            assert wire.rest() == b""
    assert ends_since(closer, before["ends"], 3456) == COUNT
    assert "Traceback" not in closer.text()


def test_F23_both_may_close_at_once(closer: Server) -> None:
    before = closer.report()
    for _ in range(COUNT):
        with closer.open() as wire:
            wire.send(frame(TEXT, b"!close 4000") + frame(CLOSE, close_payload(4001)))
            assert wire.receive().code in (4000, 4001)
            assert wire.rest() == b"", "one Close frame, not two"
    assert ends_since(closer, before["ends"], 4001) == COUNT


def test_F23_what_was_sent_before_close_arrives_before_it(closer: Server) -> None:
    for _ in range(COUNT):
        with closer.open() as wire:
            wire.text("!close_talking")
            assert [wire.receive() for _ in range(100)] == [(BINARY, b"c" * 1000)] * 100
            assert wire.receive() == (CLOSE, close_payload(1000, "enough"))
            wire.send(frame(CLOSE, close_payload(1000)))
            assert wire.rest() == b""


def test_F23_a_handler_that_sends_without_end_ends_with_its_client(serve: Serve) -> None:
    server = serve()
    before = server.report()
    wires = [server.open("/talk") for _ in range(COUNT)]
    for number, wire in enumerate(wires):
        for _ in range(10):
            assert wire.receive().payload == b"t" * 1000
        if number % 2:
            wire.reset()
        else:
            wire.send(frame(CLOSE, close_payload(1000)))
            # What was under way before the Close comes first.
            assert wire.until_close().code == 1000
            wire.socket.close()
    assert eventually(lambda: server.report()["tasks"] <= before["tasks"]), "no task is left"
    assert server.report()["sessions"] == 1
    assert "Traceback" not in server.text()
    server.is_well()


def test_F23_fin_without_close_is_told_as_1006(closer: Server) -> None:
    before = closer.report()
    for _ in range(COUNT):
        closer.open().socket.close()
    assert eventually(lambda: ends_since(closer, before["ends"], 1006) >= COUNT)
    assert closer.report()["sessions"] == 1


# ---- the server's own end


class Drained:
    """What a polite client hears while the server stops."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.messages: list[bytes] = []
        self.code: int | None = None

    def listen(self) -> None:
        while True:
            received = self.wire.receive()
            if received.opcode == CLOSE:
                self.code = received.code
                self.wire.send(frame(CLOSE, received.payload))
                self.wire.rest()
                return
            self.messages.append(received.payload)


@pytest.mark.alone
def test_F8_sigterm_lets_everyone_finish(io_threads: int) -> None:
    with Server(io_threads, options=("--drain", "2")) as server, contextlib.ExitStack() as stack:

        def opened(target: str, **options: int) -> Wire:
            return stack.enter_context(server.open(target, **options))

        idle = [Drained(opened("/")) for _ in range(200)]
        busy = [Drained(opened("/slow/0.5")) for _ in range(10)]
        queued = Drained(opened("/", receive_buffer=4096))
        deaf = [opened("/") for _ in range(5)]

        queued.wire.text("!queue 100 10240")
        for client in busy:
            client.wire.text("work")
        assert eventually(lambda: server.report()["seen"].get("slow") == 10)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("SIGTERM: stopping")
        assert eventually(lambda: refuses(server), 2)
        refused = time.monotonic() - started

        clients = [*idle, *busy, queued]
        listeners = [threading.Thread(target=client.listen) for client in clients]
        for listener in listeners:
            listener.start()
        for listener in listeners:
            listener.join(10)
        assert server.process.wait(10) == 0
        seconds = time.monotonic() - started
        print(f"new connections refused after {refused * 1000:.0f} ms; ended after {seconds:.2f} s")
        assert seconds < 2 + 1.5
        assert [client.code for client in clients] == [1001] * len(clients)
        assert [client.messages for client in busy] == [[b"work"]] * 10
        assert queued.messages == [b"q" * 10240] * 100
        for wire in deaf:
            assert wire.receive().code == 1001
            assert wire.rest() == b""


def refuses(server: Server) -> bool:
    try:
        server.wire().socket.close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_F8_without_clients_it_ends_at_once_with_0(io_threads: int, number: signal.Signals) -> None:
    with Server(io_threads, options=("--drain", "60")) as server:
        server.process.send_signal(number)
        assert server.process.wait(20) == 0
        assert "Traceback" not in server.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_F8_a_second_signal_ends_it_at_once(io_threads: int, number: signal.Signals) -> None:
    with Server(io_threads, options=("--drain", "60")) as server, server.open("/slow/60") as wire:
        wire.text("work")
        assert eventually(lambda: server.report()["seen"].get("slow") == 1)
        server.process.send_signal(number)
        server.wait_for_log("stopping")
        server.process.send_signal(number)
        with contextlib.ExitStack() as stack:
            stack.callback(server.process.kill)
            assert server.process.wait(20) == -number
