"""What an operator allows: connections from one address, so many in a second, proxies whose word counts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from hubbub import Hub, Limits, Request, Response, WebSocket
from support.client import Client, Refused, dial
from support.server import Serve, Server, until

pytestmark = pytest.mark.anyio

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n"


@asynccontextmanager
async def announced(server: Server, header: bytes) -> AsyncIterator[Client]:
    """A connection that begins with these bytes."""
    sock = dial(server.address)
    try:
        client = Client(sock, ClientProtocol(parse_uri("ws://test/")))
        await client.write(header)
        await client.open({})
        yield client
    finally:
        sock.close()


async def only_session(hub: Hub) -> WebSocket:
    await until(lambda: len(hub.sessions) == 1)
    (ws,) = hub.sessions
    return ws


async def test_one_connection_too_many_from_an_address_is_refused(serve: Serve) -> None:
    hub = Hub(limits=Limits(max_sessions_per_address=1))
    async with serve(hub) as server:
        for round in range(1, 4):
            async with server.connect():
                with pytest.raises(Refused) as refused:
                    async with server.connect():
                        pass
                assert (refused.value.status, refused.value.body) == (429, b"Too many connections from this address.\n")
            await until(lambda: hub.stats()["connections"] == 0)
            await until(lambda round=round: hub.stats()["address_refused"] == round)  # type: ignore[misc]


async def test_a_trusted_proxy_tells_whose_the_session_is(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(limits=Limits(max_sessions_per_address=1))
    requests: list[Request] = []
    hub.on_request(requests.append)
    caplog.set_level(logging.INFO, "hubbub.access")
    headers = {"X-Forwarded-For": "203.0.113.9, 192.0.2.1, 127.0.0.7", "X-Forwarded-Proto": "https"}
    async with serve(hub, trusted_proxies=["127.0.0.0/8"], access_log=True) as server:
        async with server.connect(headers=headers) as client:
            ws = await only_session(hub)
            (request,) = requests
            assert (ws.remote_address, ws.proxy_address) == (("192.0.2.1", 0), client.address)
            assert (request.remote_address, request.proxy_address) == (("192.0.2.1", 0), client.address)
            assert request.secure
            assert request.headers["x-forwarded-for"] == headers["X-Forwarded-For"]
            assert caplog.messages == ['192.0.2.1:0 - "WebSocket /" [accepted]']
            # Another client of the same proxy has its own place, the same client has none.
            async with server.connect(headers={"Forwarded": 'for="[2001:db8::1]:7"'}):
                await until(lambda: len(hub.sessions) == 2)
                assert {ws.remote_address for ws in hub.sessions} == {("192.0.2.1", 0), ("2001:db8::1", 7)}
            with pytest.raises(Refused, match="429"):
                async with server.connect(headers=headers):
                    pass
        with pytest.raises(Refused, match="400") as refused:
            async with server.connect(headers={**headers, "Forwarded": "for=192.0.2.2"}):
                pass
        assert b"different clients" in refused.value.body
        await until(lambda: hub.stats()["proxy_refused"] == 1)


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8", "::1", "unix")], ids=["nobody", "others"])
async def test_what_others_tell_is_ignored(serve: Serve, trusted: tuple[str, ...]) -> None:
    hub = Hub()
    hub.on_request(lambda request: Response(200, f"{request.remote_address} {request.proxy_address} {request.secure}"))
    headers = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Forwarded": '"'}
    async with serve(hub, trusted_proxies=trusted) as server:
        with pytest.raises(Refused, match="200") as refused:
            async with server.connect(headers=headers):
                pass
        assert refused.value.body.startswith(b"('127.0.0.1', ")
        assert refused.value.body.endswith(b" None False")


async def test_a_proxy_at_a_unix_socket_may_be_trusted(serve: Serve, tmp_path: Any) -> None:
    hub = Hub()
    headers = {"X-Forwarded-For": "192.0.2.1"}
    async with serve(hub, uds=tmp_path / "socket", trusted_proxies=["unix"]) as server, server.connect(headers=headers):
        ws = await only_session(hub)
        assert (ws.remote_address, ws.proxy_address) == (("192.0.2.1", 0), None)


@pytest.mark.parametrize(
    "header",
    [LINE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x67\x01\xbb"],
    ids=["v1", "v2"],
)
async def test_a_proxy_header_tells_whose_the_session_is(serve: Serve, header: bytes) -> None:
    hub = Hub()
    serving = serve(hub, trusted_proxies=["127.0.0.1"], proxy_protocol=True)
    async with serving as server, announced(server, header) as client:
        ws = await only_session(hub)
        assert (ws.remote_address, ws.proxy_address) == (("192.0.2.1", 4711), client.address)


async def test_a_connection_without_a_proxy_header_is_closed_and_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub()
    caplog.set_level(logging.INFO, "hubbub.access")
    async with serve(hub, trusted_proxies=["127.0.0.1"], proxy_protocol=True, access_log=True) as server:
        sock = dial(server.address)
        client = Client(sock, ClientProtocol(parse_uri("ws://test/")))
        await client.write(b"GET / HTTP/1.1\r\n")
        assert await client.read() == b""
        sock.close()
        await until(lambda: hub.stats()["proxy_refused"] == 1)
        await until(lambda: any(line.endswith(" - no request: no PROXY header") for line in caplog.messages))


async def test_a_session_that_sends_too_fast_waits_and_loses_nothing(serve: Serve) -> None:
    hub = Hub(limits=Limits(messages_per_second=50, messages_burst=1))
    hub.on_message(lambda ws, data: ws.send(data) and None)
    async with serve(hub) as server, server.connect() as client:
        for n in range(10):
            await client.send(str(n))
            assert await client.recv() == str(n)
        await until(lambda: hub.stats()["rate_pauses"] >= 9)
        assert (await client.close())[0] == 1000


async def test_a_session_that_sends_too_fast_is_closed_where_that_is_the_policy(serve: Serve) -> None:
    hub = Hub(limits=Limits(messages_per_second=0.001, messages_burst=2, rate_policy="close"))
    async with serve(hub) as server, server.connect() as client:
        for n in range(3):
            await client.send(str(n))
        assert await client.ended() == (1008, "more messages than messages_per_second allows")
        await until(lambda: hub.stats()["rate_closed"] == 1)


async def test_connections_that_come_too_fast_are_served_later(serve: Serve) -> None:
    hub = Hub(limits=Limits(handshakes_per_second=1e9))
    async with serve(hub) as server, server.connect(), server.connect():
        assert hub.stats()["accept_pauses"] == 0
    hub = Hub(limits=Limits(handshakes_per_second=10))
    async with serve(hub) as server:
        for _ in range(12):
            async with server.connect():
                pass
        await until(lambda: hub.stats()["accept_pauses"] >= 2)
