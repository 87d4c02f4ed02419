"""Closing: codes and reasons both ways, what is delivered before, and who waits how long."""

from __future__ import annotations

import anyio
import pytest

from hubbub import ConnectionClosed, ConnectionClosedError, Hub, Limits, WebSocket
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]

LEGAL = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]


@pytest.mark.parametrize("reason", ["", "because", "grün ☃", "x" * 123])
async def test_the_client_sees_our_code_and_reason(serve: Serve, reason: str) -> None:
    hub, told = Hub(), []

    @hub.websocket("/{code}")
    async def endpoint(ws: WebSocket) -> None:
        await ws.close(int(ws.path_params["code"]), reason)
        told.append((ws.closed, ws.close_code))

    async with serve(hub) as server:
        for code in LEGAL:
            async with server.connect(f"/{code}") as client:
                assert await client.ended() == (code, reason)
        await until(lambda: len(told) == len(LEGAL))
    assert told == [(True, code) for code in LEGAL]


@pytest.mark.parametrize("reason", ["", "because", "grün ☃", "x" * 123])
async def test_the_handler_sees_the_clients_code_and_reason(serve: Serve, reason: str) -> None:
    hub, told = Hub(), []

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        assert (ws.close_code, ws.close_reason, ws.closed) == (code, reason, True)
        told.append((code, reason))

    async with serve(hub) as server:
        for code in LEGAL:
            async with server.connect() as client:
                assert (await client.close(code, reason))[0] == code
        await until(lambda: len(told) == len(LEGAL))
    assert told == [(code, reason) for code in LEGAL]


async def test_closing_closes_with_1000(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.close()

    async with serve(hub) as server, server.connect() as client:
        assert await client.ended() == (1000, "")


async def test_everything_sent_before_the_close_is_delivered(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        for number in range(200):
            ws.send(str(number))
        ws.send(b"x" * 500_000)
        ws.close(4000, "done")

    async with serve(hub) as server, server.connect() as client:
        assert [await client.recv() for _ in range(200)] == [str(number) for number in range(200)]
        assert len(await client.recv()) == 500_000
        assert await client.ended() == (4000, "done")


async def test_messages_that_come_after_our_close_are_not_handled(serve: Serve) -> None:
    hub, got, over = Hub(), [], anyio.Event()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        got.append(data)
        ws.close(4000)

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        got.append(code)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        for number in range(50):
            await client.send(str(number))
        assert (await client.ended())[0] == 4000
        await over.wait()
    assert got == ["0", 4000]


async def test_the_first_close_counts(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.close(4001, "first")
        ws.close(4002, "second")

    async with serve(hub) as server, server.connect() as client:
        assert await client.ended() == (4001, "first")


async def test_a_client_that_does_not_answer_a_close_is_dropped(serve: Serve) -> None:
    hub, told, over = Hub(limits=Limits(close_timeout=0.1)), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        started = anyio.current_time()
        await ws.close(4000, "bye")
        told.append(0.08 < anyio.current_time() - started < 3)
        told.append(ws.close_code)
        over.set()

    async with serve(hub) as server, server.connect():
        await over.wait()
    assert told == [True, 1006]


async def test_waiting_for_the_close_can_be_cancelled(serve: Serve) -> None:
    hub, told = Hub(limits=Limits(close_timeout=0.3)), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        with anyio.move_on_after(0.01) as scope:
            await ws.close(4000)
        told.append((scope.cancelled_caught, ws.closed))
        await ws.close()
        told.append(ws.closed)

    async with serve(hub) as server, server.connect():
        await until(lambda: len(told) == 2)
    assert told == [(True, False), True]


async def test_abort_drops_the_connection_without_a_close_frame(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.abort()

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(code)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.send("x")
        assert (await client.ended())[0] == 1006
        await over.wait()
    assert told == [1006]


@pytest.mark.parametrize("before", ["open", "closing"])
async def test_what_is_sent_after_abort_raises_that_the_connection_is_lost(serve: Serve, before: str) -> None:
    hub, told = Hub(), []

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        if before == "closing":
            ws.close()
        ws.abort()
        for attempt in (lambda: ws.send("x"), ws.ping):
            try:
                attempt()
            except ConnectionClosedError as closed:
                told.append((closed.code, closed.sent))

    async with serve(hub) as server, server.connect() as client:
        await client.send("x")
        await client.ended()
        await until(lambda: len(hub.sessions) == 0)
    assert told == [(1006, None)] * 2


async def test_a_coroutine_that_sends_after_abort_meets_the_same_end_every_time(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.abort()
        for _ in range(3):
            try:
                await ws.send("x")
            except ConnectionClosedError as closed:
                told.append(closed.code)
            await anyio.sleep(0.01)

    async with serve(hub) as server, server.connect() as client:
        assert (await client.ended())[0] == 1006
        await until(lambda: len(told) == 3)
    assert told == [1006] * 3


async def test_both_sides_may_close_at_once(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.close(4000, "server")

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((code, reason))

    async with serve(hub) as server, server.connect() as client:
        client.protocol.send_close(4001, "client")
        await client._flush()
        await client.ended()
        await until(lambda: len(told) == 1)
    assert told == [(4001, "client")]


async def test_a_client_that_just_hangs_up_ends_with_1006(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        told.append((closed.value.code, closed.value.received))
        over.set()

    async with serve(hub) as server:
        async with server.connect() as client:
            assert await client.recv() == "hello"
        await over.wait()
    assert told == [(1006, None)]


async def test_a_protocol_error_closes_with_1002_and_says_what_it_was(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((code, reason, ws.close_sent))
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.write(b"\x81\x01x")  # not masked: RFC 6455 §5.1
        code, reason = await client.ended()
        await over.wait()
    assert code == 1002
    assert reason
    assert told[0][0] == 1006
    assert told[0][1]
    assert told[0][2] == (1002, reason)


async def test_a_message_that_is_too_long_closes_with_1009(serve: Serve) -> None:
    hub = Hub(limits=Limits(max_message_bytes=1000))

    @hub.on_message
    def message(ws: WebSocket, data: bytes) -> None:
        ws.send(str(len(data)))

    async with serve(hub) as server, server.connect() as client:
        await client.send(b"x" * 1000)
        assert await client.recv() == "1000"
        await client.send(b"x" * 1001)
        assert (await client.ended())[0] == 1009


async def test_text_that_is_no_utf8_closes_with_1007(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub) as server, server.connect() as client:
        client.protocol.send_text(b"\xff")
        await client._flush()
        assert (await client.ended())[0] == 1007


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536, 1 << 40])
async def test_a_code_that_may_not_be_sent_raises(serve: Serve, code: int) -> None:
    hub, told = Hub(), anyio.Event()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match=rf"close code {code} may not be sent: 1000 to 1003, .*4999"):
            ws.close(code)
        told.set()
        ws.send("open")

    async with serve(hub) as server, server.connect() as client:
        await told.wait()
        assert await client.recv() == "open"


async def test_wrong_arguments_of_close_raise_and_change_nothing(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="at most 123 bytes in UTF-8, this one has 124"):
            ws.close(1000, "x" * 124)
        with pytest.raises(ValueError, match="this one has 124"):
            ws.close(1000, "ü" * 62)
        for code, reason in (("1000", ""), (1000.5, ""), (None, ""), (1000, b"bytes"), (1000, 7), (1000, None)):
            with pytest.raises(TypeError):
                ws.close(code, reason)
        ws.send("open")

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "open"
        assert await client.close(1000) == (1000, "")
