"""Acknowledgements: what handlers give clients, and what clients owe us."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from hubbub._callables import must_wait
from hubbub._failures import ends_task
from hubbub.socketio.emitter import Handler, arity
from hubbub.socketio.packets import ACK

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Timer

__all__ = ["Ack", "BroadcastDebt", "Debt", "Reply", "as_result", "calling", "split_callback"]

logger = logging.getLogger("hubbub")

#: Is told the outcome: an error, or ``None`` and the arguments of the acknowledgement.
Told = Callable[[Exception | None, Sequence[Any]], None]


class Ack:
    """What a handler is given as its last argument when the client waits for an acknowledgement: call it once.

    Its arguments are those of the client's callback. Calling it again, or when the client has gone, does nothing.
    """

    __slots__ = ("_id", "_send", "called")

    def __init__(self, send: Callable[[int, int, tuple[Any, ...]], object], ack_id: int) -> None:
        self._send = send
        self._id = ack_id
        #: It has been called.
        self.called = False

    def __call__(self, *args: Any) -> None:
        if not self.called:
            self._send(ACK, self._id, args)
            self.called = True


class Debt:
    """One acknowledgement that a client owes.

    `settle` tells the outcome, once: an error, or ``None`` and the arguments of the acknowledgement.
    """

    __slots__ = ("_timer", "_told")

    def __init__(self, told: Told) -> None:
        self._told: Told | None = told
        self._timer: Timer | None = None

    def due(self, bridge: Bridge, seconds: float, late: Callable[[], object]) -> None:
        """Calls `late` if it is not settled by then."""
        self._timer = bridge.call_later(seconds, late)

    def settle(self, error: Exception | None, args: Sequence[Any]) -> None:
        told, self._told = self._told, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if told is not None:
            told(error, args)


class BroadcastDebt(Debt):
    """What all clients of one broadcast owe together."""

    __slots__ = ("_waiting", "responses")

    def __init__(self, told: Told, sockets: set[Any]) -> None:
        super().__init__(told)
        self._waiting = sockets
        self.responses: list[Any] = []

    @property
    def is_complete(self) -> bool:
        return not self._waiting

    def answer(self, socket: object, args: Sequence[Any]) -> None:
        """Takes one client's answer. Who was not asked, or answers again, is not heard."""
        if socket in self._waiting:
            self._waiting.discard(socket)
            self.responses.append(as_result(args))


class Reply:
    """Awaits an acknowledgement. The event was sent when this was made, whether it is awaited or not."""

    __slots__ = ("_error", "_flag", "_forget", "_value")

    def __init__(self, bridge: Bridge) -> None:
        self._flag = bridge.flag()
        self._error: Exception | None = None
        self._value: Any = None
        self._forget: Callable[[], object] | None = None

    def on_given_up(self, forget: Callable[[], object]) -> None:
        """Calls `forget` if whoever awaits it is cancelled before it has come."""
        if not self._flag.is_set():
            self._forget = forget

    def settle(self, error: Exception | None, value: Any) -> None:
        self._error, self._value, self._forget = error, value, None
        self._flag.set()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        try:
            await self._flag.wait()
        finally:
            if self._forget is not None:
                self._forget()
        if self._error is not None:
            raise self._error
        return self._value


def as_result(args: Sequence[Any]) -> Any:
    """What a client has acknowledged with: nothing is ``None``, one value is itself, several are a tuple."""
    return args[0] if len(args) == 1 else tuple(args) or None


def split_callback(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Handler | None]:
    """The arguments of an event, and the function behind them that is to be called when it is acknowledged."""
    return (args[:-1], args[-1]) if args and callable(args[-1]) else (args, None)


def calling(callback: Handler, bridge: Bridge, *, error_first: bool) -> Told:
    """Tells a callback: the arguments alone, or behind an error that is ``None`` if all went well."""

    def told(error: Exception | None, args: Sequence[Any]) -> None:
        if error is not None and not error_first:
            return
        given = (error, *args) if error_first else tuple(args)
        if error is not None:
            # The answer's arguments are missing then, as they are in JavaScript.
            given += (None,) * (arity(callback)[0] - len(given))
        try:
            result = callback(*given)
        except Exception:
            logger.exception("the callback of an acknowledgement has failed")
        else:
            if must_wait(result):
                bridge.spawn(lambda: awaited(result), "the callback of an acknowledgement")

    return told


async def awaited(result: Any) -> None:
    try:
        await result
    except BaseException as error:
        if ends_task(error):
            raise
        logger.exception("the callback of an acknowledgement has failed")
