"""Handlers run in ordinary tasks: current task, context variables, cancel scopes and task groups are what they seem."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import anyio
import pytest
import sniffio

from hubbub import ConnectionClosed, Hub, WebSocket
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]

number: ContextVar[int] = ContextVar("number", default=0)


async def test_the_tests_run_on_the_loops_that_they_say(anyio_backend_name: str, anyio_backend_options: dict) -> None:
    assert sniffio.current_async_library() == anyio_backend_name
    if anyio_backend_name == "asyncio":
        loop = type(asyncio.get_running_loop()).__module__
        assert loop.startswith("uvloop") == anyio_backend_options["use_uvloop"]


async def test_the_current_task_stays_the_same_through_a_coroutine(serve: Serve) -> None:
    hub, tasks = Hub(), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        tasks.append(anyio.get_current_task().id)
        async for data in ws:
            tasks.append(anyio.get_current_task().id)
            await ws.send(data)
            tasks.append(anyio.get_current_task().id)

    async with serve(hub) as server, server.connect() as client:
        for _ in range(3):
            await client.send("x")
            await client.recv()
        await until(lambda: len(tasks) == 7)
        assert len(set(tasks)) == 1
        assert anyio.get_current_task().id not in tasks


async def test_each_session_has_a_task_of_its_own(serve: Serve) -> None:
    hub, tasks = Hub(), []

    @hub.on_message
    async def message(ws: WebSocket, data: str) -> None:
        tasks.append(anyio.get_current_task().id)
        await ws.send(data)

    async with serve(hub) as server, server.connect() as one, server.connect() as two:
        for client in (one, two, one, two):
            await client.send("x")
            await client.recv()
    assert tasks[0] == tasks[2] != tasks[1] == tasks[3]


async def test_asyncio_knows_its_current_task_in_every_step(serve: Serve, anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio's own names")
    hub, tasks, outside = Hub(), [], asyncio.current_task()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async for data in ws:
            tasks.append(asyncio.current_task())
            await ws.ping()
            tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
            ws.send(data)

    async with serve(hub) as server, server.connect() as client:
        await client.send("x")
        assert await client.recv() == "x"
        assert asyncio.current_task() is outside
    assert len(tasks) == 3
    assert None not in tasks
    assert len(set(tasks)) == 1
    assert tasks[0] is not outside


async def test_context_variables_are_kept_through_every_await(serve: Serve) -> None:
    hub, got = Hub(), []

    @hub.websocket("/{n}")
    async def endpoint(ws: WebSocket) -> None:
        number.set(int(ws.path_params["n"]))
        async for data in ws:
            got.append(number.get())
            await ws.send(data)
            got.append(number.get())
            await ws.ping()
            got.append(number.get())
            ws.send("ponged")

    async with serve(hub) as server, server.connect("/1") as one, server.connect("/2") as two:
        for client in (one, two, one):
            await client.send("x")
            assert await client.recv() == "x"
            assert await client.recv() == "ponged"
    assert got == [1, 1, 1, 2, 2, 2, 1, 1, 1]
    assert number.get() == 0


async def test_a_task_group_in_a_handler_receives_in_one_task_and_sends_in_another(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        give, take = anyio.create_memory_object_stream[str](10)

        async def receive() -> None:
            async with give:
                async for data in ws:
                    await give.send(data)

        async with anyio.create_task_group() as tasks, take:
            tasks.start_soon(receive)
            async for data in take:
                await ws.send(data.upper())

    async with serve(hub) as server, server.connect() as client:
        for data in ("a", "b"):
            await client.send(data)
            assert await client.recv() == data.upper()
        await client.close()


async def test_a_handler_can_wait_for_another_client(serve: Serve) -> None:
    hub, waiting = Hub(), {}

    @hub.websocket("/{name}")
    async def endpoint(ws: WebSocket) -> None:
        waiting.setdefault(ws.path_params["name"], anyio.Event()).set()
        await waiting.setdefault("b" if ws.path_params["name"] == "a" else "a", anyio.Event()).wait()
        await ws.send("met")

    async with serve(hub) as server, server.connect("/a") as one, server.connect("/b") as two:
        assert await one.recv() == await two.recv() == "met"


async def test_a_handler_that_does_not_notice_the_end_is_cancelled(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        told.append("started")
        try:
            await anyio.sleep_forever()
        finally:
            told.append("cancelled")
            over.set()

    async with serve(hub) as server, server.connect() as client:
        await until(lambda: told == ["started"])
        await client.close()
        await over.wait()
    assert told == ["started", "cancelled"]


async def test_a_handler_that_has_noticed_the_end_may_take_its_time(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async for _ in ws:
            pass
        # Longer than a handler is waited for that has not noticed.
        await anyio.sleep(0.7)
        told.append("cleaned up")
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.close()
        await over.wait()
    assert told == ["cleaned up"]


async def test_handlers_of_messages_at_once_that_do_not_notice_the_end_are_cancelled(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_message(concurrency=3)
    async def message(ws: WebSocket, data: str) -> None:
        told.append(f"{data} began")
        try:
            await anyio.sleep_forever()
        finally:
            told.append(f"{data} was cancelled")

    @hub.on_close
    async def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append("closed")

    async with serve(hub) as server, server.connect() as client:
        for number in range(5):
            await client.send(str(number))
        await until(lambda: len(told) == 3)
        await client.close()
        await until(lambda: "closed" in told)
    assert told[:3] == [f"{number} began" for number in range(3)]
    assert sorted(told[3:6]) == [f"{number} was cancelled" for number in range(3)]
    assert told[6:] == ["closed"]


async def test_a_handler_of_messages_at_once_that_has_noticed_the_end_may_take_its_time(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_message(concurrency=2)
    async def message(ws: WebSocket, data: str) -> None:
        try:
            if data == "sleeps":
                await anyio.sleep_forever()
            ws.send("there?")
            while True:
                await ws.ping()
        except ConnectionClosed:
            # Longer than a handler is waited for that has not noticed.
            await until(lambda: "sleeps: over" in told)
            await anyio.sleep(0.2)
        finally:
            told.append(f"{data}: over")

    @hub.on_close
    async def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append("closed")

    async with serve(hub) as server, server.connect() as client:
        await client.send("sleeps")
        await client.send("sends")
        assert await client.recv() == "there?"
        await client.close()
        await until(lambda: "closed" in told)
    assert told == ["sleeps: over", "sends: over", "closed"]
