"""python-socketio's server API on hubbub, so that programs which use it run with their import changed.

import hubbub.socketio.compat as socketio

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio)

@sio.event
async def say(sid, text):
    await sio.emit("said", text, skip_sid=sid)

app.run(port=5000)

docs/socketio-compat.md has what differs.
"""

from hubbub.socketio.compat import exceptions
from hubbub.socketio.compat.apps import ASGIApp, WSGIApp
from hubbub.socketio.compat.async_server import AsyncNamespace, AsyncServer
from hubbub.socketio.compat.managers import (
    AsyncAioPikaManager,
    AsyncManager,
    AsyncRedisManager,
    KafkaManager,
    KombuManager,
    Manager,
    PubSubManager,
    RedisManager,
    ZmqManager,
)
from hubbub.socketio.compat.sync_server import Namespace, Server

__all__ = [
    "ASGIApp",
    "AsyncAioPikaManager",
    "AsyncManager",
    "AsyncNamespace",
    "AsyncRedisManager",
    "AsyncServer",
    "KafkaManager",
    "KombuManager",
    "Manager",
    "Namespace",
    "PubSubManager",
    "RedisManager",
    "Server",
    "WSGIApp",
    "ZmqManager",
    "exceptions",
]

#: What else python-socketio has.
_ELSEWHERE = {
    "AsyncClient",
    "AsyncClientNamespace",
    "AsyncSimpleClient",
    "Client",
    "ClientNamespace",
    "Middleware",
    "SimpleClient",
    "get_tornado_handler",
}


def __getattr__(name: str) -> object:
    if name in _ELSEWHERE:
        raise AttributeError(f"{name} is not here: hubbub has python-socketio's servers. Take it from python-socketio")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
