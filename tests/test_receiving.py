"""recv and async for: messages, the end, cancellation, and who may wait."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest

from hubbub import ConcurrencyError, ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, Hub, WebSocket
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]


@pytest.fixture
def asyncio_only(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio's own names")


async def test_recv_gives_str_for_text_and_bytes_for_binary(serve: Serve) -> None:
    hub, got = Hub(), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        for _ in range(4):
            got.append(await ws.recv())

    async with serve(hub) as server, server.connect() as client:
        for data in ("grün", b"\xff\x00", "", b""):
            await client.send(data)
        await client.ended()
    assert got == ["grün", b"\xff\x00", "", b""]
    assert [type(data) for data in got] == [str, bytes, str, bytes]


async def test_async_for_ends_when_the_client_closes_in_an_orderly_way(serve: Serve) -> None:
    for code in (1000, 1001, None):
        hub, got, over = Hub(), [], anyio.Event()

        @hub.websocket("/")
        async def endpoint(ws: WebSocket, got: list = got, over: anyio.Event = over) -> None:
            async for data in ws:
                got.append(data)
            got.append(ws.close_code)
            over.set()

        async with serve(hub) as server, server.connect() as client:
            await client.send("a")
            await client.send("b")
            await client.close(code)
            await over.wait()
        assert got == ["a", "b", 1005 if code is None else code]


@pytest.mark.parametrize(
    ("code", "error"), [(1000, ConnectionClosedOK), (1001, ConnectionClosedOK), (4321, ConnectionClosedError)]
)
async def test_recv_raises_the_end_with_code_and_reason(serve: Serve, code: int, error: type[ConnectionClosed]) -> None:
    hub, got, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        try:
            await ws.recv()
        except ConnectionClosed as closed:
            got.append(closed)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.close(code, "why")
        await over.wait()
    (closed,) = got
    assert type(closed) is error
    assert (closed.code, closed.reason) == (code, "why")
    assert closed.received == (code, "why")
    assert closed.sent is not None
    assert closed.sent[0] == code
    assert str(closed) == f"the connection was closed with {code}: why"


async def test_a_close_without_a_code_is_1005(serve: Serve) -> None:
    hub, got, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        with pytest.raises(ConnectionClosedOK) as closed:
            await ws.recv()
        got.append(closed.value)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.close(None)
        await over.wait()
    assert got[0].code == 1005


async def test_async_for_raises_when_the_connection_is_lost(serve: Serve) -> None:
    hub, got, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        try:
            async for data in ws:
                got.append(data)
        except ConnectionClosedError as closed:
            got.append((closed.code, closed.received, closed.sent, bool(closed.reason)))
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.send("a")
        await until(lambda: got == ["a"])
        client.abort()
        await over.wait()
    assert got == ["a", (1006, None, None, True)]


async def test_messages_that_came_before_the_end_are_received_first(serve: Serve) -> None:
    hub, got, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await until(lambda: ws.closed)
        for _ in range(10):
            got.append(await ws.recv())
        with pytest.raises(ConnectionClosedOK):
            await ws.recv()
        with pytest.raises(ConnectionClosedOK):
            await ws.recv()
        over.set()

    async with serve(hub) as server, server.connect() as client:
        for number in range(10):
            await client.send(str(number))
        await client.close()
        await over.wait()
    assert got == [str(number) for number in range(10)]


async def test_two_tasks_may_not_receive_from_one_session(serve: Serve) -> None:
    hub, got = Hub(), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async def first() -> None:
            got.append(await ws.recv())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ConcurrencyError, match="one task at a time"):
                await ws.recv()
            ws.send("refused")
        # The task that came first is not disturbed.
        ws.send(got[0])

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "refused"
        await client.send("for the first")
        assert await client.recv() == "for the first"


async def test_cancelling_recv_loses_no_message(serve: Serve) -> None:
    hub, got, over, lost = Hub(), [], anyio.Event(), 0

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        nonlocal lost
        while len(got) < 500:
            with anyio.move_on_after(0.0005):
                while True:
                    got.append(await ws.recv())
            lost += 1
        over.set()

    async with serve(hub) as server, server.connect() as client:
        for number in range(500):
            await client.send(str(number))
            if number % 20 == 0:
                await anyio.sleep(0.001)
        await over.wait()
    assert got == [str(number) for number in range(500)]
    assert lost > 0


async def test_recv_can_be_cancelled_and_called_again(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.002):
                    await ws.recv()
        ws.send("ready")
        ws.send(await ws.recv())

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "ready"
        await client.send("hello")
        assert await client.recv() == "hello"


async def test_a_scope_that_is_cancelled_already_does_not_take_a_message(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await ws.recv()
        assert scope.cancelled_caught
        ws.send("ready")
        ws.send(await ws.recv())

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "ready"
        await client.send("hello")
        assert await client.recv() == "hello"


async def test_async_for_can_be_left_and_entered_again(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async for data in ws:
            ws.send("first " + data)
            break
        ws.send("recv " + await ws.recv())
        async for data in ws:
            ws.send("second " + data)

    async with serve(hub) as server, server.connect() as client:
        for expected in ("first x", "recv x", "second x", "second x"):
            await client.send("x")
            assert await client.recv() == expected


async def test_a_handler_that_does_not_receive_stops_the_client_from_sending(serve: Serve) -> None:
    hub, release = Hub(), anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await release.wait()
        count = 0
        async for _ in ws:
            count += 1
            if count == 2000:
                ws.send("all")

    async with serve(hub) as server, server.connect() as client:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(2000):
                await client.send(b"x" * 10_000)
                sent += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            before = -1
            while before != sent:
                before = sent
                await anyio.sleep(0.05)
            assert sent < 1900
            release.set()
        assert await client.recv() == "all"


async def test_a_function_endpoint_gets_everything_in_order_however_much_it_is(serve: Serve) -> None:
    hub, got = Hub(), []

    @hub.on_message
    def message(ws: WebSocket, data: bytes) -> None:
        got.append((len(data), data[:1]))
        if len(got) == 40:
            ws.send("all")

    async with serve(hub) as server, server.connect() as client:
        for number in range(40):
            await client.send(bytes([number]) * (number * 5000 + 1))
        assert await client.recv() == "all"
    assert got == [(number * 5000 + 1, bytes([number])) for number in range(40)]


# ---- asyncio's own ways to wait


@pytest.mark.usefixtures("asyncio_only")
async def test_recv_in_wait_for_times_out_and_loses_nothing(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.recv(), 0.005)
        ws.send("ready")
        ws.send(await asyncio.wait_for(ws.recv(), 5))

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "ready"
        await client.send("hello")
        assert await client.recv() == "hello"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is new in Python 3.11")
@pytest.mark.usefixtures("asyncio_only")
async def test_recv_in_asyncio_timeout_times_out_and_loses_nothing(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await ws.recv()
        ws.send("ready")
        async with asyncio.timeout(5):
            ws.send(await ws.recv())

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "ready"
        await client.send("hello")
        assert await client.recv() == "hello"


@pytest.mark.usefixtures("asyncio_only")
async def test_recv_can_be_a_task(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        receiving = asyncio.create_task(ws.recv())
        stop = asyncio.create_task(asyncio.sleep(3600))
        done, _ = await asyncio.wait({receiving, stop}, return_when=asyncio.FIRST_COMPLETED)
        assert done == {receiving}
        stop.cancel()
        ws.send(receiving.result())
        cancelled = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        ws.send("ready")
        one, two = await asyncio.gather(ws.recv(), asyncio.sleep(0, "slept"))
        ws.send(one + two)

    async with serve(hub) as server, server.connect() as client:
        await client.send("task")
        assert await client.recv() == "task"
        assert await client.recv() == "ready"
        await client.send("gathered and ")
        assert await client.recv() == "gathered and slept"


@pytest.mark.usefixtures("asyncio_only")
async def test_a_task_that_is_cancelled_in_the_turn_of_its_message_leaves_the_message(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        for _ in range(50):
            receiving = asyncio.create_task(ws.recv())
            await asyncio.sleep(0)
            ws.send("send one")
            await asyncio.sleep(0.0005)
            receiving.cancel()
            (data,) = await asyncio.gather(receiving, return_exceptions=True)
            if isinstance(data, BaseException):
                data = await asyncio.wait_for(ws.recv(), 5)
            assert data == "x"
        ws.send("all")

    async with serve(hub) as server, server.connect() as client:
        while (told := await client.recv()) != "all":
            assert told == "send one"
            await client.send("x")
