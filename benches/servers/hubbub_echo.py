"""Echo on hubbub, with a function or a coroutine as the handler.

python hubbub_echo.py PORT [--io-threads N] [--handler function|coroutine]
"""

import argparse

from hubbub import Hub, WebSocket


def hub_with(handler: str) -> Hub:
    hub = Hub()
    if handler == "function":

        @hub.on_message
        def message(ws: WebSocket, data: str | bytes) -> None:
            ws.send(data)

    else:

        @hub.websocket("/")
        async def echo(ws: WebSocket) -> None:
            async for data in ws:
                await ws.send(data)

    return hub


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--io-threads", type=int, default=0)
    parser.add_argument("--handler", choices=["function", "coroutine"], default="function")
    options = parser.parse_args()
    hub_with(options.handler).run(host="127.0.0.1", port=options.port, io_threads=options.io_threads, access_log=False)
