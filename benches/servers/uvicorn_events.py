"""Event streams by Starlette on uvicorn with uvloop and httptools, or on granian: a queue for each client, as is usual.

python uvicorn_events.py PORT [granian]
"""

import argparse
import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

queues: set[asyncio.Queue[bytes]] = set()


async def stream(request: Request) -> StreamingResponse:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def events() -> AsyncIterator[bytes]:
        queues.add(queue)
        try:
            yield b":\n\n"
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)

    return StreamingResponse(events(), media_type="text/event-stream")


async def say(request: Request) -> PlainTextResponse:
    event = b"data: " + b"x" * 64 + b"\n\n"
    for _ in range(int(request.query_params["count"])):
        for queue in queues:
            queue.put_nowait(event)
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/stream", stream), Route("/say", say)])

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("server", nargs="?", default="uvicorn")
    options = parser.parse_args()
    if options.server == "granian":
        from granian import Granian
        from granian.constants import Interfaces, Loops

        Granian(
            "uvicorn_events:app",
            address="127.0.0.1",
            port=options.port,
            interface=Interfaces.ASGI,
            loop=Loops.uvloop,
            workers=1,
            log_enabled=False,
            backpressure=2000,
        ).serve()
    else:
        import uvicorn

        uvicorn.run(
            app,
            host="127.0.0.1",
            port=options.port,
            loop="uvloop",
            http="httptools",
            lifespan="off",
            log_level="critical",
            access_log=False,
        )
