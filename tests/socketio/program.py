"""A Socket.IO server with a bit of everything, for clients to try. Prints its port, then serves until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
from datetime import datetime, timezone
from typing import Any

from hubbub import Hub, Request
from hubbub.socketio import Ack, ConnectError, Server, Socket

hub = Hub()
#: The same for clients with each parser.
SERVERS = [Server(hub), Server(hub, "/msgpack/socket.io/", parser="msgpack")]
RECOVERING = [
    Server(hub, "/recovering/", connection_state_recovery=True),
    Server(hub, "/msgpack/recovering/", connection_state_recovery=True, parser="msgpack"),
]
said: dict[str, list[Any]] = {}


def bouncer(socket: Socket) -> None:
    if socket.handshake.auth.get("token") == "wrong":
        raise ConnectError("not authorized", {"code": "E1"})


def connected(io: Server, socket: Socket) -> None:
    said[socket.id] = []
    socket.on("echo", lambda *args: socket.emit("echo", *args))
    socket.on("kinds", lambda *args: args[-1]([kind(arg) for arg in args[:-1]]))
    socket.on("moment", lambda year, ack: ack(datetime(year, 2, 3, 4, 5, 6, 789_000, timezone.utc)))
    socket.on("sum", lambda *numbers: sum(numbers[:-1]) if callable(numbers[-1]) else None)
    socket.on("said", lambda: said[socket.id])
    socket.on("join", lambda room: socket.join(room))
    socket.on("leave", lambda room: socket.leave(room))
    socket.on("rooms", lambda: sorted(socket.rooms))
    socket.on("to", lambda room, *args: socket.to(room).emit(*args))
    socket.on("broadcast", lambda *args: socket.broadcast.emit(*args))
    socket.on("everyone", lambda *args: io.emit(*args))
    socket.on("volatile", lambda *args: socket.volatile.emit(*args))
    socket.on("disconnect me", lambda close: socket.disconnect(close))
    socket.on("auth", lambda: socket.handshake.auth)
    socket.on("query", lambda name: socket.handshake.query.get(name))
    socket.on("transport", lambda: socket.handshake.query["transport"])

    @socket.on("add")
    def add(a: int, b: int, ack: Ack) -> None:
        ack(a + b, {"of": [a, b]})

    @socket.on("add later")
    async def add_later(a: int, b: int) -> int:
        await asyncio.sleep(0.01)
        return a + b

    @socket.on("message")
    def message(*args: Any) -> None:
        said[socket.id].append(args)
        socket.send(*args)

    @socket.on("ask me")
    async def ask_me(question: Any) -> Any:
        return {"you say": await socket.timeout(5).emit_with_ack("question", question)}

    @socket.on("ask everyone")
    async def ask_everyone(room: str) -> list[Any]:
        return sorted(await io.to(room).timeout(5).emit_with_ack("question", "all"))

    @socket.on("say and end")
    def say_and_end(name: str) -> bool:
        others = [other for other in io.sockets.sockets.values() if other.handshake.query.get("name") == name]
        for other in others:
            for number in range(3):
                other.emit("last", number)
            other.disconnect(True)
        return bool(others)

    @socket.on_any
    def heard(event: str, *args: Any) -> None:
        if event == "heard by all listeners":
            socket.emit("heard", event, *[arg for arg in args if not callable(arg)])

    @socket.on("disconnect")
    def disconnected(reason: str) -> None:
        said.pop(socket.id, None)
        io.emit("gone", socket.id, reason)


def kind(value: Any) -> Any:
    """What it is here; of what is in it, too."""
    if isinstance(value, dict):
        return {name: kind(each) for name, each in value.items()}
    if isinstance(value, list):
        return [kind(each) for each in value]
    return f"{type(value).__name__} {value}"


def set_up(io: Server) -> None:
    io.use(bouncer)
    io.on("connection", lambda socket: connected(io, socket))
    io.of("/news").on("connection", lambda socket: socket.on("echo", lambda *args: socket.emit("echo", "news", *args)))
    io.of(re.compile(r"^/room-\d+$")).on("connection", lambda socket: socket.emit("welcome", socket.nsp.name))
    io.of(lambda name, auth: name == "/members" and auth.get("token") == "right").on(
        "connection", lambda socket: socket.emit("welcome", socket.nsp.name)
    )


def connected_again(socket: Socket) -> None:
    socket.data["count"] = socket.data.get("count", 0) + 1
    socket.emit("state", socket.recovered, socket.data["count"], sorted(socket.rooms - {socket.id}))
    socket.on("join", lambda room: socket.join(room))
    # Without a Close frame, as a network does that has gone.
    socket.on("cut me off", lambda: socket.conn.abort())


def allow(request: Request) -> tuple[bool, str] | None:
    return None if request.headers.get("x-key") == "right" else (False, "wrong key")


guarded = Server(hub, "/guarded/", allow_request=allow)
guarded.on("connection", lambda socket: socket.on("echo", lambda *args: socket.emit("echo", *args)))

for server in SERVERS:
    set_up(server)
for server in RECOVERING:
    server.on("connection", connected_again)


async def count() -> None:
    number = 0
    while True:
        await asyncio.sleep(0.005)
        for recovering in RECOVERING:
            recovering.emit("number", number)
            recovering.to("room").emit("number of the room", number, b"x")
        number += 1


async def main(io_threads: int) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with hub.listening(port=0, io_threads=io_threads, access_log=False) as listening:
        counting = asyncio.create_task(count())
        print(listening.port, flush=True)
        await stopped.wait()
        counting.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--io-threads", type=int, default=1)
    asyncio.run(main(parser.parse_args().io_threads))
