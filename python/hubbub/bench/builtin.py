"""A hub to try the bench on, in a process of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

__all__ = ["Builtin", "serving"]

#: Seconds for it to stop.
PATIENCE = 10.0


class Builtin:
    """A hub that listens.

    Attributes:
        url: where.
        pid: of its process.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid


@contextlib.contextmanager
def serving(hub: str) -> Iterator[Builtin]:
    """The hub of this name in `hubs`, for the length of a block.

    Raises:
        OSError: it does not start; the error has what it said last.
    """
    command = [sys.executable, "-m", "hubbub", "run", f"hubbub.bench.hubs:{hub}", "--port", "0", "--no-access-log"]
    # A session of its own: Ctrl-C ends the run, and the run ends the hub.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said = line.strip()
            listening = re.search(r"listening on (ws://\S+)", line)
            if listening is not None:
                break
        else:
            raise OSError(f"the built-in hub does not start: {said}")
        # Read on, or it would block once the pipe is full.
        reader = threading.Thread(target=process.stderr.read, daemon=True)
        reader.start()
        yield Builtin(listening[1], process.pid)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()
