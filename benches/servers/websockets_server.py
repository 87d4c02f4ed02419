"""Echo and broadcast on websockets, with uvloop, without compression.

python websockets_server.py PORT [--mode echo|broadcast]
"""

import argparse
import logging

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


async def main(port: int, handler) -> None:
    # The limits of the other servers here: messages of some MiB, no compression, no log of each connection.
    logger = logging.getLogger("quiet")
    logger.setLevel(logging.ERROR)
    async with serve(
        handler, "127.0.0.1", port, compression=None, max_size=16 << 20, backlog=4096, logger=logger
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--mode", choices=["echo", "broadcast"], default="echo")
    options = parser.parse_args()
    uvloop.run(main(options.port, echo if options.mode == "echo" else broadcast_to_everyone))
