"""The order of one socket's events, while a coroutine handler is under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from hubbub._failures import ends_task
from hubbub.socketio.steps import Steps, begin, finish

if TYPE_CHECKING:
    from hubbub.socketio.socket import Socket

__all__ = ["Lane"]


class Lane:
    """What a socket's coroutine handlers are at, and what waits behind it. A socket that waits for nothing has none.

    What waits counts in the inbox of the session, so a client whose handlers are slow is not read without an end.
    """

    __slots__ = ("_last", "_running", "_socket", "_waiting")

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._running = 0
        #: The steps, and what they count for.
        self._waiting: deque[tuple[Steps, int]] = deque()
        self._last: Steps | None = None

    def take(self, steps: Steps, size: int) -> None:
        """Runs the steps when it is their turn; meanwhile they count for so many bytes."""
        if self._running < self._socket._client.server.concurrency:
            awaitable = begin(steps)
            if awaitable is not None:
                self.go_on(steps, awaitable)
        else:
            self._socket._client.ws._hold(1, size)
            self._waiting.append((steps, size))

    def take_last(self, steps: Steps) -> None:
        """Runs the steps when everything else is done."""
        self._last = steps

    def drop_waiting(self) -> None:
        """What waits is not wanted any more."""
        while self._waiting:
            self._socket._client.ws._release(1, self._waiting.popleft()[1])

    def go_on(self, steps: Steps, awaitable: Awaitable[object]) -> None:
        """Takes over steps that have begun, and wait."""
        self._running += 1
        self._socket._client.server._spawn(lambda: self._run(steps, awaitable), self._socket)

    async def _finish(self, steps: Steps, awaitable: Awaitable[object] | None = None) -> None:
        try:
            await finish(steps, begin(steps) if awaitable is None else awaitable)
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
                self._socket._client.ws._release(1, size)
                await self._finish(steps)
            if self._running == 1 and self._last is not None:
                last, self._last = self._last, None
                await self._finish(last)
        finally:
            self._running -= 1
            if self._running == 0 and not self._waiting:
                self._socket._lane = None
