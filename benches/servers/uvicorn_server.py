"""Echo and broadcast on uvicorn: an ASGI application on uvloop and httptools, without compression.

python uvicorn_server.py PORT [--mode echo|broadcast|block]

The WebSocket implementation is the one that uvicorn takes by itself.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import arguments
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

members: set[Send] = set()


async def messages(receive: Receive, send: Send) -> AsyncIterator[dict[str, Any]]:
    """Accepts the connection; then what is received, in the form in which ASGI sends."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        event["type"] = "websocket.send"
        yield event


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    async for message in messages(receive, send):
        await send(message)


async def broadcast(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    members.add(send)
    try:
        async for message in messages(receive, send):
            for member in list(members):
                await member(message)
    finally:
        members.discard(send)


async def block(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    async for message in messages(receive, send):
        time.sleep(float(message["text"]))
        await send(message)


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    uvicorn.run(
        {"echo": echo, "broadcast": broadcast, "block": block}[options.mode],
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="critical",
        access_log=False,
        backlog=arguments.BACKLOG,
        ws_max_size=arguments.MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
    )
