"""A hub that listens for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio

from hubbub import Hub, Listening
from support.client import Client, connect

__all__ = ["Serve", "Server", "until"]


class Server:
    """A listening hub, and the way to it."""

    def __init__(self, hub: Hub, listening: Listening | None, address: tuple[Any, ...]) -> None:
        self.hub = hub
        #: ``None``: another server listens for it.
        self.listening = listening
        self.address = address

    def connect(
        self,
        path: str = "/",
        *,
        headers: Mapping[str, str] = {},
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
        receive_buffer: int | None = None,
    ) -> AbstractAsyncContextManager[Client]:
        return connect(
            self.address,
            path,
            headers=headers,
            subprotocols=subprotocols,
            origin=origin,
            receive_buffer=receive_buffer,
        )


class Serve:
    """`async with serve(hub) as server`, in the number of threads that the test is run with."""

    def __init__(self, io_threads: int) -> None:
        self.io_threads = io_threads

    @asynccontextmanager
    async def __call__(self, hub: Hub, **options: Any) -> AsyncIterator[Server]:
        options = {"port": 0, "io_threads": self.io_threads, "access_log": False, **options}
        async with hub.listening(**options) as listening:
            yield Server(hub, listening, listening.addresses[0])


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that tells nobody when it comes. The test's own time limit bounds it."""
    while not condition():
        await anyio.sleep(0.002)
