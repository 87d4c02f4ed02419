"""Socket.IO: the server API of socket.io 4 for its unmodified clients.

from hubbub import Hub
from hubbub.socketio import Server, Socket

hub = Hub()
io = Server(hub)

@io.on("connection")
def connected(socket: Socket) -> None:
    @socket.on("chat message")
    def said(text: str) -> None:
        socket.broadcast.emit("chat message", text)

hub.run(port=3000)
"""

from hubbub.socketio.acks import Ack, Reply
from hubbub.socketio.adapter import Adapter
from hubbub.socketio.cors import Cors
from hubbub.socketio.engine import ConnectionRefusal, Engine
from hubbub.socketio.errors import AckLost, AckTimeout, ConnectError, SocketIOError
from hubbub.socketio.handshake import Handshake
from hubbub.socketio.namespace import Namespace, ParentNamespace
from hubbub.socketio.operators import BroadcastOperator, SocketOperator
from hubbub.socketio.recovery import ConnectionStateRecovery
from hubbub.socketio.server import Server
from hubbub.socketio.socket import Socket

__all__ = [
    "Ack",
    "AckLost",
    "AckTimeout",
    "Adapter",
    "BroadcastOperator",
    "ConnectError",
    "ConnectionRefusal",
    "ConnectionStateRecovery",
    "Cors",
    "Engine",
    "Handshake",
    "Namespace",
    "ParentNamespace",
    "Reply",
    "Server",
    "Socket",
    "SocketIOError",
    "SocketOperator",
]
