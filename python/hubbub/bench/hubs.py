"""The hubs that a bench without a URL is tried on: `hubbub.bench.hubs:echo` and `:broadcast`."""

from __future__ import annotations

from hubbub import Compression, Hub, Limits, WebSocket

__all__ = ["broadcast", "echo"]

# As large as the generator's largest message, so that no option runs into a limit of the hub.
_LIMITS = Limits(max_message_bytes=256 << 20, outbox_bytes=256 << 20)

echo = Hub(limits=_LIMITS, compression=Compression())
broadcast = Hub(limits=_LIMITS, compression=Compression())


@echo.on_message
def _reply(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)


@broadcast.on_message
def _pass_on(ws: WebSocket, data: str | bytes) -> None:
    broadcast.broadcast(data)
