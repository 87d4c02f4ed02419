"""ASGI 3 applications: scope, receive, send, WebSockets, lifespan, and what happens when clients go."""

from __future__ import annotations

import contextlib
import logging
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from hubbub import ClientDisconnected, Hub, Limits, Request, Response, WebSocket
from support.client import Client, Ended, Refused, dial
from support.handlers import KINDS
from support.http import Visitor, visiting
from support.server import Serve, until

pytestmark = pytest.mark.anyio


async def reply(send: Any, body: bytes = b"", status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def only_http(app: Any) -> Any:
    """The application, without lifespan."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await app(scope, receive, send)

    return wrapped


def is_refused(address: tuple[Any, ...]) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(address[1:3]) != 0


# ---- HTTP


async def test_the_scope_is_what_the_specification_says(serve: Serve) -> None:
    scopes: list[dict[str, Any]] = []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scopes.append(scope)
        await reply(send)

    hub = Hub(app=app)
    async with serve(hub) as server, visiting(server) as visitor:
        await visitor.get("/p%20q/%C3%BC?a=%20b", "X-Twice: 1\r\nx-twice: 2\r\n")
        client = visitor.address
    (scope,) = scopes
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert (scope["http_version"], scope["method"], scope["scheme"]) == ("1.1", "GET", "http")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/p q/ü", b"/p%20q/%C3%BC", b"a=%20b")
    assert (scope["root_path"], scope["client"]) == ("", client)
    assert scope["server"] == ("127.0.0.1", server.listening.port)
    assert scope["headers"] == [(b"host", b"test"), (b"x-twice", b"1"), (b"x-twice", b"2")]
    assert scope["extensions"]["hubbub"]["hub"] is hub
    assert scope["state"] == {}


async def test_a_body_is_received_in_pieces_and_sent_in_pieces(serve: Serve) -> None:
    @only_http
    async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]})
        more = True
        while more:
            event = await receive()
            assert event["type"] == "http.request"
            more = event["more_body"]
            await send({"type": "http.response.body", "body": event["body"], "more_body": more})

    async with serve(Hub(app=echo)) as server, visiting(server) as visitor:
        await visitor.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        assert await visitor.until(b"hello") is not None
        await visitor.write(b"6\r\n world\r\n0\r\n\r\n")
        response = await visitor.response()
        assert (response.status, response.body) == (201, b"hello world")
        assert response.headers["transfer-encoding"] == "chunked"
        assert (await visitor.post("/", b"once")).body == b"once"


async def test_a_usual_response_has_its_length_and_the_connection_goes_on(serve: Serve) -> None:
    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await reply(send, scope["path"].encode(), headers=[(b"content-type", b"text/plain")])

    async with serve(Hub(app=app, server_header=None)) as server, visiting(server) as visitor:
        for path in ("/one", "/two", "/three"):
            response = await visitor.get(path)
            assert (response.body, response.headers["content-length"]) == (path.encode(), str(len(path)))
            assert "date" in response.headers
            assert "server" not in response.headers
        assert server.hub.stats()["requests"] == 3
        assert server.hub.stats()["accepted"] == 1


async def test_a_large_upload_and_a_large_download_push_back(serve: Serve) -> None:
    total, waits = 30_000_000, []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        received, more = 0, True
        while more:
            event = await receive()
            received += len(event["body"])
            more = event["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        piece = bytes(1_000_000)
        for _ in range(received // len(piece)):
            before = scope["extensions"]["hubbub"]["hub"].stats()["bytes_out"]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            waits.append(before)
        await send({"type": "http.response.body"})

    hub = Hub(app=app, limits=Limits(max_body_bytes=None, outbox_bytes=2_000_000))
    async with serve(hub) as server, visiting(server) as visitor:
        response = await visitor.post("/", bytes(total))
        assert len(response.body) == total
    assert hub._running.server is None
    assert len(waits) == 30


@pytest.mark.parametrize("asks", [True, False])
async def test_the_body_is_asked_for_when_it_is_first_received(serve: Serve, asks: bool) -> None:
    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = (await receive())["body"] if asks else b"unread"
        await reply(send, body)

    async with serve(Hub(app=app)) as server, visiting(server) as visitor:
        await visitor.write(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        if asks:
            assert (await visitor.response()).status == 100
            await visitor.write(b"body")
        response = await visitor.response()
        assert (response.status, response.body) == (200, b"body" if asks else b"unread")
        assert ("connection" in response.headers) is not asks


async def test_receive_says_that_it_is_over(serve: Serve) -> None:
    seen: list[str] = []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def listen() -> None:
            seen.append((await receive())["type"])

        seen.append((await receive())["type"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await anyio.lowlevel.checkpoint()
            await reply(send)
        seen.append((await receive())["type"])

    async with serve(Hub(app=app)) as server, visiting(server) as visitor:
        await visitor.get("/")
        await until(lambda: len(seen) == 3)
    assert seen == ["http.request", "http.disconnect", "http.disconnect"]


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_client_that_goes_is_told_of_and_nothing_is_logged(serve: Serve, how: str) -> None:
    seen: list[Any] = []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        seen.append("waiting")
        seen.append((await receive())["type"])
        try:
            while True:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                    await anyio.sleep(0.001)
        except OSError as error:
            seen.append(type(error))
            raise

    async with serve(Hub(app=app)) as server:
        async with visiting(server) as visitor:
            await visitor.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: seen == ["waiting"])
            if how == "reset":
                visitor.abort()
        await until(lambda: len(seen) == 3)
    assert seen == ["waiting", "http.disconnect", ClientDisconnected]


async def test_an_exception_is_500_and_is_logged(serve: Serve, failures: list[logging.LogRecord]) -> None:
    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        if scope["path"] != "/silent":
            raise ZeroDivisionError(scope["path"])

    async with serve(Hub(app=app)) as server:
        for path in ("/early", "/silent"):
            async with visiting(server) as visitor:
                assert (await visitor.get(path)).status == 500
        async with visiting(server) as visitor:
            response = await visitor.get("/late")
            assert (response.body, response.whole) == (b"half", False)
    assert [record.exc_info is not None for record in failures] == [True, False, True]


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([{"type": "http.response.body"}], RuntimeError),
        ([{"type": "http.nonsense"}], RuntimeError),
        ([{}], RuntimeError),
        ([{"type": "http.response.start", "status": 200}] * 2, RuntimeError),
        ([{"type": "http.response.start", "status": 99}], ValueError),
        ([{"type": "http.response.start", "status": "200"}], ValueError),
        ([{"type": "http.response.start", "status": 200, "headers": [("a", "b")]}], TypeError),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]}], ValueError),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"a b", b"c")]}], ValueError),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"x")]}], ValueError),
        ([{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": "str"}], TypeError),
    ],
)
async def test_row_11_what_cannot_be_sent_raises(serve: Serve, events: Any, error: type[Exception]) -> None:
    raised: list[type[BaseException]] = []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            for event in events:
                await send(event)
        except Exception as caught:
            raised.append(type(caught))
        with contextlib.suppress(RuntimeError):  # it has begun
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    async with serve(Hub(app=app)) as server, visiting(server) as visitor:
        assert (await visitor.get("/")).body == b"fine"
    assert raised == [error]


async def test_a_length_that_is_not_kept_is_logged_and_ends_the_connection(serve: Serve, caplog: Any) -> None:
    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await reply(send, scope["path"].encode(), headers=[(b"content-length", b"5")])

    with caplog.at_level(logging.WARNING, "hubbub"):
        async with serve(Hub(app=app)) as server:
            for path, whole in (("/much too much", True), ("/x", False)):
                async with visiting(server) as visitor:
                    assert (await visitor.get(path.replace(" ", "%20"))).whole is whole
            await until(lambda: sum("Content-Length" in record.getMessage() for record in caplog.records) == 2)


async def test_a_file_is_sent_by_path(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 10_000)

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        path = str(file) if scope["path"] == "/there" else str(file) + "-not"
        try:
            await send({"type": "http.response.pathsend", "path": path})
        except FileNotFoundError as error:
            await send({"type": "http.response.body", "body": error.filename.encode()})

    async with serve(Hub(app=app)) as server, visiting(server) as visitor:
        for _ in range(2):
            response = await visitor.get("/there")
            assert response.headers["content-length"] == "2560000"
            assert response.body == file.read_bytes()
        assert (await visitor.get("/not")).body == f"{file}-not".encode()


# ---- mounting


async def test_applications_are_mounted_below_prefixes_and_endpoints_come_first(serve: Serve) -> None:
    def named(name: str) -> Any:
        @only_http
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept", "subprotocol": name})
                await receive()
            else:
                await reply(send, f"{name} {scope['root_path']} {scope['path']}".encode())

        return app

    hub = Hub(app=named("root"))
    hub.mount("/api", named("api"))

    @hub.websocket("/api/live")
    async def live(ws: WebSocket) -> None:
        ws.send("ours")

    async with serve(hub) as server, visiting(server) as visitor:
        for path, body in (("/", b"root  /"), ("/apix", b"root  /apix"), ("/api", b"api /api /api")):
            assert (await visitor.get(path)).body == body
        assert (await visitor.get("/api/live")).body == b"api /api /api/live"
        async with server.connect("/api/live") as client:
            assert await client.recv() == "ours"
        async with server.connect("/api/other", subprotocols=["root", "api"]) as client:
            assert client.subprotocol == "api"


def test_what_cannot_be_mounted_raises() -> None:
    hub = Hub()
    for prefix in ("api", "//", "/api/", 1):
        with pytest.raises(ValueError, match="prefix"):
            hub.mount(prefix, lambda scope, receive, send: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ASGI"):
        hub.mount("/api", "not callable")  # type: ignore[arg-type]
    hub.mount("/api", lambda scope, receive, send: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="already"):
        hub.mount("/api", lambda scope, receive, send: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="server header"):
        Hub(server_header="a\r\nb")


@pytest.mark.parametrize("kind", KINDS)
async def test_on_request_may_answer_before_the_application(serve: Serve, kind: Any) -> None:
    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await reply(send, b"app")

    hub = Hub(app=app)

    def decide(request: Request) -> Response | None:
        return None if request.path == "/app" else Response(403, "no\n")

    hub.on_request(kind(decide))
    async with serve(hub) as server, visiting(server) as visitor:
        assert (await visitor.get("/app")).body == b"app"
        assert (await visitor.get("/other")).body == b"no\n"
        async with server.connect("/app"):
            pass
        with pytest.raises(Refused) as refused:
            async with server.connect("/other"):
                pass
        assert refused.value.status == 403


# ---- WebSockets


async def test_a_websocket_through_the_application(serve: Serve) -> None:
    seen: list[Any] = []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append((scope["type"], scope["scheme"], scope["subprotocols"], scope["path"], "method" in scope))
        seen.append(await receive())
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-a", b"y")]})
        scope["extensions"]["hubbub"]["websocket"].join("lobby")
        while (event := await receive())["type"] == "websocket.receive":
            seen.append(event)
            await send({"type": "websocket.send", **{k: v for k, v in event.items() if k != "type"}})
        seen.append(event)

    hub = Hub(app=app)
    async with serve(hub) as server:
        async with server.connect("/ws", subprotocols=["a", "b"]) as client:
            assert client.subprotocol == "b"
            assert client.response is not None
            assert client.response.headers["x-a"] == "y"
            await client.send("text")
            assert await client.recv() == "text"
            await client.send(b"bytes")
            assert await client.recv() == b"bytes"
            hub.room("lobby").broadcast("to all")
            assert await client.recv() == "to all"
            await client.close(3000, "bye")
        await until(lambda: len(seen) == 5)
    assert seen == [
        ("websocket", "ws", ["a", "b"], "/ws", False),
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "text"},
        {"type": "websocket.receive", "bytes": b"bytes"},
        {"type": "websocket.disconnect", "code": 3000, "reason": "bye"},
    ]


async def test_a_websocket_is_refused_closed_or_left(serve: Serve, failures: list[logging.LogRecord]) -> None:
    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/raise":
            raise ZeroDivisionError
        if path == "/close":
            await send({"type": "websocket.close"})
        elif path == "/deny":
            headers = [(b"x-why", b"because")]
            await send({"type": "websocket.http.response.start", "status": 418, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": b"tea", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"pot"})
        elif path != "/nothing":
            await send({"type": "websocket.accept"})
            if path == "/code":
                await send({"type": "websocket.close", "code": 3001, "reason": "why"})
            if path == "/raise/later":
                raise ZeroDivisionError

    async with serve(Hub(app=app)) as server:
        for path, status, body in (
            ("/raise", 500, b"Internal Server Error\n"),
            ("/nothing", 500, b"Internal Server Error\n"),
            ("/close", 403, b""),
            ("/deny", 418, b"teapot"),
        ):
            with pytest.raises(Refused) as refused:
                async with server.connect(path):
                    pass
            assert (refused.value.status, refused.value.body) == (status, body)
        for path, code in (("/return", 1000), ("/code", 3001), ("/raise/later", 1011)):
            async with server.connect(path) as client:
                with pytest.raises(Ended) as ended:
                    await client.recv()
                assert ended.value.code == code
    assert len(failures) == 3


async def test_a_client_that_goes_before_it_is_accepted_is_told_of(serve: Serve) -> None:
    seen: list[Any] = []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        seen.append("asked")
        seen.append(await receive())
        with pytest.raises(OSError, match="disconnected"):
            await send({"type": "websocket.accept"})
        seen.append("done")

    async with serve(Hub(app=app)) as server:
        with dial(server.address) as sock:
            client = Client(sock, None)  # type: ignore[arg-type]
            await client.write(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await until(lambda: seen == ["asked"])
            client.abort()
        await until(lambda: len(seen) == 3)
    assert seen == ["asked", {"type": "websocket.disconnect", "code": 1006, "reason": ""}, "done"]


async def test_sending_to_a_websocket_that_has_gone_raises_oserror_and_is_not_logged(serve: Serve) -> None:
    raised: list[type[BaseException]] = []

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": "on and on"})
                await anyio.sleep(0.001)
        except OSError as error:
            raised.append(type(error))
            raise

    async with serve(Hub(app=app)) as server:
        async with server.connect("/") as client:
            await client.recv()
        await until(lambda: raised == [ClientDisconnected])


# ---- lifespan


async def test_lifespan_runs_around_everything_and_its_state_is_in_the_scope(serve: Serve) -> None:
    seen: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"]["pool"] = object()
            seen.append("started")
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            seen.append("stopped")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            seen.append("pool" in scope["state"] and "mine" not in scope["state"])
            scope["state"]["mine"] = 1
            await reply(send)

    async with serve(Hub(app=app)) as server, visiting(server) as visitor:
        assert seen == ["started"]
        await visitor.get("/")
        await visitor.get("/")
    assert seen == ["started", True, True, "stopped"]


async def test_an_application_that_fails_to_start_is_not_served(serve: Serve) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    hub = Hub(app=app)
    with pytest.raises(RuntimeError, match="no database"):
        async with serve(hub):
            pass
    assert hub._running.server is None


async def test_stopping_lets_requests_finish(serve: Serve) -> None:
    begun, finish = [], anyio.Event()

    @only_http
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        begun.append(scope)
        await finish.wait()
        await reply(send, b"finished")
        begun.append("background")

    visitor: Visitor
    async with anyio.create_task_group() as tasks:  # noqa: SIM117 - the server stops first
        async with serve(Hub(app=app)) as server:
            visitor = Visitor(dial(server.address))
            await visitor.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: len(begun) == 1)

            async def later() -> None:
                await until(lambda: is_refused(server.address))
                finish.set()

            tasks.start_soon(later)
    response = await visitor.response()
    assert (response.body, response.headers["connection"]) == (b"finished", "close")
    assert begun[1] == "background"
    visitor.close()
