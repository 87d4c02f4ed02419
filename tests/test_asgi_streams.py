"""Streams of ASGI applications that end by themselves, fail, are cancelled, and are left by their clients.

After each of them no task is left, the process is idle, and the hub stops.
"""

# The frameworks read annotations where handlers are defined, inside functions: they must be evaluated.
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest

from hubbub import Hub
from support.http import visiting
from support.idle import assert_idle
from support.server import Serve, Server, until

#: What has come to its end, in the order in which it did: filled by the applications.
ENDED: list[str] = []

#: A test's own time limit: what stops does so at once, and never by this.
STOPS = {"shutdown_timeout": 60.0}


@pytest.fixture(autouse=True)
def _nothing_has_ended() -> None:
    ENDED.clear()


async def ending() -> AsyncIterator[bytes]:
    yield b"all of it\n"
    ENDED.append("stream")


async def failing() -> AsyncIterator[bytes]:
    yield b"the beginning\n"
    raise RuntimeError("broken")


async def silent() -> AsyncIterator[bytes]:
    """Says something, and then nothing: only its client can end it."""
    try:
        yield b"the beginning\n"
        await anyio.sleep_forever()
    finally:
        ENDED.append("stream")


async def talking() -> AsyncIterator[bytes]:
    try:
        while True:
            yield b"on and on\n"
            await anyio.sleep(0.001)
    finally:
        ENDED.append("stream")


async def cancelled() -> AsyncIterator[bytes]:
    """Ends because a part of it takes too long."""
    yield b"the beginning\n"
    with anyio.move_on_after(0.01):
        await anyio.sleep_forever()
    yield b"the end\n"
    ENDED.append("stream")


STREAMS = {stream.__name__: stream for stream in (ending, failing, silent, talking, cancelled)}


def with_starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(STREAMS[request.path_params["name"]]())

    return Starlette(routes=[Route("/{name}", stream)])


def with_middleware() -> Any:
    """Starlette's middleware listens to the client in tasks of its own."""
    from starlette.middleware.base import BaseHTTPMiddleware

    async def passing(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app = with_starlette()
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    app.is_middleware = True
    return app


def with_fastapi() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/{name}")
    async def stream(name: str) -> StreamingResponse:
        return StreamingResponse(STREAMS[name](), media_type="text/event-stream")

    return app


def with_events() -> Any:
    """As sse-starlette does: whichever of its tasks is done first cancels the others."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

        async def stream() -> None:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for data in STREAMS[scope["path"][1:]]():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        async def ping() -> None:
            await anyio.sleep_forever()

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async with anyio.create_task_group() as tasks:

            async def first(work: Callable[[], Awaitable[None]]) -> None:
                await work()
                tasks.cancel_scope.cancel()

            tasks.start_soon(first, ping)
            tasks.start_soon(first, listen)
            await first(stream)

    return app


def with_litestar() -> Any:
    from litestar import Litestar, Request, get
    from litestar.response import Stream

    @get("/{name:str}")
    async def stream(request: Request[Any, Any, Any]) -> Stream:
        return Stream(STREAMS[request.path_params["name"]]())

    # Its log of exceptions would be one of ours to judge.
    return Litestar([stream], openapi_config=None, logging_config=None)


def with_quart() -> Any:
    from quart import Quart

    app = Quart(__name__)

    @app.get("/<name>")
    async def stream(name: str) -> Any:
        return STREAMS[name]()

    return app


APPS = [with_starlette, with_middleware, with_fastapi, with_events, with_litestar, with_quart]
#: They run on asyncio only.
ASYNCIO = (with_litestar, with_quart)


@pytest.fixture(params=APPS, ids=lambda make: make.__name__[5:])
def app(request: pytest.FixtureRequest, anyio_backend: Any) -> Any:
    if anyio_backend[0] == "trio" and request.param in ASYNCIO:
        pytest.skip("runs on asyncio only")
    make: Callable[[], Any] = request.param
    return make()


def tasks() -> set[Any]:
    """The tasks there are, of which some are the hub's."""
    if "trio" in sys.modules:
        import trio

        try:
            root = trio.lowlevel.current_root_task()
        except RuntimeError:
            pass
        else:
            found, ahead = set(), [root]
            while ahead:
                task = ahead.pop()
                if "_later" not in task.name:  # The hub's timers come and go.
                    found.add(task)
                ahead += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
            return found
    return set(asyncio.all_tasks())


@asynccontextmanager
async def leaving_nothing(serve: Serve, app: Any) -> AsyncIterator[Server]:
    """A server of which nothing is left when the block is over, and which then stops."""
    async with serve(Hub(app=app), **STOPS) as server:
        before = tasks()
        yield server
        await until(lambda: tasks() <= before)
        await until(lambda: server.hub.stats()["connections"] == 0)
        await assert_idle()


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["ending", "cancelled"])
async def test_a_stream_that_ends_by_itself_leaves_nothing(serve: Serve, app: Any, name: str) -> None:
    async with leaving_nothing(serve, app) as server, visiting(server) as visitor:
        for _ in range(2):
            answer = await visitor.get(f"/{name}")
            assert answer.whole
            assert answer.body.startswith((b"all of it\n", b"the beginning\n"))
        assert ENDED == ["stream"] * 2


async def test_a_stream_that_fails_leaves_nothing(serve: Serve, app: Any, failures) -> None:
    async with leaving_nothing(serve, app) as server, visiting(server) as visitor:
        answer = await visitor.get("/failing")
        assert answer.body == b"the beginning\n"
        # The middleware takes the end of its queue for that of the stream, and fails behind it.
        assert answer.whole == hasattr(app, "is_middleware")


@pytest.mark.parametrize("name", ["silent", "talking"])
async def test_a_stream_that_its_client_leaves_leaves_nothing(serve: Serve, app: Any, name: str, failures) -> None:
    async with leaving_nothing(serve, app) as server:
        async with visiting(server) as visitor:
            await visitor.write(f"GET /{name} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            assert await visitor.until(b"\n\r\n") is not None
        await until(lambda: ENDED == ["stream"])
    assert [record for record in failures if record.name == "hubbub"] == []


async def test_a_receive_that_is_given_up_leaves_nothing(serve: Serve, anyio_backend: Any) -> None:
    """What applications do that look now and then whether their client is there."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        assert (await receive())["type"] == "http.request"
        for _ in range(3):
            with anyio.move_on_after(0.01):
                await receive()
        if anyio_backend[0] == "asyncio":
            for seconds in (0, 0.01):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(receive(), seconds)
            task = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"there"})

    async with leaving_nothing(serve, app) as server, visiting(server) as visitor:
        assert (await visitor.get("/")).body == b"there"


# ---- below hub.asgi()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})], ids=["asyncio"])
@pytest.mark.parametrize("make", APPS, ids=lambda make: make.__name__[5:])
async def test_a_stream_of_a_hosted_hub_ends(make: Callable[[], Any], anyio_backend: Any) -> None:
    hosted = Hub(app=make()).asgi(**STOPS)
    before = tasks()
    async with hosted, httpx.AsyncClient(transport=httpx.ASGITransport(hosted), base_url="http://a") as client:
        assert (await client.get("/ending")).content == b"all of it\n"
        await until(lambda: ENDED == ["stream"])
        await assert_idle()
    assert tasks() <= before


@pytest.mark.filterwarnings("ignore:Using `httpx`")
def test_a_test_client_of_starlettes_ends() -> None:
    from starlette.testclient import TestClient

    with TestClient(Hub(app=with_starlette()).asgi(**STOPS)) as client:
        assert client.get("/ending").content == b"all of it\n"
    assert ENDED == ["stream"]


# ---- the protocol of a coroutine


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})], ids=["asyncio"])
async def test_what_awaits_an_event_raises_what_is_thrown_in_and_ends(serve: Serve, anyio_backend: Any) -> None:
    seen: list[Any] = []

    class Odd(BaseException):
        pass

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await receive()
        for thrown in ((Odd("an instance"),), (Odd,), (Odd, Odd("both")), (Odd, "its argument", None)):
            event = receive()
            event.send(None)
            with pytest.raises(Odd) as raised:
                event.throw(*thrown)
            seen.append(str(raised.value))
            with pytest.raises(RuntimeError, match="already awaited"):
                event.send(None)
        with pytest.raises(TypeError):
            receive().throw("no exception")
        event = receive()
        assert event.close() is None
        with pytest.raises(RuntimeError, match="already awaited"):
            await event

        async def waits() -> None:
            try:
                await receive()
            finally:
                seen.append("closed")

        outer = waits()
        outer.send(None)
        outer.close()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async with leaving_nothing(serve, app) as server, visiting(server) as visitor:
        assert (await visitor.get("/")).body == b"done"
    assert seen == ["an instance", "", "both", "its argument", "closed"]
