"""Socket.IO on hubbub: events come back, or go to a room that everyone is in.

python socketio_hubbub.py PORT [--mode talk|idle] [--io-threads N]

"idle": sockets are in no room but their own and have no handlers.
"""

import arguments

from hubbub import Hub
from hubbub.socketio import Server, Socket

hub = Hub()
io = Server(hub)


def connected(socket: Socket) -> None:
    socket.join("all")

    @socket.on("echo")
    def echo(text: str) -> None:
        socket.emit("echo", text)

    @socket.on("broadcast")
    def broadcast(text: str) -> None:
        io.to("all").emit("broadcast", text)


if __name__ == "__main__":
    parser = arguments.parser("talk", "idle")
    parser.add_argument("--io-threads", type=int, default=0)
    options = parser.parse_args()
    if options.mode == "talk":
        io.on("connection", connected)
    hub.run(host="127.0.0.1", port=options.port, io_threads=options.io_threads, access_log=False)
