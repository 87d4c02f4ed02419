"""Logging: for programs that have set up none, the command line's and those that call `Hub.run`; and its bound.

A library that is imported logs through whatever the program has configured; a program that has configured nothing
would see warnings only, and not even the address that it listens on.

What a client sends may let a handler fail each time. So that no client fills the log, a bounded number of errors is
written in a second, and then how many were left out.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import TextIO

__all__ = ["LEVELS", "failures", "fill_streams", "set_up", "set_up_if_missing"]

LEVELS = ("critical", "error", "warning", "info", "debug")

_COLOURS = {
    logging.DEBUG: "36",  # cyan
    logging.INFO: "32",  # green
    logging.WARNING: "33",  # yellow
    logging.ERROR: "31",  # red
    logging.CRITICAL: "91",  # bright red
}


#: Errors that are written in a second, with their tracebacks, in this process.
MAX_FAILURES = 10


class Failures(logging.Filter):
    """Lets `MAX_FAILURES` errors pass in a second; what is beyond is counted, and told once."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.renew()

    def renew(self) -> None:
        """Begins anew: as many as ever may pass, and nothing is left to be told."""
        with self._lock:
            self._until, self._written, self._left_out = 0.0, 0, 0
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.levelno < logging.ERROR and not record.exc_info:
            return True
        now = time.monotonic()
        with self._lock:
            if now >= self._until:
                self._until, self._written = now + 1.0, 0
            self._written += 1
            if self._written <= MAX_FAILURES:
                return True
            self._left_out += 1
            if self._timer is None:
                # A program that is at its end does not wait for it.
                self._timer = threading.Timer(self._until - now, self._tell)
                self._timer.daemon = True
                self._timer.start()
            return False

    def _tell(self) -> None:
        with self._lock:
            left_out, self._left_out, self._timer = self._left_out, 0, None
        if left_out:
            logging.getLogger("hubbub").warning("%d further failures within a second were left out here", left_out)


#: The bound of this process.
failures = Failures()
logging.getLogger("hubbub").addFilter(failures)


def set_up(level: str = "info") -> None:
    """Logs `hubbub` and `hubbub.access` from this level on to stderr, unless the program has handlers of its own."""
    logger = logging.getLogger("hubbub")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        # Without stderr (`2>&-`, pythonw) there is nowhere to log to, and logging's own last resort would raise.
        usable = sys.stderr is not None and not getattr(sys.stderr, "closed", False)
        logger.addHandler(_handler(sys.stderr) if usable else logging.NullHandler())


def set_up_if_missing() -> None:
    """The same at level info, and nothing at all if the program has configured handlers or a level."""
    logger = logging.getLogger("hubbub")
    if not logger.hasHandlers() and logger.level == logging.NOTSET and not logger.disabled:
        set_up()


def fill_streams() -> None:
    """Opens /dev/null in the place of standard streams that are closed.

    Otherwise sockets would come to lie there: what C libraries write to stderr would go to a client, and libuv aborts
    when it is to close one.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _handler(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(colours=_wants_colours(stream)))
    # Should the program configure the root logger later on, records go there and must not appear twice.
    handler.addFilter(lambda record: not logging.getLogger().handlers)
    return handler


def _wants_colours(stream: TextIO) -> bool:
    # https://no-color.org: any value but the empty one switches colours off.
    return _is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # something else in its place, or closed
        return False


class _Formatter(logging.Formatter):
    """`INFO:     listening on ws://127.0.0.1:8000/`, with the level in its colour on a terminal."""

    def __init__(self, colours: bool) -> None:
        super().__init__("%(prefix)s%(message)s")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"{record.levelname}:".ljust(10)
        colour = _COLOURS.get(record.levelno)
        if self._colours and colour is not None:
            prefix = prefix.replace(record.levelname, f"\x1b[{colour}m{record.levelname}\x1b[0m")
        record.prefix = prefix
        return super().format(record)
