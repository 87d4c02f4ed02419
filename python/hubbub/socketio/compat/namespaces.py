"""Namespaces as classes: each method ``on_...`` handles an event."""

from __future__ import annotations

from typing import Any

from hubbub.socketio.compat.registry import methods_of
from hubbub.socketio.emitter import Handler, fitting

__all__ = ["BaseNamespace"]


class BaseNamespace:
    """What both kinds have in common.

    Args:
        namespace: ``"/"`` if not given; ``"*"`` for all that have no handlers of their own, whose methods are called
            with the name of the namespace first.
    """

    server: Any

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace or "/"
        self.server = None
        self._methods: dict[str, Handler] = {}

    def _set_server(self, server: Any) -> None:
        self.server = server
        self._methods = methods_of(self)

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Calls the method for an event. A subclass may do otherwise."""
        raise NotImplementedError

    def _call(self, event: str, args: tuple[Any, ...]) -> Any:
        method = self._methods.get(event)
        if method is None:
            return None
        return method(*(fitting(method, *args) if event in ("connect", "disconnect") else args))

    # ---- the server's methods, in this namespace. Those of an `AsyncNamespace` are awaited.

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """As the server's, in this namespace."""
        return self.server.emit(event, data, to, room, skip_sid, namespace or self.namespace, callback, ignore_queue)

    def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """As the server's, in this namespace."""
        return self.server.send(data, to, room, skip_sid, namespace or self.namespace, callback, ignore_queue)

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """As the server's, in this namespace; without a ``timeout`` it waits for ever."""
        return self.server.call(event, data, to, sid, namespace or self.namespace, timeout, ignore_queue)

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> Any:
        """As the server's, in this namespace."""
        return self.server.enter_room(sid, room, namespace or self.namespace)

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> Any:
        """As the server's, in this namespace."""
        return self.server.leave_room(sid, room, namespace or self.namespace)

    def close_room(self, room: Any, namespace: str | None = None) -> Any:
        """As the server's, in this namespace."""
        return self.server.close_room(room, namespace or self.namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> list[Any]:
        """As the server's, in this namespace. It is not awaited."""
        rooms: list[Any] = self.server.rooms(sid, namespace=namespace or self.namespace)
        return rooms

    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """As the server's, in this namespace."""
        return self.server.get_session(sid, namespace or self.namespace)

    def save_session(self, sid: str, session: Any, namespace: str | None = None) -> Any:
        """As the server's, in this namespace."""
        return self.server.save_session(sid, session, namespace or self.namespace)

    def session(self, sid: str, namespace: str | None = None) -> Any:
        """As the server's, in this namespace: for ``async with``, or for ``with``."""
        return self.server.session(sid, namespace or self.namespace)

    def disconnect(self, sid: str, namespace: str | None = None) -> Any:
        """As the server's, in this namespace."""
        return self.server.disconnect(sid, namespace or self.namespace)
