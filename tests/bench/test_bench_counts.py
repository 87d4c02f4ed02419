"""The generator's counts beside those that others make: the hub's own, and another library's server."""

from __future__ import annotations

import json
import threading
from typing import Any

import anyio
import pytest
from websockets.sync.server import ServerConnection, serve as serve_websockets

from hubbub import Compression, Hub, WebSocket
from hubbub._core import Load
from support.server import Serve, Server


@pytest.fixture(params=[1, 2], ids=["one-thread", "two-threads"])
def threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


async def load(server: Server, **settings: Any) -> dict[str, Any]:
    url = f"ws://127.0.0.1:{server.listening.port}/"
    return await anyio.to_thread.run_sync(run, {"url": url, "duration": 0.4, "warmup": 0.1, **settings})


def run(settings: dict[str, Any]) -> dict[str, Any]:
    text = Load(json.dumps(settings)).report()
    assert text is not None
    report: dict[str, Any] = json.loads(text)
    assert (report["errors"], report.get("failed")) == ({}, None)
    assert report["messages"] > 0
    return report


def agree(counted: int, server: int) -> None:
    assert counted == pytest.approx(server, rel=0.01)


def echoing(**options: Any) -> Hub:
    hub = Hub(**options)

    @hub.on_message
    def echo(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    return hub


@pytest.mark.anyio
@pytest.mark.parametrize("pace", [{"in_flight": 4}, {"rate": 2000.0}], ids=["closed", "open"])
async def test_echoes_are_as_many_as_the_hub_says(serve: Serve, threads: int, pace: dict[str, Any]) -> None:
    hub = echoing()
    async with serve(hub) as server:
        report = await load(server, mode="echo", connections=8, threads=threads, **pace)
        figures = hub.stats()
    agree(report["totals"]["sent"], figures["messages_in"])
    agree(report["totals"]["received"], figures["messages_out"])
    assert report["totals"]["received"] >= report["messages"]


@pytest.mark.anyio
@pytest.mark.parametrize("pace", [{"in_flight": 2}, {"rate": 100.0}], ids=["closed", "open"])
async def test_deliveries_are_as_many_as_the_hub_says(serve: Serve, threads: int, pace: dict[str, Any]) -> None:
    hub = Hub()

    @hub.on_message
    def pass_on(ws: WebSocket, data: str | bytes) -> None:
        hub.broadcast(data)

    async with serve(hub) as server:
        report = await load(server, mode="broadcast", connections=20, senders=3, threads=threads, **pace)
        figures = hub.stats()
    totals = report["totals"]
    agree(totals["sent"] + totals["calls_sent"], figures["messages_in"])
    agree(totals["received"] + totals["calls_received"], figures["deliveries"])
    assert totals["received"] == 20 * totals["sent"]


@pytest.mark.anyio
async def test_bytes_are_those_on_the_wire(serve: Serve, threads: int) -> None:
    hub = echoing(compression=Compression(threshold_bytes=0))
    async with serve(hub) as server:
        report = await load(server, mode="echo", connections=4, threads=threads, size=2000, deflate=True)
        figures = hub.stats()
    totals = report["totals"]
    assert (figures["compressed_in"], figures["compressed_out"]) == (totals["sent"], totals["received"])
    # The headers of the frames: four bytes, and four for the mask.
    agree(totals["bytes_out"], figures["compressed_bytes_in"] + 8 * totals["sent"])
    agree(totals["bytes_in"], figures["compressed_bytes_out"] + 4 * totals["received"])
    assert totals["bytes_out"] < 1000 * totals["sent"]


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflated"])
def test_a_server_of_websockets_counts_the_same(deflate: bool) -> None:
    counts: list[int] = []

    def echo(connection: ServerConnection) -> None:
        count = 0
        for message in connection:
            assert len(message) == 500
            connection.send(message)
            count += 1
        counts.append(count)

    with serve_websockets(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
            settings = {"mode": "echo", "url": url, "connections": 3, "duration": 0.5, "size": 500, "deflate": deflate}
            report = run(settings)
        finally:
            server.shutdown()
            thread.join()
    assert report["totals"]["received"] == report["totals"]["sent"]
    assert len(counts) == 3
    agree(report["totals"]["sent"], sum(counts))
