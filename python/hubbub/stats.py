"""What a running hub knows about itself, and who may read it over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from hubbub._addresses import network

__all__ = ["Stats", "readers"]


class TransportStats(TypedDict):
    """Sessions of one transport."""

    sessions: int
    opened: int
    closed: int


class OutboxStats(TypedDict):
    """What waits to be written, at this moment."""

    bytes: int
    largest_bytes: int
    blocked_sessions: int


class HandlerStats(TypedDict):
    """What handlers take of the event loop."""

    passes: int
    seconds: float
    slow: int
    slowest: str | None
    slowest_seconds: float


class Durations(TypedDict):
    """How often, how long in all, and how many were no longer than each bound in seconds."""

    count: int
    seconds: float
    buckets: dict[float, int]


class LoopLag(Durations):
    """How late a timer of the event loop has run, once per second."""

    recent_max_seconds: float


class Stats(TypedDict):
    """What `Hub.stats` gives; docs/guide.md names each figure."""

    sessions: int
    connections: int
    max_sessions: int
    rooms: int
    accepted: int
    accept_errors: int
    opened: int
    closed: int
    parted: int
    resumed: int
    replayed: int
    forgotten: int
    session_timeouts: int
    requests: int
    refused: int
    address_refused: int
    polls_evicted: int
    proxy_refused: int
    accept_pauses: int
    handshake_timeouts: int
    tls_failures: int
    messages_in: int
    messages_out: int
    compressed_in: int
    compressed_bytes_in: int
    inflated_bytes: int
    compressed_out: int
    compressed_bytes_out: int
    deflations: int
    deflated_bytes: int
    bytes_in: int
    bytes_out: int
    broadcasts: int
    deliveries: int
    dropped: int
    dropped_newest: int
    dropped_oldest: int
    volatile_dropped: int
    broadcast_closed: int
    slow_closed: int
    late_sends: int
    violations: int
    ping_timeouts: int
    message_timeouts: int
    close_timeouts: int
    inbox_pauses: int
    rate_pauses: int
    rate_closed: int
    panics: int
    transports: dict[str, TransportStats]
    closes: dict[str, int]
    answers: dict[str, int]
    refusals: dict[str, int]
    drops: dict[str, int]
    dropping_rooms: dict[str, int]
    outbox: OutboxStats
    handlers: HandlerStats
    handover_delay: Durations
    loop_lag: LoopLag


def readers(allow: Sequence[str] | None) -> tuple[str, ...]:
    """Who may read the figures, by the names that the core reads, of the ``allow`` of `Hub.metrics`."""
    if allow is None:
        return ("*",)
    if isinstance(allow, str) or not all(isinstance(one, str) for one in allow):
        raise TypeError(f"allow is a sequence of str, or None for everyone, not {allow!r}")
    try:
        return tuple(one if one == "unix" else network(one) for one in allow)
    except ValueError as error:
        raise ValueError(f'allow names addresses, networks as in "10.0.0.0/8", and "unix": {error}') from None
