"""Threads for handlers that may block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

__all__ = ["Workers"]


#: Threads; what is to be called beyond that waits for one. What waits is bounded by the inboxes of the clients.
MAX_THREADS = 1000


class Workers:
    """Threads that are made when there is no idle one, and used again. They end with the process, whatever they do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        #: Threads that wait for a call, less calls that wait for a thread.
        self._idle = 0
        self._made = 0
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def run(self, call: Callable[[], Any]) -> Future[Any]:
        """Calls it in a thread."""
        future: Future[Any] = Future()
        with self._lock:
            must_make = self._idle <= 0 and self._made < MAX_THREADS
            self._idle -= 1
            if must_make:
                # Before the call is there to be taken: a machine without room for a thread refuses the call.
                threading.Thread(target=self._work, name=f"{self._name}-{self._made + 1}", daemon=True).start()
                self._made += 1
                self._idle += 1
        self._calls.put((call, future))
        return future

    def _work(self) -> None:
        while True:
            call, future = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            del call, future
            with self._lock:
                self._idle += 1
