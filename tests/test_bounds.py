"""What waits is bounded, wherever it waits: beside its bytes, between threads, in the kernel, and when nobody cares."""

from __future__ import annotations

import gc
import threading

import anyio
import pytest

from hubbub import Hub, Limits, WebSocket
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]

KIB = 1 << 10
MIB = 1 << 20


def sessions_of(hub: Hub) -> list[WebSocket]:
    sessions: list[WebSocket] = []
    hub.on_connection(sessions.append)
    return sessions


async def test_what_a_broadcast_costs_beside_its_bytes_counts_in_the_outbox(serve: Serve) -> None:
    limits = Limits(outbox_bytes=64 * KIB, outbox_policy="drop_oldest", unsent_bytes=16 * KIB, ping_interval=None)
    hub = Hub(limits=limits)
    sessions = sessions_of(hub)
    async with serve(hub) as server, server.connect(receive_buffer=4096):
        await until(lambda: bool(sessions))
        while hub.stats()["dropped_oldest"] == 0:
            await hub.broadcast(bytes(4 * KIB))
            await anyio.sleep(0)
        for _ in range(50):
            for _ in range(400):
                delivery = hub.broadcast(b"")
            await delivery
        for _ in range(20):
            await anyio.sleep(0)
        # An empty message is two bytes, and forty more as long as it waits; a message may be half written.
        assert sessions[0].buffered_amount < 4 * KIB + 64 * KIB // 20


async def test_the_kernel_holds_no_more_unsent_than_it_may(serve: Serve) -> None:
    hub = Hub(limits=Limits(unsent_bytes=16 * KIB, outbox_bytes=32 * MIB))
    sessions = sessions_of(hub)
    async with serve(hub) as server, server.connect(receive_buffer=4096):
        await until(lambda: bool(sessions))
        sessions[0].send(bytes(16 * MIB))
        await until(lambda: sessions[0].buffered_amount < 16 * MIB)
        await anyio.sleep(0)
        assert 16 * MIB - sessions[0].buffered_amount < MIB


async def test_a_thread_that_says_more_than_the_network_takes_up_waits() -> None:
    hub, blocked, free, said = Hub(limits=Limits(posted_bytes=MIB)), threading.Event(), threading.Event(), []

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        blocked.set()
        free.wait(0.5)

    def talk() -> None:
        assert blocked.wait(5)
        for _ in range(200):
            hub.room("nobody is here").broadcast(bytes(100 * KIB))
            said.append(not free.is_set())
        free.set()

    async with Serve(0)(hub) as server, server.connect() as client:
        thread = threading.Thread(target=talk)
        thread.start()
        await client.send("block")
        # The handler's half a second is over before the thread has said a quarter of it.
        await until(lambda: not thread.is_alive())
        assert len(said) == 200
        assert not free.wait(0) or said.count(True) == 200


async def test_a_handler_that_waits_for_a_thread_which_says_too_much_goes_on(serve: Serve) -> None:
    hub = Hub(limits=Limits(posted_bytes=MIB))

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        def talk() -> None:
            for _ in range(12):
                hub.room("nobody is here").broadcast(bytes(100 * KIB))

        thread = threading.Thread(target=talk)
        thread.start()
        thread.join()
        ws.send("done")

    async with serve(hub) as server, server.connect() as client:
        await client.send("go")
        assert await client.recv() == "done"


async def test_pings_that_nobody_waits_for_are_forgotten(serve: Serve) -> None:
    hub, over = Hub(), anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        for _ in range(2000):
            with anyio.move_on_after(0):
                await ws.ping()
        over.set()
        await ws.recv()

    async with serve(hub) as server, server.connect():
        await over.wait()
        assert sum(type(one).__name__ == "Waiter" for one in gc.get_objects()) < 100


@pytest.mark.parametrize("what", ["close", "broadcast"])
async def test_who_has_given_up_waiting_is_forgotten(serve: Serve, what: str) -> None:
    hub, over, stay = Hub(), anyio.Event(), anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        waiting = ws.close() if what == "close" else hub.broadcast("x")
        for _ in range(2000):
            with anyio.move_on_after(0):
                await waiting
        over.set()
        await stay.wait()

    async with serve(hub) as server, server.connect():
        await over.wait()
        assert sum(type(one).__name__ == "Waiter" for one in gc.get_objects()) < 100
        stay.set()


async def test_many_awaited_broadcasts_at_once_all_end(serve: Serve) -> None:
    hub, reached = Hub(), []
    sessions = sessions_of(hub)

    async def announce() -> None:
        delivery = await hub.room("room").broadcast("x")
        reached.append(delivery.reached)

    async with serve(hub) as server, server.connect() as client:
        await until(lambda: bool(sessions))
        sessions[0].join("other")
        async with anyio.create_task_group() as group:
            for _ in range(3_000):
                group.start_soon(announce)
        assert reached == [0] * 3_000
        await client.close()


@pytest.mark.alone
async def test_a_client_that_reads_steadily_gets_everything_and_then_the_close_frame(serve: Serve) -> None:
    size = 3 * MIB
    hub = Hub(limits=Limits(close_timeout=1.0, unsent_bytes=16 * KIB, outbox_bytes=32 * MIB))

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.send(bytes(size))
        ws.close(4000, "that is all")

    async with serve(hub) as server, server.connect(receive_buffer=4096) as client:
        received = b""
        while len(received) < size:
            # Two seconds in all, twice what a client has that takes nothing.
            await anyio.sleep(2.0 * KIB * 32 / size)
            some = 0
            while some < 32 * KIB:
                more = await client.read()
                if not more:
                    break
                received += more
                some += len(more)
            if not some:
                break
        while more := await client.read():
            received += more
            if received.endswith(b"that is all"):
                break
        assert received.endswith(b"\x88\x0d\x0f\xa0that is all")
        assert len(received) > size


async def test_who_is_closing_is_in_no_room_any_more(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.join("room")
        ws.close()
        told.append((len(hub.room("room")), ws in hub.room("room"), list(hub.rooms), set(ws.rooms)))

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(set(ws.rooms))

    async with serve(hub) as server, server.connect() as client:
        await client.send("go")
        await client.ended()
        await until(lambda: len(told) == 2)
    assert told == [(0, False, [], {"room"}), {"room"}]
