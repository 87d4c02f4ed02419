"""The namespace of the page: who comes in is told how the server is, again and again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hubbub.socketio.admin.actions import Actions
from hubbub.socketio.admin.door import Door
from hubbub.socketio.admin.figures import Figures
from hubbub.socketio.admin.watcher import Watcher
from hubbub.socketio.socket import Socket

if TYPE_CHECKING:
    from hubbub._bridge import Timer
    from hubbub.socketio.admin.options import AdminOptions
    from hubbub.socketio.server import Server

__all__ = ["AdminPanel"]

logger = logging.getLogger("hubbub")

#: What the page may do if it may do anything; those with M are done to many sockets at once.
ACTIONS = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]


class AdminPanel:
    """One server, as its admins see it.

    Attributes:
        figures: its numbers.
        watcher: in development mode, follows its sockets.
    """

    def __init__(self, server: Server, options: AdminOptions) -> None:
        self._server = server
        self._interval = options.stats_interval
        self._nsp = server.of(options.namespace_name)
        if self._nsp.sockets or self._nsp is server.sockets:
            raise ValueError(f"the admin namespace is one that nothing else is done in, not {self._nsp.name!r}")
        # The page's sockets are never those of python-socketio's API, and it needs nothing that it has missed.
        self._nsp._socket_type = Socket
        self._nsp._recovery = None
        self._door = Door(options)
        self._actions = None if options.read_only else Actions(server, self._nsp)
        self.figures = Figures(server, options.server_id)
        self.watcher = Watcher(server, self._nsp) if options.mode == "development" else None
        self._features = [*([] if options.read_only else ACTIONS), "AGGREGATED_EVENTS"]
        if self.watcher is not None:
            self._features.append("ALL_EVENTS")
            for nsp in server.namespaces.values():
                self.watcher.watch(nsp)
        self._timer: Timer | None = None
        if options.auth is False:
            logger.warning("the admin namespace %r lets everyone in (auth=False)", self._nsp.name)
        self._nsp.use(self._door.ask)
        self._nsp.on("connection", self._entered)

    async def _entered(self, page: Socket) -> None:
        session = self._door.new_session(page)
        if session is not None:
            page.emit("session", session)
        page.emit("config", {"supportedFeatures": self._features})
        page.on("disconnect", self._left)
        if self._actions is not None:
            self._actions.offer(page)
        if self._timer is None:
            self.figures.begin()
            self._timer = self._server.scheduler.bridge.call_later(self._interval, self._tick)
        page.emit("server_stats", self._stats(happened=False))
        if self.watcher is not None:
            await self.watcher.list_to(page)

    def _left(self) -> None:
        if not self._nsp.sockets:
            self._rest()

    def _tick(self) -> None:
        self._timer = None
        if not self._nsp.sockets:
            self._rest()
            return
        self._nsp.emit("server_stats", self._stats(happened=True))
        if self.watcher is not None:
            self.watcher.next_interval()
        self._timer = self._server.scheduler.bridge.call_later(self._interval, self._tick)

    def _rest(self) -> None:
        """Nobody looks: nothing is done any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.watcher is not None:
            self.watcher.forget()

    def _stats(self, *, happened: bool) -> dict[str, Any]:
        stats = self.figures.now(happened=happened)
        if self.watcher is not None:
            stats["eventsLeftOut"] = self.watcher.left_out
        return stats
