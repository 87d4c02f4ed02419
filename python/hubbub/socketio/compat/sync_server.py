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
from hubbub.socketio.compat.namespaces import Namespace
from hubbub.socketio.compat.workers import Workers
from hubbub.socketio.emitter import Handler

__all__ = ["Server"]

T = TypeVar("T")


class Server(BaseServer):
    """python-socketio's ``Server``, in its mode ``threading``: each event is handled in a thread.

    Methods may be called from any thread; they do their work in the event loop's, and wait for it.

    Args:
        kwargs: those of `AsyncServer`. With ``async_handlers=False`` the events of one client are handled one after
            the other.
    """

    async_mode = "threading"
    _namespace_type = Namespace

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._workers = Workers("socketio")

    def is_asyncio_based(self) -> bool:
        """``False``."""
        return False

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """As `AsyncServer.emit`. The callback is called in a thread."""
        told = None if callback is None else self._threaded(callback)
        self._do(lambda: self._emit(event, data, to or room, skip_sid, namespace, told))

    def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """``emit("message", ...)``."""
        self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """As `AsyncServer.call`."""
        target = to or sid
        if target is None:
            raise ValueError("Cannot use call() to broadcast.")
        if not self.async_handlers:
            raise RuntimeError("Cannot use call() when async_handlers is False.")
        args = () if data is None else data if isinstance(data, tuple) else (data,)
        answer: Future[Any] = Future()

        def told(error: Exception | None, *values: Any) -> None:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(values[0] if len(values) == 1 else values or None)

        def ask() -> None:
            socket = self._find_socket(target, namespace)
            if socket is None:
                answer.set_exception(TimeoutError())
            else:
                # A year is as good as for ever.
                socket.timeout(86_400 * 365 if timeout is None else timeout).emit(event, *args, told)

        self._do(ask)
        try:
            return answer.result()
        except Exception:
            raise TimeoutError from None

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """As `AsyncServer.enter_room`."""
        self._do(lambda: self._enter_room(sid, room, namespace))

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """As `AsyncServer.leave_room`."""
        self._do(lambda: self._leave_room(sid, room, namespace))

    def close_room(self, room: Any, namespace: str | None = None) -> None:
        """As `AsyncServer.close_room`."""
        self._do(lambda: self._close_room(room, namespace))

    def rooms(self, sid: str, namespace: str | None = None) -> list[Any]:
        """As `AsyncServer.rooms`."""
        return self._do(lambda: super(Server, self).rooms(sid, namespace))

    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """As `AsyncServer.get_session`."""
        return self._do(lambda: self._socket(sid, namespace).data)

    def save_session(self, sid: str, session: Any, namespace: str | None = None) -> None:
        """As `AsyncServer.save_session`."""

        def save() -> None:
            self._socket(sid, namespace).data = session

        self._do(save)

    @contextmanager
    def session(self, sid: str, namespace: str | None = None) -> Iterator[Any]:
        """``with sio.session(sid) as session``: what the program keeps with a client."""
        session = self.get_session(sid, namespace)
        yield session
        if self._find_socket(sid, namespace) is not None:
            self.save_session(sid, session, namespace)

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Puts a client out of a namespace."""
        self._do(lambda: self._disconnect(sid, namespace))

    def shutdown(self) -> None:
        """Does nothing: the hub ends what it has begun."""

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

    def _threaded(self, callback: Handler) -> Handler:
        def told(*args: Any) -> Any:
            return asyncio.wrap_future(self._workers.run(lambda: callback(*args)))

        return told

    def _do(self, work: Callable[[], T]) -> T:
        """Does it in the event loop's thread, and waits for it."""
        carrier = self._carrier
        if carrier is None or not carrier._is_elsewhere():
            return work()
        done: Future[T] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)

        carrier._hand_over(do)
        return done.result()
