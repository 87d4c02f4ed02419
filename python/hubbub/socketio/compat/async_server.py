"""`AsyncServer`: handlers are functions or coroutines, in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from hubbub._callables import is_awaitable
from hubbub.socketio.compat.base import BaseServer
from hubbub.socketio.compat.exceptions import TimeoutError
from hubbub.socketio.compat.managers import AsyncManager
from hubbub.socketio.compat.namespaces import BaseNamespace
from hubbub.socketio.errors import AckLost, AckTimeout

__all__ = ["AsyncNamespace", "AsyncServer"]

T = TypeVar("T")


class AsyncNamespace(BaseNamespace):
    """A namespace of an `AsyncServer`. Its methods may be coroutines."""

    server: AsyncServer

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Calls the method for an event. A subclass may do otherwise."""
        result = self._call(event, args)
        return await result if is_awaitable(result) else result


class AsyncServer(BaseServer):
    """python-socketio's ``AsyncServer``. What sends or changes something is awaited: ``await sio.emit(...)``."""

    async_mode = "asgi"
    _namespace_type = AsyncNamespace
    _manager_type = AsyncManager

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tasks: set[asyncio.Task[Any]] = set()

    def is_asyncio_based(self) -> bool:
        """``True``."""
        return True

    @asynccontextmanager
    async def session(self, sid: str, namespace: str | None = None) -> AsyncIterator[Any]:
        """``async with sio.session(sid) as session``: what the program keeps with a client."""
        session = await self.get_session(sid, namespace)
        yield session
        if self._find_socket(sid, namespace) is not None:
            await self.save_session(sid, session, namespace)

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Runs a coroutine function as a task."""
        task = asyncio.get_running_loop().create_task(target(*args, **kwargs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def sleep(self, seconds: float = 0) -> None:
        """``asyncio.sleep``."""
        await asyncio.sleep(seconds)

    # ---- how

    async def _perform(self, work: Callable[[], Any]) -> Any:
        return work()

    async def _send(self, work: Callable[[], Any]) -> None:
        sent = work()
        if sent is not None:
            await sent

    def _look(self, work: Callable[[], T]) -> T:
        return work()

    async def _call(
        self, sid: str, namespace: str | None, timeout: float | None, event: str, args: tuple[Any, ...]
    ) -> Any:
        socket = self._find_socket(sid, namespace)
        if socket is None:
            raise TimeoutError
        asked = socket if timeout is None else socket.timeout(timeout)
        try:
            return await asked.emit_with_ack(event, *args)
        except (AckTimeout, AckLost):
            raise TimeoutError from None

    def _run(self, call: Callable[[], Any]) -> Any:
        return call()
