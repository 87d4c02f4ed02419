"""The order of one socket's events, while a coroutine handler is under way."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING

from hubbub._failures import ends_task
from hubbub.socketio.steps import Steps, begin, finish

if TYPE_CHECKING:
    from hubbub.socketio.client import Client
    from hubbub.socketio.socket import Socket

__all__ = ["SLOW", "Lane"]

logger = logging.getLogger("hubbub")

#: Seconds that an event may wait for a handler before the log says so.
SLOW = 5.0

#: The handlers of which it has said so.
_told: set[str] = set()


class Lane:
    """What a socket's coroutine handlers are at, and what waits behind it. A socket that waits for nothing has none.

    What waits counts in the inbox of the session, so a client whose handlers are slow is not read without an end.
    """

    __slots__ = ("_client", "_current", "_last", "_running", "_socket", "_waiting", "_watched")

    def __init__(self, socket: Socket, client: Client) -> None:
        self._socket = socket
        self._client = client
        self._running = 0
        #: The steps, and what they count for.
        self._waiting: deque[tuple[Steps, int]] = deque()
        self._last: Steps | None = None
        #: What a handler under way is awaited by.
        self._current: object = None
        #: Somebody looks whether it is still under way in a while.
        self._watched = False

    def take(self, steps: Steps, size: int) -> None:
        """Runs the steps when it is their turn; meanwhile they count for so many bytes."""
        if self._running < self._client.server.concurrency:
            awaitable = begin(steps)
            if awaitable is not None:
                self.go_on(steps, awaitable)
        else:
            self._client.ws._hold(1, size)
            self._waiting.append((steps, size))
            if not self._watched:
                self._watched = True
                self._client.server.scheduler.bridge.call_later(SLOW, partial(self._look, self._current))

    def _look(self, awaitable: object) -> None:
        """Something has begun to wait behind a handler `SLOW` seconds ago."""
        self._watched = False
        if self._running and self._waiting and self._current is awaitable:
            name = getattr(awaitable, "__qualname__", None) or type(awaitable).__qualname__
            if name not in _told:
                _told.add(name)
                logger.warning(
                    "%s has not returned for %g s, and further events of its socket wait for it: what takes long "
                    "belongs into a task of its own",
                    name,
                    SLOW,
                )

    def take_last(self, steps: Steps) -> None:
        """Runs the steps when everything else is done."""
        self._last = steps

    def drop_waiting(self) -> None:
        """What waits is not wanted any more."""
        while self._waiting:
            self._client.ws._release(1, self._waiting.popleft()[1])

    def go_on(self, steps: Steps, awaitable: Awaitable[object]) -> None:
        """Takes over steps that have begun, and wait."""
        self._running += 1
        self._current = awaitable
        self._client.server.scheduler.spawn(lambda: self._run(steps, awaitable), self._socket)

    async def _finish(self, steps: Steps, awaitable: Awaitable[object] | None = None) -> None:
        try:
            if awaitable is None:
                awaitable = self._current = begin(steps)
            await finish(steps, awaitable)
        except BaseException as error:
            # What handlers raise is dealt with in the steps, but for a function that raises what is no Exception.
            if ends_task(error):
                raise
            self._socket._failed("an event", error)

    async def _run(self, steps: Steps, awaitable: Awaitable[object]) -> None:
        try:
            await self._finish(steps, awaitable)
            while self._waiting:
                steps, size = self._waiting.popleft()
                self._client.ws._release(1, size)
                await self._finish(steps)
            if self._running == 1 and self._last is not None:
                last, self._last = self._last, None
                await self._finish(last)
        finally:
            self._running -= 1
            if self._running == 0 and not self._waiting:
                self._socket._lane = None
