"""Rooms of one namespace: who is in which, and how an event gets to them.

The members of rooms are kept twice. The core has them by session and hands broadcasts out; here they are by socket, for
programs that ask. In the core they are rooms of a protocol's, a space that no room of the hub's own is in; their names
say which namespace they are of, so that none meets another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hubbub.errors import ConnectionClosed
from hubbub.socketio.emitter import Emitter

if TYPE_CHECKING:
    from hubbub.rooms import Session
    from hubbub.socketio.namespace import Namespace
    from hubbub.socketio.socket import Socket

__all__ = ["Adapter"]


class Adapter(Emitter):
    """The rooms of a namespace.

    Each socket is in a room that has its id as its name, and in those that it has joined. Events, for ``adapter.on``:
    ``create-room`` and ``delete-room`` ``(room)``, ``join-room`` and ``leave-room`` ``(room, id)``.
    """

    __slots__ = ("_everyone", "_prefix", "_rooms", "nsp")

    _events = (
        ("create-room", "delete-room", "join-room", "leave-room"),
        "an adapter tells of {events}, not of {event}",
    )

    def __init__(self, nsp: Namespace) -> None:
        super().__init__()
        self.nsp = nsp
        # A namespace's name has no NUL, so neither of these can be a room of another one.
        self._everyone = f"{nsp.server.path}\0{nsp.name}"
        self._prefix = f"{self._everyone}\0"
        #: Rooms that were joined. The room of a socket's own id is in it only if others have joined that.
        self._rooms: dict[str, set[Socket]] = {}

    # ---- who is where

    @property
    def rooms(self) -> Mapping[str, set[str]]:
        """The ids in each room, by the room's name."""
        return RoomsView(self.nsp.sockets, self._rooms)

    @property
    def sids(self) -> Mapping[str, set[str]]:
        """The rooms of each socket, by its id."""
        return SidsView(self.nsp.sockets)

    def select(self, rooms: Sequence[str] | None, except_: Sequence[str] = ()) -> set[Socket]:
        """The sockets in any of the rooms (``None``: everyone's) and in none of the others."""
        sockets = self.nsp.sockets
        chosen = set(sockets.values()) if rooms is None else self._members(rooms)
        if except_:
            chosen -= self._members(except_)
        return chosen

    def reaches(self, socket: Socket, rooms: Sequence[str] | None, except_: Sequence[str] = ()) -> bool:
        """Whether `select` would choose this socket."""
        if not socket.connected or (rooms is not None and not any(socket.is_in(room) for room in rooms)):
            return False
        return not any(socket.is_in(room) for room in except_)

    def _members(self, rooms: Sequence[str]) -> set[Socket]:
        sockets, none = self.nsp.sockets, frozenset[Any]()
        members: set[Socket] = set().union(*(self._rooms.get(room, none) for room in rooms))
        for room in rooms:
            own = sockets.get(room)
            if own is not None and own.is_in(room):
                members.add(own)
        return members

    # ---- coming and going

    def enter(self, socket: Socket, rooms: Iterable[str]) -> None:
        """A socket is connected, and in its own room."""
        enter_room(socket, self._everyone)
        if self._listeners:
            if not self._rooms.get(socket.id):
                self._tell("create-room", socket.id)
            self._tell("join-room", socket.id, socket.id)
        for room in rooms:
            self.add(socket, room)

    def add(self, socket: Socket, room: str) -> None:
        """A socket joins a room."""
        self.nsp.server.scheduler.take_over()
        if room == socket.id:
            socket._in_own_room = True
            return
        members = self._rooms.get(room)
        if members is None:
            members = self._rooms[room] = set()
            if room not in self.nsp.sockets:
                self._tell("create-room", room)
        if socket not in members:
            members.add(socket)
            if socket._rooms is None:
                socket._rooms = set()
            socket._rooms.add(room)
            if socket._session is not None:
                socket._session.joined(room)
            enter_room(socket, self._prefix + room)
            self._tell("join-room", room, socket.id)

    def remove(self, socket: Socket, room: str) -> None:
        """A socket leaves a room."""
        self.nsp.server.scheduler.take_over()
        if room == socket.id:
            self._leave_own(socket)
            return
        members = self._rooms.get(room)
        if members is None or socket not in members:
            return
        if socket._rooms is not None:
            socket._rooms.discard(room)
        if socket._session is not None:
            socket._session.left(room)
        self._drop(socket, room, members)

    def remove_all(self, socket: Socket) -> None:
        """A socket has ended; it still knows in which rooms it was."""
        socket.conn._leave(self._everyone)
        self._leave_own(socket)
        for room in socket._rooms or ():
            members = self._rooms.get(room)
            if members is not None and socket in members:
                self._drop(socket, room, members)

    def _leave_own(self, socket: Socket) -> None:
        if socket._in_own_room:
            socket._in_own_room = False
            socket.conn._leave(self._prefix + socket.id)
            if self._listeners:
                self._tell("leave-room", socket.id, socket.id)
                if not self._rooms.get(socket.id):
                    self._tell("delete-room", socket.id)

    def _drop(self, socket: Socket, room: str, members: set[Socket]) -> None:
        members.discard(socket)
        socket.conn._leave(self._prefix + room)
        self._tell("leave-room", room, socket.id)
        if not members:
            del self._rooms[room]
            own = self.nsp.sockets.get(room)
            if own is None or not own.is_in(room):
                self._tell("delete-room", room)

    def _tell(self, event: str, *args: str) -> None:
        if self._listeners:
            self.nsp.server.scheduler.notify(self._listeners.get(event, ()), event, *args)

    # ---- to them

    def broadcast(
        self,
        messages: Sequence[str | bytes],
        rooms: Sequence[str] | None,
        except_: Sequence[str],
        *,
        compress: bool,
        volatile: bool,
    ) -> Any:
        """Hands a packet, encoded, to the sockets in the rooms; the core walks over them."""
        server = self.nsp.server.hub._running.required()
        if rooms is not None and len(rooms) == 1 and not except_ and rooms[0] not in self._rooms:
            alone = self.nsp.sockets.get(rooms[0])
            if alone is not None and alone.is_in(alone.id):
                return alone._client.send(messages, compress=compress, volatile=volatile)
        targets = [self._everyone] if rooms is None else self._targets(rooms)
        skip, left_out = self._left_out(except_) if except_ else ([], [])
        return server.emit(targets, messages, skip, left_out, compress, volatile)

    def _left_out(self, rooms: Sequence[str]) -> tuple[list[Session], list[str]]:
        """The sessions that are left out by their ids, and the rooms that are."""
        skip, left_out = [], []
        for room in rooms:
            own = self.nsp.sockets.get(room)
            if own is not None and own.is_in(room):
                skip.append(own.conn)
            if room in self._rooms:
                left_out.append(self._prefix + room)
        return skip, left_out

    def _targets(self, rooms: Sequence[str]) -> list[str]:
        targets = []
        for room in rooms:
            own = self.nsp.sockets.get(room)
            if own is not None and own.is_in(room):
                # Most sockets are never addressed with others by their id: only now the core gets to know that room.
                enter_room(own, self._prefix + room)
                targets.append(self._prefix + room)
            elif room in self._rooms:
                targets.append(self._prefix + room)
        return targets


def enter_room(socket: Socket, name: str) -> None:
    """Joins in the core."""
    # Its end may be on the way to us: then there is nothing to do but to wait for it.
    with suppress(ConnectionClosed):
        socket.conn._join(name)


class RoomsView(Mapping[str, set[str]]):
    """All rooms, those of the sockets' own ids included."""

    __slots__ = ("_joined", "_sockets")

    def __init__(self, sockets: dict[str, Socket], joined: dict[str, set[Socket]]) -> None:
        self._sockets = sockets
        self._joined = joined

    def __getitem__(self, room: str) -> set[str]:
        ids = {socket.id for socket in self._joined.get(room, ())}
        own = self._sockets.get(room)
        if own is not None and own.is_in(room):
            ids.add(room)
        if not ids:
            raise KeyError(room)
        return ids

    def __contains__(self, room: object) -> bool:
        own = self._sockets.get(room) if isinstance(room, str) else None
        return room in self._joined or (own is not None and own.is_in(own.id))

    def __iter__(self) -> Iterator[str]:
        for sid, socket in self._sockets.items():
            if socket.is_in(sid) and sid not in self._joined:
                yield sid
        yield from self._joined

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{dict(self)!r}"


class SidsView(Mapping[str, set[str]]):
    """All sockets, with their rooms."""

    __slots__ = ("_sockets",)

    def __init__(self, sockets: dict[str, Socket]) -> None:
        self._sockets = sockets

    def __getitem__(self, sid: str) -> set[str]:
        return set(self._sockets[sid].rooms)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sockets)

    def __len__(self) -> int:
        return len(self._sockets)

    def __repr__(self) -> str:
        return f"{dict(self)!r}"
