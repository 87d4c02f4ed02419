"""Header fields: how those of a request are shown, and which ones a program may give."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from hubbub import Headers, Hub, Request, Response, WebSocket
from hubbub.socketio.compat.wsgi import make_environ
from support.client import Client, Refused, dial
from support.handlers import KINDS
from support.http import visiting
from support.server import Serve, Server

pytestmark = pytest.mark.anyio

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)

OURS = ["Upgrade", "Connection", "Sec-WebSocket-Accept", "sec-websocket-protocol", "Sec-WebSocket-Extensions"]
OURS += ["Content-Length", "Transfer-Encoding"]


async def ask(server: Server, target: str, fields: str) -> bytes:
    """The head of the answer to a request in these words."""
    with dial(server.address) as sock:
        client = Client(sock, None)
        await client.write(f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = await client.read()
            if not piece:
                break
            answer += piece
    return answer


# ---- what comes


@pytest.mark.parametrize("upgrade", ["", UPGRADE], ids=["http", "websocket"])
async def test_several_cookie_fields_are_one_with_semicolons(serve: Serve, upgrade: str) -> None:
    hub, seen = Hub(), []

    @hub.on_request
    def decide(request: Request) -> Response | None:
        seen.append((request.headers["cookie"], request.headers.getlist("Cookie"), request.cookies))
        return None if request.is_websocket else Response(204)

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        assert ws.headers["Cookie"] == "a=1; b=2"
        assert ws.cookies == {"a": "1", "b": "2"}

    async with serve(hub) as server:
        await ask(server, "/", f"Host: a\r\nCookie: a=1\r\nX: y\r\nCookie: b=2\r\n{upgrade}")
    assert seen == [("a=1; b=2", ["a=1; b=2"], {"a": "1", "b": "2"})]


async def test_a_page_sees_several_cookie_fields_and_the_targets_host_as_one(serve: Serve) -> None:
    seen = []

    async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            return
        seen.append([pair for pair in scope["headers"] if pair[0] in (b"host", b"cookie")])
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async with serve(Hub(app=app)) as server:
        await ask(server, "http://c:8/x", "Host: a\r\nCookie: a=1\r\nCookie: b=2\r\n")
    assert seen == [[(b"host", b"c:8"), (b"cookie", b"a=1; b=2")]]


def test_headers_join_cookies_with_semicolons_and_others_with_commas() -> None:
    headers = Headers([("Cookie", "a=1"), ("Accept", "x"), ("cookie", "b=2"), ("accept", "y")])
    assert (headers["cookie"], headers["accept"]) == ("a=1; b=2", "x, y")


@pytest.mark.parametrize(
    ("text", "cookies"),
    [
        ("", {}),
        ("a=1; b=2;c=", {"a": "1", "b": "2", "c": ""}),
        ("a=1; a=2", {"a": "1"}),
        ('a="x y"; b=x=y', {"a": "x y", "b": "x=y"}),
        ("nothing; =; a=1", {"": "", "a": "1"}),
    ],
)
async def test_cookies_are_read(serve: Serve, text: str, cookies: dict[str, str]) -> None:
    hub, seen = Hub(), []
    hub.on_request(lambda request: seen.append(request.cookies))
    headers = {"Cookie": text} if text else {}
    async with serve(hub) as server, server.connect(headers=headers):
        assert seen == [cookies]


@pytest.mark.parametrize(("host", "origin", "status"), [("a", "http://c", 101), ("c", "http://a", 403)])
async def test_the_host_is_that_of_an_absolute_target_everywhere(
    serve: Serve, host: str, origin: str, status: int
) -> None:
    hub, seen = Hub(origins=["same-origin"]), []

    @hub.on_request
    def decide(request: Request) -> None:
        seen.append((request.headers["host"], request.headers.getlist("host"), request.path))

    async with serve(hub) as server:
        answer = await ask(server, "http://c/x", f"Host: {host}\r\nOrigin: {origin}\r\n{UPGRADE}")
    assert int(answer.split()[1]) == status
    assert seen == ([("c", ["c"], "/x")] if status == 101 else [])


@pytest.mark.parametrize(
    ("coding", "body"),
    [(",chunked", "0\r\n\r\n"), ("chunked,", "0\r\n\r\n"), ("chunked", "3;;;=\r\nabc\r\n0\r\n\r\n")],
)
async def test_odd_chunks_are_400(serve: Serve, coding: str, body: str) -> None:
    hub = Hub()

    async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    hub.mount("", app)
    async with serve(hub) as server, visiting(server) as visitor:
        await visitor.write(f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n{body}".encode())
        assert (await visitor.response()).status == 400


def test_a_wsgi_application_sees_several_cookie_fields_as_one() -> None:
    fields = [(b"cookie", b"a=1"), (b"accept", b"x"), (b"cookie", b"b=2"), (b"accept", b"y")]
    scope = {"method": "GET", "path": "/", "query_string": b"", "http_version": "2", "headers": fields}
    environ = make_environ(scope, BytesIO())
    assert (environ["HTTP_COOKIE"], environ["HTTP_ACCEPT"]) == ("a=1; b=2", "x,y")


# ---- what goes


async def test_a_list_of_values_is_several_fields(serve: Serve) -> None:
    hub = Hub()

    @hub.on_request
    def decide(request: Request) -> Response | None:
        if request.path == "/no":
            return Response(403, "no", {"Set-Cookie": ["a=1", "b=2"]})
        request.response_headers["Set-Cookie"] = ["a=1", "b=2"]
        return None

    async with serve(hub) as server:
        with pytest.raises(Refused) as refused:
            async with server.connect("/no"):
                pass
        assert refused.value.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
        async with server.connect() as client:
            assert client.response is not None
            assert client.response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("headers", "error", "says"),
    [
        ({"X-A": 7}, TypeError, "the value of X-A is str, or a list of str for several fields, not 7"),
        ({"X-A": ["a", 7]}, TypeError, "the value of X-A is str, or a list of str"),
        ({"X-A": b"a"}, TypeError, "the value of X-A is str"),
        ({"X-A": "a\r\nX-B: c"}, ValueError, "the value of X-A has control characters"),
        ({"X-A": "a\0"}, ValueError, "control characters"),
        ({"X-A": " a"}, ValueError, "white space around it"),
        ({7: "a"}, TypeError, "a header's name is str, not 7"),
        ({"": "a"}, ValueError, "a header's name is a token, not ''"),
        ({"X A": "a"}, ValueError, "a header's name is a token, not 'X A'"),
        ([("X-A", "a")], TypeError, "headers is a dict of names and values"),
    ],
)
def test_what_is_no_field_is_refused_where_the_response_is_made(headers: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        Response(200, "x", headers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OURS)
async def test_what_the_network_says_itself_is_refused_in_on_request(serve: Serve, kind: Any, name: str) -> None:
    hub, told = Hub(), []

    def decide(request: Request) -> None:
        for attempt in (
            lambda: request.response_headers.__setitem__(name, "x"),
            lambda: request.response_headers.update({name: "x"}),
            lambda: request.response_headers.setdefault(name, "x"),
            lambda: setattr(request, "response_headers", {name: "x"}),
        ):
            with pytest.raises(ValueError, match=f"{name} is said by the network itself"):
                attempt()
        told.append(dict(request.response_headers))

    hub.on_request(kind(decide))
    async with serve(hub) as server, server.connect() as client:
        assert client.response is not None
        assert len(client.response.headers.get_all("Connection")) == 1
    assert told == [{}]


@pytest.mark.parametrize("name", OURS)
async def test_what_the_network_says_itself_is_refused_in_accept(serve: Serve, name: str) -> None:
    told = []

    async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "websocket":
            return
        try:
            await send({"type": "websocket.accept", "headers": [(name.lower().encode(), b"x")]})
        except ValueError as error:
            told.append(str(error))
        await send({"type": "websocket.accept", "headers": [(b"x-a", b"b")]})

    async with serve(Hub(app=app)) as server, server.connect() as client:
        assert client.response is not None
        assert client.response.headers["X-A"] == "b"
    assert told == [f"{name.lower()} is said by the network itself"]


async def test_what_the_network_says_itself_is_refused_for_an_event_stream(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.eventsource("/events")
    def events(es: WebSocket) -> None:
        pass

    @hub.on_request
    def decide(request: Request) -> None:
        for name in ("Content-Length", "Transfer-Encoding", "Connection"):
            with pytest.raises(ValueError, match="said by the network itself"):
                request.response_headers[name] = "5"
            told.append(name)

    async with serve(hub) as server:
        answer = await ask(server, "/events", "Host: a\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(told) == 3


async def test_a_request_has_no_content_and_says_so(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_request
    def decide(request: Request) -> None:
        for name in ("json", "body", "form"):
            with pytest.raises(AttributeError, match=f"a Request has no {name}: .* ASGI application"):
                getattr(request, name)
        with pytest.raises(AttributeError, match="'Request' object has no attribute 'user'"):
            _ = request.user  # type: ignore[attr-defined]
        told.append(True)

    async with serve(hub) as server, server.connect():
        pass
    assert told == [True]
