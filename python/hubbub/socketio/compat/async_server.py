"""`AsyncServer`: handlers are functions or coroutines, in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from hubbub.socketio.compat.base import BaseServer
from hubbub.socketio.compat.exceptions import TimeoutError
from hubbub.socketio.compat.namespaces import AsyncNamespace
from hubbub.socketio.emitter import Handler
from hubbub.socketio.errors import AckLost, AckTimeout

__all__ = ["AsyncServer"]


class AsyncServer(BaseServer):
    """python-socketio's ``AsyncServer``.

    Args:
        logger: ``True`` or a logger: what is sent is logged.
        async_handlers: handlers of one client that are coroutines run side by side; ``False``: one after the other.
        always_connect: clients are let in before their ``connect`` handler is asked.
        namespaces: those that clients may ask for beside those with handlers; ``["/"]`` if not given, ``"*"`` for all.
        kwargs: ``ping_interval``, ``ping_timeout``, ``max_http_buffer_size``, ``allow_upgrades``, ``transports``,
            ``cookie`` and ``cors_allowed_origins``. What else the Engine.IO server has is taken, and means nothing.
    """

    async_mode = "asgi"
    _namespace_type = AsyncNamespace

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tasks: set[asyncio.Task[Any]] = set()

    def is_asyncio_based(self) -> bool:
        """``True``."""
        return True

    async def emit(
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
        """Sends an event.

        Args:
            event: any name but the reserved ones.
            data: one argument, a tuple for several, ``None`` for none.
            to: the ``sid`` of a client, a room, or a list of rooms; everyone in the namespace if not given.
            room: the same.
            skip_sid: who does not get it: a ``sid`` or a list of them.
            namespace: ``"/"`` if not given.
            callback: is called when a client acknowledges the event, with what it says.
            ignore_queue: means nothing here.
        """
        sent = self._emit(event, data, to or room, skip_sid, namespace, callback)
        if sent is not None:
            await sent

    async def send(
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
        await self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    async def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Sends an event to a client, and waits until it is acknowledged.

        Returns:
            What the client says: the value, ``None`` for nothing, a tuple for several.

        Raises:
            TimeoutError: it has not answered within ``timeout`` seconds, or has gone.
        """
        target = to or sid
        if target is None:
            raise ValueError("Cannot use call() to broadcast.")
        if not self.async_handlers:
            raise RuntimeError("Cannot use call() when async_handlers is False.")
        socket = self._find_socket(target, namespace)
        if socket is None:
            raise TimeoutError
        args = () if data is None else data if isinstance(data, tuple) else (data,)
        asked = socket if timeout is None else socket.timeout(timeout)
        try:
            return await asked.emit_with_ack(event, *args)
        except (AckTimeout, AckLost):
            raise TimeoutError from None

    async def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Puts a client into a room.

        Raises:
            ValueError: there is no such client, or the room is another client's own.
        """
        self._enter_room(sid, room, namespace)

    async def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Takes a client out of a room."""
        self._leave_room(sid, room, namespace)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Takes all clients out of a room."""
        self._close_room(room, namespace)

    async def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """What the program keeps with a client: a dict to begin with, the same each time.

        Raises:
            KeyError: there is no such client.
        """
        return self._socket(sid, namespace).data

    async def save_session(self, sid: str, session: Any, namespace: str | None = None) -> None:
        """Keeps something else with a client.

        Raises:
            KeyError: there is no such client.
        """
        self._socket(sid, namespace).data = session

    @asynccontextmanager
    async def session(self, sid: str, namespace: str | None = None) -> AsyncIterator[Any]:
        """``async with sio.session(sid) as session``: what the program keeps with a client."""
        session = await self.get_session(sid, namespace)
        yield session
        if self._find_socket(sid, namespace) is not None:
            await self.save_session(sid, session, namespace)

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Puts a client out of a namespace."""
        self._disconnect(sid, namespace)

    async def shutdown(self) -> None:
        """Does nothing: the hub ends what it has begun."""

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

    def _run(self, call: Callable[[], Any]) -> Any:
        return call()
