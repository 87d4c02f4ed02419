"""The hubs that a bench without a URL is tried on, by their names: `hubbub.bench.hubs:echo`."""

from __future__ import annotations

import asyncio
import json
import time

from hubbub import Compression, Hub, Limits, WebSocket
from hubbub.socketio import Server, Socket

__all__ = ["broadcast", "echo", "socketio", "socketio_ticks", "ticks"]

# As large as the generator's largest message, so that no option runs into a limit of the hub.
_LARGEST = 256 << 20
_LIMITS = Limits(max_message_bytes=_LARGEST, max_body_bytes=_LARGEST, outbox_bytes=_LARGEST)

echo = Hub(limits=_LIMITS, compression=Compression())
broadcast = Hub(limits=_LIMITS, compression=Compression())
ticks = Hub(limits=_LIMITS, compression=Compression())
socketio = Hub(limits=_LIMITS)
socketio_ticks = Hub(limits=_LIMITS)
_ticking = Server(socketio_ticks)
#: Seconds between two messages to each client.
_TICK = 0.01
_io = Server(socketio, max_http_buffer_size=_LARGEST)


@echo.on_message
def _reply(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)


@broadcast.on_message
def _pass_on(ws: WebSocket, data: str | bytes) -> None:
    broadcast.broadcast(data)


@ticks.websocket("/")
async def _tick(ws: WebSocket) -> None:
    while True:
        await ws.send(json.dumps({"at": time.time_ns()}))
        await asyncio.sleep(_TICK)


@_ticking.on("connection")
async def _tick_socket(socket: Socket) -> None:
    async def tick() -> None:
        while socket.connected:
            socket.emit("tick", {"at": str(time.time_ns())})
            await asyncio.sleep(_TICK)

    # A handler that does not return would hold up the events of its socket.
    socket.data["ticking"] = asyncio.create_task(tick())


@_io.on("connection")
def _connected(socket: Socket) -> None:
    @socket.on("echo")
    def _echo(text: str) -> None:
        socket.emit("echo", text)

    @socket.on("broadcast")
    def _broadcast(text: str) -> None:
        _io.emit("broadcast", text)
