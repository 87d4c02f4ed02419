"""``server_stats``: the server's numbers, and what has happened since they were last told."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.socketio.server import Server

__all__ = ["Figures"]

#: Namespaces that are told of.
MAX_NAMESPACES = 1_000

#: Characters of the name of a namespace or a room; what has a longer one is not told.
MAX_NAME_CHARS = 200

#: What has gone by, in the page's words and in those of `Hub.stats`.
TRAFFIC = {"packetsIn": "messages_in", "packetsOut": "messages_out", "bytesIn": "bytes_in", "bytesOut": "bytes_out"}


class Figures:
    """The numbers of one server. Messages and bytes are counted by the core anyway, for the whole hub."""

    def __init__(self, server: Server, server_id: str | None) -> None:
        self._server = server
        self._hostname = socket.gethostname()
        self._server_id = server_id or self._hostname
        self._started = time.monotonic()
        self._opened = 0
        self._closed: Counter[str] = Counter()
        self._before: dict[str, int] = {}

    def opened(self) -> None:
        """A connection has been opened."""
        self._opened += 1

    def closed(self, reason: str) -> None:
        """A connection has ended."""
        self._closed[reason] += 1

    def begin(self) -> None:
        """What has happened so far is not told: nobody has looked."""
        self._happened(self._server.hub.stats())

    def now(self, *, happened: bool) -> dict[str, Any]:
        """The numbers; with what has happened since the last time that this was asked for, or without."""
        stats = self._server.hub.stats()
        clients = self._server.clients_count
        nsps = islice(self._server.namespaces.values(), MAX_NAMESPACES)
        return {
            "serverId": self._server_id,
            "hostname": self._hostname,
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._started,
            "clientsCount": clients,
            "pollingClientsCount": min(clients, stats["transports"]["polling"]["sessions"]),
            "aggregatedEvents": self._happened(stats) if happened else [],
            "namespaces": [
                {"name": nsp.name, "socketsCount": len(nsp.sockets)} for nsp in nsps if len(nsp.name) <= MAX_NAME_CHARS
            ],
        }

    def _happened(self, stats: Any) -> list[dict[str, Any]]:
        second = int(time.time()) * 1000
        total = {kind: stats[name] for kind, name in TRAFFIC.items()}
        counts = {kind: count - self._before.get(kind, 0) for kind, count in total.items()}
        counts["rawConnection"] = self._opened
        events = [{"timestamp": second, "type": kind, "count": count} for kind, count in counts.items() if count > 0]
        events += [
            {"timestamp": second, "type": "rawDisconnection", "subType": reason, "count": count}
            for reason, count in self._closed.items()
        ]
        self._before, self._opened = total, 0
        self._closed.clear()
        return events
