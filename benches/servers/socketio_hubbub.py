"""Socket.IO on hubbub: events come back, or go to a room that everyone is in.

python socketio_hubbub.py PORT [--mode echo|broadcast] [--io-threads N]
"""

import arguments

from hubbub import Hub
from hubbub.socketio import Server, Socket

hub = Hub()
io = Server(hub)


@io.on("connection")
def connected(socket: Socket) -> None:
    socket.join("all")

    @socket.on("echo")
    def echo(text: str) -> None:
        socket.emit("echo", text)

    @socket.on("broadcast")
    def broadcast(text: str) -> None:
        io.to("all").emit("broadcast", text)


if __name__ == "__main__":
    parser = arguments.parser()
    parser.add_argument("--io-threads", type=int, default=0)
    options = parser.parse_args()
    hub.run(host="127.0.0.1", port=options.port, io_threads=options.io_threads, access_log=False)
