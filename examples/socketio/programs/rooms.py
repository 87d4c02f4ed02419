"""Rooms: enter them, leave them, see which there are and who is in them."""

from hubbub.socketio import Server, Socket
from programs import hub

MAX_ROOMS = 5

io = Server(hub, "/rooms/")


@io.on("connection")
def connected(socket: Socket) -> None:
    socket.emit("rooms", rooms())

    @socket.on("enter")
    def enter(room: str) -> str | None:
        if not 0 < len(room) <= 40 or room in io.adapter.sids:
            return "That is no name for a room."
        if len(socket.rooms) > MAX_ROOMS:
            return f"Nobody is in more than {MAX_ROOMS} rooms."
        socket.join(room)
        io.emit("rooms", rooms())
        return None

    @socket.on("leave")
    def leave(room: str) -> None:
        socket.leave(room)
        io.emit("rooms", rooms())

    @socket.on("say")
    def say(room: str, text: str) -> None:
        if room in socket.rooms:
            io.to(room).emit("said", room, socket.id, text)

    @socket.on("disconnect")
    def gone() -> None:  # it has left its rooms by now
        io.emit("rooms", rooms())


def rooms() -> dict[str, list[str]]:
    """The ids in each room that somebody has entered.

    Each socket is in a room of its own id as well: those are left out.
    """
    adapter = io.adapter
    return {room: sorted(ids) for room, ids in adapter.rooms.items() if room not in adapter.sids}
