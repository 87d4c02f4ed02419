"""A session that only sends: an event stream, as a browser's ``EventSource`` reads it."""

from __future__ import annotations

from collections.abc import Awaitable

from hubbub.rooms import Session

__all__ = ["EventStream"]


class EventStream(Session):
    """One client of an event stream (HTML standard, "Server-sent events"). Made by the hub, given to handlers.

    It is a `Session`: it may be in rooms, and has an outbox and ``close``. Nothing comes from its client: its ``recv``
    waits for the end. A client that loses its connection comes again by itself, also after ``close``; to keep it away,
    answer its next request with status 204 in ``on_request``.
    """

    __slots__ = ()

    def send(
        self,
        data: str | bytes | bytearray | memoryview | None = None,
        *,
        compress: bool = True,
        event: str | None = None,
        id: str | None = None,
        retry: float | None = None,
    ) -> Awaitable[None]:
        """Sends an event, at once; await the result to wait while the client is slow.

        Args:
            data: the text; line breaks of any kind arrive as LF. Bytes arrive as base64, with the type ``"binary"`` if
                no other is given. Listeners are not told of an event without data; its id and retry count.
            compress: event streams are not compressed; this is here because sessions have it.
            event: the type that listeners are added for; without it, ``"message"``.
            id: what the client sends as Last-Event-ID when it comes again. Broadcasts of rooms with a history have
                ids of their own, by which the client gets what it has missed; another id puts an end to that.
            retry: seconds until the client comes again after it has lost its connection.

        Raises:
            ConnectionClosed: the session is closing or closed.
            ValueError: a type or id with a line break, an id with NUL, or a negative retry.
        """
        if retry is not None and not 0 <= retry <= 1e9:
            raise ValueError(f"retry is seconds from 0 on, not {retry!r}")
        return self._send_event(data, event, id, None if retry is None else round(retry * 1000))

    def comment(self, text: str = "") -> Awaitable[None]:
        """Sends a comment. No listener sees it; one is sent every ``Limits.ping_interval`` seconds anyway."""
        return self._send_comment(text)

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event that the client saw before it came; ``None`` if it comes for the first time."""
        last = self.request.headers.get("last-event-id")
        # HTML standard: browsers write it in UTF-8, which fields of HTTP are not read as.
        return last.encode("latin-1").decode(errors="replace") if last else None
