"""The hubs that a bench without a URL is tried on: `hubbub.bench.hubs:echo`, `:broadcast` and `:socketio`."""

from __future__ import annotations

from hubbub import Compression, Hub, Limits, WebSocket
from hubbub.socketio import Server, Socket

__all__ = ["broadcast", "echo", "socketio"]

# As large as the generator's largest message, so that no option runs into a limit of the hub.
_LARGEST = 256 << 20
_LIMITS = Limits(max_message_bytes=_LARGEST, max_body_bytes=_LARGEST, outbox_bytes=_LARGEST)

echo = Hub(limits=_LIMITS, compression=Compression())
broadcast = Hub(limits=_LIMITS, compression=Compression())
socketio = Hub(limits=_LIMITS)
_io = Server(socketio, max_http_buffer_size=_LARGEST)


@echo.on_message
def _reply(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)


@broadcast.on_message
def _pass_on(ws: WebSocket, data: str | bytes) -> None:
    broadcast.broadcast(data)


@_io.on("connection")
def _connected(socket: Socket) -> None:
    @socket.on("echo")
    def _echo(text: str) -> None:
        socket.emit("echo", text)

    @socket.on("broadcast")
    def _broadcast(text: str) -> None:
        _io.emit("broadcast", text)
