"""Rooms and broadcasts of the hub's own do not reach the clients of Socket.IO, whatever names clients choose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hubbub import Hub, WebSocket
from hubbub.socketio import Server
from support.push import browsing, opened
from support.server import Serve
from support.socketio import joining

pytestmark = pytest.mark.anyio

#: What the rooms of Socket.IO are or were called in the core, and their likes.
NAMES = ("\0sio\0/socket.io/\0/\0secret", "/socket.io/\0/\0secret", "/socket.io/\0/", "secret", "/", "")


async def test_no_name_of_a_room_of_the_hubs_is_a_room_of_socketio(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub)

    @io.on("connection")
    def connected(socket: Any) -> None:
        socket.join("secret")
        socket.on("settle", lambda: None)
        socket.conn.join("of the hub's")

    @hub.websocket("/chat")
    async def chat(ws: WebSocket) -> None:
        for name in NAMES:
            ws.join(name)
        await ws.send("joined")
        async for text in ws:
            for name in NAMES:
                hub.room(name).broadcast(text)
            await ws.send("said")

    async with serve(hub) as server, joining(server) as peer, server.connect("/chat") as stranger:
        assert await stranger.recv() == "joined"
        io.to("secret").emit("secret")
        io.emit("secret")
        assert [await peer.recv(), await peer.recv()] == ['2["secret"]'] * 2
        await stranger.send('2["forged"]')
        # Each room has the stranger alone.
        assert [await stranger.recv() for _ in range(len(NAMES) + 1)] == ['2["forged"]'] * len(NAMES) + ["said"]
        # A session of Socket.IO's that the program has put into a room of the hub's hears nothing there either.
        delivery = hub.room("of the hub's").broadcast('2["raw"]')
        await delivery
        assert delivery.reached == 0
        await peer.emit("settle", ack=0)
        assert await peer.recv() == "30[]"
        assert set(hub.rooms) == {*NAMES, "of the hub's"}
        assert [ws.rooms for ws in hub.room("of the hub's")] == [{"of the hub's"}]
        assert hub.stats()["rooms"] == len(NAMES) + 1


async def test_a_broadcast_to_everyone_is_for_the_sessions_of_the_hub(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub)

    @hub.websocket("/chat")
    async def chat(ws: WebSocket) -> None:
        await ws.send("here")
        async for _ in ws:
            pass

    @hub.comet("/push")
    async def push(ws: WebSocket) -> None:
        async for _ in ws:
            pass

    async with (
        serve(hub) as server,
        joining(server) as peer,
        browsing(server) as browser,
        server.connect("/chat") as ws,
        opened(server, "/push") as patron,
    ):
        polls = "/socket.io/?EIO=4&transport=polling"
        polls += f"&sid={json.loads((await browser.get(polls)).text[1:])['sid']}"
        await browser.post(polls, content="40")
        assert (await browser.get(polls)).text.startswith("40{")
        assert await ws.recv() == "here"
        for number, send in enumerate((hub.broadcast, hub.skip().broadcast)):
            delivery = send(f'2["x",{number}]')
            await delivery
            assert (delivery.reached, delivery.dropped) == (2, 0)
            for heard in (await ws.recv(), await patron.recv()):
                assert heard == f'2["x",{number}]'
        io.emit("y")
        assert (await peer.recv(), (await browser.get(polls)).text) == ('2["y"]', '42["y"]')
