"""Signals of the process, for `Hub.run`."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stopping", "end_by_default", "reloading", "stopping"]

logger = logging.getLogger("hubbub")


class Stopping:
    """Whether a signal has asked for the end."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def stopping(stop_hub: Callable[[], None]) -> Iterator[Stopping]:
    """The first SIGINT or SIGTERM stops the hub, a second one ends the process; afterwards both are as before."""
    state = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return

    def stop(number: int, frame: FrameType | None) -> None:
        state.asked = True
        for other in before:
            # The system's own way works even while code in C keeps Python from running; the first process of a
            # container has none.
            signal.signal(other, _end_at_once if os.getpid() == 1 else signal.SIG_DFL)
        logger.info("%s: stopping (once more ends at once)", signal.Signals(number).name)
        stop_hub()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            # What the program has set meanwhile stays.
            if signal.getsignal(number) in (stop, _end_at_once, signal.SIG_DFL):
                signal.signal(number, handler)


def end_by_default() -> None:
    """Lets SIGTERM end the first process of a container, whom the system spares, until something better is set."""
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_at_once)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


@contextmanager
def reloading(reload_certificates: Callable[[], None], has_tls: bool) -> Iterator[None]:
    """SIGHUP reads the certificates again. A program that has a use for it already, or no TLS, keeps it as it is."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or not has_tls or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        yield
        return

    def reload(number: int, frame: FrameType | None) -> None:
        try:
            reload_certificates()
        except (OSError, ValueError) as error:
            logger.error("SIGHUP: the certificates stay as they were: %s", error)
        else:
            logger.info("SIGHUP: certificates read again")

    signal.signal(signal.SIGHUP, reload)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
