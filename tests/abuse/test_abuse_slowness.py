"""Clients that say nothing, or next to nothing, before they are clients (F1, F2)."""

from __future__ import annotations

import contextlib
import selectors
import threading
import time

import pytest
from process import Serve, Server, eventually, percentile
from wire import Wire, request

HANDSHAKE_TIMEOUT = 2.0


@contextlib.contextmanager
def honest_client(server: Server):
    """Connects and asks something every 100 ms; gives how long each took."""
    seconds: list[float] = []
    done = threading.Event()

    def run() -> None:
        while not done.wait(0.1):
            started = time.monotonic()
            with server.open() as wire:
                assert wire.ask("hello") == "hello"
            seconds.append(time.monotonic() - started)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seconds
    finally:
        done.set()
        thread.join()


def watch(wires: list[Wire], dribble: bytes | None) -> tuple[list[float], list[bytes]]:
    """Waits until the server has ended all of them, writing a byte to each now and then. Gives when, and its words."""
    started = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for wire in wires:
            selector.register(wire.socket, selectors.EVENT_READ, wire)
        ended: list[float] = []
        words: dict[Wire, bytes] = dict.fromkeys(wires, b"")
        step = 0
        while selector.get_map() and time.monotonic() - started < 15:
            for key, _ in selector.select(0.5):
                try:
                    said = key.data.socket.recv(4096)
                except ConnectionResetError:
                    said = b""
                words[key.data] += said
                if not said:
                    ended.append(time.monotonic() - started)
                    selector.unregister(key.fileobj)
            if dribble and time.monotonic() - started > step * 0.5:
                for key in list(selector.get_map().values()):
                    with contextlib.suppress(ConnectionError):
                        key.data.send(dribble[step : step + 1])
                step += 1
        assert not selector.get_map(), "the server has not ended all of them"
    return ended, list(words.values())


@pytest.mark.alone
def test_F1_a_head_that_comes_a_byte_at_a_time_has_its_deadline(serve: Serve) -> None:
    server = serve(handshake_timeout=HANDSHAKE_TIMEOUT)
    server.is_well()
    descriptors, memory = server.descriptors(), server.memory()
    with honest_client(server) as seconds:
        wires = [server.wire() for _ in range(500)]
        for wire in wires:
            wire.send(b"GET / HTTP/1.1\r\n")
        ended, words = watch(wires, request()[16:])
    for wire in wires:
        wire.socket.close()
    print(f"ended after {min(ended):.2f} to {max(ended):.2f} s; honest p99 {percentile(seconds, 0.99) * 1000:.1f} ms")
    # The first were there before the last had connected.
    assert min(ended) > HANDSHAKE_TIMEOUT - 1
    assert max(ended) < HANDSHAKE_TIMEOUT + 2
    assert all(word.startswith(b"HTTP/1.1 408 ") for word in words)
    assert len(seconds) >= 10
    assert percentile(seconds, 0.5) < 0.2
    assert eventually(lambda: server.descriptors() <= descriptors)
    assert server.memory() - memory < 4 << 20
    assert server.report()["stats"]["handshake_timeouts"] == 500


@pytest.mark.alone
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_F2_silence_has_the_same_deadline(serve: Serve, tls: bool) -> None:
    server = serve(*(["--tls"] if tls else []), handshake_timeout=HANDSHAKE_TIMEOUT)
    with honest_client(server) as seconds:
        silent = [server.wire(tls=False) for _ in range(200)]
        stalled = [server.wire(tls=False) for _ in range(200)]
        for wire in stalled:
            wire.send(b"\x16\x03\x01\x02\x00")  # the first bytes of a ClientHello, then nothing
        ended, _ = watch([*silent, *stalled], None)
    for wire in [*silent, *stalled]:
        wire.socket.close()
    assert len(ended) == 400
    # Without TLS those bytes are no request, and that is said at once.
    assert sum(after > HANDSHAKE_TIMEOUT - 1 for after in ended) == (400 if tls else 200)
    assert max(ended) < HANDSHAKE_TIMEOUT + 2
    assert percentile(seconds, 0.5) < 0.2
    server.is_well()


def test_F2_as_many_handshakes_as_allowed_do_not_shut_out_those_who_come_after(serve: Serve) -> None:
    server = serve(handshake_timeout=1.0, max_handshakes=50)
    silent = [server.wire() for _ in range(60)]
    with server.open() as wire:  # it waits in the accept queue
        assert wire.ask("hello") == "hello"
    for wire in silent:
        wire.socket.close()
    server.is_well()
