"""What a client has said of itself when it came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.request import Headers
    from hubbub.rooms import Session

__all__ = ["Handshake"]


class Handshake:
    """The request that opened the connection, and what the client wants to be known by.

    Attributes:
        auth: the ``auth`` of the client's options; ``{}`` if it has none.
        issued: when the client asked for the namespace, in seconds since 1970.
    """

    __slots__ = ("_ws", "auth", "issued")

    def __init__(self, ws: Session, auth: dict[str, Any], issued: float) -> None:
        self._ws = ws
        self.auth = auth
        self.issued = issued

    @property
    def time(self) -> str:
        """`issued` in words: ``"2026-01-31T12:00:00Z"``."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.issued))

    @property
    def headers(self) -> Headers:
        """The header fields of the request."""
        return self._ws.request.headers

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, the client's own and those of the protocol (``EIO``, ``transport``)."""
        return self._ws.request.query

    @property
    def url(self) -> str:
        """The request's target."""
        return self._ws.request.target

    @property
    def address(self) -> str | None:
        """The client's address; ``None`` on a unix socket."""
        address = self._ws.remote_address
        return None if address is None else address[0]

    @property
    def secure(self) -> bool:
        """It came over TLS."""
        return self._ws.request.secure

    @property
    def xdomain(self) -> bool:
        """A page has opened the connection: there is an Origin."""
        return self._ws.request.origin is not None

    def __repr__(self) -> str:
        return f"<Handshake {self.url!r} auth={self.auth!r}>"
