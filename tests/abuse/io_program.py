"""The Socket.IO server of server.py: handlers for whatever clients may send, and what is left when they have gone."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from hubbub import Hub
from hubbub.socketio import Ack, ConnectError, Server, Socket


def add_socketio(hub: Hub, options: dict[str, Any], seen: Counter[str]) -> Callable[[], dict[str, Any]]:
    """Adds it at /socket.io/; gives what tells how much it remembers. Names
    that listeners hear are in `seen`, but for those that begin with "unknown"."""
    io = Server(hub, cleanup_empty_child_namespaces=True, **options)
    rooms = io.of(re.compile(r"^/room-"))

    def connected(socket: Socket) -> None:
        @socket.on_any
        def heard(event: str, *args: Any) -> None:
            if not event.startswith("unknown"):
                seen[f"heard {event[:40]!r}"] += 1

        socket.on("error", lambda error: seen.update([f"error {type(error).__name__}"]))
        socket.on("disconnect", lambda reason: seen.update([f"disconnect {reason}"]))
        socket.on("settle", lambda: None)
        socket.on("echo", lambda *args: socket.emit("echo", *args))
        socket.on("tell", lambda *args: io.emit("told", *args))
        socket.on("join", lambda *names: socket.join(*names))
        socket.on("leave", lambda name: socket.leave(name))
        socket.on("in and out", lambda first, count: in_and_out(socket, first, count))
        socket.on("leave me", lambda: socket.disconnect())

        # What each of them takes, and what becomes of its acknowledgement.
        socket.on("nothing", lambda: None)
        socket.on("one", lambda a: a)
        socket.on("two", lambda a, b: [a, b])
        socket.on("any", lambda *args: args[-1](len(args)) if args and callable(args[-1]) else None)
        socket.on("default", lambda a=1, b=2: [a, b])
        socket.on("raise", raising)

        @socket.on("call")
        def call(a: Any, ack: Ack) -> None:
            ack(a)

        @socket.on("call twice")
        def call_twice(ack: Ack) -> None:
            ack("once")
            ack("twice")

        @socket.on("later")
        async def later(a: Any) -> Any:
            await asyncio.sleep(0)
            return a

        @socket.on("raise later")
        async def raise_later(*args: Any) -> None:
            await asyncio.sleep(0)
            raise ValueError("from a coroutine")

        @socket.on("forever")
        async def forever(*args: Any) -> None:
            await asyncio.Event().wait()

        @socket.on("ask me")
        async def ask_me(count: int) -> int:
            """Asks the client, which answers what it likes; gives how many it has answered."""
            asked = [socket.timeout(0.2).emit_with_ack("question", number) for number in range(count)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            return sum(not isinstance(answer, Exception) for answer in answers)

        @socket.on("flood")
        async def flood(count: int, size: int, pause: float) -> None:
            filler = "x" * size
            for number in range(count):
                io.to("loud").emit("numbered", number, filler)
                if number % 100 == 99:
                    await asyncio.sleep(pause)

    for nsp in (io, rooms, io.of("/other")):
        nsp.on("connection", connected)

    refusing = io.of("/refusing")

    @refusing.use
    def refuse(socket: Socket) -> None:
        raise ConnectError("not you", {"code": 1})

    def in_and_out(socket: Socket, first: int, count: int) -> None:
        for number in range(first, first + count):
            socket.join(f"room {number}")
            socket.to(f"room {number}").emit("nobody hears this")
            socket.leave(f"room {number}")

    def left() -> dict[str, Any]:
        nsps = io.namespaces.values()
        return {
            "clients": io.clients_count,
            "unjoined": len(io._unjoined._until),
            "unfinished": len(io._unfinished._until),
            "namespaces": len(nsps),
            "children": len(rooms.children),
            "ids": list(io.sockets.sockets),
            "sockets": sum(len(nsp.sockets) for nsp in nsps),
            "rooms": sum(len(nsp.adapter._rooms) for nsp in nsps),
            "debts": sum(len(nsp._debts) for nsp in nsps),
        }

    return left


def raising(*args: Any) -> None:
    raise ValueError("from a function")
