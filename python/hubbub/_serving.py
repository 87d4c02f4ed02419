"""One run of a hub, from its listeners to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubbub import _addresses, _core, _exit
from hubbub._access import AccessLog
from hubbub._asgi import Application
from hubbub._handlers import Endpoint, report
from hubbub.rooms import Session

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Flag
    from hubbub.limits import Limits

__all__ = ["Listening", "Served", "Serving"]

logger = logging.getLogger("hubbub")
#: So many different things that requests suggest are wrong are told.
MOST_ADVICE = 100


#: Seconds after which it is told what the stop waits for.
PATIENCE = 1.0
#: Seconds for tasks that were cancelled, at the end, to end.
GRACE = 0.5
#: As many are told by name.
_NAMED = 5


class Listening:
    """A hub that is listening.

    Attributes:
        addresses: ``("tcp", host, port)`` or ``("unix", path)`` of each listener.
        port: of the first TCP listener.
        urls: ``ws://host:port/`` (``wss://`` with TLS) for each TCP listener, ``unix:path`` for the others.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self.addresses: list[tuple[Any, ...]] = serving.server.addresses

    @property
    def port(self) -> int:
        for address in self.addresses:
            if address[0] == "tcp":
                return int(address[2])
        raise AttributeError("there is no TCP listener, so there is no port")

    @property
    def urls(self) -> list[str]:
        scheme = "ws" if self._serving.tls is None else "wss"
        return [_addresses.url(scheme, address) for address in self.addresses]


@dataclass(frozen=True)
class Served:
    """What a run of a hub serves."""

    hub: Any
    limits: Limits
    endpoints: list[Endpoint]
    applications: list[Application]
    on_broadcast: Callable[..., Any] | None
    server_header: str | None


class Serving:
    """One run of a hub: the hooks that the core calls, and the way to the end."""

    def __init__(
        self,
        served: Served,
        bridge: Bridge,
        bind: tuple[Any, ...],
        io_threads: int,
        access_log: bool,
        tls: tuple[Any, ...] | None,
        proxies: tuple[list[str], bool] | None = None,
    ) -> None:
        self.bridge = bridge
        self.limits = served.limits
        self.tls = tls
        self.stopping: Flag = bridge.flag()
        self._emptied: Flag = bridge.flag()
        self._stopped: Flag = bridge.flag()
        self.failed = report
        self.spoken = _guarded(served.on_broadcast)
        self.access = AccessLog.if_wanted(access_log)
        #: A host says itself what it is.
        self.server_field = None if bind[0] == "embedded" else served.server_header
        #: The shards are running, or have been.
        self._driven = False
        #: It is on its way to the end: sessions are being closed.
        self.leaving = False
        self._apps = served.applications
        self._endpoints: list[Endpoint | Application] = [*served.endpoints, *self._apps]
        self._slow: set[str] = set()
        self._advice: set[str] = set()
        for endpoint in self._endpoints:
            endpoint.bind(bridge, served.limits)
        self.server = _core.Server(served.hub, served.limits, self._endpoints, self, [bind], io_threads, tls, proxies)

    async def start(self) -> None:
        started = []
        try:
            for app in self._apps:
                await app.start_up(self.server.addresses)
                started.append(app)
        except BaseException:
            for app in reversed(started):
                await app.shut_down(1.0)
            raise
        self._driven = True
        _exit.watch(self)
        self.bridge.start(self.server)

    def notice(self, kind: str, text: str) -> None:
        if kind == "advice":
            # Clients cause it: each is told once, and in all not many of them.
            if text in self._advice or len(self._advice) >= MOST_ADVICE:
                return
            self._advice.add(text)
        logger.warning(_NOTICES[kind], text) if text else logger.warning(_NOTICES[kind])

    def name_of(self, endpoint: int, handler: str) -> str:
        return self._endpoints[endpoint].name_of(handler)

    def slow(self, endpoint: int, handler: str, seconds: float) -> None:
        name = self.name_of(endpoint, handler)
        if name not in self._slow:
            self._slow.add(name)
            logger.warning(
                "the handler %r has kept the event loop busy for %.2f s: nobody else was served meanwhile (told once)",
                name,
                seconds,
            )

    def emptied(self) -> None:
        self._emptied.set()

    def stopped(self) -> None:
        self._stopped.set()

    async def stop(self, timeout: float) -> None:
        """Lets handlers finish what they are at, closes with 1001, flushes, and drops what is left at the end."""
        if self._driven:
            telling = self.bridge.call_later(PATIENCE, self._tell_awaited)
            await self._leave(timeout)
            telling.cancel()
        await self.bridge.drain(GRACE)
        if left := self.bridge.tasks():
            logger.error("given up, as it goes on although it was cancelled: %s", _listed(left))
        if self._driven:
            self.bridge.stop_watching()
        self.server.release()
        # The server holds this object's methods: let go of it, so that neither keeps the other alive.
        del self.server

    async def _leave(self, timeout: float) -> None:
        self.leaving = True
        deadline = time.monotonic() + timeout
        self.server.leave()
        for endpoint in self._endpoints:
            endpoint.leave()
        if self.server.session_count():
            await self.bridge.wait(self._emptied, timeout)
        for endpoint in self._endpoints:
            await endpoint.finish(max(0.0, deadline - time.monotonic()))
        # What is closed by now has its last bytes on the way; what is not, has had its time.
        self.server.stop(0.25)
        await self.bridge.wait(self._stopped, 2.0)
        for app in reversed(self._apps):
            await app.shut_down(max(1.0, deadline - time.monotonic()))

    def _tell_awaited(self) -> None:
        awaited = self.bridge.tasks()
        if not awaited and self.server.session_count():
            awaited = [f"the clients of {self.server.session_count()} sessions, to close them"]
        if awaited:
            logger.warning("stopping: still waiting for %s", _listed(awaited))


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


_NOTICES = {
    "advice": "%s (told once)",
    "descriptors": "out of file descriptors: accepting pauses until one is free",
    "full": "as many connections as allowed: accepting pauses until one ends",
    "certificate": "%s",
    "length": "%s; the connection was closed",
    "file": "the file of a response could not be sent: %s",
    "accept": "accepting a connection failed: %s",
    "panic": "internal error in the network, one connection was dropped (please report this): %s",
}


def _guarded(handler: Callable[..., Any] | None) -> Callable[..., None] | None:
    if handler is None:
        return None

    def call(room: str, data: str | bytes, sender: Session | None) -> None:
        try:
            handler(room, data, sender)
        except Exception:
            logger.exception("the on_broadcast handler failed for room %r", room)

    return call
