"""Signals of the process, for `Hub.run`."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubbub._serving import Listening
    from hubbub.hub import Hub

__all__ = ["reloading", "stopping"]

logger = logging.getLogger("hubbub")


@contextmanager
def stopping(hub: Hub) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops the hub; a second one meets the system's own way and ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, signal.SIG_DFL)
        logger.info("%s: stopping (once more ends at once)", signal.Signals(number).name)
        hub.stop()

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


@contextmanager
def reloading(hub: Hub, listening: Listening) -> Iterator[None]:
    """SIGHUP reads the certificates again. A program that has a use for it already, or no TLS, keeps it as it is."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or listening._serving.tls is None or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        yield
        return

    def reload(number: int, frame: FrameType | None) -> None:
        try:
            hub.reload_certificates()
        except (OSError, ValueError) as error:
            logger.error("SIGHUP: the certificates stay as they were: %s", error)
        else:
            logger.info("SIGHUP: certificates read again")

    signal.signal(signal.SIGHUP, reload)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
