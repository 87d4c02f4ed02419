"""Order: what threads say one after the other arrives in that order; what is said before a handler blocks can leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest
from websockets.sync.client import connect

from hubbub import Hub, Limits, WebSocket
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]


@pytest.fixture(params=[0, 1, 4], ids=["inline", "threaded", "four"])
def io_threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def elsewhere(work: Callable[[], object]) -> None:
    """Runs in a thread, to its end."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def test_a_thread_that_is_started_between_two_sends_is_heard_between_them(serve: Serve) -> None:
    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send("A")
        elsewhere(lambda: ws.send("B"))
        ws.send("C")
        elsewhere(lambda: hub.broadcast("D"))
        hub.broadcast("E")
        elsewhere(lambda: ws.send("F" * 10_000))
        ws.send("G" * 10_000)

    async with serve(hub) as server, server.connect() as client:
        for _ in range(5):
            await client.send("go")
            assert [(await client.recv())[0] for _ in range(7)] == list("ABCDEFG")


async def test_a_coroutine_that_hands_over_to_a_thread_is_heard_in_order(serve: Serve) -> None:
    hub = Hub()

    @hub.on_message
    async def message(ws: WebSocket, data: str) -> None:
        ws.send("A")
        await anyio.to_thread.run_sync(ws.send, "B")
        ws.send("C")
        await anyio.to_thread.run_sync(hub.broadcast, "D")
        ws.send("E")

    async with serve(hub) as server, server.connect() as client:
        for _ in range(5):
            await client.send("go")
            assert [await client.recv() for _ in range(5)] == list("ABCDE")


@pytest.mark.parametrize("io_threads", [0, 1, 4])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_to_thread_is_a_thread_like_any_other(io_threads: int) -> None:
    hub = Hub()

    @hub.on_message
    async def message(ws: WebSocket, data: str) -> None:
        ws.send("A")
        await asyncio.to_thread(ws.close, 4000)

    async with Serve(io_threads)(hub) as server, server.connect() as client:
        await client.send("go")
        assert await client.recv() == "A"
        assert (await client.ended())[0] == 4000


async def test_a_session_that_a_thread_closes_has_had_what_was_sent_before(serve: Serve) -> None:
    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send("A")
        elsewhere(lambda: ws.close(4000))

    async with serve(hub) as server:
        for _ in range(10):
            async with server.connect() as client:
                await client.send("go")
                assert await client.recv() == "A"
                assert (await client.ended())[0] == 4000


async def test_who_joins_or_leaves_after_a_broadcast_is_on_the_right_side_of_it(serve: Serve) -> None:
    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        room = hub.room("room")
        elsewhere(lambda: room.broadcast("nobody is here"))
        ws.join("room")
        room.broadcast("1")
        elsewhere(lambda: ws.leave("room"))
        room.broadcast("it has left")
        elsewhere(lambda: ws.join("room"))
        elsewhere(lambda: room.broadcast("2"))
        ws.leave("room")
        elsewhere(lambda: room.broadcast("it has left again"))
        ws.send("3")

    async with serve(hub) as server, server.connect() as client:
        for _ in range(5):
            await client.send("go")
            assert [await client.recv() for _ in range(3)] == ["1", "2", "3"]


async def test_what_was_flushed_arrives_while_the_handler_blocks(serve: Serve) -> None:
    hub, free = Hub(), threading.Event()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send("working")
        hub.flush()
        assert free.wait(5)
        ws.send("done")

    async with serve(hub) as server:
        # The loop is blocked: the client is a thread's.
        def talk(url: str) -> list[str | bytes]:
            with connect(url, compression=None) as client:
                client.send("go")
                first = client.recv(timeout=4)
                free.set()
                return [first, client.recv(timeout=4)]

        assert server.listening is not None
        assert await anyio.to_thread.run_sync(talk, server.listening.urls[0]) == ["working", "done"]
    hub.flush()  # a hub that does not run has nothing to flush


async def test_a_delivery_can_be_awaited_long_after_the_broadcast(serve: Serve) -> None:
    hub = Hub(limits=Limits(unsent_bytes=16 << 10, high_water_bytes=1 << 10, ping_interval=None))
    sessions: list[WebSocket] = []
    hub.on_connection(sessions.append)
    async with serve(hub) as server, server.connect(receive_buffer=4096):
        await until(lambda: bool(sessions))
        delivery = hub.broadcast(bytes(16 << 20))
        for _ in range(100):  # what can be written is written, and nothing else is due
            await anyio.sleep(0)
        with anyio.fail_after(3):
            assert (await delivery).reached == 1
