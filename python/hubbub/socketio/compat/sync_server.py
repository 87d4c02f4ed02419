"""`Server`: handlers are functions that may block, in threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from hubbub.socketio.compat.base import BaseServer
from hubbub.socketio.compat.exceptions import TimeoutError
from hubbub.socketio.compat.managers import Manager
from hubbub.socketio.compat.namespaces import BaseNamespace
from hubbub.socketio.compat.workers import Workers
from hubbub.socketio.emitter import Handler

__all__ = ["Namespace", "Server"]

T = TypeVar("T")


class Namespace(BaseNamespace):
    """A namespace of a `Server`. Its methods are functions, called in threads of their own."""

    server: Server

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Calls the method for an event. A subclass may do otherwise."""
        return self._call(event, args)


class Server(BaseServer):
    """python-socketio's ``Server``, in its mode ``threading``: each event is handled in a thread.

    Methods may be called from any thread; they do their work in the event loop's, and wait for it.
    """

    async_mode = "threading"
    _namespace_type = Namespace
    _manager_type = Manager

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._workers = Workers("socketio")

    def is_asyncio_based(self) -> bool:
        """``False``."""
        return False

    @contextmanager
    def session(self, sid: str, namespace: str | None = None) -> Iterator[Any]:
        """``with sio.session(sid) as session``: what the program keeps with a client."""
        session = self.get_session(sid, namespace)
        yield session
        if self._find_socket(sid, namespace) is not None:
            self.save_session(sid, session, namespace)

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> threading.Thread:
        """Runs a function in a thread, which ends with the process."""
        thread = threading.Thread(target=target, args=args, kwargs=kwargs, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float = 0) -> None:
        """``time.sleep``."""
        time.sleep(seconds)

    # ---- how

    def _run(self, call: Callable[[], Any]) -> Any:
        return asyncio.wrap_future(self._workers.run(call))

    def _called_back(self, callback: Handler) -> Handler:
        def told(*args: Any) -> Any:
            return asyncio.wrap_future(self._workers.run(lambda: callback(*args)))

        return told

    def _call(self, sid: str, namespace: str | None, timeout: float | None, event: str, args: tuple[Any, ...]) -> Any:
        answer: Future[Any] = Future()

        def told(error: Exception | None, *values: Any) -> None:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(values[0] if len(values) == 1 else values or None)

        def ask() -> None:
            socket = self._find_socket(sid, namespace)
            if socket is None:
                answer.set_exception(TimeoutError())
            else:
                # A year is as good as for ever.
                socket.timeout(86_400 * 365 if timeout is None else timeout).emit(event, *args, told)

        self._perform(ask)
        try:
            return answer.result()
        except Exception:
            raise TimeoutError from None

    def _look(self, work: Callable[[], T]) -> T:
        """Does it in the event loop's thread, and waits for it."""
        carrier = self._carrier
        if carrier is None or not carrier.scheduler.is_elsewhere():
            return work()
        done: Future[T] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)

        carrier.scheduler.hand_over(do)
        return done.result()

    _perform = _look

    def _send(self, work: Callable[[], Any]) -> None:
        self._look(work)
