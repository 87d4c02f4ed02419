"""run, serve and listening: starting, stopping, draining, and doing it again."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading

import anyio
import anyio.to_thread
import pytest

from hubbub import Hub, Limits, NotRunning, Request, Response, WebSocket
from support.client import Refused, connect
from support.server import Serve, until

pytestmark = pytest.mark.anyio


def echoing() -> Hub:
    hub = Hub()

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send(data)

    return hub


async def test_listening_says_where(serve: Serve, tmp_path) -> None:
    async with serve(echoing()) as server:
        listening = server.listening
        assert listening.addresses == [("tcp", "127.0.0.1", listening.port)]
        assert listening.urls == [f"ws://127.0.0.1:{listening.port}/"]
        assert 0 < listening.port < 65536
    path = tmp_path / "socket"
    async with serve(echoing(), uds=path) as server:
        assert server.listening.addresses == [("unix", str(path))]
        assert server.listening.urls == [f"unix:{path}"]
        with pytest.raises(AttributeError, match="no TCP listener"):
            _ = server.listening.port


async def test_a_unix_socket_is_served_and_taken_away(serve: Serve, tmp_path) -> None:
    hub, path = echoing(), tmp_path / "socket"
    for _ in range(2):
        async with serve(hub, uds=path) as server, server.connect() as client:
            await client.send("x")
            assert await client.recv() == "x"
            (ws,) = hub.sessions
            assert ws.remote_address is None
    assert not path.exists()


async def test_an_inherited_descriptor_is_served_and_stays_the_callers(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(2):
            async with serve(echoing(), fd=listener.fileno()) as server, server.connect() as client:
                assert server.listening.port == listener.getsockname()[1]
                await client.send("x")
                assert await client.recv() == "x"
        os.fstat(listener.fileno())


async def test_ipv6_is_served(serve: Serve) -> None:
    async with serve(echoing(), host="::1") as server, server.connect() as client:
        assert server.listening.urls == [f"ws://[::1]:{server.listening.port}/"]
        await client.send("x")
        assert await client.recv() == "x"


async def test_several_hubs_listen_on_one_port_if_they_say_so(serve: Serve) -> None:
    async with serve(echoing(), reuse_port=True) as one:
        async with serve(echoing(), reuse_port=True, port=one.listening.port) as two:
            assert one.listening.port == two.listening.port
        with pytest.raises(OSError, match="in use"):
            async with serve(echoing(), port=one.listening.port):
                pass


async def test_a_hub_listens_again_and_again(serve: Serve) -> None:
    hub = echoing()
    for _ in range(5):
        async with serve(hub) as server, server.connect() as client:
            await client.send("x")
            assert await client.recv() == "x"
            assert hub.stats()["opened"] == 1
        with pytest.raises(NotRunning):
            hub.stats()


async def test_a_hub_does_not_run_twice_at_once(serve: Serve) -> None:
    hub = echoing()
    async with serve(hub) as server:
        with pytest.raises(RuntimeError, match="this hub is running already"):
            async with serve(hub):
                pass
        with pytest.raises(RuntimeError, match="running already"):
            await hub.serve(port=0)
        async with server.connect() as client:
            await client.send("x")
            assert await client.recv() == "x"


async def test_two_hubs_share_a_loop(serve: Serve) -> None:
    one, two = echoing(), echoing()
    async with serve(one) as a, serve(two) as b, a.connect() as c, b.connect() as d:
        await c.send("1")
        await d.send("2")
        assert (await c.recv(), await d.recv()) == ("1", "2")
        (ws,) = one.sessions
        assert ws not in two.sessions
        # A session of another hub's is nobody that this one could skip.
        ws.join("room")
        assert ws not in two.room("room")
        two.broadcast("3")
        assert await d.recv() == "3"


async def test_the_end_closes_with_1001_after_what_was_sent(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/endpoint")
    async def endpoint(ws: WebSocket) -> None:
        async for data in ws:
            await ws.send(data)

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.send(data)

    ended = []
    async with anyio.create_task_group() as tasks, serve(hub) as server:

        async def client(path: str) -> None:
            async with server.connect(path) as client:
                await client.send("x" * 1000)
                assert await client.recv() == "x" * 1000
                ended.append("ready")
                assert await client.recv() == "goodbye"
                ended.append(await client.ended())

        tasks.start_soon(client, "/endpoint")
        tasks.start_soon(client, "/other")
        await until(lambda: ended == ["ready", "ready"])
        hub.broadcast("goodbye")
    assert ended[2:] == [(1001, ""), (1001, "")]


async def test_a_handler_finishes_what_it_is_at_before_the_end(serve: Serve) -> None:
    hub, told, busy = Hub(), [], anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        async for data in ws:
            busy.set()
            await anyio.sleep(0.1)
            await ws.send("finished " + data)
            told.append("finished")

    got = []

    async def client(server) -> None:
        async with server.connect() as client:
            await client.send("x")
            got.append(await client.recv())
            got.append(await client.ended())

    async with anyio.create_task_group() as tasks, serve(hub) as server:
        tasks.start_soon(client, server)
        await busy.wait()
    assert told == ["finished"]
    assert got == ["finished x", (1001, "")]


async def test_a_handler_that_does_not_finish_is_cancelled_when_the_time_is_over(serve: Serve) -> None:
    hub, told = Hub(limits=Limits(close_timeout=0.1)), []

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        told.append("started")
        try:
            await anyio.sleep_forever()
        finally:
            told.append("cancelled")

    async with serve(hub, shutdown_timeout=0.1) as server, server.connect():
        await until(lambda: told == ["started"])
        started = anyio.current_time()
    assert told == ["started", "cancelled"]
    assert anyio.current_time() - started < 5


async def test_an_error_in_the_block_comes_out_after_the_end(serve: Serve) -> None:
    hub = echoing()
    with pytest.raises(ZeroDivisionError):
        async with serve(hub) as server, server.connect():
            raise ZeroDivisionError
    with pytest.raises(NotRunning):
        hub.stats()


# ---- serve and stop


async def serving(hub: Hub, **options: object) -> None:
    await hub.serve(port=0, access_log=False, **options)


async def started(hub: Hub) -> None:
    await until(lambda: hub._running.server is not None)


async def test_stop_ends_serve(io_threads: int) -> None:
    hub = echoing()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: serving(hub, io_threads=io_threads))
        await started(hub)
        hub.stop()
        hub.stop()
    hub.stop()
    assert hub._running.server is None


async def test_stop_works_from_a_thread(io_threads: int) -> None:
    hub = echoing()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: serving(hub, io_threads=io_threads))
        await started(hub)
        await anyio.to_thread.run_sync(hub.stop)


async def test_stop_works_from_a_handler(io_threads: int) -> None:
    hub, address = Hub(), []

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        hub.stop()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: serving(hub, io_threads=io_threads))
        await started(hub)
        address = hub.addresses[0]
        async with connect(address) as client:
            await client.send("stop")
            assert await client.ended() == (1001, "")


async def test_cancelling_serve_stops_the_hub_in_an_orderly_way(io_threads: int) -> None:
    hub, ended = echoing(), []
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:

            async def client() -> None:
                await started(hub)
                async with connect(hub.addresses[0]) as client:
                    await client.send("x")
                    assert await client.recv() == "x"
                    scope.cancel()
                    ended.append(await client.ended())

            tasks.start_soon(client)
            await serving(hub, io_threads=io_threads)
        assert scope.cancelled_caught
    assert ended == [(1001, "")]
    assert hub._running.server is None


@pytest.mark.parametrize("loop", ["auto", "asyncio", "uvloop", "trio"])
def test_run_serves_until_it_is_stopped(io_threads: int, loop: str, caplog) -> None:
    hub, ended, options = echoing(), [], {"port": 0, "io_threads": io_threads, "loop": loop, "access_log": False}
    caplog.set_level("INFO", "hubbub")

    async def talk() -> None:
        with anyio.fail_after(5):
            await started(hub)
            async with connect(hub.addresses[0]) as client:
                await client.send("x")
                ended.append(await client.recv())
                hub.stop()
                ended.append(await client.ended())

    thread = threading.Thread(target=lambda: asyncio.run(talk()))
    thread.start()
    hub.run(**options)
    thread.join()
    assert ended == ["x", (1001, "")]
    assert any(record.getMessage().startswith("listening on ws://127.0.0.1:") for record in caplog.records)


# ---- the access log


def logged(caplog) -> list[str]:
    """The lines without what differs from run to run."""
    lines = [record.getMessage() for record in caplog.records if record.name == "hubbub.access"]
    return [re.sub(r"(in|after) [0-9.]+ (ms|s)", r"\1 ...", line.partition(" - ")[2]) for line in lines]


async def test_requests_and_the_ends_of_sessions_are_logged(serve: Serve, caplog) -> None:
    caplog.set_level("INFO", "hubbub.access")
    hub = Hub()

    @hub.websocket("/chat", origins=["same-origin"])
    async def endpoint(ws: WebSocket) -> None:
        await ws.send((await ws.recv()) * 2)
        await ws.recv()

    async with serve(hub, access_log=True) as server:
        async with server.connect("/chat?a=b&sid=secret") as client:
            await until(lambda: len(caplog.records) == 1)
            assert caplog.records[0].client == ":".join(map(str, client.address))
            await client.send("four")
            assert await client.recv() == "fourfour"
            await client.close(1000, "")
        await until(lambda: len(caplog.records) == 2)
        for target, fields in [("/nowhere", {}), ("/chat", {"Origin": "http://elsewhere"})]:
            with pytest.raises(Refused):
                async with server.connect(target, headers=fields):
                    pass
        await until(lambda: len(logged(caplog)) == 4)
        assert logged(caplog) == [
            '"WebSocket /chat?a=b&sid=..." [accepted]',
            '"WebSocket /chat?a=b&sid=..." [closed 1000] after ..., messages: 1 in (4 B), 1 out (8 B)',
            '"WebSocket /nowhere" 404 in ...: Nothing is served here',
            '"WebSocket /chat" 403 in ...: the origin http://elsewhere is not allowed (the host is test)',
        ]


async def test_the_records_of_the_access_log_have_fields(serve: Serve, caplog) -> None:
    caplog.set_level("INFO", "hubbub.access")
    hub = Hub()

    @hub.on_request
    def decide(request: Request) -> Response | None:
        return Response(401, "secret") if request.query else None

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        raise AssertionError

    async with serve(hub, access_log=True) as server:
        with pytest.raises(Refused):
            async with server.connect("/x?no=1"):
                pass
        async with server.connect("/y") as client:
            client.abort()
        await until(lambda: len(caplog.records) == 3)
    refused, opened, closed = (vars(record) for record in caplog.records)
    fields = {"event": "request", "method": "WebSocket", "target": "/x?no=1", "status": 401}
    assert fields.items() <= refused.items()
    assert refused["reason"] == "refused by the program"
    assert refused["duration"] >= 0
    assert {"event": "open", "method": "WebSocket", "target": "/y"}.items() <= opened.items()
    fields = {"event": "close", "target": "/y", "close_code": 1006, "messages_in": 0, "bytes_out": 0}
    assert fields.items() <= closed.items()
    assert closed["reason"]
    assert closed["client"] == opened["client"]


# ---- figures


async def test_stats_count_what_happens(serve: Serve) -> None:
    hub = echoing()
    async with serve(hub) as server:
        before = hub.stats()
        assert (before["sessions"], before["connections"], before["rooms"], before["opened"]) == (0, 0, 0, 0)
        assert before["max_sessions"] > 100
        async with server.connect() as client:
            for _ in range(10):
                await client.send("x" * 100)
                await client.recv()
            (ws,) = hub.sessions
            ws.join("room")
            now = hub.stats()
            assert (now["sessions"], now["connections"], now["rooms"]) == (1, 1, 1)
            assert (now["accepted"], now["opened"], now["closed"]) == (1, 1, 0)
            assert (now["messages_in"], now["messages_out"]) == (10, 10)
            assert now["bytes_in"] > 1000
            assert now["bytes_out"] > 1000
        await until(lambda: hub.stats()["sessions"] == 0)
        after = hub.stats()
        assert (after["connections"], after["rooms"], after["closed"]) == (0, 0, 1)


async def test_a_hundred_connections_come_and_go_and_leave_nothing(serve: Serve) -> None:
    hub, closed = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        for room in ("everyone", f"room {len(hub.sessions) % 7}"):
            ws.join(room)

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        hub.room("everyone").broadcast(data)

    @hub.on_close
    def gone(ws: WebSocket, code: int, reason: str) -> None:
        closed.append(code)

    async def client(server, number: int) -> None:
        async with server.connect() as client:
            await client.send(str(number))
            while await client.recv() != str(number):
                pass
            if number % 3 == 0:
                await client.close()
            elif number % 3 == 1:
                client.abort()

    async with serve(hub) as server:
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(client, server, number)
        await until(lambda: len(closed) == 100)
        await until(lambda: hub.stats()["connections"] == 0)
        stats = hub.stats()
        assert (stats["sessions"], stats["rooms"], stats["opened"], stats["closed"]) == (0, 0, 100, 100)
        assert (len(hub.sessions), len(hub.rooms), len(hub.room("everyone"))) == (0, 0, 0)
    assert set(closed) <= {1000, 1006}
