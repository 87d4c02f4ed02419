"""The end of the process while hubs still run in threads that nobody waits for.

Before 3.14, Python unwinds a thread that wants the GIL while the interpreter is finalized. A handler that the core has
called has frames of Rust below it, which must not be unwound: the process would abort. So each hub is frozen before:
its loop goes on, and the core calls nothing of Python's any more.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubbub._running import Run

__all__ = ["watch"]

#: Seconds that the handlers which are running have to return, and again to be left by SystemExit.
PATIENCE = 1.0

#: A server, the thread of its loop, and whether it is frozen.
_Waiting = tuple["Run", threading.Thread, threading.Event]

_running: weakref.WeakKeyDictionary[Run, threading.Thread] = weakref.WeakKeyDictionary()


def watch(run: Run) -> None:
    """The server is driven by this thread from now on."""
    _running[run] = threading.current_thread()


@atexit.register
def _freeze_all() -> None:
    waiting: list[_Waiting] = []
    for run, thread in list(_running.items()):
        if thread is threading.current_thread() or not thread.is_alive():
            continue
        frozen = threading.Event()
        try:
            run.bridge.call_soon_threadsafe(partial(_freeze, run, frozen))
        except RuntimeError:  # the loop has ended
            continue
        waiting.append((run, thread, frozen))
    late = _wait(waiting)
    if late:
        for run, thread, _ in late:
            run.server.freeze()
            _leave(thread)
        _wait(late)


def _freeze(run: Run, frozen: threading.Event) -> None:
    # In the thread of the loop, between two turns. A server that was released has gone from the run.
    server = getattr(run, "server", None)
    if server is not None:
        run.bridge.stop_watching()
        server.freeze()
    frozen.set()


def _wait(waiting: list[_Waiting]) -> list[_Waiting]:
    """Those that are not frozen when the time is over."""
    deadline = time.monotonic() + PATIENCE
    return [
        (run, thread, frozen)
        for run, thread, frozen in waiting
        if not frozen.wait(max(0.0, deadline - time.monotonic())) and thread.is_alive()
    ]


def _leave(thread: threading.Thread) -> None:
    """Ends what the thread is at, as soon as it runs Python again."""
    import ctypes

    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
