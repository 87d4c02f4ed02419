"""How an endpoint speaks Engine.IO 4; `hubbub.socketio` stands on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["EngineIo"]


@dataclass(frozen=True)
class EngineIo:
    """The settings of one endpoint. Times are seconds, sizes bytes; the defaults are those of the JavaScript server.

    Attributes:
        transports: ``"polling"``, ``"websocket"`` or both.
        allow_upgrades: a session may go on from polls to a WebSocket.
        ping_interval: from one ping to the next.
        ping_timeout: the client is given up when nothing came for so long after a ping.
        upgrade_timeout: a WebSocket that is to take over has so long for it.
        max_payload: the longest message, and the longest body of a POST; `Limits.max_message_bytes` and
            `Limits.max_body_bytes` hold as well.
        cookie: the name of a cookie with the session's id, and what follows the id (``"; Path=/; HttpOnly"``).
        cors: what pages from other origins are told: ``(open, credentials, exposed, headers, max_age)``. Where the
            endpoint has no list of origins, ``open`` is ``"*"`` for everyone, ``"each"`` for whichever page asks, and
            ``None`` for none. ``headers`` are those that requests may have, ``None`` for all.
        fields: further fields of every answer.
        refused: ``(opening, code, message)``: a request was refused.
    """

    transports: tuple[str, ...] = ("polling", "websocket")
    allow_upgrades: bool = True
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    max_payload: int = 1_000_000
    cookie: tuple[str, str] | None = None
    cors: tuple[str | None, bool, str | None, str | None, int] | None = None
    fields: tuple[tuple[str, str], ...] = ()
    refused: Callable[[Any, int, str], object] | None = None
