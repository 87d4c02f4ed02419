"""A client in a namespace, as handlers see it."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hubbub._callables import IGNORED, check_callable, must_wait
from hubbub._failures import failure_of, tell_hidden
from hubbub.errors import TooManyRooms
from hubbub.socketio.acks import Ack, Debt, Reply, as_result, calling, split_callback
from hubbub.socketio.client import NOTHING
from hubbub.socketio.emitter import Emitter, Handler, arity, call, fitting, takes_ack
from hubbub.socketio.errors import AckLost, AckTimeout, is_gone
from hubbub.socketio.handshake import Handshake
from hubbub.socketio.lane import Lane
from hubbub.socketio.middleware import WrongAnswer, ask, check_middleware
from hubbub.socketio.operators import (
    PLAIN,
    Broadcasting,
    BroadcastOperator,
    BroadcastOptions,
    SocketOperator,
    room_names,
)
from hubbub.socketio.packets import DISCONNECT, EVENT, check_event, number_text
from hubbub.socketio.steps import Steps, begin

if TYPE_CHECKING:
    from hubbub.request import Request
    from hubbub.rooms import Session
    from hubbub.socketio.client import Client
    from hubbub.socketio.namespace import Namespace
    from hubbub.socketio.recovery import PersistedSession

__all__ = ["Socket", "new_id"]

logger = logging.getLogger("hubbub")

H = TypeVar("H", bound=Handler)

#: The reason of those that we have put out of the namespace.
DISMISSED = "server namespace disconnect"


class Socket(Emitter, Broadcasting):
    """One client in one namespace. Made by the server, given to ``connection`` handlers.

    Events of one socket are handled in order. A function is called as soon as the event has come; while a coroutine
    handler is under way, what comes later waits for it (see ``concurrency`` of `Server`). Acknowledgements do not wait.

    Attributes:
        id: a new one for each connection, unless it was recovered. Other clients may know it.
        nsp: the namespace.
        data: anything that the program wants to keep with the client. It outlives a connection that is recovered.
        connected: it can be sent to.
        recovered: the client was here before, and has its id, rooms and data again.
    """

    __slots__ = (
        "_any",
        "_any_outgoing",
        "_client",
        "_data",
        "_debts",
        "_handshake",
        "_in_own_room",
        "_lane",
        "_middlewares",
        "_reason",
        "_rooms",
        "_session",
        "connected",
        "id",
        "nsp",
        "recovered",
    )

    def __init__(self, nsp: Namespace, client: Client, auth: dict[str, Any]) -> None:
        super().__init__()
        self.nsp = nsp
        self.id = new_id()
        self.connected = False
        self.recovered = False
        self._client = client
        self._data: Any = None
        #: The auth and the time; what is more of it is made when it is asked for.
        self._handshake: Handshake | tuple[dict[str, Any] | None, float] = (auth or None, time.time())
        #: What it has joined; before it is connected, what it is to join.
        self._rooms: set[str] | None = None
        self._in_own_room = False
        #: Why it has ended.
        self._reason: str | None = None
        self._lane: Lane | None = None
        self._debts: dict[int, Debt] | None = None
        self._middlewares: tuple[Handler, ...] = ()
        self._any: tuple[Handler, ...] = ()
        self._any_outgoing: tuple[Handler, ...] = ()
        self._session: PersistedSession | None = None

    # ---- what it is

    @property
    def disconnected(self) -> bool:
        """Not `connected`."""
        return not self.connected

    @property
    def data(self) -> Any:
        """Anything that the program wants to keep with the client; a dict to begin with."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data = data

    @property
    def rooms(self) -> set[str]:
        """The names of its rooms, its own id among them; once it has ended, of those that it was in."""
        rooms = set(self._rooms or ())
        if self._in_own_room or self._reason is not None:
            rooms.add(self.id)
        return rooms

    def is_in(self, room: str) -> bool:
        """Say whether it is in a room; its own id is the name of one."""
        return (room == self.id and self._in_own_room) or room in (self._rooms or ())

    @property
    def handshake(self) -> Handshake:
        """What the client has said of itself: ``auth``, ``headers``, ``query`` and more."""
        if isinstance(self._handshake, tuple):
            auth, issued = self._handshake
            self._handshake = Handshake(self._client.ws, auth if auth is not None else {}, issued)
        return self._handshake

    @property
    def conn(self) -> Session:
        """The session of the hub that carries it, and the client's other namespaces."""
        return self._client.ws

    @property
    def request(self) -> Request:
        """The request that opened the connection."""
        return self._client.ws.request

    # ---- handlers

    def use(self, middleware: H) -> H:
        """Adds a middleware, which is asked about each event before its handlers are called.

        It is called with the list ``[event, *arguments]``, which it may change; or with the list and ``next``. What it
        raises, or gives to ``next``, is told to ``error`` handlers of the socket, and the event is dropped.
        """
        check_middleware(middleware)
        self._middlewares = (*self._middlewares, middleware)
        return middleware

    def on_any(self, listener: H) -> H:
        """Adds a listener that is called with ``(event, *arguments)`` for each event, before its handlers."""
        self._any = (*self._any, check_callable("on_any", listener))
        return listener

    def prepend_any(self, listener: H) -> H:
        """The same, before the listeners that there are."""
        self._any = (check_callable("prepend_any", listener), *self._any)
        return listener

    def off_any(self, listener: Handler | None = None) -> None:
        """Takes away such a listener; all, if none is given."""
        self._any = without(self._any, listener)

    def listeners_any(self) -> list[Handler]:
        """The listeners for any event."""
        return list(self._any)

    def on_any_outgoing(self, listener: H) -> H:
        """Adds a listener that is called with ``(event, *arguments)`` for each event that is sent to the client.

        Broadcasts are among them. Acknowledgements are not.
        """
        self._any_outgoing = (*self._any_outgoing, check_callable("on_any_outgoing", listener))
        self.nsp._listening_outgoing(self)
        return listener

    def prepend_any_outgoing(self, listener: H) -> H:
        """The same, before the listeners that there are."""
        self._any_outgoing = (check_callable("prepend_any_outgoing", listener), *self._any_outgoing)
        self.nsp._listening_outgoing(self)
        return listener

    def off_any_outgoing(self, listener: Handler | None = None) -> None:
        """Takes away such a listener; all, if none is given."""
        self._any_outgoing = without(self._any_outgoing, listener)
        self.nsp._listening_outgoing(self)

    def listeners_any_outgoing(self) -> list[Handler]:
        """The listeners for any event that is sent."""
        return list(self._any_outgoing)

    # ---- sending

    def emit(self, event: str, *args: Any) -> Any:
        """Sends an event to the client, at once.

        Args:
            event: any name but the reserved ones (``"connect"``, ``"disconnect"`` and their like).
            args: whatever JSON has, and ``bytes``, at any depth. If the last one is a function, the client is asked to
                acknowledge, and it is called with what the client says.

        Returns:
            Something to await, which may be ignored: it is done as soon as not much waits to be written.
            What is sent to a client that has gone is dropped.

        Raises:
            TypeError: JSON has nothing like some argument.
            ValueError: the name is reserved.
        """
        if self._any_outgoing or self.nsp._recovery is not None or (args and callable(args[-1])):
            return self._emit(PLAIN, event, args)
        if type(event) is not str:
            check_event(event)
        if self._reason is not None:
            return NOTHING
        nsp = self.nsp
        return nsp._send_packet(self._client.ws, EVENT, nsp.name, None, (event, *args))

    def emit_with_ack(self, event: str, *args: Any) -> Reply:
        """Sends an event, and asks the client to acknowledge it.

        Returns:
            Await it for what the client says: the value, ``None`` for nothing, a tuple for several. `AckLost`: the
            client has gone. Without a `timeout` there is no other end to it.
        """
        return self._emit_with_ack(PLAIN, event, args)

    def send(self, *args: Any) -> Any:
        """``emit("message", ...)``."""
        return self.emit("message", *args)

    write = send

    def timeout(self, seconds: float) -> SocketOperator:
        """How long the client has to acknowledge: ``await socket.timeout(5).emit_with_ack("event")``."""
        return SocketOperator(self).timeout(seconds)

    def compress(self, compress: bool) -> SocketOperator:
        """As in JavaScript. It changes nothing: messages of Socket.IO are not compressed here."""
        return SocketOperator(self).compress(compress)

    @property
    def volatile(self) -> SocketOperator:
        """What is sent by this is left out if the client cannot be sent anything just now."""
        return SocketOperator(self).volatile

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everyone in the namespace but this socket."""
        return self._operator()

    # ---- rooms

    def join(self, *rooms: str | Iterable[str]) -> None:
        """Puts it into rooms, at once: ``join("a")``, ``join("a", "b")`` or ``join(["a", "b"])``.

        Raises:
            TooManyRooms: it would be in more rooms, its own not counted, than `Limits.rooms_per_session`; it has joined
                none of them.
        """
        names = room_names(rooms)
        if self._reason is not None:
            return
        most = self.nsp.server.hub.limits.rooms_per_session
        joined = self._rooms or ()
        if most is not None and len(joined) + len(names) > most:
            further = {name for name in names if name != self.id and name not in joined}
            if len(joined) + len(further) > most:
                raise TooManyRooms(most)
        for name in names:
            if self.connected:
                self.nsp.adapter.add(self, name)
            elif name != self.id:
                # A middleware may say so: it enters when it is let in.
                self._rooms = {*(self._rooms or ()), name}

    def leave(self, room: str) -> None:
        """Takes it out of a room, at once."""
        if self.connected:
            self.nsp.adapter.remove(self, room)
        elif self._reason is None and self._rooms is not None:
            self._rooms.discard(room)

    # ---- the end

    def disconnect(self, close: bool = False) -> None:
        """Puts the client out of the namespace.

        Args:
            close: close its connection as well, and so end it in all namespaces.
        """
        if not self.connected:
            return
        self.nsp.server.scheduler.take_over()
        if close:
            for socket in self._client.sockets:
                socket.disconnect()
            self._client.close("forced server close")
        else:
            self._send(DISCONNECT, None, None)
            self._end(DISMISSED, None)

    # ---- how: in

    def _take_event(self, args: list[Any], ack_id: int | None, size: int) -> None:
        """An event has come."""
        if self._lane is not None:
            self._lane.take(self._event_steps(args, ack_id), size)
            return
        if ack_id is None and not self._any and not self._middlewares:
            # PERF: most events are for one function, and need no steps.
            listeners = self._listeners.get(args[0]) if type(args[0]) is str else None
            if listeners is None and type(args[0]) is str:
                return
            if listeners is not None and len(listeners) == 1 and args[0] != "error":
                try:
                    result = call(listeners[0], args[1:])
                except Exception as error:
                    self._failed(args[0], error)
                    return
                if result is not None and must_wait(result):
                    self._run(self._awaiting(args[0], result))
                return
        self._run(self._event_steps(args, ack_id))

    def _run(self, steps: Steps) -> None:
        """Runs steps for which nothing has to wait, and goes on with them in a task if they have to."""
        awaitable = begin(steps)
        if awaitable is not None:
            if self._lane is None:
                self._lane = Lane(self, self._client)
            self._lane.go_on(steps, awaitable)

    def _awaiting(self, event: str, result: Any) -> Steps:
        try:
            yield result
        except Exception as error:
            self._failed(event, error)

    def _event_steps(self, args: list[Any], ack_id: int | None) -> Steps:
        if self._reason == DISMISSED:
            return  # We have put it out before it was this event's turn.
        for middleware in self._middlewares:
            try:
                yield from ask(middleware, args, self.nsp.server.scheduler.bridge)
            except Exception as error:
                if isinstance(error, WrongAnswer):
                    self._failed(args[0] if args else "", error)
                yield from self._error_steps(error)
                return
        if not args:
            return
        ack = None if ack_id is None else Ack(self._send, ack_id)
        for listener in self._any:
            try:
                result = call(listener, self._arguments(listener, args, ack))
                if must_wait(result):
                    yield result
            except Exception as error:
                self._failed("any", error)
        yield from self._handler_steps(args, ack)

    def _handler_steps(self, args: list[Any], ack: Ack | None) -> Steps:
        event = args[0] if isinstance(args[0], str) else number_text(args[0])
        if event == "error":
            return  # That is how a socket tells its own errors: no client does.
        answers, answer, heard = ack is not None, None, False
        for handler in self._listeners.get(event, ()):
            arguments = self._arguments(handler, args[1:], ack)
            if len(arguments) == len(args):
                answers = False  # It has the acknowledgement, to be called when it likes.
            try:
                result = call(handler, arguments)
                if must_wait(result):
                    result = yield result
            except Exception as error:
                self._failed(event, error)
                continue
            heard = True
            if ack is not None and not answers and not ack.called and arity(handler)[1] is None:
                logger.debug(
                    "the handler of %r for %r takes *args, so the acknowledgement is the last of them: it has returned "
                    "without calling it",
                    event,
                    self,
                )
            if answer is None and not isinstance(result, IGNORED):
                answer = result
        if ack is not None and answers and heard:
            try:
                ack(*(answer if isinstance(answer, tuple) else () if answer is None else (answer,)))
            except Exception as error:
                self._failed(event, error)

    def _arguments(self, handler: Handler, args: list[Any], ack: Ack | None) -> list[Any]:
        return [*args, ack] if ack is not None and takes_ack(handler, len(args)) else args

    def _take_ack(self, ack_id: int | None, args: list[Any]) -> None:
        """The client has acknowledged something; what nobody waits for is ignored."""
        if ack_id is None:
            return
        debt = None if self._debts is None else self._debts.pop(ack_id, None)
        if debt is not None:
            debt.settle(None, args)
        else:
            self.nsp._take_ack(self, ack_id, args)

    def _failed(self, event: str, error: BaseException) -> None:
        # That the client has gone is no error of the handler's, unless it is what the handler was told.
        may_be_gone = not self.connected and event not in ("disconnect", "disconnecting")
        failure = failure_of(error, is_gone) if may_be_gone else error
        if failure is not None:
            logger.error("the handler of %r has failed for %r", event, self, exc_info=failure)
        else:
            tell_hidden(error, is_gone, self)

    def _tell_error(self, error: Exception) -> None:
        self._run_in_order(self._error_steps(error))

    def _run_in_order(self, steps: Steps, size: int = 0) -> None:
        if self._lane is not None:
            self._lane.take(steps, size)
        else:
            self._run(steps)

    def _error_steps(self, error: Exception) -> Steps:
        return self.nsp.server.scheduler.notify_steps(self._listeners.get("error", ()), "error", error)

    # ---- how: out

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self.nsp, BroadcastOptions(except_=(self.id,)))

    def _send(self, kind: int, ack_id: int | None, data: Sequence[Any] | None) -> Any:
        if self._reason is not None:
            return NOTHING  # Its connection may go on, and be in the namespace again as somebody else.
        return self.nsp._send_packet(self._client.ws, kind, self.nsp.name, ack_id, data)

    def _write(self, messages: Sequence[str | bytes], *, compress: bool = True, volatile: bool = False) -> Any:
        if self._reason is not None:
            return NOTHING  # Its connection may go on, and be in the namespace again as somebody else.
        return self._client.send(messages, compress=compress, volatile=volatile)

    def _emit(self, how: BroadcastOptions, event: str, args: tuple[Any, ...]) -> Any:
        args, callback = split_callback(args)
        if callback is not None:
            told = calling(callback, self.nsp.server.scheduler.bridge, error_first=how.timeout is not None)
            return self._emit_for_ack(how, event, args, told)[1]
        return self.nsp._emit_to_one(self, how, event, args)

    def _emit_with_ack(self, how: BroadcastOptions, event: str, args: tuple[Any, ...]) -> Reply:
        reply = Reply(self.nsp.server.scheduler.bridge)

        def told(error: Exception | None, args: Sequence[Any]) -> None:
            reply.settle(error, as_result(args))

        ack_id, _ = self._emit_for_ack(how, event, args, told)
        reply.on_given_up(lambda: self._settle(ack_id, None))
        return reply

    def _emit_for_ack(self, how: BroadcastOptions, event: str, args: tuple[Any, ...], told: Any) -> tuple[int, Any]:
        check_event(event)
        ack_id = next(self.nsp._ack_ids)
        messages = self.nsp._encode(EVENT, self.nsp.name, ack_id, (event, *args))
        debt = Debt(told)
        if self._reason is not None:
            debt.settle(AckLost(self._reason), ())
            return ack_id, None
        if self._debts is None:
            self._debts = {}
        self._debts[ack_id] = debt
        if how.timeout is not None:
            debt.due(self.nsp.server.scheduler.bridge, how.timeout, lambda: self._settle(ack_id, AckTimeout()))
        self.nsp._tell_outgoing_to(self, event, args)
        return ack_id, self._write(messages, compress=how.compress, volatile=how.volatile)

    def _settle(self, ack_id: int, error: Exception | None) -> None:
        debt = None if self._debts is None else self._debts.pop(ack_id, None)
        if debt is not None:
            debt.settle(error, ())

    def _tell_outgoing(self, event: str, args: Sequence[Any]) -> None:
        for listener in self._any_outgoing:
            try:
                result = listener(event, *args)
                if must_wait(result):
                    self.nsp.server.scheduler.await_result(result, "any outgoing event")
            except Exception as error:
                self._failed("any outgoing event", error)

    # ---- how: the end

    def _end(self, reason: str, description: Any) -> None:
        """It is out of the namespace."""
        if self._reason is not None or not self.connected:
            return
        self._reason = reason
        if self._lane is not None:
            if reason == DISMISSED:
                self._lane.drop_waiting()
            # It is out at once; its handlers hear of it when they have heard of everything before.
            self._clean_up()
            self._lane.take_last(self._end_steps(reason, description))
        else:
            self._run(self._end_steps(reason, description))

    def _end_steps(self, reason: str, description: Any) -> Steps:
        waiting: list[Any] = []
        for handler in self._listeners.get("disconnecting", ()):
            try:
                result = handler(*fitting(handler, reason, description))
                if must_wait(result):
                    waiting.append(result)
            except Exception as error:
                self._failed("disconnecting", error)
        self._clean_up()
        for result in waiting:
            yield from self._awaiting("disconnecting", result)
        yield from self.nsp.server.scheduler.notify_steps(
            self._listeners.get("disconnect", ()), "disconnect", reason, description
        )

    def _clean_up(self) -> None:
        if not self.connected:
            return
        self.connected = False
        reason = self._reason or ""
        self.nsp._remove(self)
        self._client.left(self.nsp.name, dismissed=reason == DISMISSED)
        debts, self._debts = self._debts, None
        for debt in (debts or {}).values():
            debt.settle(AckLost(reason), ())

    def __repr__(self) -> str:
        return f"<Socket {self.id} {self.nsp.name!r}>"


def new_id() -> str:
    """A name of 20 characters that nobody can guess: 120 random bits."""
    return secrets.token_urlsafe(15)


def without(listeners: tuple[Handler, ...], listener: Handler | None) -> tuple[Handler, ...]:
    if listener is None:
        return ()
    kept = list(listeners)
    if listener in kept:
        kept.remove(listener)
    return tuple(kept)
