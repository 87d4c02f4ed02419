"""Echo and broadcast on granian: its own interface RSGI, uvloop, one worker.

python granian_server.py PORT [--mode echo|broadcast|block]
"""

import contextlib
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import arguments
from granian import Granian
from granian.constants import Interfaces, Loops
from granian.rsgi import ProtocolClosed, ProtocolError, WebsocketMessageType

# The worker is a process of its own, which imports this module.
MODE = "HUBBUB_BENCH_MODE"

members: set[Any] = set()


async def messages(transport: Any) -> AsyncIterator[str | bytes]:
    while (message := await transport.receive()).kind != WebsocketMessageType.close:
        yield message.data


async def send(transport: Any, data: str | bytes) -> None:
    if isinstance(data, str):
        await transport.send_str(data)
    else:
        await transport.send_bytes(data)


async def echo(transport: Any) -> None:
    async for data in messages(transport):
        await send(transport, data)


async def broadcast(transport: Any) -> None:
    members.add(transport)
    try:
        async for data in messages(transport):
            for member in list(members):
                await send(member, data)
    finally:
        members.discard(transport)


async def block(transport: Any) -> None:
    async for data in messages(transport):
        time.sleep(float(data))
        await send(transport, data)


async def app(scope: Any, protocol: Any) -> None:
    handler = {"echo": echo, "broadcast": broadcast, "block": block}[os.environ[MODE]]
    with contextlib.suppress(ProtocolClosed, ProtocolError):
        await handler(await protocol.accept())
    protocol.close(1000)


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    os.environ[MODE] = options.mode
    # Backpressure bounds the connections that are open: more than any scenario has.
    Granian(
        "granian_server:app",
        address="127.0.0.1",
        port=options.port,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        workers=1,
        backlog=arguments.BACKLOG,
        backpressure=100_000,
        log_enabled=False,
    ).serve()
