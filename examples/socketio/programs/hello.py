"""Hello: a client comes, says something, and goes."""

from hubbub.socketio import Server, Socket
from programs import hub

# At /socket.io/, where clients look if they are told nothing else.
io = Server(hub)


@io.on("connection")
def connected(socket: Socket) -> None:
    print(f"{socket.id} has come", flush=True)
    socket.send("welcome")  # socket.emit("message", "welcome")

    @socket.on("message")
    def said(text: str) -> None:
        socket.send(f"you said: {text}")

    @socket.on("disconnect")
    def gone(reason: str) -> None:
        print(f"{socket.id} has gone: {reason}", flush=True)
