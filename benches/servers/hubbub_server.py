"""Echo and broadcast on hubbub, with a function or a coroutine as the handler.

python hubbub_server.py PORT [--mode echo|broadcast|block] [--io-threads N] [--handler function|coroutine]
"""

import time

import arguments

from hubbub import Hub, WebSocket

hub = Hub()


def echo(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)


def join(ws: WebSocket) -> None:
    ws.join("all")


def broadcast(ws: WebSocket, data: str | bytes) -> None:
    hub.room("all").broadcast(data)


def block(ws: WebSocket, data: str | bytes) -> None:
    time.sleep(float(data))
    ws.send(data)


async def echo_coroutine(ws: WebSocket) -> None:
    async for data in ws:
        await ws.send(data)


async def broadcast_coroutine(ws: WebSocket) -> None:
    ws.join("all")
    async for data in ws:
        await hub.room("all").broadcast(data)


async def block_coroutine(ws: WebSocket) -> None:
    async for data in ws:
        time.sleep(float(data))
        await ws.send(data)


if __name__ == "__main__":
    parser = arguments.parser()
    parser.add_argument("--io-threads", type=int, default=0)
    parser.add_argument("--handler", choices=["function", "coroutine"], default="function")
    options = parser.parse_args()
    if options.handler == "coroutine":
        coroutines = {"echo": echo_coroutine, "broadcast": broadcast_coroutine, "block": block_coroutine}
        hub.websocket("/")(coroutines[options.mode])
    else:
        hub.on_message({"echo": echo, "broadcast": broadcast, "block": block}[options.mode])
        if options.mode == "broadcast":
            hub.on_connection(join)
    hub.run(host="127.0.0.1", port=options.port, io_threads=options.io_threads, access_log=False)
