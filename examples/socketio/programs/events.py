"""Events: messages with names of their own, and answers to them."""

from hubbub.socketio import AckTimeout, Server, Socket
from programs import hub

# Who is asked may think about it, and send other events meanwhile.
io = Server(hub, "/events/", concurrency=8)


@io.on("connection")
def connected(socket: Socket) -> None:
    @socket.on("shout")
    def shout(text: str) -> None:
        # Any name, any number of arguments.
        socket.emit("echo", text.upper(), len(text))

    @socket.on("add")
    def add(a: float, b: float) -> float:
        # What a handler returns is what the client gets as acknowledgement.
        return a + b

    @socket.on("ask me")
    async def ask_me() -> None:
        # The other way round: the client acknowledges, or does not.
        try:
            name = await socket.timeout(20).emit_with_ack("question", "Who are you?")
        except AckTimeout:
            socket.emit("answer", "You have not said.")
        else:
            socket.emit("answer", f"Hello {name}!")
