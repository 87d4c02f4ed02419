"""``sio.manager``: who is where. Rooms are the network's, in this one process: a manager is asked, and does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hubbub.socketio.compat.rooms import given_room, wire_rooms

if TYPE_CHECKING:
    from hubbub.socketio.compat.carrier import Carrier
    from hubbub.socketio.socket import Socket

__all__ = [
    "AsyncAioPikaManager",
    "AsyncManager",
    "AsyncRedisManager",
    "KafkaManager",
    "KombuManager",
    "Manager",
    "PubSubManager",
    "RedisManager",
    "ZmqManager",
]

T = TypeVar("T")

Rooms = dict[str, dict[Any, dict[str, str]]]


class ManagedServer(Protocol):
    """The server that a manager belongs to: `BaseServer`."""

    _carrier: Carrier | None

    def rooms(self, sid: str, namespace: str | None = None) -> list[Any]: ...
    def _look(self, look: Callable[[], T]) -> T: ...


class Manager:
    """What can be asked about the clients of a server. Each server has one."""

    server: ManagedServer | None = None

    def set_server(self, server: ManagedServer) -> None:
        """Is called by the server that it is of."""
        self.server = server

    def get_namespaces(self) -> list[str]:
        """The names of the namespaces that somebody is in."""
        return self._ask(lambda carrier: [name for name, nsp in carrier.namespaces.items() if nsp.sockets], [])

    def get_participants(self, namespace: str, room: Any = None) -> Iterator[tuple[str, str]]:
        """``(sid, eio_sid)`` of the clients in a room, or in a list of rooms; ``None``: of all in the namespace.

        The second is the id of the hub's session, which the namespaces of a client share.
        """
        rooms = None if room is None else wire_rooms(room)
        nobody: dict[str, str] = {}
        yield from self._ask(lambda carrier: ids(carrier.select(namespace, rooms)), nobody).items()

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """The rooms that a client is in."""
        return [] if self.server is None else self.server.rooms(sid, namespace)

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Its ``connect`` handler has let it in, and it has not gone."""

        def is_there(carrier: Carrier) -> bool:
            nsp = carrier.find_namespace(namespace)
            return nsp is not None and sid in nsp.sockets

        return self._ask(is_there, False)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """The id of the hub's session that carries a client."""
        return self._ask(lambda carrier: ids(carrier.select(namespace, [sid])).get(sid), None)

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The client that a session of the hub carries in a namespace."""
        return next((sid for sid, eio in self.get_participants(namespace) if eio == eio_sid), None)

    @property
    def rooms(self) -> Rooms:
        """``rooms[namespace][room][sid]`` is the id of the hub's session; everyone is in the room ``None``.

        It is made anew each time it is asked for; to change it changes nothing.
        """
        return self._ask(rooms_of, {})

    def _ask(self, question: Callable[[Carrier], T], otherwise: T) -> T:
        server = self.server
        carrier = None if server is None else server._carrier
        return otherwise if server is None or carrier is None else server._look(lambda: question(carrier))


class AsyncManager(Manager):
    """The same, of an `AsyncServer`. What is here are functions with python-socketio, too."""


def ids(sockets: Iterable[Socket]) -> dict[str, str]:
    return {socket.id: socket.conn.id for socket in sockets}


def rooms_of(carrier: Carrier) -> Rooms:
    found: Rooms = {}
    for name, nsp in carrier.namespaces.items():
        for socket in nsp.sockets.values():
            here = found.setdefault(name, {None: {}})
            for room in (None, *map(given_room, socket.rooms)):
                here.setdefault(room, {})[socket.id] = socket.conn.id
    return found


class PubSubManager(Manager):
    """Raises `NotImplementedError`, as those that follow: there is one process, and nobody to share rooms with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            f"there is no {type(self).__name__} here: rooms are those of one process. There are Manager and "
            "AsyncManager, which a server has anyway"
        )


class RedisManager(PubSubManager):
    """Not here."""


class KombuManager(PubSubManager):
    """Not here."""


class KafkaManager(PubSubManager):
    """Not here."""


class ZmqManager(PubSubManager):
    """Not here."""


class AsyncRedisManager(PubSubManager):
    """Not here."""


class AsyncAioPikaManager(PubSubManager):
    """Not here."""
