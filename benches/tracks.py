"""What the benches beside `comparison` have in common: a server on a core of its own, and what it uses of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

RIVALS = Path(__file__).resolve().parent.parent / ".venv" / "rivals"
SERVER_CORE, CLIENT_CORE = 0, 1
START_SECONDS = 20
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], port: int, **options: Any) -> Iterator[int]:
    """Starts a server on its core, with options of `Popen`: its process id, once `port` answers. It is killed after."""
    process = subprocess.Popen(["taskset", "-c", str(SERVER_CORE), *command], start_new_session=True, **options)
    try:
        wait_for(port)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.05)


def cpu_seconds(leader: int) -> float:
    """User and system time of all processes of the session that `leader` leads."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                total += int(fields[11]) + int(fields[12])
    return total / _TICKS
