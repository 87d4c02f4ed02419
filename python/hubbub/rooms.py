"""Rooms: names, and the sessions in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from hubbub import _core
from hubbub.limits import check_room_policy

if TYPE_CHECKING:
    from hubbub.hub import Hub
    from hubbub.limits import OutboxPolicy
    from hubbub.session import Session

__all__ = ["Audience", "Room", "Rooms", "Sessions"]


class Room(Collection["Session"]):
    """A name and the sessions in it. It exists while somebody is in it; the name can always be used.

    ``len(room)``, ``ws in room`` and iteration see the members of this moment.
    """

    __slots__ = ("_hub", "_sender", "name")

    def __init__(self, hub: Hub, name: str, sender: Session | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a room's name is str, not {type(name).__name__}")
        self._hub = hub
        self._sender = sender
        self.name = name

    def broadcast(
        self,
        data: str | bytes | bytearray | memoryview,
        *,
        skip: Session | Iterable[Session] | None = None,
        compress: bool = True,
        event: str | None = None,
    ) -> _core.Delivery:
        """Sends a message to every member, whatever carries its session.

        Args:
            data: ``str`` is sent as text, everything else as binary.
            skip: a session, or several, that shall not get it.
            compress: ``False`` sends it as it is even to members that agreed to compression.
            event: the type that it has for members on event streams; others know no such thing.

        Returns:
            What has come of it: ``reached`` and ``dropped`` count sessions. They are final when every shard has
            handed it out; await the result for that, or ignore it.
        """
        return self._hub._server.broadcast([self.name], data, _sessions(skip), self._sender, compress, event)

    @property
    def members(self) -> list[Session]:
        """The sessions in the room, in no particular order."""
        server = self._hub._running
        return [] if server is None else server.room_members(self.name)

    @property
    def ids(self) -> list[str]:
        """The members' ids."""
        return [ws.id for ws in self.members]

    @property
    def position(self) -> tuple[int, int] | None:
        """(epoch, offset) of the last broadcast: offset counts within one life of the room; ``None`` if it is empty."""
        server = self._hub._running
        return None if server is None else server.room_position(self.name)

    @property
    def dropped(self) -> int:
        """Broadcasts that members did not get because their outboxes were full, in this life of the room.

        Each member counts: one broadcast that three have missed is three.
        """
        server = self._hub._running
        return 0 if server is None else server.room_dropped(self.name)

    @property
    def policy(self) -> OutboxPolicy | None:
        """What happens to a broadcast for a member whose outbox is full; ``None`` is ``Limits.outbox_policy``.

        It may be set before the hub runs, and then counts for each of its runs.
        """
        server = self._hub._running
        return self._kept[0] if server is None else server.room_policy(self.name)

    @policy.setter
    def policy(self, policy: OutboxPolicy | None) -> None:
        if policy is not None:
            check_room_policy(policy)
        server = self._hub._running
        if server is None:
            self._keep(policy, self._kept[1])
        else:
            server.set_room_policy(self.name, policy)

    @property
    def history(self) -> int | None:
        """How many messages the room remembers for clients of event streams that come back; ``None`` is
        ``Limits.history_messages``.

        Like the policy it belongs to the name: it outlives the room's members, and may be set before the hub runs.
        """
        server = self._hub._running
        return self._kept[1] if server is None else server.room_history(self.name)

    @history.setter
    def history(self, messages: int | None) -> None:
        if messages is not None and (not isinstance(messages, int) or messages < 0):
            raise ValueError(f"a history is a number of messages or None, not {messages!r}")
        server = self._hub._running
        if server is None:
            self._keep(self._kept[0], messages)
        else:
            server.set_room_history(self.name, messages)

    @property
    def _kept(self) -> tuple[OutboxPolicy | None, int | None]:
        return self._hub._room_settings.get(self.name, (None, None))

    def _keep(self, policy: OutboxPolicy | None, history: int | None) -> None:
        self._hub._room_settings[self.name] = (policy, history)

    def __len__(self) -> int:
        server = self._hub._running
        return 0 if server is None else server.room_size(self.name)

    def __iter__(self) -> Iterator[Session]:
        return iter(self.members)

    def __contains__(self, ws: object) -> bool:
        server = self._hub._running
        return server is not None and isinstance(ws, _core.Session) and server.room_has(self.name, ws)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"


class Rooms(Mapping[str, Room]):
    """The rooms of a hub that have members, by name."""

    __slots__ = ("_hub",)

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __getitem__(self, name: str) -> Room:
        room = Room(self._hub, name)
        if len(room) == 0:
            raise KeyError(name)
        return room

    def __iter__(self) -> Iterator[str]:
        server = self._hub._running
        return iter([] if server is None else server.room_names())

    def __len__(self) -> int:
        server = self._hub._running
        return 0 if server is None else server.room_count()

    def __repr__(self) -> str:
        return f"<Rooms {list(self)!r}>"


class Sessions(Collection["Session"]):
    """The open sessions of a hub."""

    __slots__ = ("_hub",)

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __iter__(self) -> Iterator[Session]:
        server = self._hub._running
        return iter([] if server is None else server.sessions())

    def __len__(self) -> int:
        server = self._hub._running
        return 0 if server is None else server.session_count()

    def __contains__(self, ws: object) -> bool:
        return isinstance(ws, _core.Session) and not ws.closed and any(ws is other for other in self)

    def __repr__(self) -> str:
        return f"<Sessions {len(self)}>"


class Audience:
    """Whom a broadcast is for: the members of some rooms, or everyone, less those to be skipped."""

    __slots__ = ("_hub", "_rooms", "_skip")

    def __init__(self, hub: Hub, rooms: list[str] | None, skip: list[Session] | None = None) -> None:
        self._hub = hub
        self._rooms = rooms
        self._skip = skip or []

    def to(self, *rooms: str) -> Audience:
        """The members of these rooms as well; somebody who is in several gets a broadcast once."""
        for name in rooms:
            if not isinstance(name, str):
                raise TypeError(f"a room's name is str, not {type(name).__name__}")
        return Audience(self._hub, [*(self._rooms or []), *rooms], self._skip)

    def skip(self, *sessions: Session) -> Audience:
        """All but these sessions."""
        return Audience(self._hub, self._rooms, [*self._skip, *_sessions(sessions)])

    def broadcast(
        self, data: str | bytes | bytearray | memoryview, *, compress: bool = True, event: str | None = None
    ) -> _core.Delivery:
        """Sends a message to each of them, once. See `Room.broadcast`."""
        return self._hub._server.broadcast(self._rooms, data, self._skip, None, compress, event)


def _sessions(skip: Session | Iterable[Session] | None) -> list[Session]:
    if skip is None:
        return []
    if isinstance(skip, _core.Session):
        return [skip]
    sessions = list(skip)
    for ws in sessions:
        if not isinstance(ws, _core.Session):
            raise TypeError(f"skip takes sessions, not {type(ws).__name__}")
    return sessions
