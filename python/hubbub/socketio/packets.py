"""Packets, as the core reads and writes them: a message, and a further one for each attachment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hubbub import _core

if TYPE_CHECKING:
    from hubbub.rooms import Session

__all__ = [
    "ACK",
    "CONNECT",
    "CONNECT_ERROR",
    "DISCONNECT",
    "EVENT",
    "PARSERS",
    "RESERVED_EVENTS",
    "Parser",
    "check_event",
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


@dataclass(frozen=True)
class Parser:
    """How packets are written.

    Attributes:
        decoder: makes what reads the messages of one connection, of a most in attachments and bytes.
        encode: a packet of ``(type, nsp, id, data)`` as messages.
        send: sends ``(session, type, nsp, id, data)``.
    """

    decoder: Callable[[int, int], _core.SocketIoDecoder | _core.MsgpackDecoder]
    encode: Callable[[int, str, int | None, Any], Sequence[str | bytes]]
    send: Callable[[Session, int, str, int | None, Any], Any]


def _send_msgpack(session: Session, kind: int, nsp: str, ack_id: int | None, data: Any) -> Any:
    return session._send_all(_core.socketio_encode_msgpack(kind, nsp, ack_id, data), True, False)


PARSERS = {
    "json": Parser(
        lambda attachments, size: _core.SocketIoDecoder(max_attachments=attachments, max_packet_bytes=size),
        _core.socketio_encode,
        _core.socketio_send,
    ),
    "msgpack": Parser(
        lambda attachments, size: _core.MsgpackDecoder(max_packet_bytes=size),
        _core.socketio_encode_msgpack,
        _send_msgpack,
    ),
}


def check_event(event: object) -> None:
    """Raises for what cannot be the name of an event that is sent."""
    if not isinstance(event, str):
        raise TypeError(f"an event's name is str, not {type(event).__name__}")
    if event in RESERVED_EVENTS:
        raise ValueError(f'"{event}" is a reserved event name')


def number_text(name: int | float) -> str:
    """A number that a client has sent as the name of an event, as JavaScript writes it: handlers have it as text."""
    if abs(name) < 1e21 and name == int(name):
        return str(int(name))
    return repr(float(name)).replace("inf", "Infinity")
