"""hubbub: a realtime server for Python whose network side is Rust.

from hubbub import Hub, WebSocket

hub = Hub()

@hub.on_message
def echo(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)

hub.run(port=8000)
"""

from hubbub._core import Delivery, mask_kernel as _mask_kernel
from hubbub.compression import Compression
from hubbub.errors import (
    ClientDisconnected,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    HubbubError,
    NotRunning,
    TooManyRooms,
)
from hubbub.eventstream import EventStream
from hubbub.hub import Hub, Listening
from hubbub.limits import Limits
from hubbub.request import Headers, Request, Response
from hubbub.rooms import Audience, Room, Rooms, Session, Sessions
from hubbub.stats import Stats
from hubbub.websocket import WebSocket

__all__ = [
    "Audience",
    "ClientDisconnected",
    "Compression",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Delivery",
    "EventStream",
    "Headers",
    "Hub",
    "HubbubError",
    "Limits",
    "Listening",
    "NotRunning",
    "Request",
    "Response",
    "Room",
    "Rooms",
    "Session",
    "Sessions",
    "Stats",
    "TooManyRooms",
    "WebSocket",
    "mask_kernel",
]

__version__ = "0.1.0"

#: The masking kernel that this processor gets: "avx512", "avx2", "sse2", "neon" or "word".
mask_kernel: str = _mask_kernel()
