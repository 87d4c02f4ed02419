"""Pings: what an awaited one gives, keepalive, and latency."""

from __future__ import annotations

import anyio
import pytest

from hubbub import ConnectionClosed, ConnectionClosedError, Hub, Limits, WebSocket
from support.server import Serve, until

pytestmark = pytest.mark.anyio


async def test_an_awaited_ping_gives_the_round_trip_in_seconds(serve: Serve) -> None:
    hub, got, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        assert ws.latency is None
        got.append(await ws.ping())
        got.append(ws.latency)
        got.append(await ws.ping("text"))
        got.append(await ws.ping(b"bytes"))
        got.append(await ws.ping(memoryview(b"view")))
        got.append(await ws.ping(b""))
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.ended()
        await over.wait()
        assert client.pings[1:] == [b"text", b"bytes", b"view", b""]
    assert all(isinstance(seconds, float) and 0 < seconds < 10 for seconds in got)
    assert len(got) == 6


async def test_the_payloads_of_pings_differ(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        for _ in range(20):
            ws.ping()
        ws.close()

    async with serve(hub) as server, server.connect() as client:
        await client.ended()
        assert len(set(client.pings)) == 20


async def test_a_pong_for_a_later_ping_answers_the_earlier_ones(serve: Serve) -> None:
    """RFC 6455 §5.5.3: who has several pings to answer may answer the last one only."""
    hub, got, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        first, second, third = ws.ping(b"1"), ws.ping(b"2"), ws.ping(b"3")
        ws.send("pinged")
        got.append(await second)
        got.append(await first)
        with anyio.move_on_after(0.02) as scope:
            await third
        got.append(scope.cancelled_caught)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        # This client answers by hand.
        got_so_far = b""
        while b"pinged" not in got_so_far:
            got_so_far += await client.read()
        client.protocol.send_pong(b"unasked")
        client.protocol.send_pong(b"2")
        await client._flush()
        await over.wait()
    assert all(0 <= seconds < 10 for seconds in got[:2])
    assert got[2] is True


async def test_a_ping_without_a_pong_raises_when_the_connection_is_lost(serve: Serve) -> None:
    hub, got, pinged, over = Hub(), [], anyio.Event(), anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        pong = ws.ping()
        pinged.set()
        with pytest.raises(ConnectionClosed) as closed:
            await pong
        got.append(closed.value.code)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await pinged.wait()
        client.abort()
        await over.wait()
    assert got == [1006]


async def test_many_pings_may_be_awaited_at_once(serve: Serve) -> None:
    hub, got, over = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async def one() -> None:
            got.append(await ws.ping())

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(one)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await client.ended()
        await over.wait()
    assert len(got) == 50


async def test_keepalive_pings_a_silent_client_and_measures_latency(serve: Serve) -> None:
    hub = Hub(limits=Limits(ping_interval=0.05, ping_timeout=5))
    async with serve(hub) as server, server.connect() as client:
        await until(lambda: len(hub.sessions) == 1)
        (ws,) = hub.sessions
        assert ws.latency is None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.ended)
            await until(lambda: ws.latency is not None)
            tasks.cancel_scope.cancel()
        assert 0 <= ws.latency < 5
        assert not ws.closed


async def test_a_client_that_answers_no_ping_is_closed_with_1011(serve: Serve) -> None:
    hub, got, over = Hub(limits=Limits(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05)), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        with pytest.raises(ConnectionClosedError) as closed:
            await ws.recv()
        got.append((closed.value.code, closed.value.received, closed.value.sent and closed.value.sent[0]))
        over.set()

    async with serve(hub) as server, server.connect():
        await over.wait()
    assert got == [(1006, None, 1011)]


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"x" * 126, ValueError, "a ping carries at most 125 bytes, this one has 126"),
        ("ü" * 63, ValueError, "this one has 126"),
        (7, TypeError, "not int"),
        ("\ud800", UnicodeEncodeError, "surrogates"),
        (memoryview(b"abcd")[::2], TypeError, "not contiguous"),
    ],
)
async def test_a_ping_that_cannot_be_sent_raises(serve: Serve, data: object, error: type, says: str) -> None:
    hub, told = Hub(), anyio.Event()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        with pytest.raises(error, match=says):
            ws.ping(data)
        ws.ping(b"x" * 125)
        told.set()

    async with serve(hub) as server, server.connect():
        await told.wait()
