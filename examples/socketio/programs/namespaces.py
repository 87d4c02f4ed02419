"""Namespaces: two on one connection, which do not hear each other."""

from hubbub.socketio import Server, Socket
from programs import hub

io = Server(hub, "/namespaces/")
news = io.of("/news")


# io itself stands for the namespace "/".
@io.on("connection")
def entered(socket: Socket) -> None:
    socket.send("welcome to /")

    @socket.on("message")
    def said(text: str) -> None:
        io.send(text)


@news.on("connection")
def entered_news(socket: Socket) -> None:
    socket.send("welcome to /news")

    @socket.on("message")
    def said(text: str) -> None:
        news.send(text)
