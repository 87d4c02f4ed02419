"""A server with the page of @socket.io/admin-ui beside it: for development, and for production. Prints its port."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from hubbub import Hub
from hubbub.socketio import Server, Socket

PAGE = Path(__file__).parents[1] / "clients/node/node_modules/@socket.io/admin-ui/ui/dist"
ADA = {"username": "ada", "password": "lovelace"}

hub = Hub()
hub.static("/page", PAGE)
io = Server(hub)
io.instrument(auth=ADA, server_id="here")
busy = Server(hub, "/busy/")
busy.instrument(auth=ADA, mode="production", server_id="there")


@io.on("connection")
def connected(socket: Socket) -> None:
    socket.data["name"] = "grace"
    socket.join("lobby")
    socket.on("say", lambda text: io.to("lobby").emit("said", text))
    socket.on("rooms", lambda: sorted(socket.rooms - {socket.id}))


async def main() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with hub.listening(port=0, access_log=False) as listening:
        print(listening.port, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
