"""Broadcast to everyone on hubbub, with functions or a coroutine as the handlers.

python hubbub_broadcast.py PORT [--io-threads N] [--handler function|coroutine]
"""

import argparse

from hubbub import Hub, WebSocket


def hub_with(handler: str) -> Hub:
    hub = Hub()
    if handler == "function":

        @hub.on_connection
        def connected(ws: WebSocket) -> None:
            ws.join("all")

        @hub.on_message
        def message(ws: WebSocket, data: str | bytes) -> None:
            hub.room("all").broadcast(data)

    else:

        @hub.websocket("/")
        async def member(ws: WebSocket) -> None:
            ws.join("all")
            async for data in ws:
                await hub.room("all").broadcast(data)

    return hub


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--io-threads", type=int, default=0)
    parser.add_argument("--handler", choices=["function", "coroutine"], default="function")
    options = parser.parse_args()
    hub_with(options.handler).run(host="127.0.0.1", port=options.port, io_threads=options.io_threads, access_log=False)
