"""Peers that are there no more and do not say so, and a server that was not there itself for a while (F3, F26)."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process import Serve, Server, eventually
from wire import request

PEERS = Path(__file__).with_name("peers.py")
COUNT = 200
#: A ping after a second of silence, and a second for its answer.
KEEPALIVE = {"ping_interval": 1.0, "ping_timeout": 1.0}


class Peers:
    """A running peers.py."""

    def __init__(self, port: int, count: int) -> None:
        self.count = count
        command = [sys.executable, str(PEERS), str(port), str(count)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "ready"

    def echo(self) -> None:
        """All of them say something and get it back."""
        assert self.process.stdin is not None
        self.process.stdin.write("echo\n")
        self.process.stdin.flush()
        assert self._line() == f"echoed {self.count}"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def peers(port: int, count: int = COUNT) -> Iterator[Peers]:
    here = Peers(port, count)
    try:
        yield here
    finally:
        here.process.kill()
        here.process.wait()
        for pipe in (here.process.stdin, here.process.stdout):
            assert pipe is not None
            pipe.close()


class Proxy:
    """Stands between the peers and the server, until it stops forwarding. It keeps all its sockets open."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=COUNT)
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopped = threading.Event()
        self._sockets: list[socket.socket] = [self._listener]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def close(self) -> None:
        self.stop()
        self._selector.close()
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._join_up(self._listener.accept()[0], socket.create_connection(("127.0.0.1", self._to)))
                elif data := key.fileobj.recv(65536):
                    key.data.sendall(data)
                else:
                    self._selector.unregister(key.fileobj)

    def _join_up(self, client: socket.socket, server: socket.socket) -> None:
        for one, other in ((client, server), (server, client)):
            self._selector.register(one, selectors.EVENT_READ, other)
            self._sockets.append(one)


def expect_all_gone(server: Server, since: float) -> None:
    """All sessions but ours end in time, each once and with 1006, and leave nothing."""
    gone: list[float] = []
    while server.report()["sessions"] > 1 and time.monotonic() - since < 15:
        time.sleep(0.05)
        if server.report()["sessions"] <= COUNT:
            gone.append(time.monotonic() - since)
    last = time.monotonic() - since
    report = server.report()
    print(f"the first had gone after {gone[0] if gone else last:.2f} s, the last after {last:.2f} s")
    # The last word of each was its pong, up to a second before.
    assert (gone[0] if gone else last) > 0.9
    assert last < 4.5
    assert (report["sessions"], report["rooms"]) == (1, 0)
    assert report["stats"]["ping_timeouts"] == COUNT
    assert report["ends"]["1006 closed with 1011: keepalive ping timeout"] == COUNT
    # The rest are the sessions of reports.
    assert report["seen"]["closed"] == report["seen"]["connected"] - 1 == sum(report["ends"].values())
    assert all(end.startswith("1006 ") for end in report["ends"])
    assert report["stats"]["opened"] - report["stats"]["closed"] == 1


@pytest.mark.alone
def test_F3_peers_behind_a_proxy_that_stops_forwarding_are_given_up(serve: Serve) -> None:
    server = serve(**KEEPALIVE, close_timeout=0.5)
    server.is_well()
    descriptors = server.descriptors()
    with contextlib.closing(Proxy(server.port)) as proxy, peers(proxy.port) as here:
        assert server.report()["sessions"] == COUNT + 1
        here.echo()
        proxy.stop()
        expect_all_gone(server, time.monotonic())
        assert eventually(lambda: server.descriptors() <= descriptors), "although the peers have closed nothing"
    server.is_well()


@pytest.mark.alone
def test_F3_peers_that_were_stopped_are_given_up(serve: Serve) -> None:
    server = serve(**KEEPALIVE, close_timeout=0.5)
    server.is_well()
    descriptors = server.descriptors()
    with peers(server.port) as here:
        assert server.report()["sessions"] == COUNT + 1
        here.process.send_signal(signal.SIGSTOP)
        expect_all_gone(server, time.monotonic())
        assert eventually(lambda: server.descriptors() <= descriptors), "although the peers have closed nothing"
    server.is_well()


@pytest.mark.alone
def test_F26_after_it_was_stopped_itself_it_drops_nobody(serve: Serve) -> None:
    server = serve(**KEEPALIVE, handshake_timeout=2.0, message_timeout=2.0)
    with contextlib.ExitStack() as stack, peers(server.port, 100) as here:
        here.echo()
        server.process.send_signal(signal.SIGSTOP)
        # They come while it is away: the kernel takes them in, and their requests.
        waiting = [stack.enter_context(server.wire()) for _ in range(20)]
        for wire in waiting:
            wire.send(request())
        # Longer than any of its deadlines; nothing tells when a process that does nothing has done it for long enough.
        time.sleep(4)
        server.process.send_signal(signal.SIGCONT)
        for wire in waiting:
            assert wire.head().startswith(b"HTTP/1.1 101 ")
        here.echo()
        # A round of pings and deadlines later everybody is still there.
        pinged = time.monotonic() + 2.5
        while time.monotonic() < pinged:
            assert server.report()["sessions"] >= 101
            time.sleep(0.2)
        here.echo()
        stats = server.report()["stats"]
        assert (stats["handshake_timeouts"], stats["message_timeouts"]) == (0, 0)
        # The twenty answer no pings; they may have been given up by now.
        assert stats["ping_timeouts"] <= 20
    server.is_well()
