"""Whom an event is for, and how it is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from hubbub.errors import TooManyRooms
from hubbub.socketio.acks import Reply, split_callback

if TYPE_CHECKING:
    from hubbub.socketio.namespace import Namespace
    from hubbub.socketio.socket import Socket

__all__ = ["PLAIN", "BroadcastOperator", "BroadcastOptions", "Broadcasting", "SocketOperator", "room_names"]


class Broadcasting:
    """What can be sent to many: the methods of the server, of namespaces and of sockets."""

    __slots__ = ()

    def _operator(self) -> BroadcastOperator:
        raise NotImplementedError

    def to(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """The sockets in any of these rooms, each once."""
        return self._operator().to(*rooms)

    def in_(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """The same as `to`."""
        return self._operator().to(*rooms)

    def except_(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """All but the sockets in these rooms."""
        return self._operator().except_(*rooms)

    @property
    def local(self) -> BroadcastOperator:
        """The sockets of this process alone."""
        return self._operator().local


class BroadcastOptions(NamedTuple):
    """Whom an event is for, and how it is sent."""

    #: ``None``: everyone in the namespace.
    rooms: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()
    compress: bool = True
    volatile: bool = False
    local: bool = False
    timeout: float | None = None


#: To everyone in the namespace, or to one socket, without anything special.
PLAIN = BroadcastOptions()


class BroadcastOperator:
    """Whom a broadcast is for, and how it is sent. Each method gives a new operator and changes nothing."""

    __slots__ = ("_nsp", "_options")

    def __init__(self, nsp: Namespace, options: BroadcastOptions = PLAIN) -> None:
        self._nsp = nsp
        self._options = options

    # ---- whom

    def to(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """The sockets in any of these rooms as well; who is in several gets an event once. No room at all is nobody."""
        # PERF: most broadcasts come here; _replace takes three times as long.
        before, left_out, compress, volatile, local, timeout = self._options
        among = (*(before or ()), *room_names(rooms))
        return BroadcastOperator(self._nsp, BroadcastOptions(among, left_out, compress, volatile, local, timeout))

    def in_(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """The same as `to`."""
        return self.to(*rooms)

    def except_(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """But not the sockets in these rooms."""
        among, before, compress, volatile, local, timeout = self._options
        left_out = (*before, *room_names(rooms))
        return BroadcastOperator(self._nsp, BroadcastOptions(among, left_out, compress, volatile, local, timeout))

    # ---- how

    def compress(self, compress: bool) -> BroadcastOperator:
        """As in JavaScript. It changes nothing: messages of Socket.IO are not compressed here."""
        return self._with(compress=compress)

    @property
    def volatile(self) -> BroadcastOperator:
        """Left out for clients that cannot be sent anything just now."""
        return self._with(volatile=True)

    @property
    def local(self) -> BroadcastOperator:
        """For the sockets of this process alone."""
        return self._with(local=True)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """How long the clients have to acknowledge."""
        return self._with(timeout=checked_seconds(seconds))

    # ---- what

    def emit(self, event: str, *args: Any) -> Any:
        """Sends an event to each of them; it is encoded once.

        Args:
            event: any name but the reserved ones (``"connect"``, ``"disconnect"`` and their like).
            args: whatever JSON has, and ``bytes``, at any depth. If the last one is a function, each client is asked
                to acknowledge, and it is called once with ``(error, responses)``; that needs a `timeout`.

        Returns:
            Something to await, which may be ignored: it is done when the event has been handed to all sockets.

        Raises:
            TypeError: JSON has nothing like some argument.
            ValueError: the name is reserved, or there is a callback but no `timeout`.
        """
        args, callback = split_callback(args)
        if callback is not None:
            return self._nsp._emit_for_acks(self._options, event, args, callback)
        return self._nsp._emit(self._options, event, args)

    def emit_with_ack(self, event: str, *args: Any) -> Reply:
        """Sends an event, and asks each client to acknowledge it.

        Returns:
            Await it for the list of what each has acknowledged with, in the order in which it came: the value, ``None``
            for nothing, a tuple for several. `AckTimeout` says that some have not answered in time; its ``responses``
            are those of the others.

        Raises:
            ValueError: no `timeout` is given.
        """
        reply = Reply(self._nsp.server.scheduler.bridge)
        self._nsp._emit_for_acks(self._options, event, args, reply.settle)
        return reply

    def send(self, *args: Any) -> Any:
        """``emit("message", ...)``."""
        return self.emit("message", *args)

    write = send

    # ---- the sockets themselves

    async def fetch_sockets(self) -> list[Socket]:
        """The sockets, in no particular order."""
        return list(self._select())

    async def all_sockets(self) -> set[str]:
        """Their ids."""
        return {socket.id for socket in self._select()}

    def sockets_join(self, *rooms: str | Iterable[str]) -> None:
        """Puts each of them into these rooms.

        Raises:
            TooManyRooms: some would be in more than `Limits.rooms_per_session`; all others have joined.
        """
        names, full = room_names(rooms), None
        for socket in self._select():
            try:
                socket.join(*names)
            except TooManyRooms as error:
                full = error
        if full is not None:
            raise full

    def sockets_leave(self, *rooms: str | Iterable[str]) -> None:
        """Takes each of them out of these rooms."""
        names = room_names(rooms)
        for socket in self._select():
            for name in names:
                socket.leave(name)

    def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnects each of them; ``close=True``: with the connection, and so from all namespaces."""
        for socket in self._select():
            socket.disconnect(close)

    def _select(self) -> set[Socket]:
        return self._nsp.adapter.select(self._options.rooms, self._options.except_)

    def _with(self, **changes: Any) -> BroadcastOperator:
        return BroadcastOperator(self._nsp, self._options._replace(**changes))


class SocketOperator:
    """How an event is sent to one socket. Each method gives a new operator and changes nothing."""

    __slots__ = ("_options", "_socket")

    def __init__(self, socket: Socket, options: BroadcastOptions = PLAIN) -> None:
        self._socket = socket
        self._options = options

    def compress(self, compress: bool) -> SocketOperator:
        """As in JavaScript. It changes nothing: messages of Socket.IO are not compressed here."""
        return SocketOperator(self._socket, self._options._replace(compress=compress))

    @property
    def volatile(self) -> SocketOperator:
        """Left out if the client cannot be sent anything just now."""
        return SocketOperator(self._socket, self._options._replace(volatile=True))

    def timeout(self, seconds: float) -> SocketOperator:
        """How long the client has to acknowledge."""
        return SocketOperator(self._socket, self._options._replace(timeout=checked_seconds(seconds)))

    def emit(self, event: str, *args: Any) -> Any:
        """As `Socket.emit`. With a `timeout`, a callback is called with an error first, ``None`` if all went well."""
        return self._socket._emit(self._options, event, args)

    def emit_with_ack(self, event: str, *args: Any) -> Reply:
        """As `Socket.emit_with_ack`; awaiting raises `AckTimeout` if the client takes too long."""
        return self._socket._emit_with_ack(self._options, event, args)

    def send(self, *args: Any) -> Any:
        """``emit("message", ...)``."""
        return self.emit("message", *args)

    write = send

    # ---- to others, in the same way

    def to(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """As `Socket.to`."""
        return self.broadcast.to(*rooms)

    in_ = to

    def except_(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """As `Socket.except_`."""
        return self.broadcast.except_(*rooms)

    @property
    def broadcast(self) -> BroadcastOperator:
        """As `Socket.broadcast`."""
        return BroadcastOperator(self._socket.nsp, self._options._replace(except_=(self._socket.id,)))


def room_names(rooms: Iterable[str | Iterable[str]]) -> list[str]:
    """The names of rooms, given one by one or as lists."""
    names: list[str] = []
    for room in rooms:
        if isinstance(room, str):
            names.append(room)
        elif isinstance(room, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in room):
            names.extend(room)
        else:
            raise TypeError(f"a room's name is str, not {room!r}")
    return names


def checked_seconds(seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 86_400 * 365:
        raise ValueError(f"a time limit is seconds from 0 to a year, not {seconds!r}")
    return float(seconds)
