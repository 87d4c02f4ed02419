"""Objects of the program that go, and run code of its own as they do, wherever the core has kept them."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from hubbub import Hub, Request, WebSocket
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]


class Curious:
    """Looks at what kept it when it goes, here and in another thread."""

    def __init__(self, look: Any, gone: list[object]) -> None:
        self._look = look
        self._gone = gone

    def __del__(self) -> None:
        thread = threading.Thread(target=self._look)
        thread.start()
        thread.join()
        self._gone.append(self._look())


async def test_what_was_the_state_may_look_at_it(serve: Serve) -> None:
    hub, gone = Hub(), []

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.state = Curious(lambda: ws.state, gone)
        ws.state = "next"
        ws.send("still here")

    async with serve(hub) as server, server.connect() as client:
        await client.send("go")
        assert await client.recv() == "still here"
    assert gone == ["next"]


async def test_what_was_the_request_may_look_at_it(serve: Serve) -> None:
    hub, gone = Hub(), []

    class Kept(Request):
        def __del__(self) -> None:
            Curious(lambda: sessions[0]._request, gone)

    sessions: list[WebSocket] = []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        sessions.append(ws)
        ws._keep_request(Kept(ws._opening))
        ws._keep_request(Request(ws._opening))
        ws.send("still here")

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "still here"
    assert len(gone) == 1


@pytest.mark.parametrize("base", [bytes, str])
async def test_a_message_of_a_class_of_its_own_may_send_when_it_goes(serve: Serve, base: type) -> None:
    hub = Hub()

    class Message(base):  # type: ignore[misc]
        def __del__(self) -> None:
            if state["ws"] is not None:
                state["ws"].send("gone")

    state: dict[str, WebSocket | None] = {"ws": None}

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        state["ws"] = ws
        data = "x" * 20_000 if base is str else b"x" * 20_000
        ws.send(Message(data))  # type: ignore[call-arg]
        ws._send_all([Message(data)], True, False)  # type: ignore[call-arg]
        ws.close()

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        state["ws"] = None

    async with serve(hub) as server, server.connect() as client:
        got = [await client.recv() for _ in range(4)]
        assert sorted(len(message) for message in got) == [4, 4, 20_000, 20_000]


async def test_a_callback_that_a_waiter_forgets_may_look_at_the_waiter(serve: Serve) -> None:
    hub, gone = Hub(), []
    sessions: list[WebSocket] = []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        sessions.append(ws)
        await ws.recv()

    class Callback:
        def __init__(self, waiter: Any) -> None:
            self._curious = Curious(waiter.done, gone)

        def __call__(self, *args: object) -> None: ...

    async with serve(hub) as server, server.connect():
        await until(lambda: bool(sessions))
        waiter = next(iter(sessions[0].close()))  # type: ignore[call-overload]
        waiter.add_done_callback(Callback(waiter))
        waiter.add_done_callback(Callback(waiter))
        assert len(gone) == 1
        waiter.remove_done_callback(None)
        waiter.__clear__() if hasattr(waiter, "__clear__") else waiter.forget()
        assert len(gone) == 2
        await anyio.sleep(0)
