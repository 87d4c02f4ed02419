"""What clients of Engine.IO meet where the official server and this one could differ, and what bounds them."""

from __future__ import annotations

import json
import logging
import math
from contextlib import AsyncExitStack
from typing import Any

import pytest

from hubbub import Hub, Limits
from hubbub.socketio import Server, Socket
from support.client import Client
from support.http import Visitor, visiting
from support.push import browsing
from support.server import Serve, Server as Listening, until
from support.socketio import connecting, joining

pytestmark = pytest.mark.anyio

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


async def opened(visitor: Visitor) -> str:
    """A session by polls: its id as a query has it."""
    answer = await visitor.get(POLLING)
    assert answer.status == 200, answer
    return f"&sid={json.loads(answer.body[1:])['sid']}"


def echoing(**options: Any) -> Server:
    io = Server(Hub(), **options)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("echo", lambda *args: args[-1](*args[:-1]))
        socket.on("settle", lambda: None)

    return io


# ---- the end of a session


@pytest.mark.parametrize("how", ["no packet", "overlap", "close", "silence"])
async def test_a_session_that_its_client_has_ended_is_unknown_at_once(serve: Serve, how: str) -> None:
    io = echoing(ping_interval=0.05 if how == "silence" else 25, ping_timeout=0.05 if how == "silence" else 20)
    async with serve(io.hub) as server, visiting(server) as visitor, visiting(server) as other:
        sid = await opened(visitor)
        if how == "no packet":
            assert (await visitor.post(POLLING + sid, b"abc")).status == 400
        elif how == "close":
            assert (await visitor.post(POLLING + sid, b"1")).body == b"ok"
        elif how == "overlap":
            await other.write(f"GET {POLLING}{sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await until(lambda: hubs_requests(io) >= 2)
            assert (await visitor.get(POLLING + sid)).status == 400
            assert (await other.response()).body == b"1"
        else:
            await until(lambda: not io.clients_count)
        for body in (None, b'42["x"]'):
            assert await asked(server, sid, body) == (400, 1)


async def asked(server: Listening, sid: str, body: bytes | None = None) -> tuple[int, int | None]:
    """The status and the code of the answer to a poll, or a POST, on a connection of its own."""
    async with visiting(server) as visitor:
        answer = await (visitor.get(POLLING + sid) if body is None else visitor.post(POLLING + sid, body))
        return answer.status, json.loads(answer.body)["code"] if answer.status == 400 else None


def hubs_requests(io: Server) -> int:
    return io.hub.stats()["requests"]


async def test_what_the_server_has_said_before_an_orderly_end_can_be_fetched(serve: Serve) -> None:
    io = Server(Hub())

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.emit("last words")
        socket.disconnect(True)

    async with serve(io.hub) as server, visiting(server) as visitor:
        sid = await opened(visitor)
        assert (await visitor.post(POLLING + sid, b"40")).body == b"ok"
        heard: list[bytes] = []
        while b"1" not in heard:
            heard += (await visitor.get(POLLING + sid)).body.split(b"\x1e")
        assert heard[1:] == [b'42["last words"]', b"41", b"1"]
        assert await asked(server, sid) == (400, 1)


# ---- WebSockets


async def upgraded(server: Listening, stack: AsyncExitStack, sid: str) -> Client:
    client = await stack.enter_async_context(server.connect(WEBSOCKET + sid))
    await client.send("2probe")
    assert await client.recv() == "3probe"
    await client.send("5")
    return client


async def test_a_further_websocket_of_a_session_is_closed_without_a_word_and_the_session_goes_on(serve: Serve) -> None:
    io = echoing()
    async with serve(io.hub) as server, visiting(server) as visitor, AsyncExitStack() as stack:
        sid = await opened(visitor)
        first = await stack.enter_async_context(server.connect(WEBSOCKET + sid))
        async with server.connect(WEBSOCKET + sid) as second:
            assert await second.ended() == (1005, "")
        await first.send("2probe")
        assert await first.recv() == "3probe"
        await first.send("5")
        await first.send("40")
        assert str(await first.recv()).startswith("40{")
        async with server.connect(WEBSOCKET + sid) as third:
            assert await third.ended() == (1005, "")
        await first.send('421["echo",1]')
        assert await first.recv() == "431[1]"


async def test_bytes_may_come_in_base64_on_a_websocket(serve: Serve) -> None:
    io = echoing()
    async with serve(io.hub) as server, joining(server) as peer:
        await peer.send('51-1["echo",{"_placeholder":true,"num":0}]')
        await peer.client.send("bAQID")
        assert await peer.recv() == '61-1[{"_placeholder":true,"num":0}]'
        assert await peer.recv() == b"\1\2\3"
        await peer.client.send("b!")
        await peer.ended()


async def test_the_first_subprotocol_that_a_client_names_is_answered(serve: Serve) -> None:
    io = echoing()
    async with serve(io.hub) as server, visiting(server) as visitor, AsyncExitStack() as stack:
        for query in ("", await opened(visitor)):
            client = await stack.enter_async_context(server.connect(WEBSOCKET + query, subprotocols=["v1", "v2"]))
            assert client.subprotocol == "v1"


async def test_answers_before_the_upgrade_are_bounded(serve: Serve) -> None:
    io = echoing()
    async with serve(io.hub) as server, visiting(server) as visitor:
        for what in ("pings", "probes"):
            sid = await opened(visitor)
            async with server.connect(WEBSOCKET + sid, receive_buffer=4096) as client:
                # More than the kernel keeps of the answers, which nobody reads.
                await client.send("2probe")
                mask = b"\0\0\0\0"
                block = (b"\x89\xfd" + mask + b"p" * 125 if what == "pings" else b"\x81\x86" + mask + b"2probe") * 2000
                for _ in range(60):
                    await client.write(block)
                assert io.hub.stats()["outbox"]["bytes"] <= 64 << 10, what


# ---- polls


@pytest.mark.parametrize("waits", [True, False], ids=["a poll waits", "no poll waits"])
async def test_more_than_an_outbox_may_be_sent_to_a_client_that_has_just_come(serve: Serve, waits: bool) -> None:
    io, count = Server(Hub()), 40

    @io.on("connection")
    def connected(socket: Socket) -> None:
        for number in range(count):
            socket.emit("history", number, "x" * 100_000)

    async with serve(io.hub) as server, visiting(server) as visitor, visiting(server) as poster:
        sid = await opened(visitor)
        if waits:
            await visitor.write(f"GET {POLLING}{sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await until(lambda: hubs_requests(io) >= 2)
        assert (await poster.post(POLLING + sid, b"40")).body == b"ok"
        packets: list[bytes] = []
        while len(packets) < count + 1:
            answer = await visitor.response() if waits else await visitor.get(POLLING + sid)
            assert answer.status == 200
            packets += answer.body.split(b"\x1e")
            waits = False
        assert [json.loads(packet[2:])[1] for packet in packets[1:]] == list(range(count))


async def test_one_address_cannot_take_all_places_by_polls(serve: Serve) -> None:
    io = echoing()
    io.hub.limits = Limits(max_sessions=20, polling_sessions_per_address=4)
    async with serve(io.hub, io_threads=min(serve.io_threads, 1)) as server, visiting(server) as visitor:
        spoken = await opened(visitor)
        assert (await visitor.post(POLLING + spoken, b"40")).body == b"ok"
        silent = [await opened(visitor) for _ in range(40)]
        await until(lambda: len(io.hub.sessions) == 4)
        stats = io.hub.stats()
        assert (stats["polls_evicted"], stats["address_refused"]) == (37, 0)
        # The oldest have gone, never the one that has joined.
        for sid, status in [(spoken, 200), (silent[0], 400), (silent[36], 400)]:
            assert (await asked(server, sid))[0] == status
        for sid in silent[37:]:
            assert (await asked(server, sid, b"40"))[0] == 200
        async with visiting(server) as other:
            assert (await other.get(POLLING)).status == 429
        assert io.hub.stats()["address_refused"] == 1
        # Whoever has gone on to a WebSocket has a connection, and leaves the place to others.
        async with AsyncExitStack() as stack:
            await upgraded(server, stack, spoken)
            async with visiting(server) as other:
                await opened(other)
            async with connecting(server):
                pass


# ---- JSON


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_json_as_official_clients_write_it_arrives(serve: Serve, transport: str) -> None:
    heard: list[Any] = []
    io = Server(Hub())

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("settle", lambda: None)
        socket.on_any(lambda *args: heard.append(list(args)))

    events = [
        r'["chat","cut \ud83d"]',
        r'["chat",{"\ud83d":["\udc00\ud83d\ude00"]}]',
        r'["\ud83d"]',
        '["number",1e400,-1e400,' + "9" * 401 + "]",
        "[1e400]",
    ]
    async with serve(io.hub) as server:
        if transport == "websocket":
            async with joining(server) as peer:
                for event in events:
                    await peer.send(f"2{event}")
                await peer.settled()
        else:
            async with browsing(server) as browser:
                sid = f"&sid={json.loads((await browser.get(POLLING)).text[1:])['sid']}"
                body = "\x1e".join(["40", *(f"42{event}" for event in events)])
                assert (await browser.post(POLLING + sid, content=body)).text == "ok"
                await until(lambda: len(heard) == len(events))
    inf = math.inf
    assert heard[: len(events)] == [
        ["chat", "cut \ufffd"],
        ["chat", {"\ufffd": ["\ufffd\U0001f600"]}],
        ["\ufffd"],
        ["number", inf, -inf, inf],
        [inf],
    ]


async def test_a_number_beyond_a_double_can_be_an_events_name(serve: Serve) -> None:
    heard: list[str] = []
    io = Server(Hub())

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("settle", lambda: None)
        for name in ("Infinity", "-Infinity", "1"):
            socket.on(name, lambda name=name: heard.append(name))

    async with serve(io.hub) as server, joining(server) as peer:
        await peer.send("2[1e400]", "2[-1e400]", "2[1.0]")
        await peer.settled()
    assert heard == ["Infinity", "-Infinity", "1"]


# ---- old clients, other pages


async def test_a_client_of_version_2_is_told_so_and_the_log_names_it_once(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = echoing()
    async with serve(io.hub, io_threads=min(serve.io_threads, 1)) as server:
        for _ in range(2):
            async with visiting(server) as visitor:
                answer = await visitor.get("/socket.io/?EIO=3&transport=polling")
            assert (answer.status, json.loads(answer.body)["code"]) == (400, 5)
            assert "socket.io-client 2" in json.loads(answer.body)["message"]
        await until(lambda: any("socket.io-client 2" in record.getMessage() for record in caplog.records))
    assert sum(record.levelno == logging.WARNING for record in caplog.records) == 1


async def test_a_page_of_another_origin_may_have_the_client_as_a_module(serve: Serve) -> None:
    async with serve(echoing().hub) as server, visiting(server) as visitor:
        answer = await visitor.get("/socket.io/socket.io.esm.min.js", "Origin: http://elsewhere.example\r\n")
        if answer.status == 404:
            pytest.skip("this build has no client")
        assert answer.headers["access-control-allow-origin"] == "*"
