"""The access log, `hubbub.access`: a line for each request, and two for each session, at its beginning and its end.

The parts of a line are attributes of its record too; docs/guide.md lists them.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.websocket import WebSocket

__all__ = ["AccessLog"]

_logger = logging.getLogger("hubbub.access")

_SID = re.compile(r"(?<=[?&]sid=)[^&]*")
_METHODS = {"websocket": "WebSocket", "eventsource": "EventSource"}


class AccessLog:
    """What the core tells of requests and sessions."""

    @classmethod
    def if_wanted(cls, wanted: bool) -> AccessLog | None:
        """`None` if nobody would read it: the core then counts and tells nothing."""
        return cls() if wanted and _logger.isEnabledFor(logging.INFO) else None

    def answered(self, client: str | None, request_line: str, status: int, why: str, seconds: float) -> None:
        """A request was answered without a session."""
        client, why = client or "unix", _printable(why)
        method, _, target = request_line.partition(" ")
        extra = {"event": "request", "client": client, "method": method, "target": target, "status": status}
        extra |= {"duration": seconds, "reason": why}
        text = '%s - "%s" %d in %.1f ms' + (": %s" if why else "%s")
        _logger.info(text, client, request_line, status, seconds * 1e3, why, extra=extra)

    def refused(self, client: str | None, reason: str) -> None:
        """A connection ended before it could ask for anything."""
        client, reason = client or "unix", _printable(reason)
        extra = {"event": "refused", "client": client, "reason": reason}
        _logger.info("%s - no request: %s", client, reason, extra=extra)

    def opened(self, ws: WebSocket) -> None:
        client, method, target = _session(ws)
        extra = {"event": "open", "client": client, "method": method, "target": target}
        _logger.info('%s - "%s %s" [accepted]', client, method, target, extra=extra)

    def closed(self, ws: WebSocket, code: int, cause: str | None, seconds: float, traffic: tuple[int, ...]) -> None:
        """A session has ended; the traffic is messages and bytes in, messages and bytes out."""
        client, method, target = _session(ws)
        reason = _printable(cause or "")
        names = ("messages_in", "bytes_in", "messages_out", "bytes_out")
        extra: dict[str, Any] = {"event": "close", "client": client, "method": method, "target": target}
        extra |= {"close_code": code, "reason": reason, "duration": seconds, **dict(zip(names, traffic, strict=True))}
        text = '%s - "%s %s" [closed %d%s] after %.1f s, messages: %d in (%d B), %d out (%d B)'
        why = f": {reason}" if reason else ""
        _logger.info(text, client, method, target, code, why, seconds, *traffic, extra=extra)


def _session(ws: WebSocket) -> tuple[str, str, str]:
    address = ws.remote_address
    client = "unix"
    if address:
        client = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    # Not by way of `ws.request`: that would keep the request in memory for as long as the session.
    target = _SID.sub("...", ws._opening.line()[1])
    return client, _METHODS.get(ws.transport, ws.transport), _printable(target)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"%{ord(char):02X}" for char in text)
