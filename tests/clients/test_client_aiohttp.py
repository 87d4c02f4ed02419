"""aiohttp as a client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMessageTypeError, WSMsgType

pytestmark = pytest.mark.anyio


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def ask(ws: ClientWebSocketResponse, text: str) -> str:
    await ws.send_str(text)
    return await ws.receive_str(timeout=10)


@pytest.mark.parametrize("compress", [0, 15])
async def test_text_and_binary_come_back_as_they_were(session: ClientSession, url: str, compress: int) -> None:
    async with session.ws_connect(url, compress=compress, max_msg_size=0) as ws:
        assert not ws.compress
        for text in ("", "hello", "世界" * 1000):
            assert await ask(ws, text) == text
        for size in (0, 125, 126, 65535, 65536, 1 << 20, 16 << 20):
            await ws.send_bytes(b"a" * size)
            assert await ws.receive_bytes(timeout=30) == b"a" * size
        await ws.send_str("text")
        with pytest.raises(WSMessageTypeError):
            await ws.receive_bytes()


async def test_a_room_reaches_the_others(session: ClientSession, url: str) -> None:
    async with session.ws_connect(url) as anna, session.ws_connect(url) as ben:
        assert await ask(anna, "!join aiohttp") == "joined aiohttp"
        assert await ask(ben, "!join aiohttp") == "joined aiohttp"
        await anna.send_str("!say aiohttp hello")
        assert await ben.receive_str(timeout=10) == "hello"
        assert await ask(anna, "only this") == "only this"


async def test_close_codes_travel_both_ways(session: ClientSession, url: str) -> None:
    async with session.ws_connect(url) as watcher:
        ws = await session.ws_connect(url)
        name = await ask(ws, "!id")
        await ws.close(code=4000, message=b"mine")
        assert json.loads(await ask(watcher, f"!ended {name}")) == [4000, "mine"]
        assert ws.close_code == 4000

    ws = await session.ws_connect(url)
    await ws.send_str("!close 4001 yours")
    message = await ws.receive(timeout=10)
    assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "yours")


async def test_pings_are_answered_in_both_directions(session: ClientSession, url: str) -> None:
    async with session.ws_connect(url, autoping=False) as ws:
        await ws.ping(b"there?")
        message = await ws.receive(timeout=10)
        assert (message.type, message.data) == (WSMsgType.PONG, b"there?")
    async with session.ws_connect(url) as ws:
        assert await ask(ws, "!ping") == "pong"


async def test_a_subprotocol_is_agreed_on(session: ClientSession, url: str) -> None:
    async with session.ws_connect(url, protocols=["x", "chat.v1"]) as ws:
        assert ws.protocol == "chat.v1"


async def test_a_plain_request_is_told_to_upgrade(session: ClientSession, url: str) -> None:
    async with session.get(url.replace("ws://", "http://")) as response:
        assert response.status == 426
        assert response.headers["Upgrade"] == "websocket"
