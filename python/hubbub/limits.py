"""Every bound of a hub. What a limit may be, and what it is for, is written with its field and nowhere else.

The checks, the command line's ``--limit-*`` options and the guide's table are made of the fields' metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

__all__ = ["LIMITS", "Limit", "Limits", "OutboxPolicy", "RatePolicy", "check_room_policy"]

OutboxPolicy = Literal["close", "drop", "drop_oldest"]
RatePolicy = Literal["pause", "close"]

Unit = Literal["bytes", "seconds", "per second", "count"]

#: For each unit: the types of its numbers, what messages call them, and the most that they may be.
_UNITS: dict[Unit, tuple[tuple[type, ...], str, int]] = {
    "bytes": ((int,), "an integer number of bytes", 1 << 40),
    "seconds": ((int, float), "a number of seconds", 1 << 40),
    "per second": ((int, float), "a number per second", (1 << 32) - 1),
    "count": ((int,), "an integer", (1 << 32) - 1),
}


@dataclass(frozen=True)
class Limit:
    """What one field of `Limits` may be.

    Attributes:
        help: what it bounds and what happens beyond; the first sentence is the command line's.
        unit: of a number; ``None`` if it is one of the choices.
        choices: the strings that it may be.
        optional: ``None`` is allowed.
        minimum: the least that it may be; ``None`` is 1 for integers and anything above 0 for other numbers.
        maximum: the most that it may be; ``None`` is the most of its unit.
    """

    help: str
    unit: Unit | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    minimum: int | None = None
    maximum: int | None = None

    @property
    def bounds(self) -> tuple[int | None, int]:
        """The least and the most that it may be; ``None`` is anything above 0."""
        assert self.unit is not None
        types, _, most = _UNITS[self.unit]
        least = 1 if self.minimum is None and float not in types else self.minimum
        return least, most if self.maximum is None else self.maximum

    @property
    def expected(self) -> str:
        """What it may be, in words."""
        or_none = " or None" if self.optional else ""
        if self.unit is None:
            *others, last = (f'"{choice}"' for choice in self.choices)
            return f"{', '.join(others)} or {last}{or_none}"
        least, most = self.bounds
        start = "above 0 and up" if least is None else f"from {least}"
        return f"{_UNITS[self.unit][1]} {start} to {most}{or_none}"

    def check(self, name: str, value: object) -> None:
        """Raise for a value that the limit cannot have.

        Raises:
            TypeError: the value is of another type.
            ValueError: the value is out of range.
        """
        if value is None and self.optional:
            return
        if self.unit is None:
            if value in self.choices:
                return
        elif isinstance(value, bool) or not isinstance(value, _UNITS[self.unit][0]):
            raise TypeError(f"{name} must be {self.expected}, got {value!r}")
        else:
            assert isinstance(value, (int, float))
            least, most = self.bounds
            if (value > 0 if least is None else value >= least) and value <= most:
                return
        raise ValueError(f"{name} must be {self.expected}, got {value!r}")


def _limit(
    default: object,
    unit: Unit | None,
    help: str,
    *,
    choices: object = None,
    optional: bool = False,
    minimum: int | None = None,
    maximum: int | None = None,
) -> Any:
    limit = Limit(help, unit, get_args(choices), optional, minimum, maximum)
    return field(default=default, metadata={"limit": limit})


@dataclass(frozen=True)
class Limits:
    """Bounds of a hub and its sessions. Sizes are in bytes, times in seconds; ``None`` switches a limit off.

    Raises:
        TypeError: a value is of the wrong type.
        ValueError: a value is out of range.
    """

    max_message_bytes: int | None = _limit(
        1 << 20,
        "bytes",
        "Size of one received message, assembled; the session is closed with 1009.",
        optional=True,
        minimum=0,
    )
    max_empty_fragments: int = _limit(
        64, "count", "Empty fragments in one message; the session is closed with 1008.", minimum=0
    )
    message_timeout: float | None = _limit(
        60.0,
        "seconds",
        "Time without progress in an unfinished message; the session is closed with 1008. It also bounds a request's"
        " body (408) and a response that the client does not read (the connection is dropped).",
        optional=True,
    )
    handshake_timeout: float | None = _limit(
        10.0,
        "seconds",
        "Time from accept to the end of the request's head, TLS included; the answer is 408.",
        optional=True,
    )
    request_timeout: float | None = _limit(
        60.0,
        "seconds",
        "Time that a coroutine `on_request`, or an application that is asked for a WebSocket, may take to decide; it is"
        " cancelled, which is logged, and the answer is 503. 0 is no limit, like `None`.",
        optional=True,
        minimum=0,
    )
    keep_alive_timeout: float | None = _limit(
        75.0,
        "seconds",
        "Time that an HTTP connection may wait for its next request; it is closed. The default is longer than what"
        " proxies usually keep connections for, so that they close first.",
        optional=True,
    )
    max_body_bytes: int | None = _limit(
        1 << 20, "bytes", "Size of the body of one HTTP request; the answer is 413.", optional=True, minimum=0
    )
    inbox_bytes: int = _limit(
        64 << 10,
        "bytes",
        "Received messages that wait for a handler; the socket is not read, so that TCP pushes back. One receive call"
        " (64 KiB) may exceed it.",
    )
    inbox_messages: int = _limit(
        64, "count", "Number of received messages that wait for a handler; the socket is not read."
    )
    messages_per_second: float | None = _limit(
        None,
        "per second",
        "Rate at which a session may send messages; `rate_policy` applies. One receive call (64 KiB) may exceed it, and"
        " is waited for afterwards.",
        optional=True,
    )
    messages_burst: int | None = _limit(
        None,
        "count",
        "Messages that a session may send at once. `None` is one second's worth, and at least one.",
        optional=True,
    )
    rate_policy: RatePolicy = _limit(
        "pause",
        None,
        'What happens to a session that sends faster than it may. `"pause"` stops reading its socket until it may send'
        ' again, so that TCP pushes back; `"close"` closes it with 1008.',
        choices=RatePolicy,
    )
    outbox_bytes: int = _limit(
        1 << 20,
        "bytes",
        "Data that waits to be written to a client; `send` closes the session with 1013, a broadcast does what"
        " `outbox_policy` says. It includes what each message costs beside its bytes (40 where messages are not"
        " gathered). A single message may be larger if nothing else waits. For a client on polls that has had less than"
        " five seconds to fetch it, the limit is 16 times as large.",
    )
    high_water_bytes: int = _limit(
        64 << 10,
        "bytes",
        "Data waiting to be written from which on `await ws.send(...)` waits, until half of it is written.",
    )
    unsent_bytes: int | None = _limit(
        1 << 20,
        "bytes",
        "Data that the operating system holds unsent beside the outbox, on TCP (`TCP_NOTSENT_LOWAT`, Linux). The rest"
        " waits in the outbox, where the policies see it. A smaller number means fewer stale messages for a client that"
        " reads slowly, and more work for one with a fast and distant line. `None` leaves it to the system: usually up"
        " to 4 MiB.",
        optional=True,
    )
    posted_bytes: int = _limit(
        8 << 20,
        "bytes",
        "Data that threads other than the event loop's have posted and the network has not processed yet; a thread that"
        " posts more waits.",
    )
    outbox_policy: OutboxPolicy = _limit(
        "close",
        None,
        'What a broadcast does to a member whose outbox is full. `"close"` closes the member with 1013, `"drop"` leaves'
        ' the broadcast out for it, `"drop_oldest"` leaves out older broadcasts that were sent with this policy.',
        choices=OutboxPolicy,
    )
    ping_interval: float | None = _limit(
        20.0, "seconds", "Silence of the client after which it is sent a ping.", optional=True
    )
    ping_timeout: float | None = _limit(
        20.0, "seconds", "Silence after a ping; the session is closed with 1011.", optional=True
    )
    close_timeout: float = _limit(
        5.0,
        "seconds",
        "Time that the client may take to answer a Close frame; the connection is dropped. It is counted from the last"
        " time that the client took something of what was sent before.",
    )
    session_timeout: float = _limit(
        30.0,
        "seconds",
        "Time that a session of a `comet` endpoint waits for its client to come back, or to poll again; it ends with"
        " 1006.",
    )
    resume_bytes: int = _limit(
        64 << 10,
        "bytes",
        "Messages already written that a session of a `comet` endpoint keeps for a client that comes back. A client"
        " that lacks more gets a new session.",
        minimum=0,
    )
    rooms_per_session: int | None = _limit(
        1000,
        "count",
        "Rooms that a session may be in at a time; `join` raises `TooManyRooms`, and the session goes on. In Socket.IO"
        " it counts the rooms of one socket, in one namespace.",
        optional=True,
    )
    history_messages: int = _limit(
        0,
        "count",
        "Messages that a room remembers for event streams that come back; 0 is none. `Room.history` sets it for one"
        " room.",
        minimum=0,
    )
    history_bytes: int = _limit(
        1 << 20, "bytes", "Size of the messages that a room remembers; the oldest are forgotten."
    )
    histories_bytes: int = _limit(
        64 << 20,
        "bytes",
        "Size of the messages that all rooms together remember, plus some 400 bytes for each message; the oldest"
        " messages of all rooms are forgotten, and counted (`forgotten`).",
    )
    history_timeout: float = _limit(
        300.0, "seconds", "Time without a broadcast after which a room's history is discarded."
    )
    slow_handler: float | None = _limit(
        0.5,
        "seconds",
        "Time for which a handler may keep the event loop busy; beyond it, the handler is logged once, with its name."
        " Coroutines on trio are not watched.",
        optional=True,
    )
    max_head_bytes: int = _limit(16 << 10, "bytes", "Size of a request's head; the answer is 431.")
    # Room for as many is made before a head is read.
    max_head_fields: int = _limit(
        100, "count", "Number of fields in a request's head; the answer is 431.", maximum=10_000
    )
    max_sessions: int | None = _limit(
        None,
        "count",
        "Connections at a time; further ones wait in the accept queue. `None` is as many as the process may have"
        " descriptors, less a reserve.",
        optional=True,
    )
    max_handshakes: int = _limit(
        1024, "count", "Handshakes under way at a time; further connections wait in the accept queue."
    )
    max_sessions_per_address: int | None = _limit(
        None,
        "count",
        "Connections at a time from one IPv4 address or one IPv6 /64 network; the answer is 429. Behind a trusted proxy"
        " the client's address counts, not the proxy's.",
        optional=True,
    )
    polling_sessions_per_address: int | None = _limit(
        None,
        "count",
        "Sessions that one address, or one IPv6 /64 network, may have by polls at a time (Socket.IO, `comet`). Beyond"
        " it, the oldest that has sent no message and is in no room is ended; if there is none, the new one is refused"
        " with 429. Polls need no connection that stays, so one client could take all places otherwise. `None` is half"
        " of `max_sessions`.",
        optional=True,
    )
    handshakes_per_second: float | None = _limit(
        None,
        "per second",
        "Rate at which connections are accepted, one second's worth of them at once; further ones wait in the accept"
        " queue.",
        optional=True,
    )

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            limit.check(name, getattr(self, name))


#: What each field of `Limits` may be, by name.
LIMITS: dict[str, Limit] = {entry.name: entry.metadata["limit"] for entry in fields(Limits)}

_attributes = "".join(f"        {name}: {limit.help}\n" for name, limit in LIMITS.items())
Limits.__doc__ = (Limits.__doc__ or "").replace("    Raises:", f"    Attributes:\n{_attributes}\n    Raises:")


def check_room_policy(policy: object) -> None:
    """Raise for a value that a room's policy cannot be.

    Raises:
        TypeError: the policy is no str.
        ValueError: the policy is unknown.
    """
    if not isinstance(policy, str):
        raise TypeError(f"a room's policy must be {LIMITS['outbox_policy'].expected} or None, got {policy!r}")
    LIMITS["outbox_policy"].check("a room's policy", policy)
