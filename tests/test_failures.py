"""Handlers that raise: the session is closed with 1011, the log has one traceback, and nobody else notices."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import anyio
import pytest

from hubbub import ConnectionClosedError, Hub, WebSocket
from support.handlers import KINDS
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["on_connection", "on_message"])
async def test_an_exception_closes_with_1011_and_is_logged_once(serve: Serve, kind, where: str, failures) -> None:
    hub, told = Hub(), []

    def connected(ws: WebSocket) -> None:
        if where == "on_connection" and ws.path == "/bad":
            raise RuntimeError("a secret that no client sees")

    def message(ws: WebSocket, data: str) -> None:
        if where == "on_message" and ws.path == "/bad":
            raise RuntimeError("a secret that no client sees")
        ws.send(data)

    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((ws.path, code))

    hub.on_connection(kind(connected))
    hub.on_message(kind(message))
    hub.on_close(kind(closed))
    async with serve(hub) as server, server.connect("/good") as good:
        async with server.connect("/bad") as bad:
            await bad.send("x")
            assert await bad.ended() == (1011, "internal error")
        await good.send("unharmed")
        assert await good.recv() == "unharmed"
        await until(lambda: told == [("/bad", 1011)])
    (record,) = failures
    assert record.name == "hubbub"
    assert "<WebSocket " in record.getMessage()
    assert "'/bad'" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a secret that no client sees"
    assert record.exc_info[2] is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_an_exception_in_on_close_is_logged(serve: Serve, kind, failures) -> None:
    hub = Hub()

    def closed(ws: WebSocket, code: int, reason: str) -> None:
        raise RuntimeError("broken")

    hub.on_close(kind(closed))
    async with serve(hub) as server:
        async with server.connect() as client:
            await client.close()
        await until(lambda: len(failures) == 1)
        async with server.connect():
            pass


async def test_an_exception_in_an_endpoint_closes_with_1011(serve: Serve, failures) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.send("before")
        raise RuntimeError("broken")

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "before"
        assert await client.ended() == (1011, "internal error")
    assert len(failures) == 1


async def test_an_exception_in_one_of_several_messages_at_once_closes_with_1011(serve: Serve, failures) -> None:
    hub = Hub()

    @hub.on_message(concurrency=4)
    async def message(ws: WebSocket, data: str) -> None:
        await anyio.lowlevel.checkpoint()
        raise RuntimeError("broken")

    async with serve(hub) as server, server.connect() as client:
        await client.send("x")
        assert (await client.ended())[0] == 1011
    assert len(failures) == 1


async def test_a_thousand_failures_in_a_row_leave_the_others_alone(serve: Serve, failures) -> None:
    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send(data)
        raise RuntimeError("broken")

    async with serve(hub) as server:
        for _ in range(20):
            async with server.connect() as client:
                await client.send("x")
                assert await client.recv() == "x"
                assert (await client.ended())[0] == 1011
        # In each second ten of them are written.
        assert 10 <= len(failures) <= 20


async def test_no_message_is_handled_after_a_failure(serve: Serve, failures) -> None:
    hub, got = Hub(), []

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        got.append(data)
        raise RuntimeError("broken")

    async with serve(hub) as server, server.connect() as client:
        for number in range(50):
            await client.send(str(number))
        assert (await client.ended())[0] == 1011
    assert got == ["0"]
    assert len(failures) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_that_the_client_has_gone_is_no_error_of_a_handlers(serve: Serve, kind) -> None:
    hub, told = Hub(), []

    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(code)
        ws.send("too late")

    hub.on_close(kind(closed))
    async with serve(hub) as server:
        async with server.connect() as client:
            await client.close()
        await until(lambda: told == [1000])


async def test_connection_closed_escapes_an_endpoint_quietly(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.websocket("/recv")
    async def recv(ws: WebSocket) -> None:
        try:
            while True:
                await ws.recv()
        finally:
            told.append("recv")

    @hub.websocket("/for")
    async def iterate(ws: WebSocket) -> None:
        try:
            async for _ in ws:
                pass
        finally:
            told.append("for")

    @hub.websocket("/send")
    async def send(ws: WebSocket) -> None:
        try:
            while True:
                await ws.send("x")
                await anyio.sleep(0.001)
        finally:
            told.append("send")

    async with serve(hub) as server:
        for path in ("/recv", "/for", "/send"):
            async with server.connect(path) as client:
                client.abort()
        await until(lambda: len(told) == 3)
    assert sorted(told) == ["for", "recv", "send"]


async def test_a_connection_closed_of_another_origin_is_an_error(serve: Serve, failures) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        raise ConnectionClosedError(1006, "of another connection")

    async with serve(hub) as server, server.connect() as client:
        assert (await client.ended())[0] == 1011
    assert len(failures) == 1


async def test_an_exception_whose_repr_fails_is_survived(serve: Serve, failures) -> None:
    class Broken(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no")

        __str__ = __repr__

    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        raise Broken

    async with serve(hub) as server:
        for _ in range(2):
            async with server.connect() as client:
                await client.send("x")
                assert (await client.ended())[0] == 1011
    assert len(failures) == 2


async def test_a_handler_that_cancels_itself_leaves_no_session_behind(serve: Serve, anyio_backend_name: str) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    if anyio_backend_name == "trio":
        pytest.skip("tasks of trio cannot be cancelled so")
    async with serve(hub) as server, server.connect() as client:
        assert (await client.ended())[0] == 1011
        await until(lambda: len(hub.sessions) == 0)


# ---- what ends the program

PROGRAM = """
    import socket, sys, threading
    from hubbub import Hub
    from websockets.sync.client import connect

    hub = Hub()
    ready = threading.Event()

    def failing(*args):
        raise {error}

    async def failing_later(*args):
        raise {error}

    hub.on_{where}({handler})

    def client(port):
        with connect(f"ws://127.0.0.1:{{port}}/") as ws:
            ws.send("x")
            ws.close()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=client, args=listener.getsockname()[1:], daemon=True).start()
    hub.run(fd=listener.fileno(), loop="{loop}", io_threads={io_threads}, access_log=False,
        shutdown_timeout=30)
    print("run has returned")
"""


@pytest.mark.parametrize(
    ("where", "handler", "loop"),
    [
        ("message", "failing", "asyncio"),
        ("message", "failing", "uvloop"),
        ("message", "failing", "trio"),
        ("message", "failing_later", "asyncio"),
        ("message", "failing_later", "uvloop"),
        ("message", "failing_later", "trio"),
        ("connection", "failing", "trio"),
        ("close", "failing_later", "asyncio"),
    ],
)
@pytest.mark.parametrize(
    ("error", "status", "says"), [("SystemExit(7)", 7, ""), ("KeyboardInterrupt", 130, "KeyboardInterrupt")]
)
def test_what_ends_a_program_ends_it_in_a_handler_too(
    io_threads: int, loop: str, where: str, handler: str, error: str, status: int, says: str
) -> None:
    program = PROGRAM.format(where=where, handler=handler, error=error, loop=loop, io_threads=io_threads)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=15, check=False
    )
    assert (ended.returncode, ended.stdout) in [(status, ""), (-2, "")], ended.stderr
    assert says in ended.stderr
