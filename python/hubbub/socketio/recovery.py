"""Connection state recovery: who comes back in time has its id, rooms and data again, and what it has missed.

Each event that is sent to a namespace has a number there, and its offset, `epoch.number`, goes along as the event's
last argument. A client that comes back says which was the last it has seen. What was sent to its rooms since then is
sent again; if something of that is not remembered any more, it gets a new id and is told so.

**A session is kept from the moment when its client connects**, not from when it is seen to go: who changes from one
network to another is back before the server notices. The old connection is closed then, so that one id never has two
sockets.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from hubbub.socketio.packets import EVENT

if TYPE_CHECKING:
    from hubbub._bridge import Bridge
    from hubbub.socketio.namespace import Namespace
    from hubbub.socketio.socket import Socket

__all__ = ["ConnectionStateRecovery", "PersistedSession", "Recovery"]

#: What an event that is remembered takes beside its bytes, about.
OVERHEAD_BYTES = 400

#: Rooms of which it is known when they last forgot something; beyond that, it is known of all older ones together.
MAX_FORGETTING_ROOMS = 10_000

#: Rooms that a session has left and that may still matter.
MAX_LEFT_ROOMS = 100

#: How a client may go without giving its session up.
RECOVERABLE = frozenset(
    {
        "transport error",
        "transport close",
        "forced close",
        "ping timeout",
        "server shutting down",
        "forced server close",
    }
)


@dataclass(frozen=True)
class ConnectionStateRecovery:
    """How connection state recovery works.

    Attributes:
        max_disconnection_duration: seconds that a client may be away, and that events are remembered.
        skip_middlewares: let a client that is recovered in without asking the middleware again.
        max_bytes: of the events that one namespace remembers; beyond that the oldest are forgotten.
        max_sessions: clients of one namespace that are away and may come back; beyond that the first to go is
            forgotten.
    """

    max_disconnection_duration: float = 120.0
    skip_middlewares: bool = False
    max_bytes: int = 16 << 20
    max_sessions: int = 100_000

    def __post_init__(self) -> None:
        for name in ("max_disconnection_duration", "max_bytes", "max_sessions"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise ValueError(f"{name} is a number above 0, not {value!r}")

    @classmethod
    def read(cls, given: ConnectionStateRecovery | bool | dict[str, Any] | None) -> ConnectionStateRecovery | None:
        """``True`` and a dict of some of the attributes mean the same as an object with the others' defaults."""
        if given is None or given is False:
            return None
        if given is True:
            return cls()
        if isinstance(given, dict):
            return cls(**given)
        if not isinstance(given, cls):
            raise TypeError(f"connection_state_recovery is True, None, or how it works, not {given!r}")
        return given


class Entry:
    """An event that is remembered, encoded."""

    __slots__ = ("at", "except_", "messages", "number", "rooms", "size")

    def __init__(
        self,
        number: int,
        at: float,
        rooms: Sequence[str | None],
        except_: Sequence[str],
        messages: Sequence[str | bytes],
    ) -> None:
        self.number = number
        self.at = at
        self.rooms = tuple(rooms)
        self.except_ = tuple(except_)
        self.messages = messages
        self.size = OVERHEAD_BYTES + sum(map(len, messages))


class PersistedSession:
    """What a client has again when it comes back.

    Attributes:
        pid: what it proves itself by. No other client knows it.
        socket: its socket, while it is connected.
    """

    __slots__ = ("_log", "_rooms", "_since", "claimed", "data", "left_rooms", "pid", "seen", "sid", "socket", "until")

    def __init__(self, log: Log, pid: str, socket: Socket) -> None:
        self._log = log
        self.pid = pid
        self.sid = socket.id
        self.socket: Socket | None = socket
        self.data: Any = None
        #: It has everything up to this number.
        self.seen = log.number
        #: When it goes, once it is away.
        self.until = 0.0
        #: Its client is just coming back.
        self.claimed = False
        #: When it came into the namespace.
        self._since = log.number
        #: Each room, with the number after which it joined.
        self._rooms: dict[str, int] = {}
        #: A room that it was in, from after the first number to the second.
        self.left_rooms: deque[tuple[str, int, int]] = deque()

    @property
    def rooms(self) -> set[str]:
        return set(self._rooms)

    def joined(self, room: str) -> None:
        self._rooms.setdefault(room, self._log.number)

    def left(self, room: str) -> None:
        since = self._rooms.pop(room, None)
        if since is None or since == self._log.number:
            return
        self.left_rooms.append((room, since, self._log.number))
        if len(self.left_rooms) > MAX_LEFT_ROOMS:
            # What it may have missed there cannot be told any more: who has not seen it cannot be recovered.
            self.seen = max(self.seen, self.left_rooms.popleft()[2])

    def stays(self) -> Iterator[tuple[str | None, int, int]]:
        """Where it was, from after which number, to which. ``None`` is the namespace itself."""
        now = self._log.number
        yield None, self._since, now
        yield self.sid, self._since, now
        for room, since in self._rooms.items():
            yield room, since, now
        yield from self.left_rooms

    def was_in(self, room: str, number: int) -> bool:
        """It was in the room when the event of this number was sent."""
        if room == self.sid:
            return True
        since = self._rooms.get(room)
        if since is not None and since < number:
            return True
        return any(other == room and since < number <= until for other, since, until in self.left_rooms)


class Log:
    """The last events of a namespace, by room: within bounds of bytes and time."""

    __slots__ = (
        "_by_room",
        "_bytes",
        "_entries",
        "_forgot",
        "_forgot_all",
        "_max_bytes",
        "_seconds",
        "epoch",
        "number",
    )

    def __init__(self, max_bytes: int, seconds: float) -> None:
        #: Which life of the log: an offset of another one means nothing here.
        self.epoch = secrets.token_hex(4)
        #: The last event's.
        self.number = 0
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._bytes = 0
        self._entries: deque[Entry] = deque()
        self._by_room: dict[str | None, deque[Entry]] = {}
        #: The number of the last event that was forgotten, by room, the least recent first.
        # PERF: of a dict from whose front much was taken, the first entry takes as long to find as all that are gone.
        self._forgot: OrderedDict[str | None, int] = OrderedDict()
        #: The same, for all rooms that are not in it.
        self._forgot_all = 0

    @property
    def oldest(self) -> float | None:
        """When the oldest event that is remembered was sent."""
        return self._entries[0].at if self._entries else None

    def offset(self, number: int) -> str:
        return f"{self.epoch}.{number:x}"

    def number_of(self, offset: object) -> int | None:
        """The number that an offset stands for; ``None`` if it is none of ours."""
        if not isinstance(offset, str) or not 0 < len(offset) - 9 <= 16 or not offset.startswith(self.epoch + "."):
            return None
        digits = offset[9:]
        if not all(digit in "0123456789abcdef" for digit in digits):
            return None
        number = int(digits, 16)
        return number if number <= self.number else None

    def append(self, rooms: Sequence[str] | None, except_: Sequence[str], messages: Sequence[str | bytes]) -> None:
        """Remembers an event that has just been given the next number."""
        self.number += 1
        entry = Entry(self.number, time.monotonic(), (None,) if rooms is None else rooms, except_, messages)
        self._entries.append(entry)
        self._bytes += entry.size
        for room in entry.rooms:
            stream = self._by_room.get(room)
            if stream is None:
                stream = self._by_room[room] = deque()
            stream.append(entry)
        self.forget_old()

    def forget_old(self) -> None:
        """Forgets what is beyond the bounds."""
        oldest = time.monotonic() - self._seconds
        while self._entries and (self._bytes > self._max_bytes or self._entries[0].at < oldest):
            entry = self._entries.popleft()
            self._bytes -= entry.size
            for room in entry.rooms:
                stream = self._by_room.get(room)
                if stream and stream[0] is entry:
                    stream.popleft()
                    if not stream:
                        del self._by_room[room]
                self._forgot.pop(room, None)
                self._forgot[room] = entry.number
        while len(self._forgot) > MAX_FORGETTING_ROOMS:
            room = next(iter(self._forgot))
            self._forgot_all = self._forgot.pop(room)

    def missed(self, session: PersistedSession, seen: int) -> list[Sequence[str | bytes]] | None:
        """What was sent to the session's rooms after this number; ``None``: some of that is forgotten."""
        missed: dict[int, Entry] = {}
        for room, since, until in session.stays():
            after = max(since, seen)
            if after >= until:
                continue
            if self._forgot.get(room, self._forgot_all) > after:
                return None
            for entry in reversed(self._by_room.get(room, ())):
                if entry.number <= after:
                    break
                if entry.number <= until and not any(session.was_in(out, entry.number) for out in entry.except_):
                    missed[entry.number] = entry
        return [missed[number].messages for number in sorted(missed)]


class Recovery:
    """Connection state recovery of one namespace."""

    __slots__ = ("_armed", "_away", "_log", "_nsp", "_sessions", "options")

    def __init__(self, nsp: Namespace, options: ConnectionStateRecovery) -> None:
        self.options = options
        self._nsp = nsp
        self._log = Log(options.max_bytes, options.max_disconnection_duration)
        #: By pid.
        self._sessions: dict[str, PersistedSession] = {}
        #: Those whose clients are away, the first to go first.
        self._away: OrderedDict[str, PersistedSession] = OrderedDict()
        #: The event loop whose timer will look; after the hub was stopped, another one.
        self._armed: Bridge | None = None

    @property
    def is_awaiting(self) -> bool:
        """Some client may come back."""
        return bool(self._away)

    # ---- events

    def encode(
        self, event: str, args: Sequence[Any], rooms: Sequence[str] | None, except_: Sequence[str], *, volatile: bool
    ) -> Sequence[str | bytes]:
        """Encodes an event with its offset, and remembers it if it is not volatile."""
        name = self._nsp.name
        if not volatile:
            messages = self._nsp._encode(EVENT, name, None, (event, *args, self._log.offset(self._log.number + 1)))
            self._log.append(rooms, except_, messages)
            self._arm()
            return messages
        if args and isinstance(args[-1], str):
            # Clients take any text at the end of an event for an offset: this one must be one.
            args = (*args, self._log.offset(self._log.number))
        return self._nsp._encode(EVENT, name, None, (event, *args))

    # ---- coming back

    def claim(self, socket: Socket, auth: dict[str, Any]) -> PersistedSession | None:
        """The session that the client comes back to, if it can be given back. Nobody else gets it meanwhile."""
        pid = auth.get("pid")
        session = self._sessions.get(pid) if isinstance(pid, str) else None
        if session is None or session.claimed or self._missed(session, auth) is None:
            return None
        session.claimed = True
        socket.id, socket.recovered = session.sid, True
        socket._data = session.data if session.socket is None else session.socket._data
        socket._rooms = session.rooms
        return session

    def unclaim(self, session: PersistedSession) -> None:
        """The client was not let in."""
        session.claimed = False

    def admit(self, socket: Socket, claim: PersistedSession | None) -> list[Sequence[str | bytes]]:
        """Gives the socket its session, the one that was claimed or a new one; what it has missed."""
        if claim is not None:
            missed = self._give_back(socket, claim)
            if missed is not None:
                return missed
            # What it has missed was forgotten while the middleware was asked.
            socket.id, socket.recovered, socket._rooms = new_pid(), False, None
        session = socket._session = PersistedSession(self._log, new_pid(), socket)
        self._sessions[session.pid] = session
        return []

    def _give_back(self, socket: Socket, session: PersistedSession) -> list[Sequence[str | bytes]] | None:
        old = session.socket
        if old is not None:
            # The connection that it came by before is dead, whether we have noticed or not.
            old._client.close("transport close", "the client has come back")
        session.claimed = False
        seen = self._seen(session, socket.handshake.auth)
        missed = None if seen is None else self._log.missed(session, seen)
        if missed is None or seen is None or session.pid not in self._sessions:
            self._forget(session)
            return None
        self._away.pop(session.pid, None)
        session.seen = seen
        session.socket, socket._session = socket, session
        return missed

    def _missed(self, session: PersistedSession, auth: dict[str, Any]) -> list[Sequence[str | bytes]] | None:
        seen = self._seen(session, auth)
        return None if seen is None else self._log.missed(session, seen)

    def _seen(self, session: PersistedSession, auth: dict[str, Any]) -> int | None:
        """The last number that the client has seen; ``None``: it says what cannot be."""
        if auth.get("offset") is None:
            return session.seen  # It has not been sent anything yet, so it does not know an offset.
        seen = self._log.number_of(auth["offset"])
        return None if seen is None or seen < session.seen else seen

    # ---- going

    def leave(self, socket: Socket) -> None:
        """A socket has ended: its session is kept for a while, unless it was ended on purpose."""
        session, socket._session = socket._session, None
        if session is None:
            return
        session.socket = None
        session.data = socket._data
        if socket._reason not in RECOVERABLE:
            self._forget(session)
            return
        session.until = time.monotonic() + self.options.max_disconnection_duration
        self._away[session.pid] = session
        if len(self._away) > self.options.max_sessions:
            self._forget(next(iter(self._away.values())))
        self._arm()

    def _forget(self, session: PersistedSession) -> None:
        self._sessions.pop(session.pid, None)
        self._away.pop(session.pid, None)

    def _arm(self) -> None:
        """Sees to it that somebody looks when the next event or session is to be forgotten."""
        bridge = self._nsp.server.scheduler.bridge
        if self._armed is bridge:
            return
        times = [session.until for session in islice(self._away.values(), 1)]
        oldest = self._log.oldest
        if oldest is not None:
            times.append(oldest + self.options.max_disconnection_duration)
        if times:
            self._armed = bridge
            bridge.call_later(max(0.0, min(times) - time.monotonic()), self._look)

    def _look(self) -> None:
        self._armed = None
        now = time.monotonic()
        while self._away:
            session = next(iter(self._away.values()))
            if session.until > now:
                break
            self._forget(session)
        self._log.forget_old()
        self._nsp._cleared()
        self._arm()


def new_pid() -> str:
    return secrets.token_urlsafe(15)
