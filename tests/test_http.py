"""HTTP/1.1 as clients see it: keep-alive, limits, what is refused, and what the hub answers by itself."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from hubbub import Hub, Limits, Request, Response, WebSocket
from support.http import visiting
from support.server import Serve, until

pytestmark = pytest.mark.anyio


async def path_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with its path and the length of the body."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    length, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        length += len(event["body"])
        more = event["more_body"]
    body = f"{scope['path']} {length}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    async with serve(Hub(app=path_app)) as server, visiting(server) as visitor:
        await visitor.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(50)))
        for number in range(50):
            assert (await visitor.response()).body == f"/{number} 0".encode()
        assert server.hub.stats()["accepted"] == 1


async def test_bodies_are_bounded(serve: Serve) -> None:
    async with serve(Hub(app=path_app, limits=Limits(max_body_bytes=1000))) as server:
        async with visiting(server) as visitor:
            assert (await visitor.post("/", bytes(1000))).body == b"/ 1000"
            response = await visitor.post("/", bytes(1001))
            assert (response.status, response.headers["connection"]) == (413, "close")
            assert await visitor.ended() == b""
        async with visiting(server) as visitor:
            chunk = b"200\r\n" + bytes(512) + b"\r\n"
            await visitor.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + 2 * chunk)
            assert (await visitor.response()).status == 413


async def test_an_idle_connection_is_closed(serve: Serve) -> None:
    async with serve(Hub(app=path_app, limits=Limits(keep_alive_timeout=0.05))) as server, visiting(server) as visitor:
        assert (await visitor.get("/")).status == 200
        assert await visitor.ended() == b""
        await until(lambda: server.hub.stats()["connections"] == 0)


async def test_head_has_no_content_and_options_for_the_server_as_a_whole_are_served(serve: Serve) -> None:
    async with serve(Hub(app=path_app)) as server, visiting(server) as visitor:
        await visitor.write(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await visitor.response(head_only=True)).headers["content-length"] == "4"
        await visitor.write(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await visitor.response()).body == b"* 0"


async def test_rows_4_and_7_what_is_not_clear_is_refused(serve: Serve) -> None:
    canary = "GET /canary HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serve(Hub(app=path_app)) as server:
        for fields, body in (
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
            ("Transfer-Encoding: chunked\r\n", "5\nhello\n0\n\n"),
            ("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n"),
        ):
            async with visiting(server) as visitor:
                await visitor.write(f"POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}{canary}".encode())
                response = await visitor.response()
                assert (response.status, response.headers["connection"]) == (400, "close")
                assert await visitor.ended() == b""


async def test_each_request_is_logged_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hubbub.access"):
        async with serve(Hub(app=path_app), access_log=True) as server, visiting(server) as visitor:
            await visitor.get("/a%1b?b=c")
            await visitor.post("/d", b"e")
            await until(lambda: len(caplog.records) >= 2)
            host, port = visitor.address
    messages = [record.getMessage() for record in caplog.records if record.name == "hubbub.access"]
    lines = [message.rpartition(" in ")[0] for message in messages]
    assert lines == [f'{host}:{port} - "GET /a%1b?b=c" 200', f'{host}:{port} - "POST /d" 200']


async def test_pages_of_on_request_keep_the_connection(serve: Serve) -> None:
    hub = Hub()

    @hub.on_request
    def page(request: Request) -> Response:
        return Response(200 if request.path == "/" else 404, "page")

    @hub.on_connection
    def connected(ws: WebSocket) -> None: ...

    async with serve(hub) as server, visiting(server) as visitor:
        for _ in range(3):
            response = await visitor.get("/")
            assert (response.body, "connection" in response.headers) == (b"page", False)
        response = await visitor.get("/nowhere")
        assert (response.status, response.headers["connection"]) == (404, "close")
        assert server.hub.stats()["accepted"] == 1
