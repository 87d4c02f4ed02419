"""Echo and broadcast on websockets, with uvloop, without compression.

python websockets_server.py PORT [--mode echo|broadcast|block]
"""

import logging
import time

import arguments
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

members: set[ServerConnection] = set()


async def echo(ws: ServerConnection) -> None:
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass


async def broadcast_to_everyone(ws: ServerConnection) -> None:
    members.add(ws)
    try:
        async for message in ws:
            broadcast(members, message)
    except ConnectionClosed:
        pass
    finally:
        members.discard(ws)


async def block(ws: ServerConnection) -> None:
    try:
        async for message in ws:
            time.sleep(float(message))
            await ws.send(message)
    except ConnectionClosed:
        pass


async def main(port: int, handler) -> None:
    # No log of each connection.
    logger = logging.getLogger("quiet")
    logger.setLevel(logging.ERROR)
    async with serve(
        handler,
        "127.0.0.1",
        port,
        compression=None,
        max_size=arguments.MAX_MESSAGE_BYTES,
        backlog=arguments.BACKLOG,
        logger=logger,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    handlers = {"echo": echo, "broadcast": broadcast_to_everyone, "block": block}
    uvloop.run(main(options.port, handlers[options.mode]))
