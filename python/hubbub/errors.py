"""The exceptions of hubbub.

::

    HubbubError
    ├── ConnectionClosed
    │   ├── ConnectionClosedOK       codes 1000, 1001, 1005: an orderly end
    │   └── ConnectionClosedError    every other code
    ├── ConcurrencyError             two tasks receive from one session
    ├── TooManyRooms                 a session joins more rooms than it may
    ├── ClientDisconnected           an application sends to a client that has gone; also an `OSError`
    ├── PacketError                  a peer sends what is no packet of Socket.IO; also a `ValueError`
    └── NotRunning                   the hub serves nobody at the moment

Wrong arguments raise ``TypeError`` and ``ValueError``, addresses that cannot be served raise ``OSError``.
"""

from __future__ import annotations

__all__ = [
    "ClientDisconnected",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "HubbubError",
    "NotRunning",
    "PacketError",
    "TooManyRooms",
]


class HubbubError(Exception):
    """The base of all exceptions of hubbub."""


class ConnectionClosed(HubbubError):
    """The connection has ended, or is about to: nothing can be sent or received any more.

    Attributes:
        code: the peer's close code; 1005 if its Close frame had none, 1006 if no Close frame came (RFC 6455 §7.4.1).
        reason: the peer's close reason, or, where no Close frame came, what happened.
        received: code and reason of the peer's Close frame, ``None`` if none came.
        sent: code and reason of our own Close frame, ``None`` if none was sent.
    """

    #: The ``id`` of the session that has ended; ``None``: it is none of hubbub's.
    _session: str | None = None

    def __init__(
        self,
        code: int,
        reason: str,
        received: tuple[int, str] | None = None,
        sent: tuple[int, str] | None = None,
    ) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.received = received
        self.sent = sent

    def __str__(self) -> str:
        text = f"the connection was closed with {self.code}"
        if self.reason:
            text += f": {self.reason}"
        return text


class ConnectionClosedOK(ConnectionClosed):
    """The connection has ended in an orderly way."""


class ConnectionClosedError(ConnectionClosed):
    """The connection was lost, or closed because of an error."""


class ConcurrencyError(HubbubError, RuntimeError):
    """Two tasks tried to receive from one session at the same time."""


class TooManyRooms(HubbubError):
    """A session was to join a room beyond `Limits.rooms_per_session`: it has not joined, and goes on.

    Attributes:
        most: the limit.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most

    def __str__(self) -> str:
        return f"a session may be in {self.most} rooms at a time (Limits.rooms_per_session)"


class ClientDisconnected(HubbubError, OSError):
    """An ASGI application has sent something to a client that has gone."""


class PacketError(HubbubError, ValueError):
    """A peer has sent something that is no packet of Socket.IO; ``str(error)`` says what is wrong with it."""


class NotRunning(HubbubError, RuntimeError):
    """The hub is not running, so there is nobody to send to."""
