"""A session gets broadcasts to everyone only once its handler has been called, behind what the handler sends first."""

from __future__ import annotations

import threading
from contextlib import AsyncExitStack, ExitStack

import anyio
import pytest
from websockets.sync.client import connect

from hubbub import Hub, WebSocket
from support.client import Ended
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]

KINDS = pytest.mark.parametrize("kind", ["function", "coroutine"])


@pytest.fixture(params=[0, 1, 4], ids=["inline", "threaded", "four"])
def io_threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


class Announcer:
    """A thread that broadcasts to everyone without a pause that anyone would notice."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(0.0005):
            self._hub.broadcast("to everyone")

    def __enter__(self) -> Announcer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


@KINDS
async def test_a_broadcast_never_comes_before_what_the_handler_sends_first(serve: Serve, kind: str) -> None:
    hub = Hub()

    def greet(ws: WebSocket) -> None:
        for _ in range(200):  # so that threads have a chance to come in between
            pass
        ws.send("snapshot")

    if kind == "function":
        hub.on_connection(greet)
    else:

        @hub.on_connection
        async def greet_and_wait(ws: WebSocket) -> None:
            greet(ws)

    async with serve(hub) as server, AsyncExitStack() as stack:
        with Announcer(hub):
            for _ in range(20):
                client = await stack.enter_async_context(server.connect())
                assert await client.recv() == "snapshot"
                assert await client.recv() == "to everyone"


@KINDS
async def test_a_client_that_is_refused_never_gets_a_broadcast(serve: Serve, kind: str) -> None:
    hub = Hub()

    def refuse(ws: WebSocket) -> None:
        for _ in range(200):
            pass
        ws.close(4401)

    if kind == "function":
        hub.on_connection(refuse)
    else:

        @hub.on_connection
        async def refuse_and_wait(ws: WebSocket) -> None:
            refuse(ws)

    async with serve(hub) as server:
        with Announcer(hub):
            for _ in range(20):
                async with server.connect() as client:
                    with pytest.raises(Ended) as ended:
                        await client.recv()
                    assert ended.value.code == 4401


async def test_what_is_broadcast_while_the_handler_runs_comes_behind_what_it_sends(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        thread = threading.Thread(target=hub.broadcast, args=("by a thread",))
        thread.start()
        thread.join()
        ws.send("snapshot")

    async with serve(hub) as server, server.connect() as client:
        assert [await client.recv() for _ in range(2)] == ["snapshot", "by a thread"]


@KINDS
async def test_the_handler_s_own_broadcast_reaches_its_session_in_order(serve: Serve, kind: str) -> None:
    hub = Hub()

    def connected(ws: WebSocket) -> None:
        ws.send("1")
        hub.broadcast("2")
        ws.send("3")

    if kind == "function":
        hub.on_connection(connected)
    else:

        @hub.on_connection
        async def connected_and_wait(ws: WebSocket) -> None:
            connected(ws)

    async with serve(hub) as server, server.connect() as client:
        assert [await client.recv() for _ in range(3)] == ["1", "2", "3"]


async def test_clients_that_wait_for_a_blocked_handler_get_no_broadcast_before_it_knows_them() -> None:
    hub, free, begun = Hub(), threading.Event(), threading.Semaphore(0)

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        begun.release()
        assert free.wait(5)
        ws.send("snapshot")

    def talk(url: str) -> list[list[str | bytes]]:
        with ExitStack() as stack:
            clients = [stack.enter_context(connect(url, compression=None))]
            assert begun.acquire(timeout=4)
            clients += [stack.enter_context(connect(url, compression=None)) for _ in range(4)]
            hub.broadcast("too early for all but the first")
            free.set()
            for _ in range(4):
                assert begun.acquire(timeout=4)
            got = [[client.recv(timeout=4)] for client in clients]
            got[0].append(clients[0].recv(timeout=4))
            hub.broadcast("for all")
            for client, messages in zip(clients, got, strict=True):
                messages.append(client.recv(timeout=4))
            return got

    async with hub.listening(port=0, io_threads=4, access_log=False) as listening:
        got = await anyio.to_thread.run_sync(talk, listening.urls[0])
    assert got[0] == ["snapshot", "too early for all but the first", "for all"]
    assert got[1:] == [["snapshot", "for all"]] * 4


async def test_a_session_without_handlers_gets_broadcasts(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub) as server, server.connect() as client:
        await until(lambda: len(hub.sessions) == 1)
        await anyio.sleep(0)
        assert (await hub.broadcast("x")).reached == 1
        assert await client.recv() == "x"
