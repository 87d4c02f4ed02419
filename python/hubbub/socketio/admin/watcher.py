"""Development mode: what sockets do, told as it happens, for as long as a page is open.

Nothing is kept or told while nobody looks. What is told goes by the core's broadcasts, so a page that does not read is
what any client is that does not; and each interval there is only so much of it.
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from hubbub.socketio.admin.figures import MAX_NAME_CHARS
from hubbub.socketio.admin.preview import preview
from hubbub.socketio.operators import PLAIN
from hubbub.socketio.packets import EVENT
from hubbub.socketio.socket import Socket

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hubbub.socketio.namespace import Namespace
    from hubbub.socketio.operators import BroadcastOptions
    from hubbub.socketio.server import Server

__all__ = ["Watcher"]

#: Details that are told in one interval; their bytes are at most half of ``Limits.outbox_bytes``.
MAX_DETAILS = 1_000

#: Sockets that a page is shown when it comes.
MAX_LISTED = 5_000

#: Sockets that are looked at in one interval, whether their data or transport has changed.
MAX_COMPARED = 1_000

#: Rooms that are told of a socket when it is told of.
MAX_ROOMS = 100

#: Characters of a request's header fields that are told, about.
MAX_HEADER_CHARS = 4_000

#: Header fields whose values are left out: whoever has them is somebody else.
SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})

#: What a socket is compared by: its transport, and its data as the page has it.
State = tuple[str, Any]


class Watcher:
    """Follows the sockets of all namespaces.

    Attributes:
        left_out: what was too much to be told; a broadcast counts once.
    """

    def __init__(self, server: Server, admin: Namespace) -> None:
        self._server = server
        self._admin = admin
        #: Kinds of sockets, and those of their kind that are watched.
        self._kinds: dict[type[Socket], type[Socket]] = {}
        self._max_bytes = server.hub.limits.outbox_bytes // 2
        self._bytes_left = self._max_bytes
        self._details_left = MAX_DETAILS
        #: An event was too much for the bytes that are left: further ones are not even written.
        self._is_spent = False
        self.left_out = 0
        #: Something was left out that changes what there is: the page is to be given the list again.
        self._is_stale = False
        #: What pages were told of sockets.
        self._told: dict[Socket, State] = {}
        #: Pages that are being given the list.
        self._listing: set[Socket] = set()

    def watch(self, nsp: Namespace) -> None:
        """Begins to follow a namespace. Events of sockets that are in it already are not told."""
        if len(nsp.name) > MAX_NAME_CHARS:
            return
        nsp._watcher = self
        nsp.adapter.on("join-room", lambda room, sid: self._tell_room("room_joined", nsp, room, sid))
        nsp.adapter.on("leave-room", lambda room, sid: self._tell_room("room_left", nsp, room, sid))
        if nsp is not self._admin:
            kind = nsp._socket_type
            if kind not in self._kinds:
                self._kinds[kind] = watched(kind, self)
            nsp._socket_type = self._kinds[kind]

    @property
    def is_looked_at(self) -> bool:
        """A page is open."""
        return bool(self._admin.sockets)

    # ---- what happens

    def connected(self, socket: Socket) -> None:
        """A socket is in its namespace."""
        if self.is_looked_at:
            self._remember(socket)
            self._tell("socket_connected", described(socket), now())

    def disconnected(self, socket: Socket) -> None:
        """A socket is about to be taken out of its namespace."""
        self._told.pop(socket, None)
        if self.is_looked_at:
            self._tell("socket_disconnected", socket.nsp.name, socket.id, socket._reason, now(), but=socket)

    def received(self, socket: Socket, args: Sequence[Any]) -> None:
        """An event has come."""
        if self._admin.sockets and args and self._has_room(is_event=True):
            self._tell_event("event_received", socket, preview(args))

    def sent_to(self, socket: Socket, event: str, args: Sequence[Any]) -> None:
        """An event is sent to one socket."""
        if self.is_looked_at and socket.nsp is not self._admin and self._has_room(is_event=True):
            shown = preview((event, *args))
            self._here(lambda: self._tell_event("event_sent", socket, shown))

    def sent(self, nsp: Namespace, how: BroadcastOptions, event: str, args: Sequence[Any]) -> None:
        """An event is sent to many."""
        if self.is_looked_at and nsp is not self._admin and self._has_room(is_event=True):
            shown = preview((event, *args))
            self._here(lambda: self._tell_broadcast(nsp, how, shown))

    # ---- what there is

    def next_interval(self) -> None:
        """Further details may be told. Tells what has changed unseen."""
        self._bytes_left, self._details_left, self._is_spent = self._max_bytes, MAX_DETAILS, False
        if self._is_stale:
            # A page that is being given the list may have got what is old: it gets another one.
            self._is_stale = bool(self._listing)
            for page in list(self._admin.sockets.values()):
                self._server.scheduler.await_result(self.list_to(page), "all_sockets")
            return
        for socket in list(islice(self._told, MAX_COMPARED)):
            # To the end of the line, so that all have their turn.
            before = self._told.pop(socket)
            state = self._told[socket] = state_of(socket)
            if state != before:
                transport, data = state
                change = {"id": socket.id, "nsp": socket.nsp.name, "transport": transport, "data": data}
                self._tell("socket_updated", change)

    def forget(self) -> None:
        """Nobody looks any more."""
        self._told.clear()
        self._is_stale = False

    async def list_to(self, page: Socket) -> None:
        """Tells one page which sockets there are: as many as its outbox bears in a list, the others one by one."""
        if page in self._listing or not page.connected:
            return
        self._listing.add(page)
        try:
            nsps = [nsp for nsp in self._server.namespaces.values() if nsp._watcher is self]
            sockets = list(islice(chain.from_iterable(nsp.sockets.values() for nsp in nsps), MAX_LISTED))
            first, size = [], 0
            rest = iter(sockets)
            while size < self._max_bytes // 2 and (socket := next(rest, None)) is not None:
                first.append(self._remember(socket))
                size += len(json.dumps(first[-1]))
            await page.emit("all_sockets", first)
            for socket in rest:
                if not page.connected:
                    return
                if socket.connected:
                    await page.emit("socket_connected", self._remember(socket), iso(socket.handshake.issued))
        finally:
            self._listing.discard(page)

    def _remember(self, socket: Socket) -> dict[str, Any]:
        if len(self._told) < MAX_LISTED:
            self._told[socket] = state_of(socket)
        return described(socket)

    # ---- how

    def _tell_room(self, what: str, nsp: Namespace, room: str, sid: str) -> None:
        if self.is_looked_at and len(room) <= MAX_NAME_CHARS:
            self._tell(what, nsp.name, room, sid, now())

    def _tell_event(self, what: str, socket: Socket, shown: Any) -> bool:
        return self._tell(what, socket.nsp.name, socket.id, shown, now(), is_event=True)

    def _tell_broadcast(self, nsp: Namespace, how: BroadcastOptions, shown: Any) -> None:
        is_for_all = how.rooms is None and not how.except_
        receivers: Iterable[Socket]
        receivers = nsp.sockets.values() if is_for_all else nsp.adapter.select(how.rooms, how.except_)
        for socket in list(islice(receivers, self._details_left + 1)):
            if not self._tell_event("event_sent", socket, shown):
                return

    def _has_room(self, is_event: bool) -> bool:
        """Something may still be told in this interval; if not, what was to be told is counted."""
        if self._details_left > 0 and not (is_event and self._is_spent):
            return True
        self.left_out += 1
        return False

    def _tell(self, what: str, *args: Any, is_event: bool = False, but: Socket | None = None) -> bool:
        """``False``: it was not, nor would be what comes after it."""
        admin = self._admin
        if not admin.sockets:
            return False
        if self._has_room(is_event):
            messages = admin._encode(EVENT, admin.name, None, (what, *args))
            size = sum(map(size_of, messages))
            if size <= self._bytes_left:
                self._details_left -= 1
                self._bytes_left -= size
                # A page that goes is in its namespace no more, though it is in its rooms.
                except_ = (but.id,) if but is not None and but.nsp is admin else ()
                admin.adapter.broadcast(messages, None, except_, compress=True, volatile=False)
                return True
            self.left_out += 1
            self._is_spent |= is_event
        self._is_stale |= not is_event
        return False

    def _here(self, work: Any) -> None:
        """Does it in the event loop's thread: emitting is for all threads."""
        if self._server.scheduler.is_elsewhere():
            self._server.scheduler.hand_over(work)
        else:
            work()


def watched(kind: type[Socket], watcher: Watcher) -> type[Socket]:
    """Sockets of this kind whose events are told.

    A class of their own, so that all others do not have to ask at each event whether they are watched.
    """

    class Watched(kind):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def emit(self, event: str, *args: Any) -> Any:
            if watcher.is_looked_at:
                return self._emit(PLAIN, event, args)
            return super().emit(event, *args)

        def _take_event(self, args: list[Any], ack_id: int | None, size: int) -> None:
            watcher.received(self, args)
            super()._take_event(args, ack_id, size)

    return Watched


def described(socket: Socket) -> dict[str, Any]:
    """A socket, as the page is told of it."""
    handshake = socket.handshake
    transport, data = state_of(socket)
    headers = {name: "(not shown)" if name in SECRETS else value for name, value in handshake.headers.items()}
    return {
        "id": socket.id,
        "clientId": socket.conn.id,
        "transport": transport,
        "nsp": socket.nsp.name,
        "data": data,
        "handshake": {
            "address": handshake.address,
            "headers": preview(headers, MAX_HEADER_CHARS),
            "query": preview(handshake.query),
            "issued": int(handshake.issued * 1000),
            "secure": handshake.secure,
            "time": handshake.time,
            "url": preview(handshake.url),
            "xdomain": handshake.xdomain,
        },
        "rooms": [room for room in islice(socket.rooms, MAX_ROOMS) if len(room) <= MAX_NAME_CHARS],
    }


def state_of(socket: Socket) -> State:
    return socket.conn.transport, preview(socket._data) if socket._data is not None else {}


def size_of(message: str | bytes) -> int:
    """What a message takes on the wire, about."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())


def now() -> str:
    return iso(time.time())


def iso(seconds: float) -> str:
    """A time as JavaScript writes it: ``2026-01-31T12:00:00.000Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
