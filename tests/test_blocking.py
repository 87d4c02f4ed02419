"""While a handler blocks the event loop, network threads go on: pings, handshakes and fan-out do not wait for it."""

from __future__ import annotations

import logging
import threading
import time

import anyio
import anyio.to_thread
import pytest
from websockets.sync.client import connect

from hubbub import Hub, Limits, WebSocket
from support.server import Serve, until

pytestmark = pytest.mark.anyio


async def test_pings_are_answered_and_clients_get_their_101_while_a_handler_blocks() -> None:
    hub, blocked, free = Hub(), threading.Event(), threading.Event()
    freed = []

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        hub.broadcast("under way")
        blocked.set()
        freed.append(free.wait(5))

    def others(url: str) -> None:
        # A plain broadcast is handed over at the end of the handler's batch; everything else needs no handler at all.
        with connect(url, compression=None) as one:
            one.send("block")
            assert blocked.wait(5)
            with connect(url, compression=None, open_timeout=4) as two:
                assert two.ping().wait(4)
                assert one.ping().wait(4)
            free.set()
            assert one.recv(timeout=5) == "under way"

    async with hub.listening(port=0, io_threads=1, access_log=False) as listening:
        await anyio.to_thread.run_sync(others, listening.urls[0])
        await until(lambda: freed == [True])


async def test_a_broadcast_from_a_thread_reaches_everyone_while_a_handler_blocks() -> None:
    hub, blocked, free = Hub(), threading.Event(), threading.Event()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        blocked.set()
        assert free.wait(5)

    def others(url: str) -> None:
        with connect(url, compression=None) as one:
            one.send("block")
            assert blocked.wait(5)
            hub.broadcast("from a thread")
            assert one.recv(timeout=4) == "from a thread"
            free.set()

    async with hub.listening(port=0, io_threads=1, access_log=False) as listening:
        await anyio.to_thread.run_sync(others, listening.urls[0])


@pytest.mark.parametrize("kind", ["function", "coroutine"])
async def test_a_handler_that_keeps_the_loop_busy_is_logged_once_with_its_name(
    serve: Serve, caplog: pytest.LogCaptureFixture, anyio_backend_name: str, kind: str
) -> None:
    watched = kind == "function" or anyio_backend_name != "trio"
    hub = Hub(limits=Limits(slow_handler=0.01))

    def busy(data: str) -> None:
        end = time.monotonic() + (0.03 if data == "slow" else 0.0)
        while time.monotonic() < end:
            pass

    if kind == "function":

        @hub.on_message
        def dawdle(ws: WebSocket, data: str) -> None:
            busy(data)
            ws.send(data)

    else:

        @hub.on_message
        async def dawdle(ws: WebSocket, data: str) -> None:
            busy(data)
            await ws.send(data)

    caplog.set_level(logging.WARNING, "hubbub")
    async with serve(hub) as server, server.connect() as client:
        for _ in range(2):
            await client.send("slow")
            assert await client.recv() == "slow"
        told = [record.getMessage() for record in caplog.records if "busy" in record.getMessage()]
        assert len(told) == watched
        assert all("dawdle" in line for line in told)
