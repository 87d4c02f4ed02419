"""The server: options, namespaces, and the way from the hub's sessions to them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from hubbub._callables import check_callable
from hubbub._endpoints import EngineIoEndpoint, Handlers
from hubbub._engineio import EngineIo
from hubbub._fields import header_fields
from hubbub._listen import ListenArguments, ListenOptions, shows_options
from hubbub._loops import Loop
from hubbub.hub import Hub
from hubbub.socketio import served
from hubbub.socketio.admin import AdminOptions, AdminPanel, Auth, Mode
from hubbub.socketio.client import Client
from hubbub.socketio.cookie import read_cookie
from hubbub.socketio.cors import Cors
from hubbub.socketio.deadlines import Deadlines
from hubbub.socketio.emitter import Handler
from hubbub.socketio.engine import Engine
from hubbub.socketio.namespace import Matcher, Namespace, NamespaceMethods, ParentNamespace, check_name, is_name
from hubbub.socketio.operators import BroadcastOperator
from hubbub.socketio.options import (
    DEFAULT_BUFFER_SIZE,
    OUR_FIELDS,
    check_choice,
    check_flag,
    check_number,
    check_room,
    check_seconds,
    limits_for,
)
from hubbub.socketio.packets import PARSERS
from hubbub.socketio.recovery import ConnectionStateRecovery
from hubbub.socketio.scheduler import Scheduler
from hubbub.socketio.socket import Socket
from hubbub.socketio.steps import Steps

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hubbub.request import Request
    from hubbub.rooms import Session
    from hubbub.socketio.adapter import Adapter

__all__ = ["Server"]

logger = logging.getLogger("hubbub")

H = TypeVar("H", bound=Handler)

#: What the core says of the end of a connection, and what that is in socket.io. Everything else is "transport close".
END_REASONS = {
    "ping timeout": "ping timeout",
    "not come back": "ping timeout",
    "parse error": "parse error",
    "transport error": "transport error",
    "reset": "transport error",
}

#: Seconds that the attachments of a packet may take to come.
ATTACHMENTS_TIMEOUT = 60.0


class Server(NamespaceMethods):
    """A Socket.IO server on a hub: what ``socket.io`` 4 is on Node, for its clients from 3 on.

    Methods that send, and ``on`` and ``use``, are those of the namespace ``/``. What is sent takes effect at once, and
    may be awaited. `emit` may be called from any thread, everything else from the event loop's.

    Args:
        hub: what carries it; a hub of its own if none is given.
        path: where clients connect; they ask with a slash at its end, which is added.
        add_trailing_slash: ``False`` for clients that are told not to ask with that slash.
        connect_timeout: seconds that a client may be in no namespace; then it is closed. ``None``: for ever.
        concurrency: events of one socket that are handled at the same time, if their handlers are coroutines. With 1,
            each waits for the one before it.
        connection_state_recovery: ``True``, or how: clients that lose their connection for a short time have their id,
            rooms and data again, and get what they have missed. Each event then has a further argument for clients.
        cleanup_empty_child_namespaces: forget a namespace of a pattern when its last client has gone.
        cors: the pages that may connect, and what their browsers are told: a `Cors`, or a dict of its attributes.
            Without it, and without ``origins``: those of the hub, or pages of the same host if that has none. A client
            that sends no Origin is not a browser, and may.
        origins: the pages that may connect, as for `Hub`: ``Cors(origins, credentials=True)``.
        allow_request: is asked about each connection that is to be opened: a function or coroutine function
            ``(request)``. ``None`` and ``True`` let the client in; ``False`` and ``(False, "why")`` refuse it with 403,
            and a `Response` with that.
        headers: further fields of every response, but files, and refusals of pages that may not connect and of what
            is no request.
        transports: ``"polling"``, ``"websocket"`` or both.
        allow_upgrades: clients may go on from polls to a WebSocket.
        ping_interval, ping_timeout: seconds from one ping to the next, and for its answer.
        upgrade_timeout: seconds for a WebSocket to take over from polls.
        max_http_buffer_size: bytes of one message, of one packet with its attachments, and of the body of one POST. The
            hub's `Limits` hold as well: more than they let through is a `ValueError`.
        cookie: the name of a cookie with the Engine.IO id, for load balancers; ``None``: no cookie. Or a dict with
            ``name`` (``"io"``), ``path`` (``"/"``), ``domain``, ``max_age`` in seconds, ``http_only`` (``True``),
            ``secure`` (``False``), ``same_site`` (``"lax"``).
        serve_client: the client for browsers is at ``socket.io.js`` below the path, and in its other forms.
        parser: how packets are written: ``"json"``, or ``"msgpack"`` for clients with ``socket.io-msgpack-parser``.
        max_attachments: ``bytes`` in one packet that a client sends. To clients, it is never more than 10.
        max_namespaces: that one client may be in, or was put out of; it is not let into further ones.

    Raises:
        TypeError, ValueError: an option is not what it may be, or the hub has an endpoint at this path already.
        RuntimeError: the hub is running.
    """

    #: What clients in namespaces are.
    _socket_type = Socket

    def __init__(
        self,
        hub: Hub | None = None,
        path: str = "/socket.io/",
        *,
        add_trailing_slash: bool = True,
        connect_timeout: float | None = 45.0,
        concurrency: int = 1,
        connection_state_recovery: ConnectionStateRecovery | bool | dict[str, Any] | None = None,
        cleanup_empty_child_namespaces: bool = False,
        cors: Cors | dict[str, Any] | None = None,
        origins: Sequence[str] | None = None,
        allow_request: Callable[[Request], Any] | None = None,
        headers: Mapping[str, str] | None = None,
        transports: Sequence[str] = ("polling", "websocket"),
        allow_upgrades: bool = True,
        ping_interval: float = 25.0,
        ping_timeout: float = 20.0,
        upgrade_timeout: float = 10.0,
        max_http_buffer_size: int = DEFAULT_BUFFER_SIZE,
        cookie: str | dict[str, Any] | None = None,
        serve_client: bool = True,
        parser: Literal["json", "msgpack"] = "json",
        max_attachments: int = 10,
        max_namespaces: int = 100,
    ) -> None:
        if hub is not None and not isinstance(hub, Hub):
            raise TypeError(f"hub is a hubbub.Hub, not {hub!r}")
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"a path is a str that begins with '/', not {path!r}")
        check_flag("add_trailing_slash", add_trailing_slash)
        path = path.rstrip("/") + "/" if add_trailing_slash else path.rstrip("/") or "/"
        check_seconds("connect_timeout", connect_timeout, optional=True)
        check_seconds("ping_interval", ping_interval)
        check_seconds("ping_timeout", ping_timeout)
        check_seconds("upgrade_timeout", upgrade_timeout)
        check_number("concurrency", concurrency, 1)
        check_number("max_attachments", max_attachments, 0)
        check_number("max_http_buffer_size", max_http_buffer_size, 1, 1 << 40)
        check_number("max_namespaces", max_namespaces, 1)
        check_flag("allow_upgrades", allow_upgrades)
        check_flag("cleanup_empty_child_namespaces", cleanup_empty_child_namespaces)
        check_flag("serve_client", serve_client)
        check_choice("transports", transports, ("polling", "websocket"))
        if allow_request is not None:
            check_callable("allow_request", allow_request)
        if not isinstance(parser, str) or parser not in PARSERS:
            raise ValueError(f'a parser is "json" or "msgpack", not {parser!r}')
        if hub is None:
            hub = Hub(limits=limits_for(max_http_buffer_size))
        elif any(other.rstrip("/") == path.rstrip("/") for other in hub._endpoints):
            raise ValueError(f"the hub has an endpoint at {path!r} already: a second server needs a path of its own")
        check_room(max_http_buffer_size, hub.limits)
        if hub._running.run is not None:
            raise RuntimeError("the hub is running: a server belongs to it before it listens")
        pages = Cors.read(cors, origins, hub._origins)
        settings = EngineIo(
            transports=tuple(transports),
            allow_upgrades=allow_upgrades,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            upgrade_timeout=upgrade_timeout,
            max_payload=max_http_buffer_size,
            cookie=read_cookie(cookie),
            cors=pages.spoken(),
            fields=tuple(header_fields({} if headers is None else headers, OUR_FIELDS)),
        )
        self.hub = hub
        self.path = path
        self.concurrency = concurrency
        self.connection_state_recovery = ConnectionStateRecovery.read(connection_state_recovery)
        self.cleanup_empty_child_namespaces = cleanup_empty_child_namespaces
        self.parser = PARSERS[parser]
        self.max_attachments = max_attachments
        self.max_packet_bytes = max_http_buffer_size
        self.max_namespaces = max_namespaces
        self._nsps: dict[str, Namespace] = {}
        #: Somebody has taken the path for a namespace, and the log has said so.
        self._told_path = False
        self._parents: list[ParentNamespace] = []
        self._clients: dict[Session, Client] = {}
        #: Runs handlers, and what other threads send, in the event loop's thread.
        self.scheduler = Scheduler(hub._running, repr(self))
        self._admin: AdminPanel | None = None
        self._unjoined = Deadlines[Client](
            connect_timeout, lambda client: client.close("forced server close", "no namespace")
        )
        self._unfinished = Deadlines[Client](
            ATTACHMENTS_TIMEOUT, lambda client: client.close("forced server close", "attachments are missing")
        )
        #: The namespace ``/``.
        self.sockets = self.of("/")
        #: Connections, before there are sockets.
        self.engine = Engine(self, settings, pages, allow_request)
        handlers = Handlers(self._opened, self._feeding(), self._ended)
        self.hub._add(EngineIoEndpoint(path, handlers, self.engine._as_it_is, pages.listed))
        if serve_client:
            served.serve_client(self.hub, path)

    # ---- namespaces

    @overload
    def of(self, name: str, /) -> Namespace: ...
    @overload
    def of(self, name: re.Pattern[str] | Matcher, /) -> ParentNamespace: ...
    def of(self, name: str | re.Pattern[str] | Matcher, /) -> Namespace:
        """The namespace of this name, which is there from now on; or all those that a pattern or function allows.

        Args:
            name: ``"/chat"``; a compiled pattern, which is searched for in the name; or a function ``(name, auth)``
                that returns ``True`` for the names that are allowed, and may be a coroutine function.

        Who asks for a namespace that is neither there nor allowed gets ``connect_error`` (``Invalid namespace``).

        A namespace that a pattern allows has the middleware and the handlers of that, also if the program names it
        first. Where functions allow namespaces, they are asked about one that has neither middleware nor handlers of
        its own as well; it is a namespace by itself as soon as the program gives it some.
        """
        if isinstance(name, re.Pattern) or (callable(name) and not isinstance(name, str)):
            parent = ParentNamespace(self, len(self._parents), name)
            self._parents.append(parent)
            return parent
        name = check_name(name)
        nsp = self._nsps.get(name)
        if nsp is None:
            nsp = self._nsps[name] = Namespace(self, name)
            pattern = next((parent for parent in self._parents if parent._has(name)), None)
            if pattern is not None:
                pattern._adopt(nsp)
            if name != "/":
                self.scheduler.notify(self.sockets._listeners.get("new_namespace", ()), "new_namespace", nsp)
        return nsp

    @property
    def namespaces(self) -> dict[str, Namespace]:
        """All namespaces that there are, by name."""
        return dict(self._nsps)

    def find_namespace(self, name: object) -> Namespace | None:
        """The namespace of this name, if it is there."""
        return self._nsps.get(name) if isinstance(name, str) else None

    # ---- what the namespace / can do

    @overload
    def on(self, event: str, handler: H, /) -> H: ...
    @overload
    def on(self, event: str, handler: None = None, /) -> Callable[[H], H]: ...
    def on(self, event: str, handler: Handler | None = None, /) -> Any:
        """Adds a handler of the namespace ``/``: ``connection`` ``(socket)``; or ``new_namespace`` ``(namespace)``."""
        return self.sockets.on(event, handler)

    @overload
    def once(self, event: str, handler: H, /) -> H: ...
    @overload
    def once(self, event: str, handler: None = None, /) -> Callable[[H], H]: ...
    def once(self, event: str, handler: Handler | None = None, /) -> Any:
        """Adds a handler for the next such event alone."""
        return self.sockets.once(event, handler)

    def off(self, event: str | None = None, handler: Handler | None = None, /) -> None:
        """Takes away a handler; without one, all of the event's; without an event, all there are."""
        self.sockets.off(event, handler)

    def listeners(self, event: str) -> list[Handler]:
        """The handlers of an event."""
        return self.sockets.listeners(event)

    def use(self, middleware: H) -> H:
        """Adds a middleware of the namespace ``/``. See `Namespace.use`."""
        return self.sockets.use(middleware)

    @property
    def adapter(self) -> Adapter:
        """The rooms of the namespace ``/``."""
        return self.sockets.adapter

    def _operator(self) -> BroadcastOperator:
        return self.sockets._operator()

    # ---- watching

    def instrument(
        self,
        *,
        auth: Auth | None = None,
        namespace_name: str = "/admin",
        mode: Mode = "development",
        read_only: bool = False,
        server_id: str | None = None,
    ) -> None:
        """Lets the page of ``@socket.io/admin-ui`` show what goes on here, and act on it. Before clients come.

        Args:
            auth: who is let in; must be given. ``{"username": ..., "password": ...}``, or a list of such dicts; a
                function or coroutine function that is called with what the page has sent, a dict, and returns ``True``
                for who is let in; ``False``: everyone is. Who has been let in may come again for a day without it.
            namespace_name: where the page connects; a namespace that is there for nothing else.
            mode: ``"development"`` tells of each socket, room and event while a page is open; ``"production"`` tells
                numbers alone, and takes nothing per message.
            read_only: the page may not act.
            server_id: what the page calls this server; the name of this machine if not given.

        Raises:
            ValueError, TypeError: an argument is not what it should be, or ``auth`` is missing.
        """
        self._instrument(AdminOptions(auth, namespace_name, mode, read_only, server_id))

    def _instrument(self, options: AdminOptions) -> None:
        if self._admin is not None:
            raise ValueError("the server is instrumented already")
        self._admin = AdminPanel(self, options)

    # ---- running

    @shows_options
    def run(
        self,
        host: str = ListenOptions.host,
        port: int = ListenOptions.port,
        *,
        loop: Loop = "auto",
        **options: Unpack[ListenArguments],
    ) -> None:
        """Serves until Ctrl-C, SIGTERM or the hub's `stop`.

        Args:
            host: host name or address. Every address that it resolves to is served, IPv4 and IPv6.
            port: TCP port; 0 lets the system choose. The log says which.
            loop: event loop to run; `"auto"` is uvloop if it is installed, else asyncio.
            options: those of `ListenOptions`.

        Raises:
            OSError, RuntimeError, TypeError, ValueError: as `hubbub.Hub.run`.
        """
        self.hub.run(host, port, loop=loop, **options)

    @property
    def clients_count(self) -> int:
        """Connections, whatever namespaces they are in."""
        return len(self._clients)

    def close(self) -> None:
        """Closes all connections, and stops the hub. Sockets end with ``server shutting down``."""
        for client in list(self._clients.values()):
            client.close("server shutting down")
        self.hub.stop()

    # ---- how: from the hub

    def _opened(self, ws: Session) -> None:
        self.scheduler.enter()
        client = self._clients[ws] = Client(self, ws)
        if self._admin is not None:
            self._admin.figures.opened()
        self._unjoined.watch(client, self.scheduler.bridge)
        self.scheduler.notify(self.engine._heard("connection"), "connection", ws)

    def _feeding(self) -> Callable[[Session, str | bytes], None]:
        clients = self._clients

        def feed(ws: Session, data: str | bytes) -> None:
            clients[ws].feed(data)

        # The log says so if the handlers of a batch take long together.
        feed.__qualname__ = f"the events of {self!r}"
        return feed

    def _ended(self, ws: Session, code: int, reason: str) -> None:
        client = self._clients.pop(ws, None)
        if client is not None:
            run = self.hub._running.run
            leaving = run is not None and run.leaving and code == 1001
            why = "server shutting down" if leaving else end_reason(reason)
            if self._admin is not None:
                self._admin.figures.closed("forced close" if client.closed else why)
            client.end(why, (code, reason))

    def _admit(self, client: Client, name: str, auth: dict[str, Any]) -> Steps:
        """Finds the namespace that a client asks for, and lets it decide."""
        nsp = self._nsps.get(name)
        if nsp is not None and not (nsp._is_bare and self._parents):
            if not (yield from nsp._allows(auth)):
                nsp = None
        elif is_name(name):
            # Whoever names a namespace first, a client or the program: those who allow it are asked.
            allowed = nsp is not None and all(parent._is_pattern for parent in self._parents)
            for parent in list(self._parents):
                if (yield from parent._matches(name, auth)):
                    # Somebody else may have asked for it meanwhile.
                    nsp = self._nsps.get(name) or parent._child(name)
                    if nsp._is_bare:
                        parent._adopt(nsp)
                    allowed = True
                    break
            if not allowed:
                nsp = None
        if nsp is not None:
            yield from nsp._let_in(client, auth)
        else:
            client.joined(name, None)
            if not client.closed:
                self._report_unknown(name)
                client.refuse(name, {"message": "Invalid namespace"})

    def _report_unknown(self, name: str) -> None:
        level = logging.DEBUG
        if name.rstrip("/") == self.path.rstrip("/") and not self._told_path:
            # It is once that somebody has to know.
            self._told_path, level = True, logging.WARNING
        logger.log(
            level,
            "a client has asked for the namespace %r, which there is not%s",
            name,
            ": the URL that io() is given names the namespace, and its option path is where the server is"
            if level == logging.WARNING
            else "",
        )

    def __repr__(self) -> str:
        return f"<Server {self.path!r}>"


def end_reason(text: str) -> str:
    """Why a connection has ended, in the words of socket.io; `text` is the core's."""
    for words, reason in END_REASONS.items():
        if words in text:
            return reason
    return "transport close"
