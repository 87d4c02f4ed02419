"""A program that runs beside the test: its output line by line, its address, its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

__all__ = ["ROOT", "Program", "hubbub_command", "running"]

ROOT = Path(__file__).resolve().parents[2]

#: Seconds for something to appear in a program's output, or for its end.
PATIENCE = 15.0


class Program:
    """A running program. Its output, stdout and stderr together, is read all the time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._seen = 0
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next line, after the one found last, in which the pattern is found."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                while self._seen < len(self.lines):
                    self._seen += 1
                    found = re.search(pattern, self.lines[self._seen - 1])
                    if found is not None:
                        return found
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"{pattern!r} did not appear in:\n{self.output}")
                self._news.wait(left)

    def wait_for_port(self) -> int:
        return int(self.wait_for(r"listening on ws://[^ ]+:(\d+)/")[1])

    def connect(self, port: int, path: str = "/") -> ClientConnection:
        return connect(f"ws://127.0.0.1:{port}{path}", open_timeout=PATIENCE, proxy=None)

    def wait(self) -> int:
        """The exit status, once it has ended."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def hubbub_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hubbub", *arguments]


@contextmanager
def running(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] = {},
    pass_fds: Sequence[int] = (),
) -> Iterator[Program]:
    """The program, for the length of a block; what is left of it at the end is killed."""
    process = subprocess.Popen(
        command,
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        program._reader.join(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()
