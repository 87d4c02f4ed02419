"""Namespaces: two of them on one connection. What is said in one is not heard in the other."""

from hubbub.socketio import Server, Socket
from programs import hub

io = Server(hub, "/namespaces/")
news = io.of("/news")


@io.on("connection")  # io stands for the namespace "/"
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
