"""Sessions, and the rooms that they are in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from hubbub import _core
from hubbub.limits import check_room_policy
from hubbub.request import Headers, Request

if TYPE_CHECKING:
    from hubbub._running import Running
    from hubbub.limits import OutboxPolicy

__all__ = ["Audience", "Room", "Rooms", "Session", "Sessions"]


class Session(_core.Session):
    """One client, whatever carries it. Made by the hub, given to handlers.

    `WebSocket` and `EventStream` are the two kinds whose transport never changes. Sessions of `Hub.comet` and of
    Socket.IO are of this class itself: ``transport`` says what carries them now.

    ``send``, ``ping`` and ``close`` take effect at once, in functions and coroutines alike, and return something to
    await: ignore it in a function, await it in a coroutine. They may be called from any thread; awaiting belongs to
    the event loop that runs the hub.
    """

    __slots__ = ()

    async def recv(self) -> str | bytes:
        """Receives the next message: ``str`` for a text message, ``bytes`` for a binary one.

        Raises:
            ConnectionClosed: the connection has ended and every message has been received.
            ConcurrencyError: another task is already receiving from this session.
        """
        return await self._recv()

    def room(self, name: str) -> Room:
        """The room of this name. What is broadcast through it has this session as its sender."""
        return Room(self.hub._running, name, self)

    @property
    def request(self) -> Request:
        """The request that opened the session."""
        request = self._request
        if request is None:
            request = Request(self._opening)
            request.state = self.state
            self._keep_request(request)
        return request

    @property
    def headers(self) -> Headers:
        """The header fields of the request that opened the session."""
        return self.request.headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the request that opened the session."""
        return self.request.cookies

    @property
    def path(self) -> str:
        """The path that the client connected to, percent-decoded."""
        return unquote(self._opening.line()[2])

    @property
    def path_params(self) -> dict[str, str]:
        """What the ``{names}`` of the endpoint's path stand for, percent-decoded."""
        return {name: unquote(value) for name, value in self._path_params}

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on."""
        request = self._request
        return self._subprotocol if request is None else request.subprotocol

    def __repr__(self) -> str:
        state = f"closed {self.close_code}" if self.closed else "open"
        return f"<{type(self).__name__} {self.id} {self.path!r} {state}>"


class Room(Collection["Session"]):
    """A name and the sessions in it. It exists while somebody is in it; the name can always be used.

    ``len(room)``, ``ws in room`` and iteration see the members of this moment.
    """

    __slots__ = ("_running", "_sender", "name")

    def __init__(self, running: Running, name: str, sender: Session | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a room's name is str, not {type(name).__name__}")
        self._running = running
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
        return self._running.required().broadcast([self.name], data, _sessions(skip), self._sender, compress, event)

    @property
    def members(self) -> list[Session]:
        """The sessions in the room, in no particular order."""
        server = self._running.server
        return [] if server is None else server.room_members(self.name)

    @property
    def ids(self) -> list[str]:
        """The members' ids."""
        return [ws.id for ws in self.members]

    @property
    def position(self) -> tuple[int, int] | None:
        """(epoch, offset) of the last broadcast: offset counts within one life of the room; ``None`` if it is empty."""
        server = self._running.server
        return None if server is None else server.room_position(self.name)

    @property
    def dropped(self) -> int:
        """Broadcasts that members did not get because their outboxes were full, in this life of the room.

        Each member counts: one broadcast that three have missed is three.
        """
        server = self._running.server
        return 0 if server is None else server.room_dropped(self.name)

    @property
    def policy(self) -> OutboxPolicy | None:
        """What happens to a broadcast for a member whose outbox is full; ``None`` is ``Limits.outbox_policy``.

        It may be set before the hub runs, and then counts for each of its runs.
        """
        server = self._running.server
        return self._kept[0] if server is None else server.room_policy(self.name)

    @policy.setter
    def policy(self, policy: OutboxPolicy | None) -> None:
        if policy is not None:
            check_room_policy(policy)
        server = self._running.server
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
        server = self._running.server
        return self._kept[1] if server is None else server.room_history(self.name)

    @history.setter
    def history(self, messages: int | None) -> None:
        if messages is not None and (not isinstance(messages, int) or messages < 0):
            raise ValueError(f"a history is a number of messages or None, not {messages!r}")
        server = self._running.server
        if server is None:
            self._keep(self._kept[0], messages)
        else:
            server.set_room_history(self.name, messages)

    @property
    def _kept(self) -> tuple[OutboxPolicy | None, int | None]:
        return self._running.room_settings.get(self.name, (None, None))

    def _keep(self, policy: OutboxPolicy | None, history: int | None) -> None:
        self._running.room_settings[self.name] = (policy, history)

    def __len__(self) -> int:
        server = self._running.server
        return 0 if server is None else server.room_size(self.name)

    def __iter__(self) -> Iterator[Session]:
        return iter(self.members)

    def __contains__(self, ws: object) -> bool:
        server = self._running.server
        return server is not None and isinstance(ws, _core.Session) and server.room_has(self.name, ws)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"


class Rooms(Mapping[str, Room]):
    """The rooms of a hub that have members, by name."""

    __slots__ = ("_running",)

    def __init__(self, running: Running) -> None:
        self._running = running

    def __getitem__(self, name: str) -> Room:
        room = Room(self._running, name)
        if len(room) == 0:
            raise KeyError(name)
        return room

    def __iter__(self) -> Iterator[str]:
        server = self._running.server
        return iter([] if server is None else server.room_names())

    def __len__(self) -> int:
        server = self._running.server
        return 0 if server is None else server.room_count()

    def __repr__(self) -> str:
        return f"<Rooms {list(self)!r}>"


class Sessions(Collection["Session"]):
    """The open sessions of a hub."""

    __slots__ = ("_running",)

    def __init__(self, running: Running) -> None:
        self._running = running

    def __iter__(self) -> Iterator[Session]:
        server = self._running.server
        return iter([] if server is None else server.sessions())

    def __len__(self) -> int:
        server = self._running.server
        return 0 if server is None else server.session_count()

    def __contains__(self, ws: object) -> bool:
        return isinstance(ws, _core.Session) and not ws.closed and any(ws is other for other in self)

    def __repr__(self) -> str:
        return f"<Sessions {len(self)}>"


class Audience:
    """Whom a broadcast is for: the members of some rooms, or everyone, less those to be skipped."""

    __slots__ = ("_rooms", "_running", "_skip")

    def __init__(self, running: Running, rooms: list[str] | None, skip: list[Session] | None = None) -> None:
        self._running = running
        self._rooms = rooms
        self._skip = skip or []

    def to(self, *rooms: str) -> Audience:
        """The members of these rooms as well; somebody who is in several gets a broadcast once."""
        for name in rooms:
            if not isinstance(name, str):
                raise TypeError(f"a room's name is str, not {type(name).__name__}")
        return Audience(self._running, [*(self._rooms or []), *rooms], self._skip)

    def skip(self, *sessions: Session) -> Audience:
        """All but these sessions."""
        return Audience(self._running, self._rooms, [*self._skip, *_sessions(sessions)])

    def broadcast(
        self, data: str | bytes | bytearray | memoryview, *, compress: bool = True, event: str | None = None
    ) -> _core.Delivery:
        """Sends a message to each of them, once. See `Room.broadcast`."""
        return self._running.required().broadcast(self._rooms, data, self._skip, None, compress, event)


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
