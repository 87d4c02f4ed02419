"""Endpoints: one coroutine per client, by path, with parameters, origins and subprotocols."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import anyio
import pytest

from hubbub import Hub, Session, WebSocket
from hubbub._endpoints import Declared
from support.client import Refused
from support.server import Serve, until

pytestmark = pytest.mark.anyio


def telling_path(hub: Hub, *paths: str) -> Hub:
    for path in paths:

        @hub.websocket(path)
        async def endpoint(ws: WebSocket, path: str = path) -> None:
            await ws.send(f"{path} {ws.path} {sorted(ws.path_params.items())}")

    return hub


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", "/ / []"),
        ("/chat/blue", "/chat/{room} /chat/blue [('room', 'blue')]"),
        ("/chat/blue?a=b", "/chat/{room} /chat/blue [('room', 'blue')]"),
        ("/chat/gr%C3%BCn%20%2F", "/chat/{room} /chat/grün / [('room', 'grün /')]"),
        ("/chat/%ff", "/chat/{room} /chat/\ufffd [('room', '\ufffd')]"),
        ("/files/a/b/c.txt", "/files/{*rest} /files/a/b/c.txt [('rest', 'a/b/c.txt')]"),
        ("/u/ann/posts/7", "/u/{name}/posts/{id} /u/ann/posts/7 [('id', '7'), ('name', 'ann')]"),
        ("/chat/lobby", "/chat/lobby /chat/lobby []"),
    ],
)
async def test_the_path_chooses_the_endpoint_and_its_parameters(serve: Serve, target: str, expected: str) -> None:
    paths = ["/", "/chat/{room}", "/chat/lobby", "/files/{*rest}", "/u/{name}/posts/{id}"]
    async with serve(telling_path(Hub(), *paths)) as server, server.connect(target) as client:
        assert await client.recv() == expected
        assert await client.ended() == (1000, "")


@pytest.mark.parametrize("target", ["/", "/chat", "/chat/", "/chat/a/b", "/Chat/a", "/chats/a"])
async def test_a_path_that_nobody_serves_is_404(serve: Serve, target: str) -> None:
    async with serve(telling_path(Hub(), "/chat/{room}")) as server:
        with pytest.raises(Refused) as refused:
            async with server.connect(target):
                pass
    assert refused.value.status == 404


async def test_the_handlers_of_the_hub_serve_every_other_path(serve: Serve) -> None:
    hub = telling_path(Hub(), "/chat/{room}")

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.send(f"default {ws.path} {ws.path_params}")

    async with serve(hub) as server:
        async with server.connect("/chat/a") as client:
            assert (await client.recv()).startswith("/chat/{room}")
        async with server.connect("/any/where") as client:
            assert await client.recv() == "default /any/where {}"


async def test_returning_closes_with_1000(serve: Serve) -> None:
    hub, seen = Hub(), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        seen.append(ws)
        await ws.send("bye")

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "bye"
        assert await client.ended() == (1000, "")
        await until(lambda: seen[0].closed)
    assert (seen[0].close_code, seen[0].close_reason) == (1000, "")


async def test_each_client_has_a_coroutine_of_its_own(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        count = 0
        async for _ in ws:
            count += 1
            ws.send(str(count))

    async with serve(hub) as server, server.connect() as one, server.connect() as two:
        for expected in ("1", "2", "3"):
            await one.send("x")
            assert await one.recv() == expected
        await two.send("x")
        assert await two.recv() == "1"


# ---- origins


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://good.example", 101),
        (None, 101),
        ("https://evil.example", 403),
        ("http://good.example", 403),
        ("https://good.example:8443", 403),
        ("https://good.example.evil.example", 403),
        ("null", 403),
    ],
)
async def test_only_the_origins_that_were_named_may_connect(serve: Serve, origin: str | None, status: int) -> None:
    hub = Hub(origins=["https://good.example"])
    async with serve(hub) as server:
        try:
            async with server.connect(origin=origin):
                got = 101
        except Refused as refused:
            got = refused.status
    assert got == status


async def test_an_endpoint_has_its_own_origins_or_those_of_the_hub(serve: Serve) -> None:
    hub = Hub(origins=["https://hub.example"])

    @hub.websocket("/inherits")
    async def inherits(ws: WebSocket) -> None: ...

    @hub.websocket("/own", origins=["https://own.example"])
    async def own(ws: WebSocket) -> None: ...

    async with serve(hub) as server:
        async with server.connect("/inherits", origin="https://hub.example"):
            pass
        async with server.connect("/own", origin="https://own.example"):
            pass
        for path, origin in (("/inherits", "https://own.example"), ("/own", "https://hub.example")):
            with pytest.raises(Refused, match="403"):
                async with server.connect(path, origin=origin):
                    pass


# ---- subprotocols


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(["chat.v1"], "chat.v1"), (["chat.v1", "chat.v2"], "chat.v2"), (["other"], None), ([], None)],
)
async def test_the_endpoints_first_subprotocol_that_the_client_offers_is_agreed_on(
    serve: Serve, offered: list[str], agreed: str | None
) -> None:
    hub, seen = Hub(), []

    @hub.websocket("/", subprotocols=["chat.v2", "chat.v1"])
    async def endpoint(ws: WebSocket) -> None:
        seen.append((ws.subprotocol, ws.request.subprotocols))
        ws.send("hello")

    async with serve(hub) as server, server.connect(subprotocols=offered) as client:
        assert await client.recv() == "hello"
        assert client.subprotocol == agreed
    assert seen == [(agreed, offered)]


async def test_the_hubs_own_handlers_speak_the_hubs_subprotocols(serve: Serve) -> None:
    hub = Hub(subprotocols=["a", "b"])
    async with serve(hub) as server, server.connect(subprotocols=["b", "c"]) as client:
        assert client.subprotocol == "b"


# ---- the session


async def test_a_session_says_what_it_is(serve: Serve) -> None:
    hub, sessions = Hub(), []

    @hub.websocket("/where")
    async def endpoint(ws: WebSocket) -> None:
        sessions.append(ws)
        async for _ in ws:
            pass

    async with serve(hub) as server, server.connect("/where?x=1&x=2&y=%20") as client, server.connect("/where"):
        await until(lambda: len(sessions) == 2)
        ws = next(ws for ws in sessions if ws.request.query_string)
        assert ws.hub is hub
        assert ws.remote_address == client.address
        assert len({ws.id for ws in sessions}) == 2
        assert len(ws.id) == 16
        assert int(ws.id, 16) >= 0
        assert (ws.closed, ws.close_code, ws.close_reason) == (False, None, None)
        assert ws.latency is None
        assert ws.buffered_amount == 0
        assert ws.request.query == {"x": "1", "y": " "}
        assert ws.request is ws.request
        assert ws.request.method == "GET"
        assert ws.request.headers["HOST"] == "test"
        assert type(ws) is WebSocket
        assert isinstance(ws, Session)
        assert repr(ws) == f"<WebSocket {ws.id} '/where' open>"
        await client.close(1001)
        await until(lambda: ws.closed)
        assert repr(ws) == f"<WebSocket {ws.id} '/where' closed 1001>"
        assert ws.remote_address == client.address


async def test_nobody_else_can_make_a_session() -> None:
    with pytest.raises(TypeError):
        WebSocket()
    with pytest.raises(TypeError):
        WebSocket(None)


async def test_cancelling_nothing_of_the_users_leaves_sessions_alone(serve: Serve) -> None:
    """A session that is served by a coroutine belongs to no task of the user's."""
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async for data in ws:
            await ws.send(data)

    async with serve(hub) as server, server.connect() as client:
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        await client.send("still here")
        assert await client.recv() == "still here"


@pytest.mark.parametrize("kind", get_args(Declared), ids=lambda kind: kind.__name__)
def test_what_was_declared_does_not_change(kind: type) -> None:
    declared = object.__new__(kind)
    for entry in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(declared, entry.name, None)
