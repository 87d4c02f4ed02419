"""Every bound of a hub, in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["Limits", "OutboxPolicy", "RatePolicy"]

OutboxPolicy = Literal["close", "drop", "drop_oldest"]
RatePolicy = Literal["pause", "close"]


@dataclass(frozen=True)
class Limits:
    """What a session, and the server, may take. Sizes are bytes, times are seconds as floats; ``None`` is no limit.

    Attributes:
        max_message_bytes: one received message, assembled; beyond it the session is closed with 1009.
        max_empty_fragments: empty fragments within one message; beyond it the session is closed with 1008.
        message_timeout: an unfinished message may stand still for so long, then the session is closed with 1008.
        handshake_timeout: from accept to the end of the request's head in all, TLS included; beyond it the answer
            is 408.
        request_timeout: a coroutine ``on_request``, or an application that is asked for a WebSocket, may take so long
            to decide; then the handler is cancelled, which is logged, and the answer is 503. 0 is no limit, either.
        keep_alive_timeout: an HTTP connection may wait so long for its next request, then it is closed.
        max_body_bytes: the body of one HTTP request; beyond it the answer is 413.
        inbox_bytes: received messages that wait for a handler; beyond it the socket is not read, so that TCP
            pushes back. One receive call (64 KiB) may pass it.
        inbox_messages: the same, counted in messages.
        messages_per_second: messages that a session may send, over time; beyond it ``rate_policy`` says what happens.
            One receive call (64 KiB) may pass it, and is waited for afterwards.
        messages_burst: messages that it may send at once; ``None`` is one second's worth, and at least one.
        rate_policy: a session that sends faster: ``"pause"`` stops reading its socket until it may send again, so that
            TCP pushes back; ``"close"`` closes it with 1008.
        outbox_bytes: what waits to be written; a ``send`` beyond it closes the session with 1013, a broadcast
            does what ``outbox_policy`` says. A single message may be larger if nothing else waits.
        high_water_bytes: from here on ``await ws.send(...)`` waits, until half of it is written.
        unsent_bytes: what the operating system holds beside the outbox of what it has not sent yet, on TCP
            (``TCP_NOTSENT_LOWAT``); ``None`` is as much as it likes, usually 4 MiB. Neither ``outbox_policy`` nor
            ``high_water_bytes`` knows of it.
        posted_bytes: what other threads than the event loop's have said and the network has not taken up yet; a thread
            that says more waits.
        outbox_policy: a broadcast to a member whose outbox is full: ``"close"`` closes the member with 1013,
            ``"drop"`` leaves this message out, ``"drop_oldest"`` makes room by leaving out
            older broadcasts that were sent with this policy.
        ping_interval: a ping is sent after so long without a byte from the peer.
        ping_timeout: when nothing came for so long after a ping, the session is closed with 1011.
        close_timeout: how long the peer may take to answer our Close frame, from when it has stopped taking what was
            sent before.
        slow_handler: a handler that keeps the event loop busy for longer is logged, once, with its name. Coroutines
            on trio are not watched: trio runs them when it sees fit.
        max_head_bytes: a request's head; beyond it the answer is 431.
        max_head_fields: the fields of a request's head; beyond it the answer is 431.
        max_sessions: connections at a time; further ones wait in the accept queue. ``None`` is as many as the
            process may have descriptors, less a reserve.
        max_handshakes: handshakes under way at a time; further connections wait in the accept queue.
        max_sessions_per_address: connections at a time from one IPv4 address or one IPv6 /64 network; beyond it the
            answer is 429. Behind a trusted proxy the client's address counts, not the proxy's.
        polling_sessions_per_address: sessions at a time that one address (as above) has by polls, of Socket.IO or
            `Hub.comet`; ``None`` is half of ``max_sessions``. Beyond it the oldest of them that has not sent a message
            and is in no room goes; if there is none, the answer is 429. A client behind whom nobody stands could take
            all places otherwise, as polls need no connection that stays.
        session_timeout: a session of a `Hub.comet` endpoint that has lost its connection waits so long for the next
            one; a client that polls may wait so long between two polls.
        resume_bytes: what such a session keeps of the messages that a connection was given already, for a client that
            has lost it before it got them.
        rooms_per_session: rooms that a session may be in at a time; `WebSocket.join` beyond it raises `TooManyRooms`.
            In Socket.IO it is the rooms of one socket, in one namespace.
        history_messages: what each room remembers for clients of event streams that come back; 0 is nothing. A room
            may have a number of its own (`Room.history`).
        history_bytes: the same in bytes, for each room.
        histories_bytes: the same for all rooms together, with a few hundred bytes for each message beside its content;
            beyond it the oldest message of any room is forgotten.
        history_timeout: a room in which nothing was said for so long remembers nothing.
        handshakes_per_second: connections accepted, over time, and at once; further ones wait in the accept queue.
    """

    max_message_bytes: int | None = 1 << 20
    max_empty_fragments: int = 64
    message_timeout: float | None = 60.0
    handshake_timeout: float | None = 10.0
    request_timeout: float | None = 60.0
    keep_alive_timeout: float | None = 75.0
    max_body_bytes: int | None = 1 << 20
    inbox_bytes: int = 64 << 10
    inbox_messages: int = 64
    messages_per_second: float | None = None
    messages_burst: int | None = None
    rate_policy: RatePolicy = "pause"
    outbox_bytes: int = 1 << 20
    high_water_bytes: int = 64 << 10
    unsent_bytes: int | None = 1 << 20
    posted_bytes: int = 8 << 20
    outbox_policy: OutboxPolicy = "close"
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    close_timeout: float = 5.0
    session_timeout: float = 30.0
    resume_bytes: int = 64 << 10
    rooms_per_session: int | None = 1000
    history_messages: int = 0
    history_bytes: int = 1 << 20
    histories_bytes: int = 64 << 20
    history_timeout: float = 300.0
    slow_handler: float | None = 0.5
    max_head_bytes: int = 16 << 10
    max_head_fields: int = 100
    max_sessions: int | None = None
    max_handshakes: int = 1024
    max_sessions_per_address: int | None = None
    polling_sessions_per_address: int | None = None
    handshakes_per_second: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))


_OPTIONAL = {
    "max_message_bytes",
    "max_body_bytes",
    "keep_alive_timeout",
    "message_timeout",
    "handshake_timeout",
    "request_timeout",
    "ping_interval",
    "ping_timeout",
    "slow_handler",
    "max_sessions",
    "max_sessions_per_address",
    "polling_sessions_per_address",
    "messages_per_second",
    "messages_burst",
    "handshakes_per_second",
    "rooms_per_session",
    "unsent_bytes",
}
_SECONDS = {
    "message_timeout",
    "handshake_timeout",
    "request_timeout",
    "keep_alive_timeout",
    "ping_interval",
    "ping_timeout",
    "close_timeout",
    "session_timeout",
    "history_timeout",
    "slow_handler",
}
_RATES = {"messages_per_second", "handshakes_per_second"}
_COUNTS = {
    "rooms_per_session",
    "max_empty_fragments",
    "inbox_messages",
    "history_messages",
    "max_sessions",
    "max_handshakes",
    "max_sessions_per_address",
    "polling_sessions_per_address",
    "messages_burst",
    *_RATES,
}
_POLICIES = {
    "outbox_policy": (("close", "drop", "drop_oldest"), '"close", "drop" or "drop_oldest"'),
    "rate_policy": (("pause", "close"), '"pause" or "close"'),
}
#: Room for so many is made before a head is read.
_MOST_HEAD_FIELDS = 10_000
_MAY_BE_ZERO = {
    "max_message_bytes",
    "max_body_bytes",
    "max_empty_fragments",
    "history_messages",
    "resume_bytes",
    "request_timeout",
}


def _check(name: str, value: object) -> None:
    if name in _POLICIES:
        allowed, words = _POLICIES[name]
        if value not in allowed:
            raise ValueError(f"{name} is {words}, not {value!r}")
        return
    if value is None and name in _OPTIONAL:
        return
    kinds = (int, float) if name in _SECONDS or name in _RATES else (int,)
    unit = "seconds" if name in _SECONDS else "a number" if name in _RATES else "a whole number"
    if not isinstance(value, kinds) or isinstance(value, bool):
        optional = " or None" if name in _OPTIONAL else ""
        raise TypeError(f"{name} is {unit}{optional}, not {value!r}")
    most = _MOST_HEAD_FIELDS if name == "max_head_fields" else (1 << 32) - 1 if name in _COUNTS else 1 << 40
    if not (value >= 0 if name in _MAY_BE_ZERO else value > 0) or value > most:
        least = "from 0" if name in _MAY_BE_ZERO else "from 1" if kinds == (int,) else "greater than 0 up"
        raise ValueError(f"{name} is {unit} {least} to {most}, not {value!r}")


def check_room_policy(policy: object) -> None:
    """Raises for what is no policy of a room."""
    allowed, words = _POLICIES["outbox_policy"]
    if not isinstance(policy, str):
        raise TypeError(f"a room's policy is {words}, or None, not {policy!r}")
    if policy not in allowed:
        raise ValueError(f"a room's policy is {words}, not {policy!r}")
