"""The server as a process of its own, seen from outside: its log, memory, threads, descriptors, processor time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from wire import Wire

SCRIPT = Path(__file__).with_name("server.py")


class Server:
    """A running server.py.

    Args:
        io_threads: its mode.
        limits: for `hubbub.Limits`.
        options: further options of server.py, as they stand on its command line.
    """

    def __init__(self, io_threads: int, limits: dict[str, Any] | None = None, options: tuple[str, ...] = ()) -> None:
        command = [sys.executable, str(SCRIPT), "--io-threads", str(io_threads), "--limits", json.dumps(limits or {})]
        self.io_threads = io_threads
        self.tls = "--tls" in options
        self.process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, errors="replace")
        self.pid = self.process.pid
        #: The lines of the log so far.
        self.log: list[str] = []
        self._said = threading.Condition()
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        listening = self.wait_for_log(r"listening on wss?://127\.0\.0\.1:(\d+)/")
        self.port = int(listening[1])

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for wire in list(self._wires):
            wire.socket.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                status = self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
            assert kind is not None or status == 0, self.text()
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()
        if error is not None:
            print(self.text()[-20_000:])

    def open(self, target: str = "/", fields: dict[str, str | None] | None = None, **options: Any) -> Wire:
        """A connection after a good handshake, with these fields beside the usual ones."""
        wire = self.wire(**options)
        wire.upgrade(target, fields)
        return wire

    def wire(self, **options: Any) -> Wire:
        """A connection on which nothing has been said; closed with the server, if not before."""
        wire = Wire(self.port, **{"tls": self.tls, **options})
        self._wires.add(wire)
        return wire

    def report(self) -> dict[str, Any]:
        """What the program knows: ``stats()``, and what its handlers have counted."""
        with self.open(polite=True) as wire:
            answer: dict[str, Any] = json.loads(wire.ask("!report"))
            return answer

    def is_well(self) -> None:
        """It still serves, and has met no bug of its own."""
        assert self.process.poll() is None, f"the server has ended with {self.process.returncode}:\n{self.text()}"
        assert self.report()["stats"]["panics"] == 0
        assert "panicked" not in self.text()

    # ---- the log

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._said:
                self.log.append(line.rstrip("\n"))
                self._said.notify_all()

    def wait_for_log(self, pattern: str, timeout: float = 20, *, after: int = 0) -> re.Match[str]:
        """The first line that matches, behind so many lines, waiting for it."""
        deadline = time.monotonic() + timeout
        seen = after
        with self._said:
            while True:
                for line in self.log[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self.log)
                left = deadline - time.monotonic()
                if left <= 0 or not (self._said.wait(left) or self._reader.is_alive()):
                    raise AssertionError(f"nothing in the log matches {pattern!r}:\n{self.text()}")

    def text(self) -> str:
        return "\n".join(self.log)

    # ---- /proc

    def memory(self) -> int:
        """Resident bytes."""
        return self._status("VmRSS") * 1024

    def peak_memory(self) -> int:
        """The most resident bytes since `forget_peak`."""
        return self._status("VmHWM") * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def threads(self) -> int:
        return self._status("Threads")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu(self) -> float:
        """Seconds of processor time."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])


class Serve(Protocol):
    """Starts a server, see the fixture of this name."""

    def __call__(self, *options: str, **limits: Any) -> Server: ...


def eventually(true: Callable[[], bool], timeout: float = 10) -> bool:
    """Looks again and again: for what only the kernel knows, and tells nobody."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def expect_no_growth(server: Server, act: Callable[[], object], most: int) -> None:
    """Acts until memory grows by less than so many bytes.

    Once or twice the allocator may need more than before; what is kept of each act grows every time.
    """
    grown: list[int] = []
    while not grown or grown[-1] >= most:
        assert len(grown) < 6, f"the server grows by {grown} bytes, each time"
        before = server.memory()
        act()
        grown.append(server.memory() - before)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
