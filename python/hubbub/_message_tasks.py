"""The messages of one session that are handled at the same time."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Task, Work

__all__ = ["MessageTasks", "noticed"]


class _Message:
    """One message that is being handled."""

    __slots__ = ("noticed", "task")

    def __init__(self) -> None:
        #: Its handler knows that the session has ended.
        self.noticed = False
        self.task: Task | None = None


_CURRENT: ContextVar[_Message] = ContextVar("hubbub.message")


def noticed() -> None:
    """The handler that runs now has been told that its session has ended."""
    message = _CURRENT.get(None)
    if message is not None:
        message.noticed = True


class MessageTasks:
    """Tasks, each of which handles one message, up to a number at a time. ``about`` names them."""

    def __init__(self, bridge: Bridge, most: int, *about: object) -> None:
        self._bridge = bridge
        self._about = about
        self._places = bridge.semaphore(most)
        self._messages: set[_Message] = set()
        self._given_up = False

    async def begin(self, work: Work) -> None:
        """Starts a task as soon as there is a place for it. After `give_up` it starts none."""
        await self._places.acquire()
        if self._given_up:
            self._places.release()
            return
        message = _Message()
        self._messages.add(message)
        message.task = self._bridge.spawn(lambda: self._run(message, work), *self._about)

    async def _run(self, message: _Message, work: Work) -> None:
        _CURRENT.set(message)
        try:
            await work()
        finally:
            self._messages.discard(message)
            self._places.release()

    def give_up(self) -> None:
        """Cancels those that have not noticed that the session has ended."""
        self._given_up = True
        for message in self._messages:
            if not message.noticed and message.task is not None:
                message.task.cancel()

    async def finish(self) -> None:
        """Waits until all of them have ended, even if the task that waits is cancelled."""
        if self._messages:
            await self._bridge.shielded(self._bridge.ended([message.task for message in self._messages], None))
