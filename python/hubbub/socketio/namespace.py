"""Namespaces: channels of their own on one connection, each with its sockets, rooms and middleware."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hubbub._callables import must_wait
from hubbub.socketio.acks import BroadcastDebt, Reply, calling
from hubbub.socketio.adapter import Adapter
from hubbub.socketio.emitter import Emitter, Handler, fitting
from hubbub.socketio.errors import AckTimeout, ConnectError, report
from hubbub.socketio.middleware import WrongAnswer, ask, check_middleware, told_to_client
from hubbub.socketio.operators import Broadcasting, BroadcastOperator, BroadcastOptions
from hubbub.socketio.packets import CONNECT, EVENT, check_event
from hubbub.socketio.recovery import Recovery
from hubbub.socketio.socket import Socket
from hubbub.socketio.steps import Steps

if TYPE_CHECKING:
    from hubbub.socketio.admin import Watcher
    from hubbub.socketio.client import Client
    from hubbub.socketio.recovery import PersistedSession
    from hubbub.socketio.server import Server

__all__ = ["Namespace", "NamespaceMethods", "ParentNamespace", "check_name", "is_name"]

logger = logging.getLogger("hubbub")

H = TypeVar("H", bound=Handler)

#: Says whether a namespace of this name may be: ``(name, auth)``.
Matcher = Callable[[str, dict[str, Any]], "bool | Awaitable[bool]"]

#: What servers tell themselves, beside what clients do.
SERVER_EVENTS = frozenset({"connect", "connection", "new_namespace"})


class NamespaceMethods(Broadcasting):
    """What namespaces can do, and the server for ``/``."""

    __slots__ = ()

    def emit(self, event: str, *args: Any) -> Any:
        """Sends an event to everyone in the namespace. See `BroadcastOperator.emit`."""
        return self._operator().emit(event, *args)

    def send(self, *args: Any) -> Any:
        """``emit("message", ...)``."""
        return self._operator().emit("message", *args)

    write = send

    def emit_with_ack(self, event: str, *args: Any) -> Reply:
        """Needs a `timeout`: ``await io.timeout(5).emit_with_ack("event")``."""
        return self._operator().emit_with_ack(event, *args)

    def compress(self, compress: bool) -> BroadcastOperator:
        """As in JavaScript. It changes nothing: messages of Socket.IO are not compressed here."""
        return self._operator().compress(compress)

    @property
    def volatile(self) -> BroadcastOperator:
        """What is sent by this is left out for clients that cannot be sent anything just now."""
        return self._operator().volatile

    def timeout(self, seconds: float) -> BroadcastOperator:
        """How long the clients have to acknowledge."""
        return self._operator().timeout(seconds)

    async def fetch_sockets(self) -> list[Socket]:
        """The sockets in the namespace, in no particular order."""
        return await self._operator().fetch_sockets()

    async def all_sockets(self) -> set[str]:
        """Their ids."""
        return await self._operator().all_sockets()

    def sockets_join(self, *rooms: str | Iterable[str]) -> None:
        """Puts every socket into these rooms."""
        self._operator().sockets_join(*rooms)

    def sockets_leave(self, *rooms: str | Iterable[str]) -> None:
        """Takes every socket out of these rooms."""
        self._operator().sockets_leave(*rooms)

    def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnects every socket; ``close=True``: with its connection."""
        self._operator().disconnect_sockets(close)

    def server_side_emit(self, event: str, *args: Any) -> None:
        """Tells the other servers of a cluster; their ``on`` handlers for this event are called. This one is alone.

        A callback behind the arguments is called with ``(None, [])``, as nobody else is there to answer.

        Raises:
            ValueError: the name is reserved.
        """
        check_event(event)
        if event in SERVER_EVENTS:
            raise ValueError(f'"{event}" is a reserved event name')
        if args and callable(args[-1]):
            args[-1](None, [])

    async def server_side_emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """The same; gives what the other servers have answered: this one is alone."""
        self.server_side_emit(event, *args)
        return []


class Namespace(Emitter, NamespaceMethods):
    """A channel of its own on the connections of its clients.

    Events, for ``on``: ``connection`` ``(socket)``, also called ``connect``.

    Attributes:
        name: begins with ``/``.
        server: the `Server`.
        sockets: the connected sockets, by id.
        adapter: the rooms.
    """

    _events = (
        ("connect", "connection", "new_namespace"),
        "a namespace tells of {events}, not of {event}: what clients send is for their sockets, "
        "socket.on({event}) in a connection handler",
    )

    __slots__ = (
        "_ack_ids",
        "_asking",
        "_debts",
        "_encode",
        "_inherits",
        "_middlewares",
        "_outgoing",
        "_parent",
        "_recovery",
        "_send_packet",
        "_socket_type",
        "_watcher",
        "adapter",
        "name",
        "server",
        "sockets",
    )

    def __init__(self, server: Server, name: str) -> None:
        super().__init__()
        self.server = server
        self.name = name
        self.sockets: dict[str, Socket] = {}
        self._socket_type = server._socket_type
        self._encode = server.parser.encode
        self._send_packet = server.parser.send
        self.adapter = Adapter(self)
        self._middlewares: tuple[Handler, ...] = ()
        self._ack_ids = itertools.count()
        self._debts: dict[int, BroadcastDebt] = {}
        #: Clients that the middleware is being asked about.
        self._asking = 0
        #: Where it is one of those that a pattern or function allows.
        self._parent: ParentNamespace | None = None
        #: It is to have the middleware and handlers of that before its first client is asked about.
        self._inherits = False
        #: Those that want to know what is sent to them.
        self._outgoing: set[Socket] = set()
        options = server.connection_state_recovery
        self._recovery = None if options is None else Recovery(self, options)
        #: Tells admins what happens here.
        self._watcher: Watcher | None = None
        if server._admin is not None and server._admin.watcher is not None:
            server._admin.watcher.watch(self)

    def use(self, middleware: H) -> H:
        """Adds a middleware, which is asked about each client before it is let in.

        It is called with the socket, or with the socket and ``next``. Raising `ConnectError`, or calling ``next`` with
        an error, refuses the client, which gets ``connect_error``. Whatever else it raises is logged, and refuses the
        client without telling it why; returning ``False`` is logged as a mistake, and refuses the client as well.
        """
        check_middleware(middleware)
        self._middlewares = (*self._middlewares, middleware)
        return middleware

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self)

    # ---- how: coming and going

    def _let_in(self, client: Client, auth: dict[str, Any]) -> Steps:
        """Asks the middleware about a client, and lets it in."""
        self._inherit()
        socket = self._socket_type(self, client, auth)
        recovery = self._recovery
        claim = None if recovery is None else recovery.claim(socket, auth)
        self._asking += 1
        refusal: dict[str, Any] | None = None
        try:
            if claim is None or recovery is None or not recovery.options.skip_middlewares:
                refusal = yield from self._ask(socket)
        except BaseException:
            # It was cancelled: the hub ends.
            if recovery is not None and claim is not None:
                recovery.unclaim(claim)
            raise
        finally:
            self._asking -= 1
        if refusal is not None or client.closed:
            if recovery is not None and claim is not None:
                recovery.unclaim(claim)
            client.joined(self.name, None)
            if refusal is not None and not client.closed:
                client.refuse(self.name, refusal)
            self._cleared()
            return
        self._connect(socket, client, claim)
        # What it sends waits until it has been listened to: a coroutine may add handlers when it has awaited something.
        handlers = (*self._listeners.get("connect", ()), *self._listeners.get("connection", ()))
        socket._run(self._welcome(handlers, socket))

    def _welcome(self, handlers: Sequence[Handler], socket: Socket) -> Steps:
        """Steps that call the ``connection`` handlers."""
        for handler in handlers:
            try:
                result = handler(*fitting(handler, socket))
                if must_wait(result):
                    result = yield result
                if result is False:
                    socket.disconnect()
                    raise WrongAnswer(
                        "a connection handler returns None; it has returned False, and the client was disconnected: "
                        "what refuses clients is a middleware (use) that raises ConnectError"
                    )
            except Exception as error:
                report("connection", error)

    def _allows(self, auth: dict[str, Any]) -> Any:
        """Steps that give whether a client may ask for this namespace."""
        # A function is asked about each client, not about the first alone: it may look at who that is.
        return True if self._parent is None else (yield from self._parent._matches(self.name, auth))

    def _inherit(self) -> None:
        """Has the middleware and handlers of its pattern or function, before its own."""
        if self._parent is None or not self._inherits:
            return
        self._inherits = False
        self._middlewares = (*self._parent._middlewares, *self._middlewares)
        listeners = dict(self._listeners)
        for event in ("connect", "connection"):
            both = (*self._parent._listeners.get(event, ()), *listeners.get(event, ()))
            if both:
                listeners[event] = both
        if listeners:
            self._listeners = listeners

    @property
    def _is_bare(self) -> bool:
        """The program has named it, to send to it maybe, and has not said what becomes of its clients."""
        return self._parent is None and self.name != "/" and not self._middlewares and not self._listeners

    def _ask(self, socket: Socket) -> Any:
        """Steps that give why the client is not let in; ``None``: it is."""
        for middleware in self._middlewares:
            try:
                yield from ask(middleware, socket, self.server.scheduler.bridge)
            except ConnectError as error:
                return told_to_client(error)
            except Exception as error:
                logger.error("a middleware of %r has failed", self, exc_info=error)
                return {"message": "internal error"}
        return None

    def _connect(self, socket: Socket, client: Client, claim: PersistedSession | None) -> None:
        missed: list[Sequence[str | bytes]] = []
        # What is sent between the look at what was missed and the entry into the rooms would be neither.
        with self.server.scheduler.undisturbed():
            if self._recovery is not None:
                missed = self._recovery.admit(socket, claim)
            answer = {"sid": socket.id}
            if socket._session is not None:
                answer["pid"] = socket._session.pid
            rooms, socket._rooms = socket._rooms or set(), None
            socket.connected = True
            socket._in_own_room = True
            self.sockets[socket.id] = socket
            client.joined(self.name, socket)
            for messages in missed:
                client.send(messages)
            client.send(self._encode(CONNECT, self.name, None, answer))
            self.adapter.enter(socket, rooms)
        if self._watcher is not None:
            self._watcher.connected(socket)

    def _remove(self, socket: Socket) -> None:
        self.server.scheduler.take_over()
        if self._watcher is not None:
            self._watcher.disconnected(socket)
        if self._recovery is not None:
            self._recovery.leave(socket)
        self.adapter.remove_all(socket)
        self.sockets.pop(socket.id, None)
        self._outgoing.discard(socket)
        self._cleared()

    def _cleared(self) -> None:
        """Somebody has gone, or has not come."""

    # ---- how: sending

    def _emit(self, how: BroadcastOptions, event: str, args: Sequence[Any]) -> Any:
        check_event(event)
        if self._recovery is None:
            messages = self._encode(EVENT, self.name, None, (event, *args))
        elif self.server.scheduler.is_elsewhere():
            # Events are remembered in the order in which they are sent, so one thread does both.
            return self.server.scheduler.hand_over(lambda: self._emit(how, event, args))
        else:
            self.server.scheduler.take_over()
            messages = self._recovery.encode(event, args, how.rooms, how.except_, volatile=how.volatile)
        self._tell_outgoing(how, event, args)
        return self.adapter.broadcast(messages, how.rooms, how.except_, compress=how.compress, volatile=how.volatile)

    def _emit_to_one(self, socket: Socket, how: BroadcastOptions, event: str, args: Sequence[Any]) -> Any:
        check_event(event)
        if self._recovery is None:
            messages = self._encode(EVENT, self.name, None, (event, *args))
        elif self.server.scheduler.is_elsewhere():
            return self.server.scheduler.hand_over(lambda: self._emit_to_one(socket, how, event, args))
        else:
            self.server.scheduler.take_over()
            # It is remembered for a client that is away, too.
            messages = self._recovery.encode(event, args, (socket.id,), (), volatile=how.volatile)
        self._tell_outgoing_to(socket, event, args)
        return socket._write(messages, compress=how.compress, volatile=how.volatile)

    def _emit_for_acks(self, how: BroadcastOptions, event: str, args: Sequence[Any], callback: Handler) -> Any:
        check_event(event)
        if how.timeout is None:
            raise ValueError("whoever asks many clients to acknowledge gives a time limit: io.timeout(5).emit(...)")
        ack_id = next(self._ack_ids)
        messages = self._encode(EVENT, self.name, ack_id, (event, *args))
        told = calling(callback, self.server.scheduler.bridge, error_first=True)

        def settle(error: Exception | None, args: Sequence[Any]) -> None:
            self._debts.pop(ack_id, None)
            told(error, (debt.responses,))

        debt = BroadcastDebt(settle, self.adapter.select(how.rooms, how.except_))
        if debt.is_complete:
            debt.settle(None, ())
            return None
        self._debts[ack_id] = debt
        debt.due(self.server.scheduler.bridge, how.timeout, lambda: debt.settle(AckTimeout(debt.responses), ()))
        self._tell_outgoing(how, event, args)
        return self.adapter.broadcast(messages, how.rooms, how.except_, compress=how.compress, volatile=how.volatile)

    def _take_ack(self, socket: Socket, ack_id: int, args: Sequence[Any]) -> None:
        debt = self._debts.get(ack_id)
        if debt is not None:
            debt.answer(socket, args)
            if debt.is_complete:
                debt.settle(None, ())

    def _listening_outgoing(self, socket: Socket) -> None:
        if socket._any_outgoing and socket._reason is None:
            self._outgoing.add(socket)
        else:
            self._outgoing.discard(socket)

    def _tell_outgoing_to(self, socket: Socket, event: str, args: Sequence[Any]) -> None:
        if self._watcher is not None:
            self._watcher.sent_to(socket, event, args)
        socket._tell_outgoing(event, args)

    def _tell_outgoing(self, how: BroadcastOptions, event: str, args: Sequence[Any]) -> None:
        if self._watcher is not None:
            self._watcher.sent(self, how, event, args)
        if self._outgoing:
            # Those who listen are few: whether each of them gets it, not who else does.
            # From any thread, so of what there is now.
            listening = tuple(self._outgoing)
            for socket in [one for one in listening if self.adapter.reaches(one, how.rooms, how.except_)]:
                socket._tell_outgoing(event, args)

    def __repr__(self) -> str:
        return f"<Namespace {self.name!r}>"


class ParentNamespace(Namespace):
    """The namespaces that one pattern or function allows. What is sent by it goes to all of them.

    Its middleware and ``connection`` handlers are those of the namespaces that begin to be from then on.
    """

    __slots__ = ("_matcher", "children")

    def __init__(self, server: Server, number: int, matcher: re.Pattern[str] | Matcher) -> None:
        super().__init__(server, f"/_{number}")
        self._matcher = matcher
        self.children: set[Namespace] = set()

    @property
    def _is_pattern(self) -> bool:
        return isinstance(self._matcher, re.Pattern)

    def _has(self, name: str) -> bool:
        """It is a pattern, and allows this name."""
        return isinstance(self._matcher, re.Pattern) and self._matcher.search(name) is not None

    def _matches(self, name: str, auth: dict[str, Any]) -> Any:
        """Steps that give whether it allows a namespace of this name."""
        if isinstance(self._matcher, re.Pattern):
            return self._has(name)
        try:
            result = self._matcher(name, auth)
            if must_wait(result):
                result = yield result
        except ConnectError:
            return False
        except Exception as error:
            logger.error("the function of a namespace has failed for %r", name, exc_info=error)
            return False
        return result is True

    def _child(self, name: str) -> Namespace:
        child = ChildNamespace(self.server, name)
        self._adopt(child)
        child._inherit()
        self.server._nsps[name] = child
        self.server.scheduler.notify(self.server.sockets._listeners.get("new_namespace", ()), "new_namespace", child)
        return child

    def _adopt(self, child: Namespace) -> None:
        """Makes a namespace one of those that it allows."""
        child._parent, child._inherits = self, True
        self.children.add(child)

    def _emit(self, how: BroadcastOptions, event: str, args: Sequence[Any]) -> Any:
        check_event(event)
        sent = None
        for child in list(self.children):
            sent = child._emit(how, event, args)
        return sent

    def _emit_for_acks(self, how: BroadcastOptions, event: str, args: Sequence[Any], callback: Handler) -> Any:
        raise ValueError("the namespaces of a pattern cannot be asked to acknowledge together: ask each of them")

    async def fetch_sockets(self) -> list[Socket]:
        """A pattern has no sockets: ask the namespaces in ``children``."""
        raise ValueError("fetch_sockets() is for a namespace, not for a pattern: ask each of its children")


class ChildNamespace(Namespace):
    """A namespace that is there because a client has asked for it."""

    __slots__ = ()

    def _cleared(self) -> None:
        if self.sockets or self._asking or not self.server.cleanup_empty_child_namespaces:
            return
        if self._recovery is not None and self._recovery.is_awaiting:
            return
        if self.server._nsps.get(self.name) is self:
            del self.server._nsps[self.name]
        if self._parent is not None:
            self._parent.children.discard(self)


def check_name(name: str) -> str:
    """The name of a namespace, with its slash. Raises for what no client could ask for."""
    if not isinstance(name, str):
        raise TypeError(f"a namespace's name is str, not {type(name).__name__}")
    if not name.startswith("/"):
        name = "/" + name
    if not is_name(name):
        raise ValueError(f"a namespace's name has no comma and no control characters: {name!r}")
    return name


def is_name(name: str) -> bool:
    return name.startswith("/") and "," not in name and name.isprintable()
