"""permessage-deflate: what is compressed for whom, in every combination of parameters, and what stays plain."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from hubbub import Compression, Hub, Limits, WebSocket
from support.server import Serve, Server, until

pytestmark = pytest.mark.anyio

TEXT = json.dumps([{"id": number, "text": "so it goes", "from": "somebody"} for number in range(30)])


@pytest.fixture(params=[{"use_uvloop": False}, {"use_uvloop": True}], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    # The client is asyncio's.
    return ("asyncio", request.param)


@asynccontextmanager
async def client(server: Server, path: str = "/", **offer: Any) -> AsyncIterator[ClientConnection]:
    """A client of `websockets`; without an offer it offers what `websockets` does by itself."""
    factory = [ClientPerMessageDeflateFactory(**offer)] if offer else None
    how: dict[str, Any] = {"compression": None, "extensions": factory} if offer else {}
    async with connect(f"ws://127.0.0.1:{server.listening.port}{path}", max_size=None, **how) as ws:
        yield ws


def echoing(**options: Any) -> Hub:
    hub = Hub(**options)

    @hub.on_message
    def echo(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    return hub


def agreed(ws: ClientConnection) -> str | None:
    assert ws.response is not None
    return ws.response.headers.get("Sec-WebSocket-Extensions")


PARAMETERS = [
    {
        "server_no_context_takeover": server_forgets,
        "client_no_context_takeover": client_forgets,
        "server_max_window_bits": server_bits,
        "client_max_window_bits": client_bits,
    }
    for server_forgets, client_forgets, server_bits, client_bits in itertools.product(
        [False, True], [False, True], [None, 9, 15], [None, True, 9, 15]
    )
]


@pytest.mark.parametrize("mode", ["shared", "per-session"])
async def test_every_combination_of_parameters(serve: Serve, mode: Any) -> None:
    hub = echoing(compression=mode)
    noise = random.Random(1).randbytes(3000)
    messages = ["", "short", TEXT, TEXT, TEXT.encode(), noise, "ü☃𝄞" * 5000, b"", TEXT * 50]
    async with serve(hub) as server:
        for offer in PARAMETERS:
            async with client(server, **offer) as ws:
                assert agreed(ws) is not None, offer
                for message in messages:
                    await ws.send(message)
                for message in messages:
                    assert await ws.recv() == message, offer
        stats = hub.stats()
        assert stats["compressed_in"] == len(PARAMETERS) * len(messages)
        assert stats["compressed_out"] >= len(PARAMETERS) * 5
        assert stats["inflated_bytes"] > 10 * stats["compressed_bytes_in"]
        assert stats["deflated_bytes"] > 10 * stats["compressed_bytes_out"]


@pytest.mark.parametrize(
    ("setting", "answer"),
    [
        (None, None),
        ("shared", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ("per-session", "permessage-deflate"),
        (
            Compression("per-session", window_bits=10),
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10",
        ),
    ],
)
async def test_what_the_server_answers(serve: Serve, setting: Any, answer: str | None) -> None:
    async with serve(echoing(compression=setting)) as server, client(server) as ws:
        assert agreed(ws) == answer
        await ws.send(TEXT)
        assert await ws.recv() == TEXT


async def test_an_offer_that_cannot_be_kept_is_declined(serve: Serve) -> None:
    hub = echoing(compression="shared")
    async with serve(hub) as server:
        offers = ["permessage-deflate; server_max_window_bits=8", "permessage-deflate; __proto__", "permessage-bzip2"]
        for offer in offers:
            headers = {"Sec-WebSocket-Extensions": offer}
            async with server.connect(headers=headers) as ws:
                assert ws.response is not None
                assert "Sec-WebSocket-Extensions" not in ws.response.headers
                await ws.send(TEXT)
                assert await ws.recv() == TEXT
        assert hub.stats()["compressed_out"] == 0


async def test_an_endpoint_may_differ_from_its_hub(serve: Serve) -> None:
    hub = echoing(compression="shared")

    async def echo(ws: WebSocket) -> None:
        async for data in ws:
            await ws.send(data)

    hub.websocket("/hub")(echo)
    hub.websocket("/own", compression="per-session")(echo)
    hub.websocket("/none", compression=None)(echo)
    async with serve(hub) as server:
        for path, expected in [("/", "no_context"), ("/hub", "no_context"), ("/own", "deflate"), ("/none", None)]:
            async with client(server, path) as ws:
                answer = agreed(ws)
                assert answer is None if expected is None else answer is not None and expected in answer
                await ws.send(TEXT)
                assert await ws.recv() == TEXT


async def test_a_broadcast_is_compressed_once_and_opting_out_is_possible(serve: Serve) -> None:
    hub = Hub(compression="shared")

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.join("room")

    async with (
        serve(hub) as server,
        client(server) as one,
        client(server, server_max_window_bits=9) as two,
        connect(f"ws://127.0.0.1:{server.listening.port}/", compression=None) as three,
    ):
        await until(lambda: len(hub.room("room")) == 3)
        text = TEXT[:500]
        assert (await hub.room("room").broadcast(text)).reached == 3
        await until(lambda: hub.stats()["compressed_out"] == 2)
        assert hub.stats()["deflations"] == 1
        for broadcast in (hub.room("room").broadcast, hub.broadcast, hub.to("room").broadcast):
            assert (await broadcast(text, compress=False)).reached == 3
        for ws in hub.sessions:
            ws.send(text, compress=False)
        for ws in (one, two, three):
            assert [await ws.recv() for _ in range(5)] == [text] * 5
        assert hub.stats()["deflations"] == 1


async def test_short_messages_stay_plain(serve: Serve) -> None:
    hub = echoing(compression=Compression(threshold_bytes=100))
    async with serve(hub) as server, client(server) as ws:
        for length, compressed in [(99, 0), (100, 1)]:
            await ws.send("x" * length)
            assert await ws.recv() == "x" * length
            await until(lambda compressed=compressed: hub.stats()["compressed_out"] == compressed)


async def test_row_26_a_bomb_is_1009(serve: Serve) -> None:
    hub = echoing(compression="shared")
    async with serve(hub) as server, client(server) as ws:
        await ws.send(bytes(64 << 20))
        with pytest.raises(ConnectionClosedError) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        async with client(server) as ws:
            legal = bytes(900 << 10)
            await ws.send(legal)
            assert await ws.recv() == legal


@pytest.mark.parametrize("mode", ["shared", "per-session"])
async def test_row_30_cancelled_sends_leave_the_stream_whole(serve: Serve, mode: Any) -> None:
    # So little is taken at once that many a send waits when it is cancelled.
    hub = Hub(compression=mode, limits=Limits(high_water_bytes=512, outbox_bytes=16 << 20))
    count, waited = 1000, 0
    rng = random.Random(30)
    letters = ["".join(rng.choices("abcdefgh", k=2000)) for _ in range(20)]

    @hub.websocket("/")
    async def flood(ws: WebSocket) -> None:
        nonlocal waited

        async def send(number: int) -> None:
            await ws.send(f"{number} {letters[number % len(letters)]}")

        for number in range(count):
            task = asyncio.ensure_future(send(number))
            for _ in range(rng.randrange(1, 4)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            waited += task.cancelled()

    async with serve(hub) as server, client(server) as ws:
        for number in range(count):
            assert await ws.recv() == f"{number} {letters[number % len(letters)]}"
    assert waited > 10


async def test_messages_from_several_threads_stay_in_order(serve: Serve) -> None:
    hub = Hub(compression="per-session")
    sessions: list[WebSocket] = []
    hub.on_connection(sessions.append)
    async with serve(hub) as server, client(server) as ws:
        await until(lambda: bool(sessions))

        def send(name: str) -> None:
            for number in range(200):
                sessions[0].send(f"{name} {number} {TEXT}")

        threads = [threading.Thread(target=send, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        heard: dict[str, list[int]] = {"a": [], "b": []}
        for _ in range(400):
            name, number, text = str(await ws.recv()).split(" ", 2)
            assert text == TEXT
            heard[name].append(int(number))
        for thread in threads:
            thread.join()
        assert heard == {"a": [*range(200)], "b": [*range(200)]}


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Hub(compression="zip"), ValueError),  # type: ignore[arg-type]
        (lambda: Hub(compression=True), ValueError),  # type: ignore[arg-type]
        (lambda: Hub().websocket("/", compression="gzip"), ValueError),  # type: ignore[arg-type]
        (lambda: Compression("both"), ValueError),  # type: ignore[arg-type]
        (lambda: Compression(level=0), ValueError),
        (lambda: Compression(level=10), ValueError),
        (lambda: Compression(window_bits=8), ValueError),
        (lambda: Compression(window_bits=16), ValueError),
        (lambda: Compression(threshold_bytes=-1), ValueError),
        (lambda: Compression(level=True), TypeError),
        (lambda: Compression(threshold_bytes="1k"), TypeError),  # type: ignore[arg-type]
    ],
)
def test_settings_that_make_no_sense(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()
