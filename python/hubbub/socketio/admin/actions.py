"""What the page may do to sockets. What is asked for in a wrong way changes nothing, and is answered with why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hubbub.socketio.acks import Ack

if TYPE_CHECKING:
    from hubbub.socketio.namespace import Namespace
    from hubbub.socketio.operators import BroadcastOperator
    from hubbub.socketio.server import Server
    from hubbub.socketio.socket import Socket

__all__ = ["Actions"]

logger = logging.getLogger("hubbub")


class Actions:
    """The events of the page.

    Each names a namespace, and has a filter: a room, or the id of one socket. ``None``, nothing at all and ``""`` are
    the whole namespace. Who asks for an acknowledgement gets nothing, or ``{"error": why}``.
    """

    def __init__(self, server: Server, admin: Namespace) -> None:
        self._server = server
        self._admin = admin

    def offer(self, socket: Socket) -> None:
        """Listens to a page."""
        for event, act in (
            ("emit", self._emit),
            ("join", self._join),
            ("leave", self._leave),
            ("_disconnect", self._disconnect),
        ):
            socket.on(event, self._handler(socket, event, act))

    def _handler(self, socket: Socket, event: str, act: Callable[..., None]) -> Callable[..., None]:
        def handle(*args: Any) -> None:
            ack = args[-1] if args and isinstance(args[-1], Ack) else None
            given = args[:-1] if ack is not None else args
            who = socket.handshake.address or "a client"
            try:
                act(*given)
            except Exception as error:
                # A TypeError is also what too few arguments, or too many, make.
                logger.warning("the admin at %s has asked for %r in vain: %s", who, event, error)
                if ack is not None:
                    ack({"error": str(error)})
            else:
                logger.info("the admin at %s: %s %s", who, event.lstrip("_"), ", ".join(map(shown, given[:3])))
                if ack is not None:
                    ack()

        return handle

    # ---- what there is

    def _emit(self, nsp: object, filter: object, event: object, *args: Any) -> None:
        if nsp == self._admin.name:
            raise ValueError("nothing is emitted to other admins")
        self._audience(nsp, filter).emit(name_of("event", event), *args)

    def _join(self, nsp: object, room: object, filter: object = None) -> None:
        self._audience(nsp, filter).sockets_join(name_of("room", room))

    def _leave(self, nsp: object, room: object, filter: object = None) -> None:
        self._audience(nsp, filter).sockets_leave(name_of("room", room))

    def _disconnect(self, nsp: object, close: object = False, filter: object = None) -> None:
        if not isinstance(close, bool):
            raise TypeError("close is true or false")
        self._audience(nsp, filter).disconnect_sockets(close)

    def _audience(self, nsp: object, filter: object) -> BroadcastOperator:
        found = self._server.find_namespace(nsp)
        if found is None:
            raise ValueError("there is no such namespace")
        operator = found._operator()
        return operator.to(name_of("filter", filter)) if filter is not None and filter != "" else operator


def name_of(what: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"the {what} is a text that is not empty")
    return value


def shown(value: object) -> str:
    return repr(value)[:100]
