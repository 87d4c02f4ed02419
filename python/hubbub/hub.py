"""The hub: what a program creates, gives handlers, and runs."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from hubbub import _addresses, _arguments, _asgi, _core, _folders, _logs, _loops, _signals
from hubbub._bridge import current_bridge
from hubbub._callables import is_coroutine_function
from hubbub._endpoints import (
    CometEndpoint,
    Declared,
    EventSourceEndpoint,
    FilesEndpoint,
    Handlers,
    MetricsEndpoint,
    RequestsEndpoint,
    RoomRule,
    WebSocketEndpoint,
)
from hubbub._handlers import Endpoint, check_handler
from hubbub._hosted import Hosted
from hubbub._listen import ListenArguments, ListenOptions, check_shutdown_timeout, shows_options
from hubbub._origins import origins_list
from hubbub._paths import check_path, shape
from hubbub._running import Running
from hubbub._serving import Listening, Served, Serving
from hubbub.compression import Compression, CompressionMode
from hubbub.eventstream import EventStream
from hubbub.limits import Limits
from hubbub.request import Request, Response
from hubbub.rooms import Audience, Room, Rooms, Session, Sessions
from hubbub.stats import Stats, readers
from hubbub.websocket import WebSocket

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Hub", "Listening"]

logger = logging.getLogger("hubbub")

#: Handlers, by what they are called with. They may be functions or coroutine functions where they give `Any`.
OnSession = TypeVar("OnSession", bound=Callable[[WebSocket], Any])
OnMessage = TypeVar("OnMessage", bound=Callable[[WebSocket, Any], Any])
OnClose = TypeVar("OnClose", bound=Callable[[WebSocket, int, str], Any])
OnRequest = TypeVar("OnRequest", bound=Callable[[Request], Response | Awaitable[Response | None] | None])
OnBroadcast = TypeVar("OnBroadcast", bound=Callable[[str, Any, WebSocket | None], None])
OnStream = TypeVar("OnStream", bound=Callable[[EventStream], Any])
Serves = TypeVar("Serves", bound=Callable[[WebSocket], Coroutine[Any, Any, Any]])

Transport = Literal["websocket", "eventsource", "iframe", "polling"]

#: What a comet endpoint takes unless the program says otherwise.
TRANSPORTS: tuple[Transport, ...] = ("websocket", "eventsource", "iframe", "polling")

#: Who may read the figures unless the program says otherwise.
LOOPBACK = ("127.0.0.1", "::1")

#: hubbub.js and its types, each in the codings that browsers know.
CLIENT = os.path.join(os.path.dirname(__file__), "client")


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
        app: an ASGI 3 application, for everything that no endpoint takes; see `mount`.
        server_header: the Server field of HTTP responses; ``None`` leaves it out.

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
        app: _asgi.App | None = None,
        server_header: str | None = "hubbub",
    ) -> None:
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"limits is a hubbub.Limits, not {limits!r}")
        self.limits = limits or Limits()
        self._subprotocols = _names("subprotocols", subprotocols)
        self._origins = None if origins is None else origins_list(origins)
        self._compression = Compression.read(compression)
        self._handlers = Handlers()
        self._on_broadcast: Callable[..., Any] | None = None
        self._running = Running()
        self._mounts: list[tuple[str, _asgi.App]] = []
        if server_header is not None and not (server_header.isascii() and server_header.isprintable()):
            raise ValueError(f"a server header is printable ASCII, not {server_header!r}")
        self._server_header = server_header
        if app is not None:
            self.mount("", app)
        #: By path.
        self._endpoints: dict[str, Declared] = {}
        self._folders: list[FilesEndpoint] = []

    # ---- handlers

    def on_connection(self, handler: OnSession) -> OnSession:
        """``(ws)``: a client has connected."""
        check_handler("on_connection", handler, "ws")
        self._check_single("on_connection", self._handlers.on_connection)
        self._handlers = replace(self._handlers, on_connection=handler)
        return handler

    @overload
    def on_message(self, handler: OnMessage, /) -> OnMessage: ...
    @overload
    def on_message(self, handler: None = None, /, *, concurrency: int = 1) -> Callable[[OnMessage], OnMessage]: ...
    def on_message(self, handler: OnMessage | None = None, /, *, concurrency: int = 1) -> Any:
        """``(ws, data)``: a message has come; ``str`` for text, ``bytes`` for binary.

        Messages of one session are handled in order, one at a time. A coroutine handler may be given
        ``@hub.on_message(concurrency=8)``: then up to so many messages of one session are handled at the same time.
        """
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ValueError(f"concurrency is a whole number from 1 on, not {concurrency!r}")

        def register(handler: OnMessage) -> OnMessage:
            check_handler("on_message", handler, "ws", "data")
            if concurrency > 1 and not is_coroutine_function(handler):
                raise TypeError("concurrency is for coroutine handlers: a function is called to its end anyway")
            self._check_single("on_message", self._handlers.on_message)
            self._handlers = replace(self._handlers, on_message=handler, concurrency=concurrency)
            return handler

        return register if handler is None else register(handler)

    def on_close(self, handler: OnClose) -> OnClose:
        """``(ws, code, reason)``: the session has ended; its code is 1006 if the client sent no Close frame.

        ``ws.rooms`` still names the rooms that it was in.
        """
        check_handler("on_close", handler, "ws", "code", "reason")
        self._check_single("on_close", self._handlers.on_close)
        self._handlers = replace(self._handlers, on_close=handler)
        return handler

    def on_request(self, handler: OnRequest) -> OnRequest:
        """``(request)``: somebody asks for something, before anything is answered, at every endpoint.

        Return ``None`` to go on, or a `Response` to answer with that instead. Setting ``request.subprotocol``,
        ``request.response_headers`` and ``request.state`` shapes the session that opens.
        """
        check_handler("on_request", handler, "request")
        self._check_single("on_request", self._handlers.on_request)
        self._handlers = replace(self._handlers, on_request=handler)
        return handler

    def on_broadcast(self, handler: OnBroadcast) -> OnBroadcast:
        """``(room, data, sender)``: something was broadcast to a room; the sender is ``None`` if it was no session.

        It is told in the event loop, after the broadcast, and not for broadcasts to everyone. A function only.
        """
        check_handler("on_broadcast", handler, "room", "data", "sender")
        if is_coroutine_function(handler, follow_wrapped=False):
            raise TypeError("an on_broadcast handler is a function: it is called between messages, not in a task")
        self._check_single("on_broadcast", self._on_broadcast)
        self._on_broadcast = handler
        return handler

    def websocket(
        self,
        path: str,
        *,
        subprotocols: Sequence[str] = (),
        origins: Sequence[str] | None = None,
        compression: Compression | CompressionMode | Literal["hub"] | None = "hub",
    ) -> Callable[[Serves], Serves]:
        """A coroutine for each client that connects to ``path``: ``async def handler(ws)``.

        Args:
            path: ``"/chat/{room}"``: a name in braces takes one segment, ``{*name}`` at the end takes the rest.
            subprotocols: what the endpoint speaks, the preferred one first.
            origins: as for `Hub`; the hub's own if not given.
            compression: as for `Hub`; ``"hub"`` is the hub's own.

        When the coroutine returns, the session is closed with 1000; when it raises, with 1011.
        """
        self._check_free(path)
        names = _names("subprotocols", subprotocols)
        allowed = self._allowed(origins)
        how = self._compression if compression == "hub" else Compression.read(compression)

        def register(handler: Serves) -> Serves:
            check_handler("websocket", handler, "ws")
            if not is_coroutine_function(handler):
                raise TypeError(f"a websocket handler is `async def`; for functions there is on_message: {handler!r}")
            self._add(WebSocketEndpoint(path, Handlers(serve=handler), names, allowed, how))
            return handler

        return register

    def eventsource(self, path: str, *, origins: Sequence[str] | None = None) -> Callable[[OnStream], OnStream]:
        """An event stream (Server-sent events) at ``path``, for browsers' ``EventSource``: ``handler(es)``.

        Args:
            path: as for `websocket`.
            origins: as for `Hub`; the hub's own if not given. Pages from another origin that is listed get the CORS
                fields that browsers ask for.

        A function is called when a client has connected, and the stream stays open: it may join rooms, whose broadcasts
        arrive as events. A coroutine serves the stream until it returns; then the stream ends, and browsers come again.

        A client that comes back says which event it has seen last. What rooms with a history (`Room.history`) have
        broadcast since arrives when the session joins them; an event of type ``gap`` says that some of it is not kept
        any more.
        """
        endpoint = EventSourceEndpoint(path, self._allowed(origins))
        self._add(endpoint)

        def register(handler: OnStream) -> OnStream:
            check_handler("eventsource", handler, "es")
            handlers = Handlers(serve=handler) if is_coroutine_function(handler) else Handlers(on_connection=handler)
            self._endpoints[path] = replace(endpoint, handlers=handlers)
            return handler

        return register

    def comet(
        self,
        path: str,
        *,
        transports: Sequence[Transport] = TRANSPORTS,
        subprotocols: Sequence[str] = (),
        origins: Sequence[str] | None = None,
        rooms: RoomRule = False,
    ) -> Callable[[Serves], Serves]:
        """Sessions that any transport may carry: WebSocket, event stream, iframe, polls. ``async def handler(ws)``.

        To handlers such a session is like a WebSocket; ``ws.transport`` says what carries it. ``/hubbub.js`` in the
        browser finds the transport that works. A session survives its connection for ``Limits.session_timeout``
        seconds: a client that comes back in time goes on with it, on any transport, and misses nothing of what
        ``Limits.outbox_bytes`` and ``Limits.resume_bytes`` have room for. docs/guide.md has the protocol.

        Args:
            path: as for `websocket`.
            transports: those that are taken.
            subprotocols: for WebSockets, the preferred one first.
            origins: as for `eventsource`.
            rooms: the rooms that a client may enter by asking for them when it opens: ``True`` for all, or a function
                ``(ws, name)`` that says so for each.

        Without a handler of its own, the endpoint has the hub's (``on_connection``, ``on_message``, ``on_close``).
        """
        unknown = [name for name in transports if name not in TRANSPORTS]
        if isinstance(transports, str) or unknown or not transports:
            raise ValueError(f"transports are some of {', '.join(TRANSPORTS)}, not {transports!r}")
        if not isinstance(rooms, bool) and (not callable(rooms) or is_coroutine_function(rooms, follow_wrapped=False)):
            raise TypeError(f"rooms is True, False or a function, not {rooms!r}")
        names = _names("subprotocols", subprotocols)
        endpoint = CometEndpoint(path, tuple(transports), names, self._allowed(origins), rooms)
        self._add(endpoint)

        def register(handler: Serves) -> Serves:
            check_handler("comet", handler, "ws")
            if not is_coroutine_function(handler):
                raise TypeError(f"a comet handler is `async def`; functions are the hub's on_* handlers: {handler!r}")
            self._endpoints[path] = replace(endpoint, handlers=Handlers(serve=handler))
            return handler

        return register

    def _allowed(self, origins: Sequence[str] | None) -> tuple[str, ...] | None:
        """The pages that may connect to an endpoint: those it says, or the hub's. ``None``: every page."""
        return self._origins if origins is None else origins_list(origins)

    def _add(self, endpoint: Declared) -> None:
        self._endpoints[self._check_free(endpoint.path)] = endpoint

    def _check_stopped(self, what: str) -> None:
        """What a run of the hub was made of cannot be changed in it."""
        if self._running.server is not None:
            raise RuntimeError(f"{what} is given before the hub runs: this one is running. Stop it first: hub.stop()")

    def _check_single(self, what: str, before: Callable[..., Any] | None) -> None:
        self._check_stopped(f"{what} handler".replace("on_", "an on_", 1))
        if before is not None:
            name = getattr(before, "__qualname__", None) or repr(before)
            raise ValueError(
                f"the hub has an {what} handler already: {name}. One is called; let it call what else is to be"
            )

    def _check_free(self, path: object) -> str:
        """Give the path. Raises for a value that is no path, and for a path that has an endpoint."""
        self._check_stopped("an endpoint")
        path = check_path(path)
        wanted = shape(path)
        for other in self._endpoints:
            if shape(other) == wanted:
                same = "" if other == path else f", which is the same to whoever asks for {path!r}"
                raise ValueError(f"the hub has an endpoint at {other!r} already{same}")
        return path

    def mount(self, prefix: str, app: _asgi.App) -> None:
        """Lets an ASGI 3 application serve what is below a prefix, HTTP and WebSockets.

        WebSocket endpoints of the hub's own come first, then the longest prefix. The scope's ``root_path`` is the
        prefix, and its ``path`` has it too. ``scope["extensions"]["hubbub"]["hub"]`` is this hub; in a WebSocket's
        scope, ``["websocket"]`` is its session, once it is accepted.

        Args:
            prefix: ``"/api"``; ``""`` or ``"/"`` for everything.
            app: called with ``(scope, receive, send)``.
        """
        self._check_stopped("an application")
        prefix = "" if prefix == "/" else prefix
        if not isinstance(prefix, str) or (prefix and not prefix.startswith("/")) or prefix.endswith("/"):
            raise ValueError(f"a prefix is '' or a str that begins with '/' and does not end with it, not {prefix!r}")
        if prefix in (other for other, _ in self._mounts):
            raise ValueError(f"an application is mounted at {prefix!r} already")
        _asgi.check_app(app)
        self._mounts.append((prefix, app))

    def static(
        self,
        prefix: str,
        folder: str | os.PathLike[str],
        *,
        index: str | None = "index.html",
        max_age: float | None = None,
        headers: Mapping[str, str] | None = None,
        dotfiles: bool = False,
        follow_symlinks: bool = False,
        cache_bytes: int = 16 << 20,
    ) -> None:
        """Answers GET and HEAD below a prefix with the files of a folder.

        The network answers by itself: no handler is called, `on_request` included. What the folder does not have goes
        on to whoever else serves the path: a folder or an application at the same prefix or a shorter one, then
        `on_request`; if nobody does, it is 404. So do other methods; if nobody takes them, it is 405. The longest
        prefix comes first; at the same prefix folders come before applications, in the order in which they were given.

        Beside a file ``app.js`` there may be ``app.js.br``, ``app.js.zst`` and ``app.js.gz``: clients get what they
        like best, unless it is older than the file. Conditions and ranges are heeded (RFC 9110 §13 and §14); several
        ranges that are not one piece are answered with the whole file.

        Args:
            prefix: ``"/"`` for everything, ``"/assets"``.
            folder: where the files are. A relative path is relative to where the program is now.
            index: the file that stands for a folder; ``None``: none does. ``/docs`` is sent to ``/docs/`` with 308.
            max_age: seconds for which clients need not ask again (Cache-Control); ``None`` leaves that to them.
            headers: further fields of each answer that is not an error.
            dotfiles: serve names that begin with a dot, too. ``/.well-known/`` is always served.
            follow_symlinks: let symbolic links lead out of the folder. If not, they are followed within it.
            cache_bytes: the most that the contents of small files (up to 32 KiB) may take in memory; 0 keeps none.

        Raises:
            OSError: there is no such folder.
            ValueError: an argument is not what it should be.
        """
        self._check_stopped("a folder")
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            raise ValueError(f"a prefix is a str that begins with '/', not {prefix!r}")
        found = _folders.folder(folder, index, max_age, headers, dotfiles, follow_symlinks, cache_bytes)
        self._folders.append(FilesEndpoint(prefix, found))

    def script(self, prefix: str = "/") -> None:
        """Serves ``hubbub.js`` below a prefix: the browser's side of `comet` endpoints, a module without dependencies.

        ``import { connect } from "/hubbub.js"``; docs/guide.md says what it does. Its types are beside it, as
        ``hubbub.d.ts``. Pages of every origin may import it, and clients ask each time whether it has changed.

        Args:
            prefix: as for `static`, by which it is served.
        """
        headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
        self.static(prefix, CLIENT, index=None, headers=headers)

    # ---- rooms and sessions

    def room(self, name: str) -> Room:
        """The room of this name, whether somebody is in it or not."""
        return Room(self._running, name)

    @property
    def rooms(self) -> Rooms:
        """The rooms that have members, by name."""
        return Rooms(self._running)

    @property
    def sessions(self) -> Sessions:
        """The open sessions."""
        return Sessions(self._running)

    def to(self, *rooms: str) -> Audience:
        """The members of these rooms, for one broadcast that reaches each of them once."""
        return Audience(self._running, []).to(*rooms)

    def skip(self, *sessions: Session) -> Audience:
        """Everyone but these sessions, for one broadcast. See `broadcast`."""
        return Audience(self._running, None).skip(*sessions)

    def broadcast(
        self,
        data: str | bytes | bytearray | memoryview,
        *,
        skip: Session | Sequence[Session] = (),
        compress: bool = True,
        event: str | None = None,
    ) -> _core.Delivery:
        """Sends a message to every open session of the hub's own: WebSockets, event streams and those of `comet`.

        Clients of Socket.IO are none of them: they get events, by `hubbub.socketio.Server.emit`. See `Room.broadcast`.
        """
        audience = self.skip(*([skip] if isinstance(skip, Session) else skip))
        return audience.broadcast(data, compress=compress, event=event)

    def flush(self) -> None:
        """Sends what was said so far, without waiting for the handler that says it to return.

        What a handler sends leaves when it returns, or at its next ``await``: many messages are one write then. A
        function that is about to block (to compute, to sleep, to wait for a thread) calls this first. With
        ``io_threads=0`` only the event loop's own thread can write: on another thread this does nothing there.
        """
        if self._running.server is not None:
            self._running.server.flush_now()

    # ---- what there is to know

    def stats(self) -> Stats:
        """What the server has seen and done since it was started; docs/guide.md names each figure."""
        return self._running.required().stats()

    def metrics_text(self, *, openmetrics: bool = False) -> str:
        """The figures as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0. From any thread."""
        return self._running.required().metrics_text(openmetrics)

    def metrics(self, path: str = "/metrics", *, allow: Sequence[str] | None = LOOPBACK) -> None:
        """Answers GET and HEAD at ``path`` with the figures, for Prometheus to read.

        The network answers by itself: no handler is called, `on_request` included, so with ``io_threads`` from 1 on
        it answers while the event loop is blocked, too.

        Args:
            path: as for `websocket`.
            allow: the addresses and networks (``"10.0.0.0/8"``) that may read, ``"unix"`` for unix sockets; others get
                403. ``None`` is everyone. What counts is who has connected: a proxy on this machine is this machine.

        Raises:
            ValueError: the path does not begin with ``/``, or something in ``allow`` is no address.
        """
        self._add(MetricsEndpoint(path, readers(allow)))

    # ---- running

    @shows_options
    def run(
        self,
        host: str = ListenOptions.host,
        port: int = ListenOptions.port,
        *,
        loop: _loops.Loop = "auto",
        **options: Unpack[ListenArguments],
    ) -> None:
        """Serves until Ctrl-C, SIGTERM or `stop`; then drains and returns. A second signal ends the process at once.

        Args:
            host: host name or address. Every address that it resolves to is served, IPv4 and IPv6.
            port: TCP port; 0 lets the system choose. The log says which.
            loop: event loop to run; `"auto"` is uvloop if it is installed, else asyncio.
            options: those of `ListenOptions`.

        With TLS, SIGHUP reads the certificates again, as `reload_certificates` does.

        Raises:
            OSError: the address cannot be served, or a certificate's file cannot be read.
            RuntimeError: an event loop is running here already; `serve` and `listening` are for that.
            TypeError: there is no such option, or a value is of the wrong type.
            ValueError: a certificate or key is not what it should be, or an argument is out of its range.
        """
        given = ListenOptions.of(host, port, options, "loop")

        async def main() -> None:
            # From before the start: an application may take its time to start, and to shut down.
            with _signals.stopping(self.stop) as stopping:
                async with self._serving(given) as serving:
                    with _signals.reloading(self.reload_certificates, serving.tls is not None):
                        for url in Listening(serving).urls:
                            logger.info("listening on %s (Ctrl-C stops)", url)
                        if not stopping.asked:
                            await serving.stopping.wait()

        _loops.check_free()
        _logs.fill_streams()
        _logs.set_up_if_missing()
        _loops.run(loop, main)

    @shows_options
    async def serve(
        self, host: str = ListenOptions.host, port: int = ListenOptions.port, **options: Unpack[ListenArguments]
    ) -> None:
        """Serves inside the running event loop, until `stop` is called or the task is cancelled.

        No signal handler is installed.

        Args:
            host: host name or address. Every address that it resolves to is served, IPv4 and IPv6.
            port: TCP port; 0 lets the system choose. The log says which.
            options: those of `ListenOptions`.

        Raises:
            OSError: the address cannot be served, or a certificate's file cannot be read.
            RuntimeError: the hub is running already.
            TypeError: there is no such option, or a value is of the wrong type.
            ValueError: a certificate or key is not what it should be, or an argument is out of its range.
        """
        async with self._serving(ListenOptions.of(host, port, options)) as serving:
            for url in Listening(serving).urls:
                logger.info("listening on %s", url)
            await serving.stopping.wait()

    @shows_options
    def listening(
        self, host: str = ListenOptions.host, port: int = ListenOptions.port, **options: Unpack[ListenArguments]
    ) -> AbstractAsyncContextManager[Listening]:
        """Serves while the block runs; then stops, draining for at most ``shutdown_timeout`` seconds.

        Args:
            host: host name or address. Every address that it resolves to is served, IPv4 and IPv6.
            port: TCP port; 0 lets the system choose. `Listening.port` says which.
            options: those of `ListenOptions`.

        Raises:
            OSError: the address cannot be served, or a certificate's file cannot be read.
            RuntimeError: the hub is running already.
            TypeError: there is no such option, or a value is of the wrong type.
            ValueError: a certificate or key is not what it should be, or an argument is out of its range.
        """
        return self._listening(ListenOptions.of(host, port, options))

    @asynccontextmanager
    async def _listening(self, options: ListenOptions) -> AsyncIterator[Listening]:
        async with self._serving(options) as serving:
            yield Listening(serving)

    @asynccontextmanager
    async def _serving(self, options: ListenOptions) -> AsyncIterator[Serving]:
        self._running.check_over()
        tls, proxies, bind = options.tls(), options.proxies(), options.bind()
        try:
            serving = Serving(
                self._served(), current_bridge(), bind, options.io_threads, options.access_log, tls, proxies
            )
        except OSError as error:
            if error.filename is not None:  # a certificate's
                raise
            why = error.strerror or str(error)
            raise OSError(error.errno, f"cannot listen on {_addresses.where(bind)}: {why}") from None
        try:
            await self._running.begin(serving)
            with serving.bridge.ending():
                yield serving
        finally:
            await self._running.end(serving, options.shutdown_timeout)

    def _served(self) -> Served:
        """What a run serves that begins now."""
        if not self._has_handlers():
            logger.warning(
                "this hub has no handler: a WebSocket may be opened at every path, and what it sends is forgotten. "
                "@hub.on_message, @hub.websocket(path) and so on say what is served"
            )
        apps = [
            _asgi.Application(self, app, prefix, self._origins, self._compression, self._handlers.on_request)
            for prefix, app in self._mounts
        ]
        return Served(self, self.limits, self._make_endpoints(), apps, self._on_broadcast, self._server_header)

    def asgi(self, *, shutdown_timeout: float = 5.0, access_log: bool = False) -> Hosted:
        """The hub as an ASGI 3 application, for another server to host: uvicorn, hypercorn, granian.

        It is slower than the hub by itself, and bound by what the host and ASGI can tell; docs/guide.md says
        where. The network runs in the event loop's own thread, and there are no listeners. Start and end are the
        host's lifespan. Where there is none, such as below a mount of Starlette's, ``async with`` the application
        there; failing that, the first client starts the hub, and it ends with the process.

        Args:
            shutdown_timeout: as for `run`.
            access_log: as for `run`; the host has one of its own.
        """
        check_shutdown_timeout(shutdown_timeout)
        return Hosted(self._running, self._served, shutdown_timeout, access_log)

    @property
    def addresses(self) -> list[tuple[Any, ...]]:
        """Where the hub listens: ``("tcp", host, port)`` or ``("unix", path)`` each. Empty while it does not run."""
        server = self._running.server
        return [] if server is None else server.addresses

    def __repr__(self) -> str:
        counts = [
            (len(self._endpoints), "endpoint"),
            (len(self._mounts), "application"),
            (len(self._folders), "folder"),
        ]
        has = ", ".join(f"{count} {what}{'s' if count > 1 else ''}" for count, what in counts if count)
        has = ", ".join([*filter(None, [has]), *self._named_handlers()])
        run, server = self._running.run, self._running.server
        if run is None or server is None:
            return f"<Hub: {has or 'no handlers'}; not running>"
        scheme = "ws" if run.tls is None else "wss"
        where = ", ".join(_addresses.url(scheme, address) for address in self.addresses) or "hosted"
        return f"<Hub: {has or 'no handlers'}; {where}; sessions: {server.session_count()}>"

    def __getattr__(self, name: str) -> Any:
        instead = _arguments.HANDLERS.get(name)
        hint = f". {instead}" if instead else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    def stop(self) -> None:
        """Asks a running hub to stop: `run` and `serve` drain and return. From any thread.

        A hub that another server hosts stops with its host only.
        """
        run = self._running.run
        if run is not None and not run.bridge.is_over():
            run.bridge.call_soon_threadsafe(run.stopping.set)

    def reload_certificates(self) -> None:
        """Reads the certificates and keys of a hub that speaks TLS again. From any thread.

        Connections to come get the new ones; open ones go on as they are. Expired certificates are warned of.

        Raises:
            OSError, ValueError: as `run`. Then everything stays as it was.
        """
        for warning in self._running.required().reload_certificates():
            logger.warning("%s", warning)

    def _named_handlers(self) -> list[str]:
        """The names of the handlers that were given."""
        handlers = {
            "on_connection": self._handlers.on_connection,
            "on_message": self._handlers.on_message,
            "on_close": self._handlers.on_close,
            "on_request": self._handlers.on_request,
            "on_broadcast": self._on_broadcast,
        }
        return [name for name, handler in handlers.items() if handler is not None]

    def _has_handlers(self) -> bool:
        return bool(self._named_handlers() or self._endpoints or self._mounts or self._folders)

    def _make_endpoints(self) -> list[Endpoint]:
        declared = [*self._endpoints.values(), *self._folders]
        others = [endpoint for endpoint in declared if not isinstance(endpoint, (MetricsEndpoint, FilesEndpoint))]
        if self._handlers.serves_sessions or not (others or self._mounts or self._folders):
            own = WebSocketEndpoint(None, self._handlers, self._subprotocols, self._origins, self._compression)
            declared.append(own)
        elif self._handlers.on_request is not None and not any(prefix == "" for prefix, _ in self._mounts):
            declared.append(RequestsEndpoint(self._origins))
        return [Endpoint(endpoint, self._handlers) for endpoint in declared]


def _names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"{what} is a sequence of non-empty str, not {names!r}")
    return tuple(names)
