"""Frameworks that we did not write, served through ASGI: HTTP, streams, WebSockets, and the hub's rooms."""

# The frameworks read annotations where handlers are defined, inside functions: they must be evaluated.
import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from hubbub import Hub
from support.http import visiting
from support.server import Serve, until

pytestmark = pytest.mark.anyio

#: What a stream has come to, by framework: filled by the applications.
ENDED: list[str] = []


@pytest.fixture(params=[{"use_uvloop": False}, {"use_uvloop": True}], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    # Litestar, Quart and applications with tasks of their own want asyncio.
    return ("asyncio", request.param)


async def ticks() -> AsyncIterator[bytes]:
    """Goes on until the client has gone."""
    try:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.002)
    finally:
        ENDED.append("stream")


def with_fastapi() -> Any:
    from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/hello/{name}")
    async def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, int]:
        return {"bytes": sum([len(piece) async for piece in request.stream()])}

    @app.get("/ticks")
    async def stream() -> StreamingResponse:
        return StreamingResponse(ticks())

    @app.post("/say/{room}")
    async def say(room: str, request: Request) -> dict[str, int]:
        hub = request.scope["extensions"]["hubbub"]["hub"]
        delivery = await hub.room(room).broadcast((await request.body()).decode())
        return {"reached": delivery.reached}

    @app.websocket("/rooms/{room}")
    async def rooms(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        websocket.scope["extensions"]["hubbub"]["websocket"].join(room)
        await websocket.send_text("joined")
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect:
            ENDED.append("websocket")

    return app


def with_starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    async def hello(request: Request) -> JSONResponse:
        return JSONResponse({"hello": request.path_params["name"]})

    async def upload(request: Request) -> JSONResponse:
        return JSONResponse({"bytes": sum([len(piece) async for piece in request.stream()])})

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(ticks())

    async def say(request: Request) -> JSONResponse:
        hub = request.scope["extensions"]["hubbub"]["hub"]
        delivery = await hub.room(request.path_params["room"]).broadcast((await request.body()).decode())
        return JSONResponse({"reached": delivery.reached})

    async def rooms(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.scope["extensions"]["hubbub"]["websocket"].join(websocket.path_params["room"])
        await websocket.send_text("joined")
        async for text in websocket.iter_text():
            await websocket.send_text(text)
        ENDED.append("websocket")

    return Starlette(
        routes=[
            Route("/hello/{name}", hello),
            Route("/upload", upload, methods=["POST"]),
            Route("/ticks", stream),
            Route("/say/{room}", say, methods=["POST"]),
            WebSocketRoute("/rooms/{room}", rooms),
        ]
    )


def with_litestar() -> Any:
    from litestar import Litestar, Request, WebSocket, get, post, websocket
    from litestar.exceptions import WebSocketDisconnect
    from litestar.response import Stream

    @get("/hello/{name:str}")
    async def hello(request: Request[Any, Any, Any]) -> dict[str, str]:
        return {"hello": request.path_params["name"]}

    @post("/upload", status_code=200)
    async def upload(request: Request[Any, Any, Any]) -> dict[str, int]:
        return {"bytes": sum([len(piece) async for piece in request.stream()])}

    @get("/ticks")
    async def stream() -> Stream:
        return Stream(ticks())

    @post("/say/{room:str}", status_code=200)
    async def say(request: Request[Any, Any, Any]) -> dict[str, int]:
        hub = request.scope["extensions"]["hubbub"]["hub"]  # type: ignore[typeddict-item]
        delivery = await hub.room(request.path_params["room"]).broadcast((await request.body()).decode())
        return {"reached": delivery.reached}

    @websocket("/rooms/{room:str}")
    async def rooms(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        socket.scope["extensions"]["hubbub"]["websocket"].join(socket.path_params["room"])  # type: ignore[typeddict-item]
        await socket.send_text("joined")
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect:
            ENDED.append("websocket")

    return Litestar([hello, upload, stream, say, rooms], openapi_config=None)


def with_quart() -> Any:
    from quart import Quart, request, websocket

    app = Quart(__name__)

    @app.get("/hello/<name>")
    async def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    @app.post("/upload")
    async def upload() -> dict[str, int]:
        total = 0
        async for piece in request.body:
            total += len(piece)
        return {"bytes": total}

    @app.get("/ticks")
    async def stream() -> Any:
        return ticks()

    @app.post("/say/<room>")
    async def say(room: str) -> dict[str, int]:
        hub = request.scope["extensions"]["hubbub"]["hub"]
        delivery = await hub.room(room).broadcast((await request.get_data()).decode())
        return {"reached": delivery.reached}

    @app.websocket("/rooms/<room>")
    async def rooms(room: str) -> None:
        await websocket.accept()
        websocket.scope["extensions"]["hubbub"]["websocket"].join(room)
        await websocket.send("joined")
        try:
            while True:
                await websocket.send(await websocket.receive())
        finally:
            ENDED.append("websocket")

    return app


@pytest.fixture(params=[with_fastapi, with_starlette, with_litestar, with_quart], ids=lambda make: make.__name__[5:])
def app(request: pytest.FixtureRequest) -> Any:
    make: Callable[[], Any] = request.param
    ENDED.clear()
    return make()


async def test_pages_uploads_and_what_is_not_found(serve: Serve, app: Any) -> None:
    async with serve(Hub(app=app)) as server:
        base = f"http://127.0.0.1:{server.listening.port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
            for name in ("world", "w%C3%B6rld"):
                response = await client.get(f"/hello/{name}")
                assert response.json() == {"hello": "world" if name == "world" else "wörld"}
            response = await client.post("/upload", content=bytes(300_000))
            assert response.json() == {"bytes": 300_000}

            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(10):
                    yield bytes(1000)

            response = await client.post("/upload", content=pieces())
            assert response.json() == {"bytes": 10_000}
            assert (await client.get("/nowhere")).status_code == 404
            response = await client.post("/upload", content=bytes(2_000_000))
            assert response.status_code == 413


async def test_a_stream_ends_when_its_client_goes(serve: Serve, app: Any) -> None:
    async with serve(Hub(app=app)) as server:
        async with visiting(server) as visitor:
            await visitor.write(b"GET /ticks HTTP/1.1\r\nHost: test\r\n\r\n")
            assert await visitor.until(b"tick\n\r\n5\r\ntick") is not None
        await until(lambda: ENDED == ["stream"])


async def test_a_post_reaches_the_websockets_in_a_room(serve: Serve, app: Any) -> None:
    async with serve(Hub(app=app)) as server:
        async with server.connect("/rooms/red") as red, server.connect("/rooms/blue") as blue:
            assert (await red.recv(), await blue.recv()) == ("joined", "joined")
            await red.send("echo")
            assert await red.recv() == "echo"
            async with visiting(server) as visitor:
                response = await visitor.post("/say/red", b"hello", "Content-Type: text/plain\r\n")
            assert response.body.replace(b" ", b"").strip() == b'{"reached":1}'
            assert await red.recv() == "hello"
            await blue.close()
            await red.close()
        await until(lambda: ENDED == ["websocket", "websocket"])
