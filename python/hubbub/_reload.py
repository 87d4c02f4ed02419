"""Restarting a program whenever its files change: `hubbub run --reload`.

The parent watches and never imports the program. The child runs it, in a process group of its own: so a Ctrl-C on the
terminal reaches the parent alone, which passes it on once, and the child sees one signal, not two.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

__all__ = ["supervise"]

logger = logging.getLogger("hubbub")

#: Seconds between two looks at the files.
INTERVAL = 0.25

#: Folders without a program of the user's in them.
SKIPPED = {"__pycache__", "node_modules", "site-packages"}


def supervise(command: Sequence[str], folders: Sequence[Path], patience: float, fd: int | None = None) -> int:
    """Runs the command, and again after each change of a `.py` file in the folders, until a signal ends it.

    Args:
        patience: seconds that the child may take to end, before it is killed.
        fd: a descriptor that the child inherits.
    """
    child = _Child(command, patience, () if fd is None else (fd,))
    logger.info("watching %s for changes", ", ".join(map(str, folders)))
    with _Signals(child) as signals:
        child.start()
        try:
            for changed in _changes(folders):
                if signals.came:
                    break
                if changed:
                    logger.info("%s changed: restarting", _names(changed))
                    child.stop()
                    # The signal may have come while the old child was ending; then no new one is wanted.
                    if signals.came:
                        break
                    child.start()
                else:
                    child.notice_end()
        finally:
            if not signals.came:
                child.signal(signal.SIGTERM)
            child.wait()
    return 0


class _Child:
    """The process that runs the program."""

    def __init__(self, command: Sequence[str], patience: float, inherited: Sequence[int]) -> None:
        self._command = command
        self._inherited = inherited
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._noticed = False

    def start(self) -> None:
        self._noticed = False
        # Not `process_group=0`, which Python has from 3.11 on. The parent has no threads that a lock could be left to.
        self._process = subprocess.Popen(self._command, preexec_fn=os.setpgrp, pass_fds=self._inherited)

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        self.wait()

    def wait(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            logger.warning("the program does not end: killing it")
            self._process.kill()
            self._process.wait()

    def notice_end(self) -> None:
        """Says so, once, when the program has ended by itself: it waits for its mistake to be mended."""
        status = None if self._process is None else self._process.poll()
        if status is not None and not self._noticed:
            self._noticed = True
            logger.warning("the program has ended with status %d; a change will start it again", status)


class _Signals:
    """Passes what would end the parent on to the child, as often as it comes: the second one ends it at once."""

    PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, child: _Child) -> None:
        self._child = child
        self.came = False

    def __enter__(self) -> _Signals:
        self._before = {number: signal.signal(number, self._pass_on) for number in self.PASSED_ON}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._child.signal(signal.SIGTERM if number == signal.SIGHUP else number)


def _changes(folders: Sequence[Path]) -> Iterator[set[Path]]:
    """The files that were added, changed or removed since the last time; an empty set every now and then."""
    try:
        import watchfiles  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        yield from _poll(folders)
        return
    for changes in watchfiles.watch(
        *folders,
        watch_filter=watchfiles.PythonFilter(),
        rust_timeout=int(INTERVAL * 1000),
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        yield {Path(path) for _, path in changes}


def _poll(folders: Sequence[Path]) -> Iterator[set[Path]]:
    before = _times(folders)
    while True:
        time.sleep(INTERVAL)
        now = _times(folders)
        yield {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
        before = now


def _times(folders: Sequence[Path]) -> dict[Path, int]:
    times: dict[Path, int] = {}
    for top in folders:
        for folder, subfolders, files in os.walk(top):
            subfolders[:] = [name for name in subfolders if _may_hold_programs(folder, name)]
            for name in files:
                if name.endswith(".py"):
                    path = Path(folder, name)
                    try:
                        times[path] = path.stat().st_mtime_ns
                    except OSError:  # it has gone since the folder was read
                        continue
    return times


def _may_hold_programs(folder: str, name: str) -> bool:
    return not name.startswith(".") and name not in SKIPPED and not os.path.exists(f"{folder}/{name}/pyvenv.cfg")


def _names(paths: set[Path]) -> str:
    names = sorted(os.path.relpath(path) for path in paths)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
