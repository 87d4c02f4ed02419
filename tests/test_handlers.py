"""on_connection, on_message and on_close: as functions, as coroutines, and mixed."""

from __future__ import annotations

from itertools import product

import anyio
import pytest

from hubbub import Hub, WebSocket
from support.handlers import KINDS
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]


@pytest.mark.parametrize("kinds", list(product(KINDS, repeat=3)), ids=lambda kinds: "-".join(k.__name__ for k in kinds))
async def test_handlers_may_be_functions_and_coroutines_in_any_mixture(serve: Serve, kinds) -> None:
    hub, told = Hub(), []

    def connected(ws: WebSocket) -> None:
        told.append(("connected", ws))
        ws.send("welcome")

    def message(ws: WebSocket, data: str | bytes) -> None:
        told.append((data, ws))
        ws.send(data)

    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((code, reason, ws.closed, ws))

    hub.on_connection(kinds[0](connected))
    hub.on_message(kinds[1](message))
    hub.on_close(kinds[2](closed))
    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "welcome"
        await client.send("text")
        await client.send(b"\x00binary")
        assert await client.recv() == "text"
        assert await client.recv() == b"\x00binary"
        assert (await client.close(4000, "bye"))[0] == 4000
        await until(lambda: len(told) == 4)
        ws = told[0][1]
        assert told == [("connected", ws), ("text", ws), (b"\x00binary", ws), (4000, "bye", True, ws)]


@pytest.mark.parametrize("kind", KINDS)
async def test_messages_of_one_session_are_handled_in_order_one_at_a_time(serve: Serve, kind) -> None:
    hub, busy, most, seen = Hub(), 0, 0, []

    @hub.on_message
    async def message(ws: WebSocket, data: str) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await anyio.sleep(0)
        seen.append(data)
        busy -= 1
        if data == "99":
            ws.send("done")

    async with serve(hub) as server, server.connect() as client:
        for number in range(100):
            await client.send(str(number))
        assert await client.recv() == "done"
    assert seen == [str(number) for number in range(100)]
    assert most == 1


async def test_one_slow_session_does_not_hold_up_another(serve: Serve) -> None:
    hub = Hub()
    release = anyio.Event()

    @hub.on_message
    async def message(ws: WebSocket, data: str) -> None:
        if data == "wait":
            await release.wait()
        ws.send(data)

    async with serve(hub) as server, server.connect() as slow, server.connect() as fast:
        await slow.send("wait")
        await fast.send("now")
        assert await fast.recv() == "now"
        release.set()
        assert await slow.recv() == "wait"


async def test_concurrency_handles_so_many_messages_of_a_session_at_once(serve: Serve) -> None:
    hub, busy, most = Hub(), 0, 0
    three = anyio.Event()

    @hub.on_message(concurrency=3)
    async def message(ws: WebSocket, data: str) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        if busy == 3:
            three.set()
        await three.wait()
        await anyio.sleep(0)
        busy -= 1
        ws.send(data)

    async with serve(hub) as server, server.connect() as client:
        for number in range(12):
            await client.send(str(number))
        got = {await client.recv() for _ in range(12)}
    assert got == {str(number) for number in range(12)}
    assert most == 3


async def test_on_close_comes_after_the_last_of_several_messages_at_once(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.on_message(concurrency=4)
    async def message(ws: WebSocket, data: str) -> None:
        await anyio.sleep(0.02)
        told.append(data)

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(code)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        for number in range(4):
            await client.send(str(number))
        await client.close(1000)
        await over.wait()
    assert sorted(told[:4]) == ["0", "1", "2", "3"]
    assert told[4:] == [1000]


async def test_a_hub_without_handlers_takes_messages_and_forgets_them(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub) as server, server.connect() as client:
        for _ in range(200):
            await client.send(b"x" * 1000)
        await client.ping(b"still there?")
        assert await client.recv_pong() == b"still there?"


async def test_messages_sent_before_the_close_are_all_handled_before_on_close(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        told.append(data)

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((code, reason))
        over.set()

    async with serve(hub) as server, server.connect() as client:
        for number in range(300):
            await client.send(str(number))
        await client.close(1000, "done")
        await over.wait()
    assert told == [*map(str, range(300)), (1000, "done")]


async def test_on_close_is_told_1006_when_the_connection_is_lost(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()
    connected = anyio.Event()

    @hub.on_connection
    def begin(ws: WebSocket) -> None:
        connected.set()

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((code, ws.close_code, reason == ws.close_reason))
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await connected.wait()
        client.abort()
        await over.wait()
    assert told == [(1006, 1006, True)]


async def test_a_callable_object_may_be_a_handler(serve: Serve) -> None:
    class Plain:
        def __call__(self, ws: WebSocket, data: str) -> None:
            ws.send("plain " + data)

    class Async:
        async def __call__(self, ws: WebSocket, data: str) -> None:
            await ws.send("async " + data)

    for handler, expected in ((Plain(), "plain x"), (Async(), "async x")):
        hub = Hub()
        hub.on_message(handler)
        async with serve(hub) as server, server.connect() as client:
            await client.send("x")
            assert await client.recv() == expected


async def test_decorators_give_the_function_back() -> None:
    hub = Hub()

    def handler(ws: WebSocket) -> None: ...
    def message(ws: WebSocket, data: str) -> None: ...
    async def coroutine(ws: WebSocket, data: str) -> None: ...
    async def endpoint(ws: WebSocket) -> None: ...

    assert hub.on_connection(handler) is handler
    assert hub.on_message(message) is message
    assert Hub().on_message(concurrency=2)(coroutine) is coroutine
    assert hub.websocket("/")(endpoint) is endpoint
