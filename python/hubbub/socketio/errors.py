"""The exceptions of Socket.IO.

::

    SocketIOError
    ├── ConnectError      raised by a middleware: the client is not let in, and is told why
    ├── AckTimeout        an acknowledgement has not come in time; also a `TimeoutError`
    └── AckLost           the client has gone, so its acknowledgement will not come
"""

from __future__ import annotations

import logging
from typing import Any

from hubbub._failures import failure_of, tell_hidden
from hubbub.errors import ConnectionClosed, HubbubError

__all__ = ["AckLost", "AckTimeout", "ConnectError", "SocketIOError", "is_gone", "report"]

logger = logging.getLogger("hubbub")


class SocketIOError(HubbubError):
    """The base of the exceptions of Socket.IO."""


class ConnectError(SocketIOError):
    """A middleware raises it: the client gets ``connect_error`` with this message and data, and is not let in.

    Attributes:
        message: what the client sees as ``error.message``.
        data: what it sees as ``error.data``: anything that an event can carry but bytes. ``None`` is left out.
    """

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class AckTimeout(SocketIOError, TimeoutError):
    """An acknowledgement has not come within the seconds that ``timeout`` gave it.

    Attributes:
        responses: of a broadcast, the acknowledgements that did come.
    """

    def __init__(self, responses: list[Any] | None = None) -> None:
        super().__init__("operation has timed out")
        self.responses = responses if responses is not None else []


class AckLost(SocketIOError):
    """The client has gone before it has acknowledged.

    Attributes:
        reason: as ``disconnect`` handlers are told.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the client has gone: {reason}")
        self.reason = reason


def is_gone(error: BaseException) -> bool:
    """The exception says that a client has gone."""
    return isinstance(error, (AckLost, ConnectionClosed))


def report(event: str, error: Exception, client: object = None) -> None:
    """A handler has raised. That the client that it was called for has gone meanwhile is no error of its own."""
    has_gone = getattr(client, "connected", True) is False or getattr(client, "closed", False) is True
    failure = failure_of(error, is_gone) if has_gone else error
    if failure is not None:
        logger.error("the handler of %r has failed", event, exc_info=failure)
    else:
        tell_hidden(error, is_gone, client)
