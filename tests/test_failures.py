"""Handlers that raise: the session is closed with 1011, the log has one traceback, and nobody else notices."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import traceback

import anyio
import anyio.abc
import pytest

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

from hubbub import ConnectionClosedError, ConnectionClosedOK, Hub, Request, WebSocket
from hubbub._failures import failure_of
from support.handlers import KINDS
from support.http import visiting
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
async def test_sending_in_on_close_is_an_error_of_the_handlers(serve: Serve, kind, failures) -> None:
    hub, told = Hub(), []

    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(code)
        ws.send("too late")
        raise AssertionError("what follows would be left out in silence")

    hub.on_close(kind(closed))
    async with serve(hub) as server:
        async with server.connect() as client:
            await client.close()
        await until(lambda: failures != [])
    assert told == [1000]
    (record,) = failures
    assert isinstance(record.exc_info[1], ConnectionClosedOK)


async def test_that_another_client_has_gone_is_an_error_even_if_ones_own_has_gone_as_well(
    serve: Serve, failures
) -> None:
    hub = Hub()
    sessions: dict[str, WebSocket] = {}

    @hub.websocket("/{name}")
    async def endpoint(ws: WebSocket) -> None:
        sessions[ws.path_params["name"]] = ws
        async for _ in ws:
            pass
        if ws.path_params["name"] == "one":
            sessions["other"].send("has gone as well")

    async with serve(hub) as server, server.connect("/one") as one:
        async with server.connect("/other") as other:
            await until(lambda: len(sessions) == 2)
            await other.close()
        await until(lambda: sessions["other"].closed)
        await one.close()
        await until(lambda: failures != [])
    assert len(failures) == 1


async def test_what_a_handler_had_met_before_it_met_the_end_is_told(serve: Serve, caplog) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        try:
            async for _ in ws:
                pass
            raise KeyError("its own fault")
        finally:
            await ws.send("goodbye")

    async with serve(hub) as server:
        async with server.connect() as client:
            await client.close()
        await until(lambda: any(record.levelname == "WARNING" for record in caplog.records))
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "KeyError('its own fault')"


async def test_a_wait_that_is_over_when_the_client_goes_is_nobodys_fault(serve: Serve, caplog) -> None:
    hub, told = Hub(), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        try:
            with anyio.fail_after(0):
                await ws.recv()
        except TimeoutError:
            told.append("waited")
            while True:
                await ws.send("there?")
                await anyio.sleep(0.001)
        finally:
            told.append("over")

    async with serve(hub) as server:
        async with server.connect() as client:
            await until(lambda: told == ["waited"])
            client.abort()
        await until(lambda: told == ["waited", "over"])
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


# ---- groups


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("fails", [False, True], ids=["gone", "gone-and-failed"])
async def test_a_group_is_what_is_in_it_besides_that_the_client_has_gone(
    serve: Serve, failures, depth: int, fails: bool
) -> None:
    hub, told = Hub(), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async def receive(depth: int) -> None:
            if depth == 1:
                try:
                    await ws.recv()
                finally:
                    if fails:
                        # Not a failure that the end has brought about: both are in the group.
                        tasks[0].start_soon(fail)
                        await anyio.lowlevel.checkpoint()
            else:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(receive, depth - 1)

        async def fail() -> None:
            raise ValueError("broken")

        tasks: list[anyio.abc.TaskGroup] = []
        try:
            async with anyio.create_task_group() as group:
                tasks.append(group)
                group.start_soon(receive, depth)
        finally:
            told.append("over")

    async with serve(hub) as server:
        async with server.connect() as client:
            await client.close()
        await until(lambda: told == ["over"] and len(failures) == fails)
    if fails:
        text = "".join(traceback.format_exception(failures[0].exc_info[1]))
        assert "ValueError: broken" in text
        assert "hubbub.errors.ConnectionClosed" not in text.partition("ValueError: broken")[2]


def test_of_a_group_only_the_rest_is_a_failure() -> None:
    gone, broken = ConnectionClosedOK(1000, ""), ValueError("broken")

    def is_gone(error: BaseException) -> bool:
        return isinstance(error, ConnectionClosedOK)

    assert failure_of(gone, is_gone) is None
    assert failure_of(broken, is_gone) is broken
    assert failure_of(ExceptionGroup("", [gone, ExceptionGroup("", [gone])]), is_gone) is None
    rest = failure_of(ExceptionGroup("", [gone, ExceptionGroup("", [gone, broken])]), is_gone)
    assert isinstance(rest, ExceptionGroup)
    (inner,) = rest.exceptions
    assert isinstance(inner, ExceptionGroup)
    assert inner.exceptions == (broken,)


# ---- what is no Exception


async def awaiting_something_that_is_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.sleep(3600))
    await asyncio.sleep(0)
    task.cancel()
    await task


class Odd(BaseException):
    """Neither an Exception nor something that ends the program."""


async def raising_something_odd() -> None:
    await anyio.lowlevel.checkpoint()
    raise Odd


@pytest.fixture(params=[awaiting_something_that_is_cancelled, raising_something_odd], ids=["cancelled", "odd"])
def fail(request: pytest.FixtureRequest, anyio_backend_name: str):
    if request.param is awaiting_something_that_is_cancelled and anyio_backend_name == "trio":
        pytest.skip("tasks of trio cannot be cancelled so")
    return request.param


@pytest.mark.parametrize("where", ["websocket", "on_connection", "on_message", "concurrent"])
async def test_what_is_cancelled_inside_of_a_handler_is_its_failure(serve: Serve, failures, fail, where: str) -> None:
    hub, told = Hub(), []

    async def failing(*args: object) -> None:
        await fail()

    if where == "websocket":
        hub.websocket("/")(failing)
    elif where == "on_connection":
        hub.on_connection(failing)
    else:
        hub.on_message(concurrency=4 if where == "concurrent" else 1)(failing)

    @hub.on_close
    async def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append(code)

    async with serve(hub) as server:
        async with server.connect() as client:
            await client.send("x")
            assert await client.ended() == (1011, "internal error")
        await until(lambda: told == ([] if where == "websocket" else [1011]))
        # The server lives.
        async with server.connect():
            pass
    assert failures != []
    assert all("handler of <WebSocket" in record.getMessage() for record in failures)


async def test_what_is_cancelled_inside_of_on_close_is_logged(serve: Serve, failures, fail) -> None:
    hub = Hub()

    @hub.on_close
    async def closed(ws: WebSocket, code: int, reason: str) -> None:
        await fail()

    async with serve(hub) as server:
        async with server.connect() as client:
            await client.close()
        await until(lambda: len(failures) == 1)


async def test_what_is_cancelled_inside_of_on_request_is_its_failure(serve: Serve, failures, fail) -> None:
    hub = Hub()

    @hub.on_request
    async def request(request: Request) -> None:
        await fail()

    async with serve(hub) as server, visiting(server) as visitor:
        assert (await visitor.get("/")).status == 500
    assert len(failures) == 1


async def test_what_a_function_raises_that_is_no_exception_is_its_failure(serve: Serve, failures) -> None:
    hub = Hub()

    @hub.on_request
    def request(request: Request) -> None:
        if request.path == "/request":
            raise asyncio.CancelledError

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        raise asyncio.CancelledError

    async with serve(hub) as server, visiting(server) as visitor, server.connect() as client:
        assert (await visitor.get("/request")).status == 500
        await client.send("x")
        assert await client.ended() == (1011, "internal error")
    assert len(failures) == 2


async def test_what_is_cancelled_inside_of_an_application_is_its_failure(serve: Serve, failures, fail) -> None:
    async def app(scope, receive, send) -> None:
        assert scope["type"] != "lifespan"
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        await fail()

    async with serve(Hub(app=app)) as server, visiting(server) as visitor, server.connect() as client:
        assert (await client.ended())[0] == 1011
        assert (await visitor.get("/")).status == 500
    assert len(failures) == 2
    assert all("the application" in record.getMessage() for record in failures)


async def test_an_applications_own_fault_while_it_deals_with_a_disconnect_is_logged(serve: Serve, failures) -> None:
    async def app(scope, receive, send) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        try:
            await send({"type": "websocket.send", "text": "too late"})
        except OSError:
            {}["the users of a room"]

    async with serve(Hub(app=app)) as server:
        async with server.connect() as client:
            await client.close()
        await until(lambda: len(failures) == 1)
    assert isinstance(failures[0].exc_info[1], KeyError)


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
