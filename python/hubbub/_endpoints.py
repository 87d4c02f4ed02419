"""What there is at the paths of a hub: one frozen class for each kind of endpoint, as the program has declared it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hubbub._engineio import EngineIo
from hubbub._folders import Folder
from hubbub.compression import Compression

__all__ = [
    "CometEndpoint",
    "Declared",
    "EngineIoEndpoint",
    "EventSourceEndpoint",
    "FilesEndpoint",
    "Handler",
    "Handlers",
    "MetricsEndpoint",
    "RequestsEndpoint",
    "RoomRule",
    "WebSocketEndpoint",
]

Handler = Callable[..., Any]

#: Whether a client may enter the rooms that it asks for: all of them, none, or those of which the function says so.
RoomRule = bool | Callable[[Any, str], bool]


@dataclass(frozen=True)
class Handlers:
    """The user's handlers of one endpoint, or of a hub. Any may be a function or a coroutine function."""

    on_connection: Handler | None = None
    on_message: Handler | None = None
    on_close: Handler | None = None
    #: A coroutine that serves the whole session, instead of the three above.
    serve: Handler | None = None
    on_request: Handler | None = None
    #: Messages of one session that `on_message` handles at the same time.
    concurrency: int = 1

    @property
    def serves_sessions(self) -> bool:
        """There is a handler of connections, messages or ends."""
        return any((self.on_connection, self.on_message, self.on_close, self.serve))


@dataclass(frozen=True)
class WebSocketEndpoint:
    """WebSockets at a path; without a path, at every path that no other endpoint takes."""

    path: str | None
    handlers: Handlers
    subprotocols: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = None
    compression: Compression | None = None


@dataclass(frozen=True)
class EventSourceEndpoint:
    """Event streams (Server-sent events) at a path."""

    path: str
    origins: tuple[str, ...] | None = None
    handlers: Handlers = field(default_factory=Handlers)


@dataclass(frozen=True)
class CometEndpoint:
    """Sessions that any of these transports may carry; without handlers, with those of the hub."""

    path: str
    transports: tuple[str, ...]
    subprotocols: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = None
    rooms: RoomRule = False
    handlers: Handlers | None = None


@dataclass(frozen=True)
class EngineIoEndpoint:
    """Engine.IO 4 at a path.

    Attributes:
        engine: gives the settings, and a handler of requests that is asked after the hub's. It is called when the hub
            starts, so that they may depend on handlers that are added until then.
    """

    path: str
    handlers: Handlers
    engine: Callable[[], tuple[EngineIo, Handler | None]]
    origins: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RequestsEndpoint:
    """No sessions: requests at every path that no other endpoint takes are for the hub's `on_request` to answer."""

    origins: tuple[str, ...] | None = None
    path: None = None


@dataclass(frozen=True)
class MetricsEndpoint:
    """The figures for Prometheus, for readers at these addresses."""

    path: str
    readers: tuple[str, ...]


@dataclass(frozen=True)
class FilesEndpoint:
    """The files of a folder below a prefix."""

    path: str
    folder: Folder


Declared = (
    WebSocketEndpoint
    | EventSourceEndpoint
    | CometEndpoint
    | EngineIoEndpoint
    | RequestsEndpoint
    | MetricsEndpoint
    | FilesEndpoint
)
