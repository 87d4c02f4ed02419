"""The chat: who is there under which name, in which rooms, and what is said to whom.

README.md has the events. A handler gives the answer of the client's acknowledgement, or raises `Refused`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from history import History, Message
from names import MAX_NAME, Refused, cleaned_name, cleaned_text, skeletons

from hubbub import NotRunning
from hubbub.socketio import Ack, Server, Socket

#: Rooms that are there when nobody is in them.
ROOMS = ("red", "green")
MAX_ROOMS = 20
#: Seconds for which a name waits for its user to come back.
PATIENCE = 5.0
#: Messages a second, and at once. Whatever else a client asks for counts as a quarter of one.
RATE, BURST = 5.0, 10.0
#: Messages that are told on entering, and to somebody who was away.
LAST, MISSED = 20, 200

#: The audience of what is said to everybody.
EVERYBODY = "*"

Answer = dict[str, Any]
T = TypeVar("T")


@dataclass(eq=False)
class User:
    """Somebody with a name, while they are here."""

    name: str
    #: Who may read their private messages later: whoever has the key that this is made of.
    owner: str
    socket: Socket
    rooms: list[str] = field(default_factory=list)
    typed: float = 0.0
    leaving: asyncio.TimerHandle | None = None

    @property
    def audience(self) -> list[str]:
        """What they hear, and may read."""
        return [EVERYBODY, self.owner, *map(audience_of, self.rooms)]


class Chat:
    """Who is here, and what they may do."""

    def __init__(self, io: Server, history: History, patience: float = PATIENCE) -> None:
        self.io = io
        self.history = history
        self.patience = patience
        history.changed = self.database_changed
        #: By name, whatever its case; and by what it looks like.
        self.users: dict[str, User] = {}
        self.shapes: dict[str, User] = {}
        self.rooms: dict[str, list[User]] = {room: [] for room in ROOMS}
        io.on("connection", self.connected)

    # ---- connections

    def connected(self, socket: Socket) -> None:
        pace = Pace()

        async def slowed(event: list[Any]) -> None:
            await pace.keep(socket, 1.0 if event[0] == "say" else 0.25)

        socket.use(slowed)
        # It has gone, and what it wanted beyond its rate is dropped with it.
        socket.on("error", lambda error: None)
        for handler in (self.enter, self.rename, self.say, self.join, self.leave, self.who, self.older, self.typing):
            socket.on(handler.__name__, answering(socket, handler))
        socket.on("disconnect", lambda reason, details: self.disconnected(socket, reason, details))
        if socket.recovered and "user" in socket.data:
            self.recovered(socket, socket.data["user"])

    def recovered(self, socket: Socket, user: User) -> None:
        """The connection is back, and its rooms and what it has missed with it."""
        if self.users.get(user.name.casefold()) is user and user.socket.id == socket.id:
            self.take_over(user, socket)
        elif self.looking_like(user.name) is None:
            self.arrive(user, socket)  # It took so long that they were taken for gone.
        else:
            del socket.data["user"]
            dismiss(socket)

    def disconnected(self, socket: Socket, reason: str, details: tuple[int, str] | None) -> None:
        user = socket.data.get("user")
        if user is None or user.socket is not socket:
            return
        # A browser says 1001 when the page goes, and nothing when the network does.
        on_purpose = reason == "client namespace disconnect" or (details is not None and details[0] == 1001)
        if on_purpose:
            self.depart(user)
        else:
            user.leaving = asyncio.get_running_loop().call_later(self.patience, self.depart, user)

    # ---- names

    async def enter(self, socket: Socket, asked: Any) -> Answer:
        name, key = read(asked, "name", str), read(asked, "key", str, "")
        since, takeover = read_id(asked, "since"), read(asked, "takeover", bool, False)
        if "user" in socket.data:
            raise Refused("entered")
        name, owner = cleaned_name(name), owner_of(key)
        user = self.looking_like(name)
        if user is None:
            user = User(name, owner, socket)
            self.arrive(user, socket)
        elif user.name != name:
            raise Refused("lookalike", other=user.name)
        elif user.owner != owner:
            raise Refused("taken")
        elif user.socket.connected and not takeover:
            raise Refused("here")
        else:
            self.take_over(user, socket)
        told = await self.past(user.audience, since=since, limit=LAST if since is None else MISSED)
        return {
            "name": name,
            "people": [other.name for other in self.users.values()],
            "rooms": [{"name": room, "people": len(people)} for room, people in self.rooms.items()],
            "mine": list(user.rooms),
            **told,
            "database": self.database,
        }

    async def rename(self, socket: Socket, asked: Any) -> Answer:
        """Another name for somebody who is here. They stay in their rooms."""
        user, name, key = named(socket), read(asked, "name", str), read(asked, "key", str, "")
        name, owner = cleaned_name(name), owner_of(key)
        other = self.looking_like(name)
        if other is not None and other is not user:
            if other.name == name:
                raise Refused("taken")
            raise Refused("lookalike", other=other.name)
        if name != user.name:
            before = user.name
            self.forget(user)
            socket.leave(user.owner)
            user.name, user.owner = name, owner
            socket.join(owner)
            self.remember(user)
            self.io.to(EVERYBODY).emit("renamed", {"name": before, "to": name, "at": now()})
        return {"name": name}

    def remember(self, user: User) -> None:
        self.users[user.name.casefold()] = user
        self.shapes.update(dict.fromkeys(skeletons(user.name), user))

    def forget(self, user: User) -> None:
        del self.users[user.name.casefold()]
        for shape in skeletons(user.name):
            del self.shapes[shape]

    def looking_like(self, name: str) -> User | None:
        """Who has this name, or one that could be taken for it."""
        same = self.users.get(name.casefold())
        return same or next((self.shapes[shape] for shape in skeletons(name) if shape in self.shapes), None)

    def arrive(self, user: User, socket: Socket) -> None:
        self.remember(user)
        self.take_over(user, socket)
        socket.to(EVERYBODY).emit("joined", {"name": user.name, "at": now()})
        for room in user.rooms:
            self.into_room(user, room)

    def take_over(self, user: User, socket: Socket) -> None:
        """The user is at this socket from now on."""
        old, user.socket, socket.data["user"] = user.socket, socket, user
        if user.leaving is not None:
            user.leaving.cancel()
            user.leaving = None
        if old is not socket and old.connected:
            dismiss(old)
        socket.join(user.audience)

    def depart(self, user: User) -> None:
        user.leaving = None
        self.forget(user)
        for room in user.rooms:
            self.out_of_room(user, room)
        self.io.to(EVERYBODY).emit("left", {"name": user.name, "at": now()})

    # ---- messages

    async def say(self, socket: Socket, asked: Any) -> Answer:
        text, rooms = read(asked, "text", str), read_rooms(asked)
        if "user" not in socket.data:
            return await self.enter(socket, {"name": text, "key": secrets.token_urlsafe(16)})
        user, text = named(socket), cleaned_text(text)
        recipient, text = self.addressed(user, text)
        if recipient is not None:
            rooms = []
            audience = [user.owner, recipient.owner]
        else:
            for room in rooms:
                check_in(user, room)
            audience = [*map(audience_of, rooms)] or [EVERYBODY]
        to = None if recipient is None else recipient.name
        message = Message(self.history.next_id(), user.name, text, to, rooms, frozenset(audience))
        self.io.to(audience).emit("message", message.for_clients())
        self.history.add(message)
        return {"id": message.id}

    def addressed(self, user: User, text: str) -> tuple[User | None, str]:
        """Whom ``@name text`` is for, and the text; names may have spaces, and the longest counts."""
        if not text.startswith("@") or text[1:2].isspace() or text == "@":
            return None, text
        for end in range(min(len(text), MAX_NAME + 1), 1, -1):
            recipient = self.users.get(text[1:end].casefold())
            if recipient is None or not (text[end : end + 1].isspace() or end == len(text)):
                continue
            if recipient is user:
                raise Refused("yourself")
            return recipient, cleaned_text(text[end:])
        raise Refused("offline", to=text[1:].split(maxsplit=1)[0][:MAX_NAME])

    async def older(self, socket: Socket, asked: Any) -> Answer:
        user, before, room = named(socket), read_id(asked, "before"), read(asked, "room", str, "")
        if before is None:
            raise Refused("form")
        if room:
            check_in(user, room)
        return await self.past([audience_of(room)] if room else user.audience, before=before)

    async def past(
        self, audience: list[str], before: int | None = None, since: int | None = None, limit: int = LAST
    ) -> Answer:
        messages, more = await self.history.read(audience, before=before, since=since, limit=limit)
        told = {"messages": [message.for_clients() for message in messages], "more": more}
        return told if self.history.state == "well" else told | {"database": self.database}

    async def typing(self, socket: Socket, asked: Any) -> Answer:
        user, rooms, to = named(socket), read_rooms(asked), read(asked, "to", str, "")
        other = self.users.get(to.casefold())
        if time.monotonic() - user.typed < 1.0 or (to and other is None):
            return {}
        user.typed = time.monotonic()
        if other is not None:
            socket.to(other.owner).volatile.emit("typing", {"name": user.name, "to": other.name})
        elif rooms:
            for room in rooms:
                check_in(user, room)
            socket.to([*map(audience_of, rooms)]).volatile.emit("typing", {"name": user.name, "rooms": rooms})
        else:
            socket.to(EVERYBODY).volatile.emit("typing", {"name": user.name})
        return {}

    # ---- rooms

    async def join(self, socket: Socket, asked: Any) -> Answer:
        user, room = named(socket), cleaned_name(checked(asked, str))
        if room in user.rooms:
            raise Refused("already")
        if len(user.rooms) >= MAX_ROOMS:
            raise Refused("many")
        user.rooms.append(room)
        socket.join(audience_of(room))
        self.into_room(user, room)
        told = await self.past([audience_of(room)])
        return {"room": room, "people": self.people(room), **told}

    async def leave(self, socket: Socket, asked: Any) -> Answer:
        user, room = named(socket), checked(asked, str)
        check_in(user, room)
        user.rooms.remove(room)
        socket.leave(audience_of(room))
        self.out_of_room(user, room)
        return {"room": room}

    async def who(self, socket: Socket, asked: Any) -> Answer:
        named(socket)
        room = checked(asked, str)
        return {"room": room, "people": self.people(room)}

    def people(self, room: str) -> list[str]:
        return [user.name for user in self.rooms.get(room, ())]

    def into_room(self, user: User, room: str) -> None:
        self.rooms.setdefault(room, []).append(user)
        user.socket.to(audience_of(room)).emit("entered", {"room": room, "name": user.name})
        self.io.to(EVERYBODY).emit("room", {"name": room, "people": len(self.rooms[room])})

    def out_of_room(self, user: User, room: str) -> None:
        people = self.rooms[room]
        people.remove(user)
        if not people and room not in ROOMS:
            del self.rooms[room]
        self.io.to(audience_of(room)).emit("departed", {"room": room, "name": user.name})
        self.io.to(EVERYBODY).emit("room", {"name": room, "people": len(people)})

    # ---- the database

    @property
    def database(self) -> Answer:
        return {"state": self.history.state, "lost": self.history.lost, "waiting": self.history.waiting}

    def database_changed(self) -> None:
        notice = {"code": "database", **self.database}
        with suppress(NotRunning):  # It is written to until the very end.
            self.io.to(EVERYBODY).emit("notice", notice)


class Pace:
    """How fast one client may go: a bucket that fills with time. What is beyond it waits."""

    def __init__(self) -> None:
        self._left = BURST
        self._at = time.monotonic()
        self._told = False
        self._dropping = False

    async def keep(self, socket: Socket, cost: float) -> None:
        if self._dropping:
            raise Refused("slow")
        at = time.monotonic()
        self._left = min(BURST, self._left + (at - self._at) * RATE) - cost
        self._at = at
        if self._left >= 0:
            self._told = self._told and self._left < BURST / 2
            return
        seconds = -self._left / RATE
        if not self._told:
            self._told = True
            socket.emit("notice", {"code": "slow", "seconds": math.ceil(10 * seconds) / 10})
        if socket.connected:
            await asyncio.sleep(seconds)
        if not socket.connected:
            # And so is what came behind it, or the texts would have a gap.
            self._dropping = True
            raise Refused("slow")


# ---- what clients ask


def answering(socket: Socket, handler: Callable[[Socket, Any], Awaitable[Answer]]) -> Callable[..., Awaitable[None]]:
    """A handler for one event of a client, whatever the client sends along."""

    async def answer(*sent: Any) -> None:
        asked = None if not sent or isinstance(sent[0], Ack) else sent[0]
        try:
            told = await handler(socket, asked)
        except Refused as refused:
            told = refused.answer
        if sent and isinstance(sent[-1], Ack):
            sent[-1](told)

    return answer


def checked(value: Any, kind: type[T]) -> T:
    if type(value) is not kind:
        raise Refused("form")
    return value


def read(asked: Any, name: str, kind: type[T], default: T | None = None) -> T:
    """A field of what a client has sent."""
    return checked(checked(asked, dict).get(name, default), kind)


def read_id(asked: Any, name: str) -> int | None:
    number = checked(asked, dict).get(name)
    if number is not None and not 0 <= checked(number, int) < 1 << 53:
        raise Refused("form")
    return number


def read_rooms(asked: Any) -> list[str]:
    """The rooms that are named, each once."""
    rooms = read(asked, "rooms", list, [])
    return list(dict.fromkeys(checked(room, str) for room in rooms))


def named(socket: Socket) -> User:
    user: User | None = socket.data.get("user")
    if user is None:
        raise Refused("name")
    return user


def owner_of(key: str) -> str:
    if not 16 <= len(key) <= 200:
        raise Refused("key")
    return "@" + hashlib.sha256(key.encode()).hexdigest()


def check_in(user: User, room: str) -> None:
    if room not in user.rooms:
        raise Refused("not in", room=room[:MAX_NAME])


def audience_of(room: str) -> str:
    return "#" + room


def dismiss(socket: Socket) -> None:
    """Its name is somewhere else now."""
    socket.emit("notice", {"code": "replaced"})
    socket.disconnect()


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
