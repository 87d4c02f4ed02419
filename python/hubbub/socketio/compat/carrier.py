"""The server of `hubbub.socketio` that carries a server of python-socketio's kind, and its sockets.

A socket here has no handlers of its own: every event is for its owner's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet, WeakValueDictionary

from hubbub._callables import must_wait
from hubbub.hub import Hub
from hubbub.socketio.acks import Ack
from hubbub.socketio.compat.exceptions import ConnectionRefusedError as Refused
from hubbub.socketio.errors import ConnectError
from hubbub.socketio.packets import number_text
from hubbub.socketio.server import Server as SocketIo
from hubbub.socketio.socket import DISMISSED, Socket
from hubbub.socketio.steps import Steps

if TYPE_CHECKING:
    from hubbub.socketio.namespace import Namespace

__all__ = ["Carried", "Carrier"]

#: Why a socket has ended, in the words of python-socketio.
REASONS = {
    "client namespace disconnect": "client disconnect",
    "server namespace disconnect": "server disconnect",
    "forced server close": "server disconnect",
    "server shutting down": "server disconnect",
    "transport close": "transport close",
    "transport error": "transport error",
    "ping timeout": "ping timeout",
    "parse error": "transport error",
    "forced close": "transport error",
}


class Owner(Protocol):
    """The server of python-socketio's kind whose handlers are called: `BaseServer`."""

    always_connect: bool
    #: Sockets whose ``disconnect`` handler is under way, by id.
    _ending: dict[str, Carried]

    def _accepts(self, name: str) -> bool: ...
    def _called(self, event: str, namespace: str, args: tuple[Any, ...]) -> Callable[[], Any] | None: ...
    def _environ_of(self, socket: Carried) -> dict[str, Any]: ...
    def _run(self, call: Callable[[], Any]) -> Any: ...


class Carried(Socket):
    """A client in a namespace."""

    __slots__ = ("__weakref__", "held")

    #: What sends it something, as long as its ``connect`` handler has not decided.
    held: list[Callable[[Carried], Any]]

    def hold(self, send: Callable[[Carried], Any]) -> None:
        """Calls `send` when it is connected."""
        self.held.append(send)

    def join(self, *rooms: str | Iterable[str]) -> None:
        super().join(*rooms)
        carrier = carrier_of(self)
        if carrier.undecided.get(self.id) is self:
            carrier.early.add(self)

    def _take_event(self, args: list[Any], ack_id: int | None, size: int) -> None:
        self._run_in_order(self._event_steps(args, ack_id), size)

    def _event_steps(self, args: list[Any], ack_id: int | None) -> Steps:
        if self._reason == DISMISSED or not args:
            return
        event = args[0] if isinstance(args[0], str) else number_text(args[0])
        call = owner(self)._called(event, self.nsp.name, (self.id, *args[1:]))
        if call is None:
            return
        try:
            result = owner(self)._run(call)
            if must_wait(result):
                result = yield result
            if ack_id is not None:
                Ack(self._send, ack_id)(*(result if isinstance(result, tuple) else () if result is None else (result,)))
        except Exception as error:
            self._failed(event, error)

    def _end_steps(self, reason: str, description: Any) -> Steps:
        self._clean_up()
        # Its session and its rooms can be asked for until its handler has heard of it.
        owner(self)._ending[self.id] = self
        try:
            call = owner(self)._called("disconnect", self.nsp.name, (self.id, REASONS.get(reason, reason)))
            if call is not None:
                result = owner(self)._run(call)
                if must_wait(result):
                    yield result
        except Exception as error:
            self._failed("disconnect", error)
        finally:
            owner(self)._ending.pop(self.id, None)


def carrier_of(socket: Socket) -> Carrier:
    carrier = socket.nsp.server
    assert isinstance(carrier, Carrier)
    return carrier


def owner(socket: Socket) -> Owner:
    return carrier_of(socket).owner


class Carrier(SocketIo):
    """Asks its owner about everything."""

    _socket_type = Carried

    def __init__(self, owner: Owner, hub: Hub, path: str, **options: Any) -> None:
        super().__init__(hub, path, **options)
        self.owner = owner
        #: Sockets whose ``connect`` handler has not decided.
        self.undecided: WeakValueDictionary[str, Carried] = WeakValueDictionary()
        #: Those among them that are to be in rooms already.
        self.early: WeakSet[Carried] = WeakSet()
        others = self.of(lambda name, auth: owner._accepts(name))
        for nsp in (self.sockets, others):
            nsp.use(self._ask)
            nsp.on("connection", self._connected)

    def find(self, sid: str, namespace: str) -> Carried | None:
        """A socket that is connected, or about to be."""
        nsp = self._nsps.get(namespace)
        found = None if nsp is None else nsp.sockets.get(sid)
        if found is None:
            found = self.undecided.get(sid) or self.owner._ending.get(sid)
        return found if isinstance(found, Carried) and found.nsp.name == namespace else None

    def select(self, namespace: str, rooms: list[str] | None) -> set[Socket]:
        """The sockets in any of the rooms; ``None``: all in the namespace."""
        nsp = self._nsps.get(namespace)
        return set() if nsp is None else nsp.adapter.select(rooms)

    def undecided_in(self, nsp: Namespace, rooms: list[str] | None, skip: list[str]) -> list[Carried]:
        """Those whose handler has not decided, and that an event is for."""
        asked: Iterable[Carried]
        if rooms is None:
            asked = self.undecided.values()
        else:
            # Many may be undecided while each of them sends to a room: only those that may be in it are looked at.
            asked = {*self.early, *(self.undecided[room] for room in rooms if room in self.undecided)}
        return [
            socket
            for socket in asked
            if socket.nsp is nsp
            and socket.id not in skip
            and (rooms is None or socket.id in rooms or not socket.rooms.isdisjoint(rooms))
        ]

    # ---- coming

    def _ask(self, socket: Carried) -> Any:
        if not self.owner._accepts(socket.nsp.name):
            raise ConnectError("Unable to connect")
        socket.held = []
        if not self.owner.always_connect:
            self.undecided[socket.id] = socket
            return self._decided(socket)
        return None

    def _connected(self, socket: Carried) -> Any:
        self.undecided.pop(socket.id, None)
        self.early.discard(socket)
        held, socket.held = socket.held, []
        for send in held:
            send(socket)
        return self._decided_afterwards(socket) if self.owner.always_connect else None

    def _decided(self, socket: Carried) -> Any:
        """Calls the handler; raises if it does not want the client. What must be awaited for that is returned."""
        try:
            result = self._handler_result(socket)
        except Exception as error:
            raise refusal(error) from error
        if must_wait(result):
            return self._decided_later(result)
        if result is False:
            raise refusal(Refused())
        return None

    async def _decided_later(self, result: Any) -> None:
        try:
            result = await result
        except Exception as error:
            raise refusal(error) from error
        if result is False:
            raise refusal(Refused())

    async def _decided_afterwards(self, socket: Carried) -> None:
        try:
            result = self._handler_result(socket)
            if (await result if must_wait(result) else result) is False:
                raise Refused
        except (Refused, ConnectionRefusedError):
            socket.disconnect()

    def _handler_result(self, socket: Carried) -> Any:
        owner, auth = self.owner, socket.handshake.auth or None
        args = (socket.id, owner._environ_of(socket), auth)
        call = owner._called("connect", socket.nsp.name, args)
        return None if call is None else owner._run(call)


def refusal(error: Exception) -> Exception:
    """What the client is told, if it is meant for it."""
    if isinstance(error, Refused):
        told = error.error_args
        return ConnectError(told["message"], told.get("data"))
    if isinstance(error, ConnectionRefusedError):
        return ConnectError("Connection refused by server")
    return error
