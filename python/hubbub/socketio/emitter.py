"""Who listens to what: a table of handlers by the names of events."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any, TypeVar, overload

from hubbub._callables import check_callable

__all__ = ["Emitter", "Handler", "arity", "call", "fitting", "takes_ack"]

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)

#: A parameter of this name that has a default is still meant for the acknowledgement.
ACK_NAMES = frozenset({"ack", "callback"})


#: No handlers at all: many sockets share it. It stays empty.
NOBODY: dict[str, tuple[Handler, ...]] = {}


class Emitter:
    """Handlers by event. Several may listen to one event; they are called in the order in which they were added."""

    __slots__ = ("_listeners",)

    #: The events that there are, and what is said of all others; ``None``: any.
    _events: tuple[tuple[str, ...], str] | None = None

    def __init__(self) -> None:
        # INVARIANT: a tuple is replaced, never changed: a handler may add and remove others while it is called.
        self._listeners: dict[str, tuple[Handler, ...]] = NOBODY

    @overload
    def on(self, event: str, handler: H, /) -> H: ...
    @overload
    def on(self, event: str, handler: None = None, /) -> Callable[[H], H]: ...
    def on(self, event: str, handler: Handler | None = None, /) -> Any:
        """Adds a handler, ``def`` or ``async def``; ``@socket.on("event")`` or ``socket.on("event", handler)``."""
        self._check_event(event)

        def add(handler: H) -> H:
            self._add(event, check_callable(f"on({event!r})", handler), handler)
            return handler

        return add if handler is None else add(handler)

    @overload
    def once(self, event: str, handler: H, /) -> H: ...
    @overload
    def once(self, event: str, handler: None = None, /) -> Callable[[H], H]: ...
    def once(self, event: str, handler: Handler | None = None, /) -> Any:
        """Adds a handler for the next such event alone."""
        self._check_event(event)

        def add(handler: H) -> H:
            self._add(event, Once(self, event, check_callable(f"once({event!r})", handler)), handler)
            return handler

        return add if handler is None else add(handler)

    def off(self, event: str | None = None, handler: Handler | None = None, /) -> None:
        """Takes away a handler; without one, all of the event's; without an event, all there are."""
        if event is None:
            self._listeners = NOBODY
            return
        if handler is None:
            left: tuple[Handler, ...] = ()
        else:
            # As EventEmitter does: the one that was added last, and no other.
            kept = list(self._listeners.get(event, ()))
            at = next((at for at in reversed(range(len(kept))) if unwrapped(kept[at]) == handler), None)
            if at is not None:
                del kept[at]
            left = tuple(kept)
        if left:
            self._listeners[event] = left
        else:
            self._listeners.pop(event, None)

    def listeners(self, event: str) -> list[Handler]:
        """The handlers of an event."""
        return [unwrapped(handler) for handler in self._listeners.get(event, ())]

    def _check_event(self, event: str) -> None:
        check_name(event)
        if self._events is not None and event not in self._events[0]:
            raise ValueError(self._events[1].format(event=repr(event), events=", ".join(self._events[0])))

    def _add(self, event: str, listener: Handler, handler: Handler) -> None:
        if self._listeners is NOBODY:
            self._listeners = {}
        self._listeners[event] = (*self._listeners.get(event, ()), listener)


class Once:
    """A handler that goes when it is called."""

    __slots__ = ("_emitter", "_event", "handler")

    def __init__(self, emitter: Emitter, event: str, handler: Handler) -> None:
        self._emitter = emitter
        self._event = event
        self.handler = handler

    def __call__(self, *args: Any) -> Any:
        listeners = self._emitter._listeners
        left = tuple(other for other in listeners.get(self._event, ()) if other is not self)
        if left:
            listeners[self._event] = left
        else:
            listeners.pop(self._event, None)
        return self.handler(*args)


def unwrapped(listener: Handler) -> Handler:
    """The handler as it was given."""
    return listener.handler if isinstance(listener, Once) else listener


def check_name(event: object) -> None:
    """Raises `TypeError` for what is no name of an event."""
    if callable(event):
        raise TypeError('the name of an event comes first: @on("event"), or on("event", handler)')
    if not isinstance(event, str):
        raise TypeError(f"an event's name is str, not {type(event).__name__}")


def arity(handler: Handler) -> tuple[int, int | None, str | None]:
    """How many positional arguments it needs, how many it takes (``None``: any number), the last one's name."""
    handler = unwrapped(handler)
    bound = isinstance(handler, MethodType)
    function = handler.__func__ if isinstance(handler, MethodType) else handler
    if type(function) is not FunctionType:
        return arity_by_signature(handler)
    # PERF: each event that asks for an acknowledgement comes here; a signature takes ten times as long.
    code = function.__code__
    takes, defaults = code.co_argcount - bound, len(function.__defaults__ or ())
    last = code.co_varnames[code.co_argcount - 1] if takes > 0 else None
    if code.co_flags & inspect.CO_VARARGS and takes <= 0 and callable(inner := getattr(function, "__wrapped__", None)):
        # A decorator that hands on whatever it is given. One that names what it takes may hand on something else.
        needs, takes_all, last = arity(inner)
        return max(0, needs - bound), None if takes_all is None else max(0, takes_all - bound), last
    return max(0, takes - defaults), None if code.co_flags & inspect.CO_VARARGS else takes, last


def arity_by_signature(handler: Handler) -> tuple[int, int | None, str | None]:
    """The same for whatever can be called."""
    try:
        parameters = inspect.signature(handler, follow_wrapped=False).parameters.values()
    except (ValueError, TypeError):  # a builtin that does not say
        return 0, None, None
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needs = sum(1 for one in positional if one.default is one.empty)
    takes = None if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(positional)
    return needs, takes, positional[-1].name if positional else None


def takes_ack(handler: Handler, arguments: int) -> bool:
    """Whether it wants the acknowledgement behind so many arguments that a client has sent.

    It does if it needs one more than that, takes ``*args``, or its next and last parameter is called ``ack``.
    """
    needs, takes, last = arity(handler)
    return takes is None or needs > arguments or (takes == arguments + 1 and last in ACK_NAMES)


def fitting(handler: Handler, *args: Any) -> tuple[Any, ...]:
    """As many of the arguments as it takes."""
    takes = arity(handler)[1]
    return args[:takes]


def call(handler: Handler, args: Sequence[Any]) -> Any:
    """Calls a handler with what a client has sent; arguments that it does not take are dropped, as in JavaScript."""
    try:
        return handler(*args)
    except TypeError:
        # PERF: only now is it asked what it takes. If that is less, it has not begun.
        takes = arity(handler)[1]
        if takes is None or takes >= len(args):
            raise
    return handler(*args[:takes])
