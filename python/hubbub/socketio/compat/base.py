"""What both kinds of server have in common: everything but how it is waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from hubbub.hub import Hub
from hubbub.socketio.admin import AdminOptions, Mode
from hubbub.socketio.compat.carrier import Carried, Carrier
from hubbub.socketio.compat.environ import make_environ
from hubbub.socketio.compat.managers import Manager
from hubbub.socketio.compat.options import engine_options
from hubbub.socketio.compat.registry import Registry
from hubbub.socketio.compat.rooms import given_room, wire_rooms
from hubbub.socketio.emitter import Handler

__all__ = ["BaseServer"]

T = TypeVar("T")

#: How packets are written, by python-socketio's names.
SERIALIZERS = {"default": "json", "msgpack": "msgpack"}

#: Events of one client that are handled at the same time, with ``async_handlers=True``.
CONCURRENCY = 1000


class BaseServer(Registry):
    """A server whose handlers are in tables, by namespace and event.

    What it does to clients is awaited with an `AsyncServer`; with a `Server` it is done when the method returns, which
    may be called from any thread.

    Args:
        client_manager: an `AsyncManager` or `Manager`; it has one anyway.
        logger: ``True`` or a logger: what is sent is logged.
        serializer: ``"default"``, or ``"msgpack"`` for clients that have it.
        async_handlers: handlers of one client run side by side; ``False``: one after the other.
        always_connect: clients are let in before their ``connect`` handler is asked.
        namespaces: those that clients may ask for beside those with handlers; ``["/"]`` if not given, ``"*"`` for all.
        kwargs: ``ping_interval``, ``ping_timeout``, ``max_http_buffer_size``, ``allow_upgrades``, ``transports``,
            ``cookie``, ``cors_allowed_origins`` and ``cors_credentials``. What else the Engine.IO server has is taken,
            and means nothing.
    """

    class reason:
        """Why a client has gone: what ``disconnect`` handlers are told."""

        SERVER_DISCONNECT: ClassVar = "server disconnect"
        CLIENT_DISCONNECT: ClassVar = "client disconnect"
        PING_TIMEOUT: ClassVar = "ping timeout"
        TRANSPORT_CLOSE: ClassVar = "transport close"
        TRANSPORT_ERROR: ClassVar = "transport error"

    async_mode: str

    #: Which kind of manager it has if none is given.
    _manager_type: type[Manager]

    def __init__(
        self,
        client_manager: Manager | None = None,
        logger: bool | logging.Logger = False,
        serializer: str = "default",
        json: None = None,
        async_handlers: bool = True,
        always_connect: bool = False,
        namespaces: list[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if client_manager is not None and not isinstance(client_manager, Manager):
            raise ValueError(f"a client_manager is an AsyncManager or a Manager here, not {client_manager!r}")
        if serializer not in SERIALIZERS:
            raise ValueError(f'the serializer is "default" or "msgpack" here, not {serializer!r}')
        if json is not None:
            raise ValueError("packets are written by the network: there is no json module to choose")
        self._options = {**engine_options(kwargs), "parser": SERIALIZERS[serializer]}
        self.logger = logging.getLogger("socketio.server") if isinstance(logger, bool) else logger
        if logger is True and self.logger.level == logging.NOTSET:
            self.logger.setLevel(logging.INFO)
        self.async_handlers = async_handlers
        self.always_connect = always_connect
        self.namespaces: list[str] | str = namespaces or ["/"]
        self._carrier: Carrier | None = None
        self._admin: AdminOptions | None = None
        #: Sockets that have ended, while their ``disconnect`` handlers run.
        self._ending: dict[str, Carried] = {}
        #: Who is where.
        self.manager = client_manager if client_manager is not None else self._manager_type()
        self.manager.set_server(self)

    @property
    def hub(self) -> Hub:
        """The hub that carries it, once it is part of an application."""
        return self._carried_by.hub

    @property
    def _carried_by(self) -> Carrier:
        if self._carrier is None:
            raise RuntimeError("the server is part of no application yet: socketio.ASGIApp(sio), or WSGIApp")
        return self._carrier

    def _bind(self, hub: Hub, path: str) -> None:
        """Becomes part of an application."""
        if self._carrier is not None:
            raise RuntimeError("the server is part of another application already")
        concurrency = CONCURRENCY if self.async_handlers else 1
        self._carrier = Carrier(self, hub, path, concurrency=concurrency, **self._options)
        if self._admin is not None:
            self._carrier._instrument(self._admin)

    def instrument(
        self,
        auth: Any = None,
        mode: Mode = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: float = 2,
    ) -> None:
        """Lets the page of ``@socket.io/admin-ui`` show what goes on here, as `hubbub.socketio.Server.instrument` does.

        Args:
            auth: a dict of ``username`` and ``password``, a list of such dicts, a function that returns ``True`` for
                who is let in, or ``False``: everyone is.
            mode: ``"production"`` tells numbers alone, and the page may not act.
            read_only: the page may not act.
            server_id: what the page calls this server.
            namespace: where the page connects.
            server_stats_interval: seconds from one summary to the next.
        """
        if self._admin is not None:
            raise ValueError("the server is instrumented already")
        if callable(auth):
            asked = auth

            def auth(told: dict[str, Any]) -> Any:
                return self._run(lambda: asked(told))

        is_silent = read_only or mode == "production"
        options = AdminOptions(auth, namespace, mode, is_silent, server_id, server_stats_interval)
        if self._carrier is not None:
            self._carrier._instrument(options)
        self._admin = options

    # ---- what it does

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """Sends an event.

        Args:
            event: any name but the reserved ones.
            data: one argument, a tuple for several, ``None`` for none.
            to: the ``sid`` of a client, a room, or a list of rooms; everyone in the namespace if not given.
            room: the same.
            skip_sid: who does not get it: a ``sid`` or a list of them.
            namespace: ``"/"`` if not given.
            callback: is called when a client acknowledges the event, with what it says; by a `Server`, in a thread.
            ignore_queue: means nothing here.
        """
        told = None if callback is None else self._called_back(callback)
        return self._send(lambda: self._emit(event, data, room if to is None else to, skip_sid, namespace, told))

    def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """``emit("message", ...)``."""
        return self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Sends an event to a client, and waits until it is acknowledged.

        Returns:
            What the client says: the value, ``None`` for nothing, a tuple for several.

        Raises:
            TimeoutError: it has not answered within ``timeout`` seconds, or has gone.
        """
        target = sid if to is None else to
        if target is None:
            raise ValueError("Cannot use call() to broadcast.")
        if not self.async_handlers:
            raise RuntimeError("Cannot use call() when async_handlers is False.")
        return self._call(target, namespace, timeout, event, arguments(data))

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> Any:
        """Puts a client into a room.

        Raises:
            ValueError: there is no such client, or the room is another client's own.
        """
        return self._perform(lambda: self._enter_room(sid, room, namespace))

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> Any:
        """Takes a client out of a room."""
        return self._perform(lambda: self._leave_room(sid, room, namespace))

    def close_room(self, room: Any, namespace: str | None = None) -> Any:
        """Takes all clients out of a room."""
        return self._perform(lambda: self._close_room(room, namespace))

    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """What the program keeps with a client: a dict to begin with, the same each time.

        Raises:
            KeyError: there is no such client.
        """
        return self._perform(lambda: self._socket(sid, namespace).data)

    def save_session(self, sid: str, session: Any, namespace: str | None = None) -> Any:
        """Keeps something else with a client.

        Raises:
            KeyError: there is no such client.
        """

        def save() -> None:
            self._socket(sid, namespace).data = session

        return self._perform(save)

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> Any:
        """Puts a client out of a namespace."""
        return self._perform(lambda: self._disconnect(sid, namespace))

    def shutdown(self) -> Any:
        """Does nothing: the hub ends what it has begun."""
        return self._perform(lambda: None)

    # ---- what is asked of it

    def rooms(self, sid: str, namespace: str | None = None) -> list[Any]:
        """The rooms that a client is in, its own among them."""

        def found() -> list[Any]:
            socket = self._find_socket(sid, namespace)
            return [] if socket is None else [given_room(name) for name in socket.rooms | {sid}]

        return self._look(found)

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """``"polling"`` or ``"websocket"``."""
        return self._socket(sid, namespace).conn.transport

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """What the client has asked with, as WSGI has it; one dict for all its namespaces. ``None``: it is not here."""
        socket = self._find_socket(sid, namespace)
        return None if socket is None else self._environ_of(socket)

    def attach(self, app: Any, socketio_path: str = "socket.io") -> None:
        """Of aiohttp, Sanic and Tornado; here it is `ASGIApp` that a server is part of."""
        raise NotImplementedError("a server is part of socketio.ASGIApp(sio, other_asgi_app), which hubbub serves")

    async def handle_request(self, *args: Any, **kwargs: Any) -> Any:
        """Of frameworks that python-socketio is a part of; here the network answers."""
        raise NotImplementedError("hubbub's network answers requests: serve socketio.ASGIApp(sio)")

    # ---- how: from wherever it is asked

    def _perform(self, work: Callable[[], Any]) -> Any:
        """Does it in the event loop's thread; gives what it returns, or what is to be awaited for that."""
        raise NotImplementedError

    def _send(self, work: Callable[[], Any]) -> Any:
        """The same, where what `work` returns may be awaited itself."""
        raise NotImplementedError

    def _look(self, work: Callable[[], T]) -> T:
        """Finds something out, at once."""
        raise NotImplementedError

    def _call(self, sid: str, namespace: str | None, timeout: float | None, event: str, args: tuple[Any, ...]) -> Any:
        """Asks a client; gives its answer, or what is to be awaited for that."""
        raise NotImplementedError

    def _called_back(self, callback: Handler) -> Handler:
        """What tells a callback."""
        return callback

    # ---- how: in the event loop's thread

    def _run(self, call: Callable[[], Any]) -> Any:
        """Calls a handler; gives what it returns, or what is to be awaited for that."""
        raise NotImplementedError

    def _accepts(self, namespace: str) -> bool:
        return self._has_namespace(namespace) or self.namespaces == "*" or namespace in self.namespaces

    def _environ_of(self, socket: Carried) -> dict[str, Any]:
        state = socket.conn.state
        environ: dict[str, Any] | None = getattr(state, "environ", None)
        if environ is None:
            environ = state.environ = make_environ(socket.request)
        return environ

    def _find_socket(self, sid: str, namespace: str | None) -> Carried | None:
        return None if self._carrier is None else self._carrier.find(sid, namespace or "/")

    def _socket(self, sid: str, namespace: str | None) -> Carried:
        socket = self._find_socket(sid, namespace)
        if socket is None:
            raise KeyError(f"there is no client {sid!r} in {namespace or '/'}")
        return socket

    def _emit(
        self, event: str, data: Any, room: Any, skip_sid: Any, namespace: str | None, callback: Handler | None
    ) -> Any:
        """Sends an event; gives what may be awaited for it."""
        name = namespace or "/"
        carrier = self._carrier
        nsp = None if carrier is None else carrier.find_namespace(name)
        if carrier is None or nsp is None:
            return None
        args = arguments(data)
        rooms = None if room is None else wire_rooms(room)
        if rooms is not None and not rooms:
            return None  # a list that turned out empty: nobody, and not everyone
        skip = [skip_sid] if isinstance(skip_sid, str) else list(skip_sid or ())
        self.logger.info('emitting event "%s" to %s [%s]', event, "all" if room is None else room, name)
        if callback is not None:
            args = (*args, callback)
        for socket in carrier.undecided_in(nsp, rooms, skip):
            # It gets it behind the answer to its CONNECT.
            socket.hold(lambda socket: socket.emit(event, *args))
        if callback is None:
            operator = nsp._operator()
            return (operator if rooms is None else operator.to(rooms)).except_(skip).emit(event, *args)
        for one in nsp.adapter.select(rooms, skip):
            one.emit(event, *args)
        return None

    def _enter_room(self, sid: str, room: Any, namespace: str | None) -> None:
        socket, (name,) = self._find_socket(sid, namespace), wire_rooms(room)
        if socket is None:
            raise ValueError("sid is not connected to requested namespace")
        if name != sid and name in socket.nsp.sockets:
            raise ValueError("cannot enter a sid room")
        socket.join(name)

    def _leave_room(self, sid: str, room: Any, namespace: str | None) -> None:
        socket = self._find_socket(sid, namespace)
        if socket is not None:
            socket.leave(*wire_rooms(room))

    def _close_room(self, room: Any, namespace: str | None) -> None:
        (name,) = wire_rooms(room)
        nsp = None if self._carrier is None else self._carrier.find_namespace(namespace or "/")
        if nsp is None:
            return
        if name in nsp.sockets:
            raise ValueError("cannot close a sid room")
        for socket in nsp.adapter.select([name]):
            socket.leave(name)

    def _disconnect(self, sid: str, namespace: str | None) -> None:
        socket = self._find_socket(sid, namespace)
        if socket is not None:
            socket.disconnect()


def arguments(data: Any) -> tuple[Any, ...]:
    """The arguments of an event."""
    return () if data is None else data if isinstance(data, tuple) else (data,)
