"""The `websockets` library as a client: its asyncio face."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

pytestmark = pytest.mark.anyio

LARGE = 16 << 20


async def ask(ws: ClientConnection, text: str) -> str:
    await ws.send(text)
    answer = await ws.recv()
    assert isinstance(answer, str)
    return answer


@pytest.mark.parametrize(
    "message", ["", "hello", "grüße, 世界 🎉", b"", b"\x00\xff", "x" * 125, "x" * 126, b"y" * 65536]
)
async def test_a_message_comes_back_as_it_was(url: str, message: str | bytes) -> None:
    async with connect(url, compression=None) as ws:
        await ws.send(message)
        assert await ws.recv() == message


async def test_a_client_that_offers_compression_is_served_without(url: str) -> None:
    async with connect(url) as ws:
        assert ws.response is not None
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        assert await ask(ws, "plain") == "plain"


async def test_messages_come_back_in_order(url: str) -> None:
    async with connect(url, max_queue=None) as ws:
        for number in range(5000):
            await ws.send(str(number))
        assert [await ws.recv() for _ in range(5000)] == [str(number) for number in range(5000)]


async def test_a_large_binary_message_comes_back(url: str) -> None:
    data = bytes(range(256)) * (LARGE // 256)
    async with connect(url, max_size=None, compression=None) as ws:
        await ws.send(data)
        assert await ws.recv() == data


async def test_a_large_text_in_fragments_that_cut_characters_comes_back_whole(url: str) -> None:
    text = "aé世🎉" * 100_000
    raw = text.encode()
    pieces = [raw[at : at + 10_007] for at in range(0, len(raw), 10_007)]
    async with connect(url, max_size=None, compression=None) as ws:
        await ws.send(pieces, text=True)
        assert await ws.recv() == text


async def test_a_message_beyond_the_limit_closes_with_1009(url: str) -> None:
    async def overdo(ws: ClientConnection) -> None:
        await ws.send([b"x" * (1 << 20)] * 33)  # in fragments: what is left of one large frame would be in the way
        await ws.recv()

    async with connect(url, compression=None) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            await overdo(ws)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


async def test_a_room_reaches_its_members_but_not_the_sender_nor_those_who_left(url: str) -> None:
    async with connect(url) as anna, connect(url) as ben, connect(url) as cleo, connect(url) as dora:
        for ws in (anna, ben, cleo):
            assert await ask(ws, "!join websockets") == "joined websockets"
        assert await ask(cleo, "!leave websockets") == "left websockets"
        assert json.loads(await ask(ben, "!rooms")) == ["websockets"]
        assert json.loads(await ask(cleo, "!rooms")) == []
        await anna.send("!say websockets hello, room")
        assert await ben.recv() == "hello, room"
        # Whatever the others were sent would stand before the answer to this.
        for ws in (anna, cleo, dora):
            assert await ask(ws, "nothing before this") == "nothing before this"


async def test_a_client_that_vanishes_leaves_its_rooms(url: str) -> None:
    async with connect(url) as watcher:
        async with connect(url) as gone:
            assert await ask(gone, "!join vanishing") == "joined vanishing"
            session = await ask(gone, "!id")
            gone.transport.abort()
        code, _ = json.loads(await ask(watcher, f"!ended {session}"))
        assert code == 1006
        await ask(watcher, "!join vanishing")
        await watcher.send("!say vanishing anyone?")
        assert await ask(watcher, "nobody") == "nobody"


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1000, "done"), (1001, "moving on"), (3000, "größer"), (4999, "x" * 123)]
)
async def test_the_server_is_told_the_clients_close_code(url: str, code: int, reason: str) -> None:
    async with connect(url) as watcher, connect(url) as ws:
        session = await ask(ws, "!id")
        await ws.close(code, reason)
        assert json.loads(await ask(watcher, f"!ended {session}")) == [code, reason]
        assert (ws.close_code, ws.close_reason) == (code, reason)  # the answer echoes both


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "bye"), (1001, ""), (1008, "no"), (1013, "later"), (4321, "größer")]
)
async def test_the_client_is_told_the_servers_close_code(url: str, code: int, reason: str) -> None:
    async with connect(url) as ws:
        await ws.send(f"!close {code} {reason}")
        with pytest.raises(ConnectionClosedOK if code in (1000, 1001) else ConnectionClosedError) as caught:
            await ws.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, reason)


async def test_pings_are_answered_in_both_directions(url: str) -> None:
    async with connect(url) as ws:
        latency = await asyncio.wait_for(await ws.ping(b"are you there"), 5)
        assert latency > 0
        assert await ask(ws, "!ping") == "pong"


async def test_the_keepalive_of_a_silent_client_tells_its_latency(url: str) -> None:
    async with connect(url) as ws:
        assert await ask(ws, "!latency") == "None"
        latency = "None"
        while latency == "None":
            await asyncio.sleep(0.7)  # a ping goes out after half a second of silence
            latency = await ask(ws, "!latency")
        assert 0 < float(latency) < 0.5


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(["chat.v1"], "chat.v1"), (["chat.v1", "chat.v2"], "chat.v2"), (["other"], None), (None, None)],
)
async def test_the_servers_preferred_subprotocol_is_agreed_on(
    url: str, offered: list | None, agreed: str | None
) -> None:
    async with connect(url, subprotocols=offered) as ws:
        assert ws.subprotocol == agreed


async def test_a_hundred_clients_at_once_talk_in_one_room(url: str) -> None:
    async def one(number: int) -> None:
        async with connect(url, compression=None) as ws:
            await ask(ws, "!join crowd")
            everyone.append(ws)
            if len(everyone) == 100:
                complete.set()
            await complete.wait()
            await ws.send(f"!say crowd {number}")
            heard = [await ws.recv() for _ in range(99)]
            assert sorted(map(int, heard)) == [other for other in range(100) if other != number]
            finished.append(number)
            if len(finished) == 100:
                all_heard.set()
            await all_heard.wait()

    everyone: list[ClientConnection] = []
    finished: list[int] = []
    complete, all_heard = asyncio.Event(), asyncio.Event()
    await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(100))), 30)
