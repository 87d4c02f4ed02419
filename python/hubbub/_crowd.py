"""The messages of one session that are handled at the same time."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Task, Work

__all__ = ["Crowd", "noticed"]


class _One:
    """One message that is being handled."""

    __slots__ = ("noticed", "task")

    def __init__(self) -> None:
        #: Its handler knows that the session has ended.
        self.noticed = False
        self.task: Task | None = None


_ONE: ContextVar[_One] = ContextVar("hubbub.one")


def noticed() -> None:
    """Whoever calls has been told that its session has ended."""
    one = _ONE.get(None)
    if one is not None:
        one.noticed = True


class Crowd:
    """Tasks, each of which handles one message, up to a number at a time. ``about`` names them."""

    def __init__(self, bridge: Bridge, most: int, *about: object) -> None:
        self._bridge = bridge
        self._about = about
        self._places = bridge.semaphore(most)
        self._ones: set[_One] = set()
        self._given_up = False

    async def begin(self, work: Work) -> None:
        """Starts a task as soon as there is a place for it; after `give_up` not any more."""
        await self._places.acquire()
        if self._given_up:
            self._places.release()
            return
        one = _One()
        self._ones.add(one)
        one.task = self._bridge.spawn(lambda: self._run(one, work), *self._about)

    async def _run(self, one: _One, work: Work) -> None:
        _ONE.set(one)
        try:
            await work()
        finally:
            self._ones.discard(one)
            self._places.release()

    def give_up(self) -> None:
        """Cancels those that have not noticed that the session has ended."""
        self._given_up = True
        for one in self._ones:
            if not one.noticed and one.task is not None:
                one.task.cancel()

    async def finish(self) -> None:
        """Waits for their ends, even if whoever waits is cancelled."""
        if self._ones:
            await self._bridge.shielded(self._bridge.ended([one.task for one in self._ones], None))
