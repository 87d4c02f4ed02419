"""Broadcasts: to everyone or to a room, with the sender or without."""

from hubbub.socketio import Server, Socket
from programs import hub

io = Server(hub, "/broadcasts/")


@io.on("connection")
def connected(socket: Socket) -> None:
    @socket.on("enter")
    def enter() -> None:
        socket.join("garden")

    @socket.on("leave")
    def leave() -> None:
        socket.leave("garden")

    @socket.on("to everyone")
    def to_everyone(text: str) -> None:
        io.emit("message", text)

    @socket.on("to the others")
    def to_the_others(text: str) -> None:
        socket.broadcast.emit("message", text)

    # From the server's point of view: everyone in the room, whoever has asked for it.
    @socket.on("to the room")
    def to_the_room(text: str) -> None:
        io.in_("garden").emit("message", text)

    # From the sender's: the others in the room.
    @socket.on("to the others in the room")
    def to_the_others_in_the_room(text: str) -> None:
        socket.to("garden").emit("message", text)
