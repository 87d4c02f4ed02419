"""A page at one origin, and Socket.IO servers at another one. Prints both ports, then serves until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from hubbub import Hub, Request, Response
from hubbub.socketio import Server, Socket

pages = Hub()


@pages.on_request
def page(request: Request) -> Response:
    return Response(200, "<!DOCTYPE html><title>elsewhere</title>", {"Content-Type": "text/html"})


def connected(socket: Socket) -> None:
    request = socket.request
    seen = {
        "origin": request.origin,
        "token": request.headers.get("x-token"),
        "cookie": "io=" in request.headers.get("cookie", ""),
    }
    socket.on("seen", lambda: seen)


async def main() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with pages.listening(port=0, access_log=False) as elsewhere:
        origin = f"http://127.0.0.1:{elsewhere.port}"
        servers: dict[str, dict[str, Any]] = {
            "listed": {"cors": {"origin": [origin], "credentials": True}},
            "open": {"cors": {"origin": "*"}},
            "asked": {"cors": {"origin": lambda asked: asked == origin, "credentials": True}},
            "default": {},
            "others": {"cors": {"origin": "https://example.org", "credentials": True}},
            "refusing": {"cors": {"origin": [origin], "credentials": True}, "allow_request": lambda request: False},
        }
        hub = Hub()
        for name, options in servers.items():
            Server(hub, f"/{name}/", cookie="io", **options).on("connection", connected)
        async with hub.listening(port=0, access_log=False) as listening:
            print(elsewhere.port, listening.port, flush=True)
            await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
