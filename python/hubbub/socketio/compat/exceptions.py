"""The exceptions of python-socketio."""

from __future__ import annotations

from typing import Any

__all__ = [
    "BadNamespaceError",
    "ConnectionError",
    "ConnectionRefusedError",
    "DisconnectedError",
    "SocketIOError",
    "TimeoutError",
]


class SocketIOError(Exception):
    """The base of all of them."""


class ConnectionError(SocketIOError):
    """Something is wrong with a connection."""


class ConnectionRefusedError(ConnectionError):
    """A ``connect`` handler raises it: the client is not let in, and is told why.

    The first argument is the message that the client sees; what follows is its ``data``, a tuple if there are several.
    """

    @property
    def error_args(self) -> dict[str, Any]:
        """What the client is told."""
        message, *data = self.args or ("Connection rejected by server",)
        told: dict[str, Any] = {"message": str(message)}
        if data:
            told["data"] = data[0] if len(data) == 1 else tuple(data)
        return told


class TimeoutError(SocketIOError):
    """`call` has waited in vain."""


class BadNamespaceError(SocketIOError):
    """Of clients; no server raises it."""


class DisconnectedError(SocketIOError):
    """Of clients; no server raises it."""
