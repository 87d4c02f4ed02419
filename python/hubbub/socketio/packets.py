"""Packets, as the core reads and writes them: a text message, and a binary one for each attachment."""

from __future__ import annotations

from typing import Final

from hubbub._core import SocketIoDecoder as Decoder, socketio_encode as encode

__all__ = [
    "ACK",
    "CONNECT",
    "CONNECT_ERROR",
    "DISCONNECT",
    "EVENT",
    "RESERVED_EVENTS",
    "Decoder",
    "check_event",
    "encode",
    "number_text",
]

CONNECT: Final = 0
DISCONNECT: Final = 1
EVENT: Final = 2
ACK: Final = 3
CONNECT_ERROR: Final = 4

#: What clients and servers tell themselves: nobody sends these.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)


def check_event(event: object) -> None:
    """Raises for what cannot be the name of an event that is sent."""
    if not isinstance(event, str):
        raise TypeError(f"an event's name is str, not {type(event).__name__}")
    if event in RESERVED_EVENTS:
        raise ValueError(f'"{event}" is a reserved event name')


def number_text(name: int | float) -> str:
    """A number that a client has sent as the name of an event, as JavaScript writes it: handlers have it as text."""
    return str(int(name)) if name == int(name) and abs(name) < 1e21 else repr(float(name))
