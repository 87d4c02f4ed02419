"""One timer for all clients that have the same time for the same thing."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from hubbub._bridge import Bridge

__all__ = ["Deadlines"]

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Clients, each until its time is over: `late` is called then. As all have the same time, they stand in order."""

    __slots__ = ("_armed", "_late", "_seconds", "_until")

    def __init__(self, seconds: float | None, late: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._late = late
        # PERF: of a dict from whose front much was taken, the first entry takes as long to find as all that are gone.
        self._until: OrderedDict[T, float] = OrderedDict()
        #: The event loop whose timer will look; after the hub was stopped, another one.
        self._armed: Bridge | None = None

    def watch(self, client: T, bridge: Bridge) -> None:
        """Its time begins now."""
        if self._seconds is None:
            return
        self._until.pop(client, None)
        self._until[client] = time.monotonic() + self._seconds
        self._arm(bridge)

    def forget(self, client: T) -> None:
        """It is in time."""
        self._until.pop(client, None)

    def _arm(self, bridge: Bridge) -> None:
        if self._armed is bridge or not self._until:
            return
        self._armed = bridge
        first = next(iter(self._until.values()))
        bridge.call_later(max(0.0, first - time.monotonic()), lambda: self._look(bridge))

    def _look(self, bridge: Bridge) -> None:
        self._armed = None
        now = time.monotonic()
        late = [client for client, until in itertools.takewhile(lambda item: item[1] <= now, self._until.items())]
        for client in late:
            if self._until.pop(client, None) is not None:
                self._late(client)
        self._arm(bridge)
