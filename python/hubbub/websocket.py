"""A session that is a WebSocket."""

from __future__ import annotations

from hubbub.rooms import Session

__all__ = ["WebSocket"]


class WebSocket(Session):
    """One client, connected by WebSocket (RFC 6455). Made by the hub, given to handlers.

    It is a `Session`, and stays one WebSocket from its opening to its end: ``transport`` is ``"websocket"``.
    """

    __slots__ = ()
