"""Which handler an event is for, by the rules of python-socketio."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from hubbub._callables import check_callable
from hubbub.socketio.emitter import Handler, call, fitting

__all__ = ["NOT_HANDLED", "Registry"]

H = TypeVar("H", bound=Handler)

#: Nobody handles the event.
NOT_HANDLED: Any = object()


class ClassNamespace(Protocol):
    """A namespace as a class, each of whose methods handles an event."""

    namespace: str

    def _set_server(self, server: Any) -> None: ...
    def trigger_event(self, event: str, *args: Any) -> Any: ...


class Registry:
    """Handlers by namespace and event: one for each. ``"*"`` stands for those that have none of their own."""

    #: These are never for ``"*"``.
    reserved_events = ("connect", "disconnect")

    #: Which kind of class handles namespaces.
    _namespace_type: type[Any]

    def __init__(self) -> None:
        self.handlers: dict[str, dict[str, Handler]] = {}
        self.namespace_handlers: dict[str, ClassNamespace] = {}

    def on(self, event: str, handler: Handler | None = None, namespace: str | None = None) -> Any:
        """Sets the handler of an event; as a decorator if none is given.

        ``connect`` ``(sid, environ)`` or ``(sid, environ, auth)``: returning ``False``, or raising
        `ConnectionRefusedError`, refuses the client. ``disconnect`` ``(sid)`` or ``(sid, reason)``. All others
        ``(sid, *arguments)``; what they return acknowledges the event, a tuple with several values.

        Args:
            event: ``"*"`` for all that have no handler: it is called with the name of the event first.
            namespace: ``"/"`` if not given. ``"*"`` for all namespaces whose event has no handler: it is called with
                the name of the namespace first, behind that of the event.
        """

        def register(handler: H) -> H:
            self.handlers.setdefault(namespace or "/", {})[event] = check_callable(f"on({event!r})", handler)
            return handler

        return register if handler is None else register(handler)

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Sets a function as the handler of the event of its name: ``@sio.event``, ``@sio.event(namespace="/x")``."""
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__)(args[0])

        def register(handler: H) -> H:
            self.on(handler.__name__, handler, *args, **kwargs)
            return handler

        return register

    def register_namespace(self, namespace_handler: ClassNamespace) -> None:
        """Lets an object handle the events of its namespace that have no handler here."""
        if not isinstance(namespace_handler, self._namespace_type):
            raise ValueError(f"a namespace is a {self._namespace_type.__name__}, not {namespace_handler!r}")
        namespace_handler._set_server(self)
        self.namespace_handlers[namespace_handler.namespace] = namespace_handler

    # ---- how

    def _has_namespace(self, name: str) -> bool:
        return name in self.handlers or name in self.namespace_handlers

    def _called(self, event: str, namespace: str, args: tuple[Any, ...]) -> Callable[[], Any] | None:
        """The call of whoever handles an event; ``None``: nobody does."""
        found = self._find(event, namespace)
        if found is not None:
            handler, first = found
            args = (*first, *args)
            if event in self.reserved_events:
                args = fitting(handler, *args)
            return lambda: call(handler, args)
        if namespace in self.namespace_handlers:
            of_namespace = self.namespace_handlers[namespace]
            return lambda: of_namespace.trigger_event(event, *args)
        if "*" in self.namespace_handlers:
            of_all = self.namespace_handlers["*"]
            return lambda: of_all.trigger_event(event, namespace, *args)
        return None

    def _find(self, event: str, namespace: str) -> tuple[Handler, tuple[str, ...]] | None:
        """The function for an event, and what it is called with before the event's own arguments."""
        is_for_all = event not in self.reserved_events
        # A client may call its event "*": who hears all events is to be told so, not to take its name for the client's.
        is_name = event != "*"
        own = self.handlers.get(namespace, {})
        if is_name and event in own:
            return own[event], ()
        if is_for_all and "*" in own:
            return own["*"], (event,)
        anywhere = self.handlers.get("*", {})
        if is_name and event in anywhere:
            return anywhere[event], (namespace,)
        if is_for_all and "*" in anywhere:
            return anywhere["*"], (event, namespace)
        return None


def methods_of(namespace: ClassNamespace) -> dict[str, Handler]:
    """The handlers of a class-based namespace by event: its methods ``on_...``.

    They are looked for once, so no attribute is ever looked up by a name that a client has sent.
    """
    names = (name for name in dir(namespace) if name.startswith("on_"))
    return {name[3:]: method for name in names if inspect.isroutine(method := getattr(namespace, name))}
