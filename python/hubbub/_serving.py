"""One run of a hub, from its listeners to its end."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hubbub import _addresses, _core, _exit
from hubbub._asgi import Application
from hubbub._handlers import Endpoint, report
from hubbub.websocket import WebSocket

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Flag
    from hubbub.hub import Hub

__all__ = ["Listening", "Serving"]

logger = logging.getLogger("hubbub")
access_logger = logging.getLogger("hubbub.access")


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

    async def _until_stopped(self) -> None:
        await self._serving.stopping.wait()


class Serving:
    """One run of a hub: the hooks that the core calls, and the way to the end."""

    def __init__(
        self,
        hub: Hub,
        bridge: Bridge,
        bind: tuple[Any, ...],
        io_threads: int,
        access_log: bool,
        tls: tuple[Any, ...] | None,
        proxies: tuple[list[str], bool] | None = None,
    ) -> None:
        self.bridge = bridge
        self.tls = tls
        self.stopping: Flag = bridge.flag()
        self._emptied: Flag = bridge.flag()
        self._stopped: Flag = bridge.flag()
        self.failed = report
        self.spoken = _guarded(hub._on_broadcast)
        self.access = _log_access if access_log and access_logger.isEnabledFor(logging.INFO) else None
        #: A host says itself what it is.
        self.server_field = None if bind[0] == "guests" else hub._server_header
        #: The shards are running, or have been.
        self._driven = False
        #: It is on its way to the end: sessions are being closed.
        self.leaving = False
        self._apps = hub._make_apps()
        self._endpoints: list[Endpoint | Application] = [*hub._make_endpoints(), *self._apps]
        self._slow: set[str] = set()
        for endpoint in self._endpoints:
            endpoint.bind(bridge)
        self.server = _core.Server(hub, hub.limits, self._endpoints, self, [bind], io_threads, tls, proxies)

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
        if not self._driven:
            await self.bridge.drain()
            self.server.release()
            del self.server
            return
        self.leaving = True
        self.server.leave()
        deadline = time.monotonic() + timeout
        if self.server.session_count():
            await self.bridge.wait(self._emptied, timeout)
        for app in self._apps:
            await app.finish(max(0.0, deadline - time.monotonic()))
        # What is closed by now has its last bytes on the way; what is not, has had its time.
        self.server.stop(0.25)
        await self.bridge.wait(self._stopped, 2.0)
        for app in reversed(self._apps):
            await app.shut_down(max(1.0, deadline - time.monotonic()))
        await self.bridge.drain()
        self.bridge.stop_watching()
        self.server.release()
        # The server holds this object's methods: let go of it, so that neither keeps the other alive.
        del self.server


_NOTICES = {
    "descriptors": "out of file descriptors: accepting pauses until one is free",
    "full": "as many connections as allowed: accepting pauses until one ends",
    "certificate": "%s",
    "length": "%s; the connection was closed",
    "file": "the file of a response could not be sent: %s",
    "accept": "accepting a connection failed: %s",
    "panic": "internal error in the network, one connection was dropped (please report this): %s",
}

_SID = re.compile(r"(?<=[?&]sid=)[^&]*")


def _log_access(who: WebSocket | str | None, request_line: str, status: int | None) -> None:
    if isinstance(who, WebSocket):
        address = who.remote_address
        peer = f"{address[0]}:{address[1]}" if address else "unix"
        # Not by way of `who.request`: that would keep the request in memory for as long as the session.
        kind = {"websocket": "WebSocket", "eventsource": "EventSource"}.get(who.transport, who.transport)
        access_logger.info('%s - "%s %s" [accepted]', peer, kind, _printable(_nameless(who._opening.line()[1])))
    elif status is None:
        access_logger.info("%s - no request: %s", who or "unix", _printable(request_line))
    else:
        access_logger.info('%s - "%s" %d', who or "unix", request_line, status)


def _nameless(target: str) -> str:
    """Without the id of a session in its query, as in the lines of the core: who has it can speak for its client."""
    return _SID.sub("...", target)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"%{ord(char):02X}" for char in text)


def _guarded(handler: Callable[..., Any] | None) -> Callable[..., None] | None:
    if handler is None:
        return None

    def call(room: str, data: str | bytes, sender: WebSocket | None) -> None:
        try:
            handler(room, data, sender)
        except Exception:
            logger.exception("the on_broadcast handler failed for room %r", room)

    return call
