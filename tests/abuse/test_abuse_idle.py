"""What it costs to be connected and say nothing (F5), and that a loop which was busy keeps nothing of it."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator

import pytest
from process import Serve, Server, eventually
from wire import BINARY, COMPRESSED, DEFLATE, Wire, deflated, frame

MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def crowd(server: Server, sizes: list[int], deflate: bool) -> tuple[list[Wire], list[int]]:
    """Connects up to each of the sizes, and notes the memory there. With deflate, each has had one message."""
    wires: list[Wire] = []
    memory = []
    for size in sizes:
        while len(wires) < size:
            wire = server.open(fields=DEFLATE if deflate else None)
            if deflate:
                wire.send(frame(BINARY, deflated(b"hello" * 100), rsv=COMPRESSED))
                assert wire.receive().payload == b"hello" * 100
            wires.append(wire)
        assert server.report()["sessions"] == size + 1
        memory.append(server.memory())
    return wires, memory


def leave(server: Server, wires: list[Wire]) -> None:
    for wire in wires:
        wire.reset()
    assert eventually(lambda: server.report()["sessions"] == 1, 30)


@pytest.mark.parametrize(
    ("options", "few", "bound"),
    [((), 5000, 4096), (("--compression", "shared"), 1000, 4096), (("--tls",), 1000, 8192)],
    ids=["plain", "deflate", "tls"],
)
def test_F5_an_idle_session_costs_little(serve: Serve, options: tuple[str, ...], few: int, bound: int) -> None:
    if few * 2 + 200 > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        pytest.skip("the process may not have so many descriptors")
    # No ping falls into the seconds that are looked at.
    server = serve(*options, ping_interval=300.0)
    deflate = "--compression" in options
    first, (one, two) = crowd(server, [few, 2 * few], deflate)
    each = (two - one) / few
    cpu, started = server.cpu(), time.monotonic()
    time.sleep(3)
    busy = (server.cpu() - cpu) / (time.monotonic() - started)
    leave(server, first)
    second, (again,) = crowd(server, [2 * few], deflate)
    grown = again - two
    print(f"{each:.0f} bytes for each, {busy:.1%} of a core, {grown / MEBIBYTE:+.2f} MiB in the second round")
    assert each < bound
    assert busy < 0.02
    # What has gone was used again: less than a twentieth of what they take.
    assert grown < MEBIBYTE + 2 * few * each / 20
    leave(server, second)
    server.is_well()


def test_a_loop_that_was_busy_keeps_nothing_of_what_waited(serve: Serve) -> None:
    """Each time, many small batches of events wait for it; their memory must not stay and go round."""
    server = serve()
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.open()) for _ in range(40)]
        blocker = stack.enter_context(server.open())

        def once() -> None:
            blocker.text("!block 0.25")
            server.wait_for_log("blocking for")
            server.log.clear()
            for _ in range(6):
                for wire in wires:
                    wire.send(frame(BINARY, b"w" * 9000))
            assert blocker.receive().payload == b"blocking"
            assert blocker.receive().payload == b"unblocked"
            for wire in wires:
                for _ in range(6):
                    assert wire.receive().payload == b"w" * 9000

        for _ in range(3):
            once()
        before = server.memory()
        for _ in range(12):
            once()
        grown = server.memory() - before
    print(f"{grown / MEBIBYTE:+.1f} MiB")
    assert grown < 6 * MEBIBYTE
    server.is_well()
