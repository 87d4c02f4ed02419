"""Clients in a process of their own, so that a test can stop them as a whole.

    peers.py PORT COUNT

Each is in a room of its own, answers pings, and says nothing else. Prints "ready" when all are there. For each line
that comes they all say something and wait for the echo; then "echoed" and how many is printed.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

QUIET: dict[str, Any] = {"ping_interval": None, "proxy": None}


async def come(port: int, number: int) -> ClientConnection:
    client = await connect(f"ws://127.0.0.1:{port}/", compression=None, open_timeout=30, **QUIET)
    await client.send(f"!join room-{number}")
    assert await client.recv() == "joined"
    return client


async def echo(client: ClientConnection) -> bool:
    await client.send("still here")
    return await client.recv() == "still here"


async def main(port: int, count: int) -> None:
    clients = [await come(port, number) for number in range(count)]
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print("echoed", sum(await asyncio.gather(*map(echo, clients))), flush=True)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
