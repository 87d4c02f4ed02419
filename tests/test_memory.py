"""What has ended is freed: sessions, handlers, hubs, and whatever the program has tied to them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anyio
import pytest

from hubbub import Hub, Request, WebSocket
from support.server import Serve, until

pytestmark = pytest.mark.anyio


class Tied:
    """Something of the program's, with a name to be found by."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


async def gone(*references: weakref.ref[Any]) -> None:
    """Waits until the garbage collector has freed each of them."""
    for _ in range(50):
        gc.collect()
        if all(reference() is None for reference in references):
            return
        await anyio.sleep(0.01)
    left = [reference() for reference in references if reference() is not None]
    held = [[type(holder).__name__ for holder in gc.get_referrers(one)] for one in left]
    raise AssertionError(f"still there: {left}, held by {held}")


async def test_a_session_that_has_ended_is_freed(serve: Serve) -> None:
    hub, references = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        references.append(weakref.ref(ws))
        ws.join("room")
        _ = ws.request, ws.state, ws.path

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send(data)

    async with serve(hub) as server:
        for orderly in (True, False):
            async with server.connect() as client:
                await client.send("x")
                await client.recv()
                if orderly:
                    await client.close()
        await until(lambda: len(hub.sessions) == 0)
        await gone(*references)
    assert len(references) == 2


async def test_a_session_of_a_coroutine_is_freed_however_it_ends(serve: Serve, failures) -> None:
    hub, references = Hub(), []

    @hub.websocket("/{way}")
    async def endpoint(ws: WebSocket) -> None:
        references.append(weakref.ref(ws))
        await ws.ping()
        async for data in ws:
            await ws.send(data)
            if ws.path_params["way"] == "returns":
                return
            if ws.path_params["way"] == "raises":
                raise RuntimeError("broken")

    async with serve(hub) as server:
        for way in ("closes", "returns", "raises", "lost"):
            async with server.connect("/" + way) as client:
                await client.send("x")
                await client.recv()
                if way == "closes":
                    await client.close()
                elif way != "lost":
                    await client.ended()
        await until(lambda: len(hub.sessions) == 0)
        failures.clear()  # the traceback in the log holds the session
        await gone_but_for_the_log(references)
    assert len(references) == 4


async def gone_but_for_the_log(references: list[weakref.ref[Any]]) -> None:
    await gone(references[0], references[1], references[3])


async def test_a_cycle_through_the_state_is_collected(serve: Serve) -> None:
    hub, references = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        tied = Tied(ws=ws, request=ws.request)
        ws.state.tied = tied
        ws.state.itself = ws.state
        ws.state.callback = lambda: ws
        references.extend([weakref.ref(ws), weakref.ref(tied)])

    async with serve(hub) as server:
        async with server.connect():
            await until(lambda: len(references) == 2)
        await until(lambda: len(hub.sessions) == 0)
        await gone(*references)


async def test_a_cycle_through_the_request_is_collected(serve: Serve) -> None:
    hub, references = Hub(), []

    @hub.on_request
    def decide(request: Request) -> None:
        tied = Tied(request=request)
        request.state = tied
        references.append(weakref.ref(tied))

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.state.ws = ws
        references.append(weakref.ref(ws))

    async with serve(hub) as server:
        async with server.connect():
            await until(lambda: len(references) == 2)
        await until(lambda: len(hub.sessions) == 0)
        await gone(*references)


async def test_a_request_that_was_rejected_is_freed(serve: Serve) -> None:
    from hubbub import Response

    hub, references = Hub(), []

    @hub.on_request
    async def decide(request: Request) -> Response:
        request.state = Tied(request=request)
        references.append(weakref.ref(request.state))
        return Response(403)

    async with serve(hub) as server:
        with pytest.raises(Exception, match="403"):
            async with server.connect():
                pass
        await gone(*references)


async def test_a_hub_that_has_run_is_freed_with_its_handlers(serve: Serve) -> None:
    references: list[weakref.ref[Any]] = []

    async def use() -> None:
        hub, tied = Hub(), Tied()

        @hub.on_connection
        def connected(ws: WebSocket) -> None:
            tied.last = (hub, ws.id)
            references.append(weakref.ref(ws))
            ws.send("hello")

        @hub.websocket("/endpoint")
        async def endpoint(ws: WebSocket) -> None:
            tied.other = (hub, ws.id)
            references.append(weakref.ref(ws))
            await ws.send("hello")
            await ws.recv()

        references.extend([weakref.ref(hub), weakref.ref(tied), weakref.ref(connected), weakref.ref(endpoint)])
        async with serve(hub) as server:
            for path in ("/", "/endpoint"):
                async with server.connect(path) as client:
                    await client.recv()

    await use()
    assert len(references) == 6
    await gone(*references)


async def test_a_hub_whose_handlers_hold_its_sessions_is_freed(serve: Serve) -> None:
    async def run() -> tuple[weakref.ref[Any], ...]:
        hub, kept = Hub(), Tied(sessions=[])

        @hub.on_message
        def message(ws: WebSocket, data: str) -> None:
            kept.sessions.append(ws)
            ws.send(data)

        async with serve(hub) as server, server.connect() as client:
            await client.send("x")
            await client.recv()
        return weakref.ref(hub), weakref.ref(kept), weakref.ref(kept.sessions[0])

    await gone(*await run())


async def test_a_session_that_outlives_its_server_still_answers(serve: Serve) -> None:
    hub, sessions = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.join("room")
        sessions.append(ws)

    async with serve(hub) as server, server.connect("/where"):
        await until(lambda: len(sessions) == 1)
    (ws,) = sessions
    assert ws.closed
    assert ws.close_code in (1001, 1006)
    assert ws.rooms == {"room"}
    assert ws.path == "/where"
    assert ws.hub is hub
    with pytest.raises(Exception, match="closed"):
        ws.send("too late")
    ws.leave("room")
    ws.abort()
    await ws.close()


async def test_a_reply_that_is_never_awaited_warns_about_nothing(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.join("room")
        ws.send("sent")
        ws.send(b"x" * 200_000)
        ws.ping()
        hub.room("room").broadcast("all")
        ws.close(4000)

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "sent"
        await client.ended()
        gc.collect()
