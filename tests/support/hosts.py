"""Other servers that host a hub: uvicorn in an asyncio loop, hypercorn in asyncio and trio."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from hubbub import Hub
from support.server import Server

__all__ = ["HOSTS", "Hosted", "host"]

#: What `host` knows; hypercorn is the one that runs on trio.
HOSTS = ["uvicorn", "hypercorn"]


@asynccontextmanager
async def host(app: Any, name: str, **options: Any) -> AsyncIterator[tuple[str, str, int]]:
    """Serves an ASGI application on a free port; gives its address. `options` are those of the host's configuration."""
    serve = {"uvicorn": _uvicorn, "hypercorn": _hypercorn}[name]
    async with serve(app, **options) as port:
        yield ("tcp", "127.0.0.1", port)


class Hosted:
    """`async with serve(hub) as server`, as `support.server.Serve`, in another server."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.options = options

    @asynccontextmanager
    async def __call__(self, hub: Hub, **options: Any) -> AsyncIterator[Server]:
        if set(options) - {"shutdown_timeout", "access_log"}:
            pytest.skip(f"the host listens: {options}")
        async with host(hub.asgi(**options), self.name, **self.options) as address:
            yield Server(hub, None, address)


@asynccontextmanager
async def _uvicorn(app: Any, **options: Any) -> AsyncIterator[int]:
    import uvicorn

    # The implementations of WebSocket differ in what they tell.
    options = {"ws": "websockets-sansio", "log_config": None, "lifespan": "on", **options}
    config = uvicorn.Config(app, port=0, **options)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert not server.should_exit, "the hub has not started"
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        with anyio.CancelScope(shield=True):
            await server.shutdown()


@asynccontextmanager
async def _hypercorn(app: Any, **options: Any) -> AsyncIterator[int]:
    from hypercorn.config import Config

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.errorlog.setLevel(logging.WARNING)
    for key, value in {"graceful_timeout": 1.0, **options}.items():
        setattr(config, key, value)
    sockets = config.create_sockets()
    for sock in sockets.insecure_sockets:
        sock.listen(config.backlog)
    started, stop = anyio.Event(), anyio.Event()

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watching(event: Any) -> None:
            await send(event)
            if event["type"] == "lifespan.startup.complete":
                started.set()

        await app(scope, receive, watching if scope["type"] == "lifespan" else send)

    async with anyio.create_task_group() as group:
        group.start_soon(partial(_serve_hypercorn(), watched, config, shutdown_trigger=stop.wait, sockets=sockets))
        await started.wait()
        yield sockets.insecure_sockets[0].getsockname()[1]
        stop.set()


def _serve_hypercorn() -> Callable[..., Any]:
    in_trio = "trio" in sys.modules and _runs_trio()
    from hypercorn.app_wrappers import ASGIWrapper

    if in_trio:
        from hypercorn.trio.run import worker_serve
    else:
        from hypercorn.asyncio.run import worker_serve  # type: ignore[assignment]

    async def serve(app: Any, config: Any, **options: Any) -> None:
        await worker_serve(ASGIWrapper(app), config, **options)

    return serve


def _runs_trio() -> bool:
    import sniffio

    return sniffio.current_async_library() == "trio"
