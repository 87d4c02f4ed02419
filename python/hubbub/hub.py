"""The hub: what a program creates, gives handlers, and runs."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from hubbub import _core, _logs, _loops, _tls
from hubbub._bridge import Bridge, Flag, current_bridge
from hubbub._handlers import Endpoint, check_handler, is_coroutine, report
from hubbub.compression import Compression, CompressionMode
from hubbub.errors import NotRunning
from hubbub.limits import Limits
from hubbub.rooms import Audience, Room, Rooms, Sessions
from hubbub.websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Hub", "Listening"]

logger = logging.getLogger("hubbub")
access_logger = logging.getLogger("hubbub.access")

H = TypeVar("H", bound=Callable[..., Any])

#: How the network runs unless the program says otherwise; docs/guide.md says why.
DEFAULT_IO_THREADS = 1

#: What fits into a sockaddr_un, with the zero at its end.
MAX_UDS_BYTES = 107

#: Seconds: a day.
MAX_SHUTDOWN_TIMEOUT = 86_400.0


class Hub:
    """A realtime server: endpoints with handlers, rooms, limits.

    Args:
        limits: every bound of the server and its sessions.
        subprotocols: what the default endpoint (the ``on_*`` handlers') speaks, the preferred one first.
        origins: the pages that may connect, such as ``"https://example.org"``, or ``"same-origin"`` for those that
            come from the host that they connect to; ``None`` is all. A client that sends
            no Origin is not a browser, and may.
        compression: ``"shared"`` or ``"per-session"`` compresses messages for clients that offer it; `Compression` says
            what each costs and sets the rest. ``None`` does not.

    Handlers may be functions or coroutine functions. Functions are the fast path: they are called straight from the
    batch that the network hands over.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        subprotocols: Sequence[str] = (),
        origins: Sequence[str] | None = None,
        compression: Compression | CompressionMode | None = None,
    ) -> None:
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"limits is a hubbub.Limits, not {limits!r}")
        self.limits = limits or Limits()
        self._subprotocols = _names("subprotocols", subprotocols)
        self._origins = None if origins is None else _names("origins", origins)
        self._compression = Compression.read(compression)
        self._on_connection: Callable[..., Any] | None = None
        self._on_message: Callable[..., Any] | None = None
        self._on_close: Callable[..., Any] | None = None
        self._on_request: Callable[..., Any] | None = None
        self._on_broadcast: Callable[..., Any] | None = None
        self._concurrency = 1
        self._endpoints: list[dict[str, Any]] = []
        self._running: _core.Server | None = None
        self._serving: _Serving | None = None

    # ---- handlers

    def on_connection(self, handler: H) -> H:
        """``(ws)``: a client has connected."""
        check_handler("on_connection", handler, "ws")
        self._on_connection = handler
        return handler

    @overload
    def on_message(self, handler: H, /) -> H: ...
    @overload
    def on_message(self, handler: None = None, /, *, concurrency: int = 1) -> Callable[[H], H]: ...
    def on_message(self, handler: H | None = None, /, *, concurrency: int = 1) -> Any:
        """``(ws, data)``: a message has come; ``str`` for text, ``bytes`` for binary.

        Messages of one session are handled in order, one at a time. A coroutine handler may be given
        ``@hub.on_message(concurrency=8)``: then up to so many messages of one session are handled at the same time.
        """
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ValueError(f"concurrency is a whole number from 1 on, not {concurrency!r}")

        def register(handler: H) -> H:
            check_handler("on_message", handler, "ws", "data")
            if concurrency > 1 and not is_coroutine(handler):
                raise TypeError("concurrency is for coroutine handlers: a function is called to its end anyway")
            self._on_message = handler
            self._concurrency = concurrency
            return handler

        return register if handler is None else register(handler)

    def on_close(self, handler: H) -> H:
        """``(ws, code, reason)``: the session has ended; its code is 1006 if the client sent no Close frame.

        ``ws.rooms`` still names the rooms that it was in.
        """
        check_handler("on_close", handler, "ws", "code", "reason")
        self._on_close = handler
        return handler

    def on_request(self, handler: H) -> H:
        """``(request)``: somebody asks for something, before anything is answered, at every endpoint.

        Return ``None`` to go on, or a `Response` to answer with that instead. Setting ``request.subprotocol``,
        ``request.response_headers`` and ``request.state`` shapes the session that opens.
        """
        check_handler("on_request", handler, "request")
        self._on_request = handler
        return handler

    def on_broadcast(self, handler: H) -> H:
        """``(room, data, sender)``: something was broadcast to a room; the sender is ``None`` if it was no session.

        It is told in the event loop, after the broadcast, and not for broadcasts to everyone. A function only.
        """
        check_handler("on_broadcast", handler, "room", "data", "sender")
        if is_coroutine(handler):
            raise TypeError("an on_broadcast handler is a function: it is called between messages, not in a task")
        self._on_broadcast = handler
        return handler

    def websocket(
        self,
        path: str,
        *,
        subprotocols: Sequence[str] = (),
        origins: Sequence[str] | None = None,
        compression: Compression | CompressionMode | Literal["hub"] | None = "hub",
    ) -> Callable[[H], H]:
        """A coroutine for each client that connects to ``path``: ``async def handler(ws)``.

        Args:
            path: ``"/chat/{room}"``: a name in braces takes one segment, ``{*name}`` at the end takes the rest.
            subprotocols: what the endpoint speaks, the preferred one first.
            origins: as for `Hub`; the hub's own if not given.
            compression: as for `Hub`; ``"hub"`` is the hub's own.

        When the coroutine returns, the session is closed with 1000; when it raises, with 1011.
        """
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"an endpoint's path is a str that begins with '/', not {path!r}")
        names = _names("subprotocols", subprotocols)
        allowed = self._origins if origins is None else _names("origins", origins)
        how = self._compression if compression == "hub" else Compression.read(compression)

        def register(handler: H) -> H:
            check_handler("websocket", handler, "ws")
            if not is_coroutine(handler):
                raise TypeError(f"a websocket handler is `async def`; for functions there is on_message: {handler!r}")
            self._endpoints.append(
                {"path": path, "subprotocols": names, "origins": allowed, "serve": handler, "compression": how}
            )
            return handler

        return register

    # ---- rooms and sessions

    def room(self, name: str) -> Room:
        """The room of this name, whether somebody is in it or not."""
        return Room(self, name)

    @property
    def rooms(self) -> Rooms:
        """The rooms that have members, by name."""
        return Rooms(self)

    @property
    def sessions(self) -> Sessions:
        """The open sessions."""
        return Sessions(self)

    def to(self, *rooms: str) -> Audience:
        """The members of these rooms, for one broadcast that reaches each of them once."""
        return Audience(self, []).to(*rooms)

    def skip(self, *sessions: WebSocket) -> Audience:
        """Everyone but these sessions."""
        return Audience(self, None).skip(*sessions)

    def broadcast(
        self,
        data: str | bytes | bytearray | memoryview,
        *,
        skip: WebSocket | Sequence[WebSocket] = (),
        compress: bool = True,
    ) -> _core.Delivery:
        """Sends a message to every open session. See `Room.broadcast`."""
        return self.skip(*([skip] if isinstance(skip, WebSocket) else skip)).broadcast(data, compress=compress)

    def stats(self) -> dict[str, int]:
        """What the server has seen and done since it was started; docs/guide.md names each figure."""
        return self._server.stats()

    # ---- running

    def run(
        self,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        uds: str | os.PathLike[str] | None = None,
        fd: int | None = None,
        io_threads: int = DEFAULT_IO_THREADS,
        loop: Literal["auto", "asyncio", "uvloop", "trio"] = "auto",
        backlog: int = 2048,
        reuse_port: bool = False,
        shutdown_timeout: float = 5.0,
        access_log: bool = True,
        ssl_certfile: _tls.Path | None = None,
        ssl_keyfile: _tls.Path | None = None,
        ssl_ca_certs: _tls.Path | None = None,
        ssl_cert_reqs: int = 0,
        ssl_certificates: Mapping[str, _tls.CertificateFiles] | None = None,
    ) -> None:
        """Serves until Ctrl-C, SIGTERM or `stop`; then drains and returns. A second signal ends the process at once.

        Args:
            host: name or address; every address that it resolves to is served, IPv4 and IPv6.
            port: 0 lets the system choose; the log says which.
            uds: path of a unix socket, instead of host and port.
            fd: descriptor of a listening socket, instead of host and port.
            io_threads: threads for the network. 0 runs it in the event loop's own thread.
            loop: ``"auto"`` is uvloop if it is installed, else asyncio.
            backlog: connections that may wait in the accept queue.
            reuse_port: let several processes listen on the same port (SO_REUSEPORT).
            shutdown_timeout: seconds for everything in flight when it stops.
            access_log: log each request to ``hubbub.access``.
            ssl_certfile: the certificate chain in PEM; with it, TLS 1.2 and 1.3 are spoken, and nothing else.
            ssl_keyfile: its private key, if that is not in the same file.
            ssl_ca_certs: the authorities that clients' certificates may come from, in PEM.
            ssl_cert_reqs: ``ssl.CERT_REQUIRED`` or ``ssl.CERT_OPTIONAL``: ask clients for a certificate.
            ssl_certificates: further certificates by host name (SNI): ``{"example.org": ("cert.pem", "key.pem")}``;
                ``"*.example.org"`` is for all names one level below.

        With TLS, SIGHUP reads the certificates again, as `reload_certificates` does.

        Raises:
            OSError: the address cannot be served, or a certificate's file cannot be read.
            ValueError: a certificate or key is not what it should be.
        """

        async def main() -> None:
            options: dict[str, Any] = {
                "uds": uds,
                "fd": fd,
                "io_threads": io_threads,
                "backlog": backlog,
                "reuse_port": reuse_port,
            }
            options |= {"ssl_certfile": ssl_certfile, "ssl_keyfile": ssl_keyfile, "ssl_ca_certs": ssl_ca_certs}
            options |= {"ssl_cert_reqs": ssl_cert_reqs, "ssl_certificates": ssl_certificates}
            async with self.listening(
                host,
                port,
                shutdown_timeout=shutdown_timeout,
                access_log=access_log,
                **options,
            ) as listening:
                with _signals(self), _hangup(self, listening):
                    for url in listening.urls:
                        logger.info("listening on %s (Ctrl-C stops)", url)
                    await listening._until_stopped()

        _logs.set_up_if_missing()
        _loops.run(loop, main)

    async def serve(self, host: str = "127.0.0.1", port: int = 8000, **options: Any) -> None:
        """Serves inside the running event loop, until `stop` is called or the task is cancelled.

        The arguments are those of `listening`. No signal handler is installed.
        """
        async with self.listening(host, port, **options) as listening:
            await listening._until_stopped()

    @asynccontextmanager
    async def listening(
        self,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        uds: str | os.PathLike[str] | None = None,
        fd: int | None = None,
        io_threads: int = DEFAULT_IO_THREADS,
        backlog: int = 2048,
        reuse_port: bool = False,
        shutdown_timeout: float = 5.0,
        access_log: bool = True,
        ssl_certfile: _tls.Path | None = None,
        ssl_keyfile: _tls.Path | None = None,
        ssl_ca_certs: _tls.Path | None = None,
        ssl_cert_reqs: int = 0,
        ssl_certificates: Mapping[str, _tls.CertificateFiles] | None = None,
    ) -> AsyncIterator[Listening]:
        """Serves while the block runs; then stops, draining for at most ``shutdown_timeout`` seconds.

        The arguments are those of `run`.
        """
        if self._running is not None:
            raise RuntimeError("this hub is running already")
        tls = _tls.settings(ssl_certfile, ssl_keyfile, ssl_ca_certs, ssl_cert_reqs, ssl_certificates)
        bind = _bind(host, port, uds, fd, backlog, reuse_port)
        if not isinstance(io_threads, int) or not 0 <= io_threads <= 128:
            raise ValueError(f"io_threads is a whole number from 0 to 128, not {io_threads!r}")
        if not isinstance(shutdown_timeout, (int, float)) or not 0 <= shutdown_timeout <= MAX_SHUTDOWN_TIMEOUT:
            raise ValueError(f"shutdown_timeout is seconds from 0 to a day, not {shutdown_timeout!r}")
        try:
            serving = _Serving(self, current_bridge(), bind, io_threads, access_log, tls)
        except OSError as error:
            if error.filename is not None:  # a certificate's
                raise
            why = error.strerror or str(error)
            raise OSError(error.errno, f"cannot listen on {_where(bind)}: {why}") from None
        self._running, self._serving = serving.server, serving
        try:
            serving.start()
            with serving.bridge.ending():
                yield Listening(serving)
        finally:
            await serving.bridge.shielded(serving.stop(shutdown_timeout))
            self._running = self._serving = None

    def stop(self) -> None:
        """Asks a running hub to stop: `run` and `serve` drain and return. From any thread."""
        serving = self._serving
        if serving is not None:
            serving.bridge.call_soon_threadsafe(serving.stopping.set)

    def reload_certificates(self) -> None:
        """Reads the certificates and keys of a hub that speaks TLS again. From any thread.

        Connections to come get the new ones; open ones go on as they are. Expired certificates are warned of.

        Raises:
            OSError, ValueError: as `run`. Then everything stays as it was.
        """
        for warning in self._server.reload_certificates():
            logger.warning("%s", warning)

    @property
    def _server(self) -> _core.Server:
        if self._running is None:
            raise NotRunning("the hub is not running: nobody is connected to it")
        return self._running

    def _make_endpoints(self) -> list[Endpoint]:
        endpoints = [Endpoint(on_request=self._on_request, **arguments) for arguments in self._endpoints]
        handlers = (self._on_connection, self._on_message, self._on_close)
        if any(handlers) or not endpoints:
            on_connection, on_message, on_close = handlers
            endpoints.append(
                Endpoint(
                    None,
                    self._subprotocols,
                    self._origins,
                    on_connection=on_connection,
                    on_message=on_message,
                    on_close=on_close,
                    on_request=self._on_request,
                    concurrency=self._concurrency,
                    compression=self._compression,
                )
            )
        elif self._on_request is not None:
            # Requests elsewhere are the handler's to answer; it may serve pages, but no session opens there.
            endpoints.append(Endpoint(None, [], self._origins, on_request=_only_answers(self._on_request)))
        return endpoints


class Listening:
    """A hub that is listening.

    Attributes:
        addresses: ``("tcp", host, port)`` or ``("unix", path)`` of each listener.
        port: of the first TCP listener.
        urls: ``ws://host:port/`` (``wss://`` with TLS) for each TCP listener, ``unix:path`` for the others.
    """

    def __init__(self, serving: _Serving) -> None:
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
        return [_url(scheme, address) for address in self.addresses]

    async def _until_stopped(self) -> None:
        await self._serving.stopping.wait()


class _Serving:
    """One run of a hub: the hooks that the core calls, and the way to the end."""

    session_type = WebSocket

    def __init__(
        self,
        hub: Hub,
        bridge: Bridge,
        bind: tuple[Any, ...],
        io_threads: int,
        access_log: bool,
        tls: tuple[Any, ...] | None,
    ) -> None:
        self.bridge = bridge
        self.tls = tls
        self.stopping: Flag = bridge.flag()
        self._emptied: Flag = bridge.flag()
        self._stopped: Flag = bridge.flag()
        self.failed = report
        self.spoken = _guarded(hub._on_broadcast)
        self.access = _log_access if access_log and access_logger.isEnabledFor(logging.INFO) else None
        self._endpoints = hub._make_endpoints()
        self._slow: set[str] = set()
        for endpoint in self._endpoints:
            endpoint.bind(bridge)
        self.server = _core.Server(hub, hub.limits, self._endpoints, self, [bind], io_threads, tls)

    def start(self) -> None:
        self.bridge.start(self.server)

    def notice(self, kind: str, text: str) -> None:
        logger.warning(_NOTICES[kind], text) if text else logger.warning(_NOTICES[kind])

    def slow(self, endpoint: int, handler: str, seconds: float) -> None:
        name = self._endpoints[endpoint].name_of(handler)
        if name not in self._slow:
            self._slow.add(name)
            logger.warning(
                "the handler %s has kept the event loop busy for %.2f s: nobody else was served meanwhile (told once)",
                name,
                seconds,
            )

    def emptied(self) -> None:
        self._emptied.set()

    def stopped(self) -> None:
        self._stopped.set()

    async def stop(self, timeout: float) -> None:
        """Lets handlers finish what they are at, closes with 1001, flushes, and drops what is left at the end."""
        self.server.leave()
        if self.server.session_count():
            await self.bridge.wait(self._emptied, timeout)
        # What is closed by now has its last bytes on the way; what is not, has had its time.
        self.server.stop(0.25)
        await self.bridge.wait(self._stopped, 2.0)
        await self.bridge.drain()
        self.bridge.stop_watching()
        self.server.release()
        # The server holds this object's methods: let go of it, so that neither keeps the other alive.
        del self.server


_NOTICES = {
    "descriptors": "out of file descriptors: accepting pauses until one is free",
    "full": "as many connections as allowed: accepting pauses until one ends",
    "certificate": "%s",
    "accept": "accepting a connection failed: %s",
    "panic": "internal error in the network, one connection was dropped (please report this): %s",
}


def _log_access(who: WebSocket | str | None, request_line: str, status: int | None) -> None:
    if isinstance(who, WebSocket):
        address = who.remote_address
        peer = f"{address[0]}:{address[1]}" if address else "unix"
        # Not by way of `who.request`: that would keep the request in memory for as long as the session.
        access_logger.info('%s - "WebSocket %s" [accepted]', peer, _printable(who._opening.line()[1]))
    elif status is None:
        access_logger.info("%s - no request: %s", who or "unix", _printable(request_line))
    else:
        access_logger.info('%s - "%s" %d', who or "unix", request_line, status)


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


def _only_answers(on_request: Callable[..., Any]) -> Callable[..., Any]:
    from hubbub.request import Request, Response

    not_found = Response(404, "Nothing is served here.\n")
    if is_coroutine(on_request):

        async def decide_later(request: Request) -> object:
            answer = await on_request(request)
            return not_found if answer is None else answer

        return decide_later

    def decide(request: Request) -> object:
        answer = on_request(request)
        return not_found if answer is None else answer

    return decide


@contextmanager
def _signals(hub: Hub) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops the hub; a second one meets the system's own way and ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, signal.SIG_DFL)
        logger.info("%s: stopping (once more ends at once)", signal.Signals(number).name)
        hub.stop()

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


@contextmanager
def _hangup(hub: Hub, listening: Listening) -> Iterator[None]:
    """SIGHUP reads the certificates again. A program that has a use for it already, or no TLS, keeps it as it is."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or listening._serving.tls is None or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        yield
        return

    def reload(number: int, frame: FrameType | None) -> None:
        try:
            hub.reload_certificates()
        except (OSError, ValueError) as error:
            logger.error("SIGHUP: the certificates stay as they were: %s", error)
        else:
            logger.info("SIGHUP: certificates read again")

    signal.signal(signal.SIGHUP, reload)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _bind(
    host: str, port: int, uds: str | os.PathLike[str] | None, fd: int | None, backlog: int, reuse_port: bool
) -> tuple[Any, ...]:
    if uds is not None and fd is not None:
        raise ValueError("uds and fd exclude each other")
    if not isinstance(backlog, int) or not 1 <= backlog <= 65535:
        raise ValueError(f"backlog is a whole number from 1 to 65535, not {backlog!r}")
    if uds is not None:
        path = os.fsdecode(uds)
        if len(os.fsencode(path)) > MAX_UDS_BYTES:
            raise ValueError(
                f"the path of a unix socket has at most {MAX_UDS_BYTES} bytes, this one has more: {path!r}"
            )
        return ("unix", path, backlog)
    if fd is not None:
        return ("fd", _duplicate(fd), fd)
    if not isinstance(host, str) or not host:
        raise TypeError(f"host is a name or an address, not {host!r}")
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"port is a whole number, not {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port is 0 to 65535, not {port}")
    return ("tcp", host, port, backlog, reuse_port)


def _duplicate(fd: int) -> int:
    try:
        return os.dup(fd)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on descriptor {fd}: {error.strerror}") from None


def _where(bind: tuple[Any, ...]) -> str:
    if bind[0] == "tcp":
        return f"{bind[1]} port {bind[2]}"
    return f"descriptor {bind[2]}" if bind[0] == "fd" else f"the unix socket {bind[1]}"


def _url(scheme: str, address: tuple[Any, ...]) -> str:
    if address[0] == "unix":
        return f"unix:{address[1]}"
    host = f"[{address[1]}]" if ":" in address[1] else address[1]
    return f"{scheme}://{host}:{address[2]}/"


def _names(what: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"{what} is a sequence of non-empty str, not {names!r}")
    return list(names)
