"""Who may connect, and what responses say: cors, allow_request, cookies, headers, and what io.engine tells."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from hubbub import Hub, Response
from hubbub.request import Request
from hubbub.socketio import ConnectionRefusal, Cors, Server
from support.client import Refused
from support.http import Answer, Visitor, visiting
from support.server import Serve, Server as Listening, until
from support.socketio import connecting

pytestmark = pytest.mark.anyio

POLLING = "/socket.io/?EIO=4&transport=polling"
HERE = "http://test"  # the Host of every request
A, B, EVIL = "https://a.example", "https://b.example", "https://a.example.evil.example"


async def poll(visitor: Visitor, origin: str | None = None, more: str = "") -> Answer:
    """Opens a session."""
    return await visitor.get(POLLING, ("" if origin is None else f"Origin: {origin}\r\n") + more)


@asynccontextmanager
async def running(serve: Serve, io: Server) -> AsyncIterator[Listening]:
    async with serve(io.hub) as server:
        yield server


async def opens(server: Listening, origin: str | None) -> int:
    """What a page of this origin is answered, which is the same by polls and by a WebSocket; 200 if it may connect."""
    async with visiting(server) as visitor:
        status = (await poll(visitor, origin)).status
    try:
        async with connecting(server, origin=origin):
            by_websocket = 200
    except Refused as refused:
        by_websocket = refused.status
    assert by_websocket == status, origin
    return status


# ---- cors


@pytest.mark.parametrize(
    ("make", "allowed"),
    [
        (lambda: Server(), {HERE}),
        (lambda: Server(cors={"origin": "same-origin"}), {HERE}),
        (lambda: Server(Hub(origins=[A])), {A}),
        (lambda: Server(Hub(origins=[A]), origins=[B, "same-origin"]), {B, HERE}),
        (lambda: Server(Hub(origins=[A]), cors={"origin": "*"}), {A, B, HERE, "null", EVIL, "https://evil.example/"}),
        (lambda: Server(cors=Cors(A)), {A}),
        (lambda: Server(cors={"origin": [A, "null"]}), {A, "null"}),
        (lambda: Server(cors={"origin": re.compile(r"https://[a-z]\.example")}), {A, B}),
        (lambda: Server(cors={"origin": lambda origin: origin == B}), {B}),
        (lambda: Server(cors={"origin": lambda origin, request: request.headers["host"] in origin}), {HERE}),
        (lambda: Server(cors={"origin": lambda origin: {B: True}.get(origin)}), {B}),
    ],
    ids=[
        "nothing said",
        "same-origin",
        "the hub's",
        "its own",
        "everyone",
        "one",
        "list",
        "pattern",
        "function",
        "function of the request",
        "function that finds nothing",
    ],
)
async def test_pages_connect_from_where_they_may(serve: Serve, make: Any, allowed: set[str]) -> None:
    async with running(serve, make()) as server:
        for origin in (HERE, A, B, EVIL, "null", "https://evil.example/"):
            assert (await opens(server, origin) == 200) == (origin in allowed), origin
        # Who sends no Origin is no browser.
        assert await opens(server, None) == 200


async def test_a_coroutine_function_may_decide_about_origins(serve: Serve) -> None:
    asked: list[tuple[str, str | None]] = []

    async def known(origin: str, request: Request) -> bool:
        await anyio.sleep(0)
        asked.append((origin, request.query.get("transport")))
        return origin == A

    async with running(serve, Server(cors={"origin": known, "credentials": True})) as server:
        assert await opens(server, A) == 200
        assert await opens(server, B) == 403
        async with visiting(server) as visitor:
            refused = await poll(visitor, B)
            assert json.loads(refused.body) == {"code": 4, "message": "This origin may not connect."}
    assert asked == [(A, "polling"), (A, "websocket"), (B, "polling"), (B, "websocket"), (B, "polling")]


LISTED = {"access-control-allow-origin": A, "vary": "Origin"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"origins": [A]}, {**LISTED, "access-control-allow-credentials": "true"}),
        ({"cors": {"origin": A}}, LISTED),
        (
            {"cors": {"origin": [A], "credentials": True, "exposed_headers": ["X-Ours", "X-Other"]}},
            {
                **LISTED,
                "access-control-allow-credentials": "true",
                "access-control-expose-headers": "X-Ours, X-Other",
            },
        ),
        ({"cors": {"origin": "*"}}, {"access-control-allow-origin": "*"}),
        (
            {"cors": {"origin": lambda origin: origin == A, "credentials": True}},
            {**LISTED, "access-control-allow-credentials": "true"},
        ),
    ],
    ids=["origins", "one", "all of it", "everyone", "function"],
)
async def test_every_response_tells_the_browser_what_the_page_may_do(
    serve: Serve, options: dict[str, Any], said: dict[str, str]
) -> None:
    def told(answer: Answer) -> dict[str, str]:
        return {
            name: value
            for name, value in answer.headers.items()
            if name.startswith("access-control-") or name == "vary"
        }

    origin = f"Origin: {A}\r\n"
    async with running(serve, Server(**options)) as server, visiting(server) as visitor:
        opened = await poll(visitor, A)
        sid = json.loads(opened.body[1:])["sid"]
        session = f"{POLLING}&sid={sid}"
        posted = await visitor.post(session, b"40", origin)
        polled = await visitor.get(session, origin)
        assert (opened.status, posted.status, polled.status) == (200, 200, 200)
        assert told(opened) == told(posted) == told(polled) == said
        async with visiting(server) as other:
            wrong = await other.get(f"{POLLING}&sid=none", origin)
            assert (wrong.status, told(wrong)) == (400, said)
        # A page that need not ask is told nothing.
        near = await visitor.post(session, b"3", f"Origin: {HERE}\r\n") if said.get("vary") is None else None
        assert near is None or near.status == 200


async def test_a_preflight_says_what_requests_may_have(serve: Serve) -> None:
    ask = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-token,content-type\r\n"

    async def preflight(io: Server, origin: str = A) -> Answer:
        async with running(serve, io) as server, visiting(server) as visitor:
            await visitor.write(f"OPTIONS {POLLING} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\n{ask}\r\n".encode())
            return await visitor.response()

    any_field = await preflight(Server(cors={"origin": A, "max_age": 5}))
    assert any_field.status == 204
    names = ("allow-origin", "allow-methods", "allow-headers", "max-age")
    said = {name: any_field.headers.get(f"access-control-{name}") for name in names}
    assert said == {
        "allow-origin": A,
        "allow-methods": "GET, POST",
        "allow-headers": "x-token,content-type",
        "max-age": "5",
    }
    some = await preflight(Server(cors={"origin": A, "allowed_headers": ["X-Token", "X-B"]}))
    assert some.headers["access-control-allow-headers"] == "X-Token, X-B"
    assert (await preflight(Server(cors={"origin": "*"}))).headers["access-control-allow-origin"] == "*"
    refused = await preflight(Server(cors={"origin": A}), B)
    assert (refused.status, "access-control-allow-origin" in refused.headers) == (403, False)


def test_what_cors_cannot_be() -> None:
    for error, words, options in [
        (ValueError, "every page", {"cors": {"origin": "*", "credentials": True}}),
        (ValueError, "stands alone", {"cors": {"origin": [A, "*"]}}),
        (TypeError, "origin is str", {"cors": {"origin": True}}),
        (TypeError, "origin is str", {"cors": {"origin": [re.compile("x")]}}),
        (ValueError, "says which pages", {"cors": {"credentials": True}}),
        (TypeError, "colour", {"cors": {"origin": A, "colour": "red"}}),
        (TypeError, "allowed_headers is a list", {"cors": {"origin": A, "allowed_headers": "X-A"}}),
        (TypeError, "exposed_headers is a list", {"cors": {"origin": A, "exposed_headers": [1]}}),
        (ValueError, "max_age", {"cors": {"origin": A, "max_age": -1}}),
        (TypeError, "a Cors or a dict", {"cors": "*"}),
        (ValueError, "give one", {"cors": {"origin": A}, "origins": [A]}),
        (TypeError, "origins is a sequence", {"origins": A}),
        (TypeError, "allow_request takes a function", {"allow_request": True}),
    ]:
        with pytest.raises(error, match=words):
            Server(**options)  # type: ignore[arg-type]


# ---- allow_request


async def later(answer: Any) -> Any:
    await anyio.sleep(0)
    return answer


@pytest.mark.parametrize("wait", [False, True], ids=["function", "coroutine function"])
async def test_allow_request_lets_in_or_refuses(serve: Serve, wait: bool, failures: Any) -> None:
    answers: dict[str, Any] = {
        "none": None,
        "true": True,
        "false": False,
        "why": (False, 'you are "not" on the list'),
        "response": Response(302, "elsewhere", {"Location": "/login"}),
        "nonsense": 1,
    }

    def allow(request: Request) -> Any:
        assert request.is_websocket == (request.query["transport"] == "websocket")
        answer = answers[request.query["who"]]
        return later(answer) if wait else answer

    async with running(serve, Server(allow_request=allow)) as server:
        for who, status, body in [
            ("none", 200, None),
            ("true", 200, None),
            ("false", 403, {"code": 4, "message": "Forbidden"}),
            ("why", 403, {"code": 4, "message": 'you are "not" on the list'}),
            ("response", 302, None),
            ("nonsense", 500, None),
        ]:
            async with visiting(server) as visitor:
                answer = await visitor.get(f"{POLLING}&who={who}")
                assert answer.status == status, who
                if body is not None:
                    assert json.loads(answer.body) == body
                    assert answer.headers["content-type"] == "application/json"
            if status == 200:
                async with connecting(server, query=f"&who={who}") as peer:
                    await peer.join()
                continue
            with pytest.raises(Refused) as caught:
                async with connecting(server, query=f"&who={who}"):
                    pass
            assert caught.value.status == status
            if body is not None:
                assert caught.value.body == body["message"].encode()
        assert answer.headers.get("location") is None


async def test_allow_request_is_asked_once_for_each_connection_behind_the_hub(serve: Serve) -> None:
    hub = Hub()
    asked: list[str] = []

    @hub.on_request
    def first(request: Request) -> Response | None:
        asked.append("hub")
        request.state.user = "ann"
        return Response(401) if "stranger" in request.query else None

    def allow(request: Request) -> None:
        asked.append(f"server {request.state.user}")

    io = Server(hub, allow_request=allow)
    users = []
    io.on("connection", lambda socket: users.append(socket.request.state.user))
    async with running(serve, io) as server, visiting(server) as visitor:
        opened = await poll(visitor)
        session = f"{POLLING}&sid={json.loads(opened.body[1:])['sid']}"
        assert (await visitor.post(session, b"40")).status == 200
        assert (await visitor.get(session)).body.startswith(b"40{")
        assert asked == ["hub", "server ann"]
        assert users == ["ann"]
        async with visiting(server) as stranger:
            assert (await stranger.get(f"{POLLING}&stranger")).status == 401
        assert asked == ["hub", "server ann", "hub"]


# ---- cookie, headers


async def test_a_cookie_has_the_id_and_what_it_is_to_have(serve: Serve) -> None:
    for cookie, end in [
        ("io", "; Path=/; HttpOnly; SameSite=Lax"),
        ({}, "; Path=/; HttpOnly; SameSite=Lax"),
        ({"path": None, "http_only": False, "same_site": None}, ""),
        (
            {"path": "/chat", "domain": "example.org", "max_age": 86400, "secure": True, "same_site": "none"},
            "; Path=/chat; Domain=example.org; Max-Age=86400; HttpOnly; Secure; SameSite=None",
        ),
        ({"same_site": "Strict"}, "; Path=/; HttpOnly; SameSite=Strict"),
    ]:
        async with running(serve, Server(cookie=cookie)) as server, visiting(server) as visitor:
            opened = await poll(visitor)
            sid = json.loads(opened.body[1:])["sid"]
            assert opened.headers["set-cookie"] == f"io={sid}{end}"
            polled = await visitor.post(f"{POLLING}&sid={sid}", b"40")
            assert "set-cookie" not in polled.headers
            async with connecting(server) as peer:
                headers = peer.client.response.headers
                assert headers["set-cookie"] == f"io={peer.opened['sid']}{end}"
    for error, words, wrong in [
        (TypeError, "no 'SameSite'", {"SameSite": "Lax"}),
        (TypeError, "its name, or a dict", 7),
        (ValueError, "name", {"name": "a b"}),
        (ValueError, "name", "a;b"),
        (ValueError, "path", {"path": "/; Secure"}),
        (ValueError, "domain", {"domain": "a\r\nb"}),
        (ValueError, "same_site", {"same_site": "maybe"}),
        (ValueError, "secure", {"same_site": "none"}),
        (ValueError, "invalid literal", {"max_age": "long"}),
    ]:
        with pytest.raises(error, match=words):
            Server(cookie=wrong)  # type: ignore[arg-type]


async def test_headers_are_those_of_every_response(serve: Serve) -> None:
    io = Server(headers={"X-Ours": "yes", "Strict-Transport-Security": "max-age=5"})
    async with running(serve, io) as server, visiting(server) as visitor:
        opened = await poll(visitor)
        session = f"{POLLING}&sid={json.loads(opened.body[1:])['sid']}"
        answers = [opened, await visitor.post(session, b"40"), await visitor.get(session)]
        answers.append(await visitor.get(f"{POLLING}&sid=none"))
        assert [answer.headers["x-ours"] for answer in answers] == ["yes"] * 4
        async with connecting(server) as peer:
            assert peer.client.response.headers["strict-transport-security"] == "max-age=5"
    with pytest.raises(ValueError, match="printable ASCII"):
        async with running(serve, Server(headers={"X": "a\r\nb"})):
            pass


# ---- io.engine


async def test_initial_headers_are_for_the_response_that_opens_a_connection(serve: Serve) -> None:
    io = Server()

    @io.engine.on("initial_headers")
    def first(headers: dict[str, str], request: Request) -> None:
        headers["X-Transport"] = request.query["transport"]

    @io.engine.on("initial_headers")
    async def second(headers: dict[str, str], request: Request) -> None:
        await anyio.sleep(0)
        headers["Set-Cookie"] = "a=b"

    @io.engine.on("initial_headers")
    def third(headers: dict[str, str]) -> None:
        headers["Set-Cookie"] += "; Secure"
        for name in ("Connection", "Sec-WebSocket-Protocol", "Content-Length"):
            with pytest.raises(ValueError, match=f"{name} is said by the network itself"):
                headers[name] = "x"

    async with running(serve, io) as server, visiting(server) as visitor:
        opened = await poll(visitor)
        assert (opened.headers["x-transport"], opened.headers["set-cookie"]) == ("polling", "a=b; Secure")
        posted = await visitor.post(f"{POLLING}&sid={json.loads(opened.body[1:])['sid']}", b"40")
        assert "x-transport" not in posted.headers
        async with connecting(server) as peer:
            assert peer.client.response.headers["x-transport"] == "websocket"
            assert peer.client.response.headers["set-cookie"] == "a=b; Secure"


async def test_the_engine_tells_of_connections_and_of_requests_that_are_refused(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub, origins=[A], allow_request=lambda request: (False, "no") if "no" in request.query else None)
    opened: list[str] = []
    refused: list[tuple[int, str, str, bool]] = []
    io.engine.on("connection", lambda ws: opened.append(ws.transport))

    @io.engine.on("connection_error")
    async def wrong(error: ConnectionRefusal) -> None:
        assert error.request.remote_address is not None
        refused.append((error.code, error.message, error.request.query_string, error.request.is_websocket))

    table = [
        (0, "Transport unknown", "EIO=4&transport=pigeon"),
        (1, "Session ID unknown", "EIO=4&transport=polling&sid=none"),
        (3, "Bad request", "EIO=4&transport=websocket"),
        (5, "Unsupported protocol version", "transport=polling"),
        (4, "no", "EIO=4&transport=polling&no"),
        (4, "This origin may not connect.", "EIO=4&transport=polling&origin"),
    ]
    async with running(serve, io) as server:
        for code, message, query in table:
            async with visiting(server) as visitor:
                headers = f"Origin: {B}\r\n" if "origin" in query else ""
                answer = await visitor.get(f"/socket.io/?{query}", headers)
                assert answer.status == (403 if code == 4 else 400)
                assert json.loads(answer.body) == {"code": code, "message": message}
        async with visiting(server) as visitor:
            answer = await visitor.post(POLLING, b"4")
            assert (answer.status, json.loads(answer.body)["code"]) == (400, 2)
        for query, origin in (("EIO=4&transport=websocket&sid=none", A), ("EIO=4&transport=websocket&w", B)):
            with pytest.raises(Refused):
                async with server.connect(f"/socket.io/?{query}", origin=origin):
                    pass
        expected = [(code, message, query, False) for code, message, query in table]
        expected.append((2, "Bad handshake method", POLLING.partition("?")[2], False))
        expected.append((1, "Session ID unknown", "EIO=4&transport=websocket&sid=none", True))
        expected.append((4, "This origin may not connect.", "EIO=4&transport=websocket&w", True))
        await until(lambda: len(refused) == len(expected))
        # Coroutines are told in tasks, which need not be in order.
        assert sorted(refused) == sorted(expected)

        assert io.engine.clients_count == 0
        async with connecting(server, origin=A), visiting(server) as visitor:
            await poll(visitor, A)
            await until(lambda: len(opened) == 2)
            assert opened == ["websocket", "polling"]
            assert io.engine.clients_count == io.clients_count == 2
        for event in ("connection_error", "initial_headers"):
            with pytest.raises(RuntimeError, match="before the hub runs"):
                io.engine.on(event, print)


async def test_refusals_that_nobody_has_time_for_are_bounded(serve: Serve, io_threads: int) -> None:
    if io_threads == 0:
        pytest.skip("the loop's own thread refuses nobody while it is busy")
    io, told = Server(), []
    io.engine.on("connection_error", told.append)
    async with running(serve, io) as server:
        # The loop stands still meanwhile.
        for _ in range(1_100):
            with socket.create_connection(server.address[1:]) as client:
                client.sendall(b"GET /socket.io/?EIO=4&transport=none HTTP/1.1\r\nHost: x\r\n\r\n")
                while client.recv(4096):
                    pass
        await until(lambda: len(told) >= 1_000)
        async with visiting(server) as visitor:
            assert (await visitor.get("/socket.io/?EIO=3&transport=polling")).status == 400
        await until(lambda: told[-1].code == 5)
        assert len(told) == 1_001


async def test_an_origin_rule_says_true_or_false(serve: Serve, failures: Any) -> None:
    async with running(serve, Server(cors={"origin": re.compile("x").sub})) as server, visiting(server) as visitor:
        assert (await poll(visitor, A)).status == 500
    failures.clear()


def test_the_engine_knows_its_events() -> None:
    io = Server()
    with pytest.raises(ValueError, match="initial_headers is told of the first one"):
        io.engine.on("headers", print)
    with pytest.raises(ValueError, match="tells of connection"):
        io.engine.on("flush", print)
