"""Every bound of a hub, in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["Limits", "OutboxPolicy"]

OutboxPolicy = Literal["close", "drop", "drop_oldest"]


@dataclass(frozen=True)
class Limits:
    """What a session, and the server, may take. Sizes are bytes, times are seconds as floats; ``None`` is no limit.

    Attributes:
        max_message_bytes: one received message, assembled; beyond it the session is closed with 1009.
        max_empty_fragments: empty fragments within one message; beyond it the session is closed with 1008.
        message_timeout: an unfinished message may stand still for so long, then the session is closed with 1008.
        handshake_timeout: from accept to the end of the handshake in all; beyond it the answer is 408.
        inbox_bytes: received messages that wait for a handler; beyond it the socket is not read, so that TCP
            pushes back. One receive call (64 KiB) may pass it.
        inbox_messages: the same, counted in messages.
        outbox_bytes: what waits to be written; a ``send`` beyond it closes the session with 1013, a broadcast
            does what ``outbox_policy`` says. A single message may be larger if nothing else waits.
        high_water_bytes: from here on ``await ws.send(...)`` waits, until half of it is written.
        outbox_policy: a broadcast to a member whose outbox is full: ``"close"`` closes the member with 1013,
            ``"drop"`` leaves this message out, ``"drop_oldest"`` makes room by leaving out older broadcasts.
        ping_interval: a ping is sent after so long without a byte from the peer.
        ping_timeout: when nothing came for so long after a ping, the session is closed with 1011.
        close_timeout: how long the peer may take to answer our Close frame.
        slow_handler: a handler that keeps the event loop busy for longer is logged, once, with its name. Coroutines
            on trio are not watched: trio runs them when it sees fit.
        max_head_bytes: a request's head; beyond it the answer is 431.
        max_head_fields: the fields of a request's head; beyond it the answer is 431.
        max_sessions: connections at a time; further ones wait in the accept queue. ``None`` is as many as the
            process may have descriptors, less a reserve.
        max_handshakes: handshakes under way at a time; further connections wait in the accept queue.
    """

    max_message_bytes: int | None = 1 << 20
    max_empty_fragments: int = 64
    message_timeout: float | None = 60.0
    handshake_timeout: float | None = 10.0
    inbox_bytes: int = 64 << 10
    inbox_messages: int = 64
    outbox_bytes: int = 1 << 20
    high_water_bytes: int = 64 << 10
    outbox_policy: OutboxPolicy = "close"
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    close_timeout: float = 5.0
    slow_handler: float | None = 0.5
    max_head_bytes: int = 16 << 10
    max_head_fields: int = 100
    max_sessions: int | None = None
    max_handshakes: int = 1024

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))


_OPTIONAL = {
    "max_message_bytes",
    "message_timeout",
    "handshake_timeout",
    "ping_interval",
    "ping_timeout",
    "slow_handler",
    "max_sessions",
}
_SECONDS = {"message_timeout", "handshake_timeout", "ping_interval", "ping_timeout", "close_timeout", "slow_handler"}
_COUNTS = {"max_empty_fragments", "inbox_messages", "max_sessions", "max_handshakes"}
#: Room for so many is made before a head is read.
_MOST_HEAD_FIELDS = 10_000
_MAY_BE_ZERO = {"max_message_bytes", "max_empty_fragments"}


def _check(name: str, value: object) -> None:
    if name == "outbox_policy":
        if value not in ("close", "drop", "drop_oldest"):
            raise ValueError(f'outbox_policy is "close", "drop" or "drop_oldest", not {value!r}')
        return
    if value is None and name in _OPTIONAL:
        return
    kinds, unit = ((int, float), "seconds") if name in _SECONDS else ((int,), "a whole number")
    if not isinstance(value, kinds) or isinstance(value, bool):
        optional = " or None" if name in _OPTIONAL else ""
        raise TypeError(f"{name} is {unit}{optional}, not {value!r}")
    most = _MOST_HEAD_FIELDS if name == "max_head_fields" else (1 << 32) - 1 if name in _COUNTS else 1 << 40
    if not (value >= 0 if name in _MAY_BE_ZERO else value > 0) or value > most:
        raise ValueError(f"{name} is out of range: {value!r}")
