"""A session: one client, whatever carries it."""

from __future__ import annotations

from urllib.parse import unquote

from hubbub import _core
from hubbub.request import Headers, Request
from hubbub.rooms import Room

__all__ = ["Session"]


class Session(_core.Session):
    """One client, whatever carries it. Made by the hub, given to handlers.

    `WebSocket` and `EventStream` are the two kinds whose transport never changes. Sessions of `Hub.comet` and of
    Socket.IO are of this class itself: ``transport`` says what carries them now.

    ``send``, ``ping`` and ``close`` take effect at once, in functions and coroutines alike, and return something to
    await: ignore it in a function, await it in a coroutine. They may be called from any thread; awaiting belongs to
    the event loop that runs the hub.
    """

    __slots__ = ()

    async def recv(self) -> str | bytes:
        """Receives the next message: ``str`` for a text message, ``bytes`` for a binary one.

        Raises:
            ConnectionClosed: the connection has ended and every message has been received.
            ConcurrencyError: another task is already receiving from this session.
        """
        return await self._recv()

    def room(self, name: str) -> Room:
        """The room of this name. What is broadcast through it has this session as its sender."""
        return Room(self.hub, name, self)

    @property
    def request(self) -> Request:
        """The request that opened the session."""
        request = self._request
        if request is None:
            request = Request(self._opening)
            request.state = self.state
            self._keep_request(request)
        return request

    @property
    def headers(self) -> Headers:
        """The header fields of the request that opened the session."""
        return self.request.headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the request that opened the session."""
        return self.request.cookies

    @property
    def path(self) -> str:
        """The path that the client connected to, percent-decoded."""
        return unquote(self._opening.line()[2])

    @property
    def path_params(self) -> dict[str, str]:
        """What the ``{names}`` of the endpoint's path stand for, percent-decoded."""
        return {name: unquote(value) for name, value in self._path_params}

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on."""
        request = self._request
        return self._subprotocol if request is None else request.subprotocol

    def __repr__(self) -> str:
        state = f"closed {self.close_code}" if self.closed else "open"
        return f"<{type(self).__name__} {self.id} {self.path!r} {state}>"
