"""The stop: what has no end by itself ends at once, what is waited for is told, and nothing outlasts its time."""

from __future__ import annotations

import re
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest

from hubbub import ClientDisconnected, ConnectionClosed, ConnectionClosedOK, EventStream, Hub, WebSocket
from support.http import visiting
from support.program import running
from support.push import listening
from support.server import Serve, until

pytestmark = [
    pytest.mark.anyio,
    # On trio, httpx leaves the generators of a stream that has not ended to the garbage collector.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]

#: What ends at once does not by this: a test that gets here has failed by then.
NEVER = 60.0


async def stops_within_the_test(serve: Serve, hub: Hub, client: Callable[..., Any]) -> None:
    """Stops the hub as soon as the client, who has the server and an event to set, is ready."""
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks, serve(hub, shutdown_timeout=NEVER) as server:
        tasks.start_soon(client, server, ready)
        await ready.wait()


# ---- what has no end by itself


async def test_a_stream_that_says_something_now_and_then_ends_at_once(serve: Serve) -> None:
    hub = Hub()
    told: list[Any] = []

    @hub.eventsource("/events")
    async def events(es: EventStream) -> None:
        try:
            while True:
                await es.send("tick")
                await anyio.sleep(0.001)
        except ConnectionClosed as closed:
            told.append((type(closed), closed.sent))
            raise

    async def client(server: Any, ready: anyio.Event) -> None:
        async with listening(server, "/events") as stream:
            assert await stream.data() == "tick"
            ready.set()
            while await stream.next() is not None:
                pass
            told.append("ended")

    await stops_within_the_test(serve, hub, client)
    assert sorted(told, key=str) == [(ConnectionClosedOK, (1001, "")), "ended"]


async def test_a_stream_that_is_silent_is_cancelled_at_once(serve: Serve) -> None:
    hub = Hub()
    told: list[str] = []

    @hub.eventsource("/events")
    async def events(es: EventStream) -> None:
        await es.send("hello")
        try:
            await anyio.sleep_forever()
        finally:
            told.append("cancelled")

    async def client(server: Any, ready: anyio.Event) -> None:
        async with listening(server, "/events") as stream:
            assert await stream.data() == "hello"
            ready.set()
            while await stream.next() is not None:
                pass
            told.append("ended")

    await stops_within_the_test(serve, hub, client)
    assert sorted(told) == ["cancelled", "ended"]


def streaming(content_type: bytes, work: Callable[..., Any]) -> Any:
    """An application whose response is whatever `work` sends."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        headers = [(b"content-type", content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await work(receive, lambda body, more: send({"type": "http.response.body", "body": body, "more_body": more}))

    return app


@pytest.mark.parametrize("content_type", ["text/event-stream", "Multipart/X-Mixed-Replace; boundary=x"])
@pytest.mark.parametrize("how", ["sends", "sleeps", "listens"])
async def test_an_endless_stream_of_an_application_ends_at_once(serve: Serve, content_type: str, how: str) -> None:
    told: list[Any] = []

    async def work(receive: Any, send: Any) -> None:
        try:
            await send(b"data: hello\n\n", True)
            if how == "listens":
                while (await receive())["type"] != "http.disconnect":
                    pass
                told.append("disconnect")
            elif how == "sleeps":
                await anyio.sleep_forever()
            while True:
                await send(b"data: tick\n\n", True)
                await anyio.sleep(0.001)
        except ClientDisconnected:
            told.append("gone")
            raise
        finally:
            told.append("over")

    async def client(server: Any, ready: anyio.Event) -> None:
        async with visiting(server) as visitor:
            await visitor.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert await visitor.until(b"hello") is not None
            ready.set()
            assert (await visitor.response()).whole

    await stops_within_the_test(serve, Hub(app=streaming(content_type.encode(), work)), client)
    ends = {"sends": ["gone", "over"], "sleeps": ["over"], "listens": ["disconnect", "gone", "over"]}
    assert told == ends[how]


async def test_an_endless_stream_that_begins_during_the_stop_ends_at_once(serve: Serve) -> None:
    go_on = anyio.Event()

    async def work(receive: Any, send: Any) -> None:
        await send(b"data: hello\n\n", True)
        await send(b"data: never\n\n", True)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await go_on.wait()
        await streaming(b"text/event-stream", work)(scope, receive, send)

    hub = Hub(app=app)

    async def client(server: Any, ready: anyio.Event) -> None:
        async with visiting(server) as visitor:
            await visitor.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await until(lambda: server.hub._running.run.bridge.tasks() != [])
            ready.set()
            await until(lambda: hub._running.run is None or hub._running.run.leaving)
            go_on.set()
            answer = await visitor.response()
            assert (answer.body, answer.whole) == (b"data: hello\n\n", True)

    await stops_within_the_test(serve, hub, client)


async def test_a_response_that_ends_by_itself_is_sent_whole(serve: Serve) -> None:
    told: list[bytes] = []

    async def work(receive: Any, send: Any) -> None:
        await send(b"the beginning, ", True)
        await until(lambda: hub._running.run is None or hub._running.run.leaving)
        await anyio.sleep(0.05)
        await send(b"the end", False)

    hub = Hub(app=streaming(b"text/csv", work))

    async def client(server: Any, ready: anyio.Event) -> None:
        async with visiting(server) as visitor:
            await visitor.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert await visitor.until(b"the beginning") is not None
            ready.set()
            answer = await visitor.response()
            assert answer.whole
            told.append(answer.body)

    await stops_within_the_test(serve, hub, client)
    assert told == [b"the beginning, the end"]


async def test_who_has_noticed_the_end_cleans_up_before_the_hub_is_gone(serve: Serve) -> None:
    hub = Hub()
    told: list[str] = []

    @hub.on_message
    async def message(ws: WebSocket, data: str) -> None:
        await ws.send(data)

    @hub.on_close
    async def closed(ws: WebSocket, code: int, reason: str) -> None:
        await anyio.sleep(0.3)
        told.append("saved")

    async def client(server: Any, ready: anyio.Event) -> None:
        async with server.connect() as peer:
            await peer.send("x")
            assert await peer.recv() == "x"
            ready.set()
            assert await peer.ended() == (1001, "")

    await stops_within_the_test(serve, hub, client)
    assert told == ["saved"]


# ---- what is waited for


async def test_what_is_waited_for_is_told_by_name(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if "still waiting" in record.getMessage()]

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await until(lambda: told() != [])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    hub = Hub(app=app)

    @hub.websocket("/chat")
    async def chatting(ws: WebSocket) -> None:
        await ws.send("hello")
        await until(lambda: told() != [])

    async def client(server: Any, ready: anyio.Event) -> None:
        async with server.connect("/chat") as peer, visiting(server) as visitor:
            assert await peer.recv() == "hello"
            await visitor.write(b"GET /export%0A?token=secret HTTP/1.1\r\nHost: test\r\n\r\n")
            await until(lambda: len(server.hub._running.run.bridge.tasks()) == 2)
            ready.set()
            assert (await peer.ended())[0] == 1000
            assert (await visitor.response()).status == 204

    await stops_within_the_test(serve, hub, client)
    (line,) = told()
    assert "chatting for <WebSocket" in line
    assert re.search(r'app\' for GET "/export[^ ]*"', line)
    assert "secret" not in line


# ---- what does not end


async def obstinate(released: anyio.Event, ended: anyio.Event) -> None:
    """Goes on although it is cancelled, until the test lets it go."""
    cancelled = anyio.get_cancelled_exc_class()
    while not released.is_set():
        try:
            await anyio.sleep(0.01)
        except cancelled:
            await anyio.lowlevel.cancel_shielded_checkpoint()
    ended.set()


@pytest.mark.parametrize("kind", ["websocket", "app"])
async def test_a_handler_that_goes_on_although_it_is_cancelled_is_given_up(
    serve: Serve, failures: list[Any], kind: str
) -> None:
    released, ended, began = anyio.Event(), anyio.Event(), anyio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        began.set()
        await obstinate(released, ended)

    hub = Hub(app=app)

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        began.set()
        await obstinate(released, ended)

    async with anyio.create_task_group() as tasks:
        async with serve(hub, shutdown_timeout=0.1) as server:

            async def client() -> None:
                if kind == "app":
                    async with visiting(server) as visitor:
                        await visitor.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                        await visitor.ended()
                else:
                    async with server.connect() as peer:
                        await peer.ended()

            tasks.start_soon(client)
            await began.wait()
        # The hub has stopped all the same.
        assert not ended.is_set()
        released.set()
        await ended.wait()
    text = "\n".join(record.getMessage() for record in failures)
    assert "given up" in text
    assert ("endpoint for <WebSocket" if kind == "websocket" else 'app\' for GET "/"') in text


PROGRAM = """
    import asyncio
    from hubbub import Hub

    hub = Hub()
    tasks = []

    @hub.websocket("/")
    async def endpoint(ws):
        await ws.send("hello")
        await obstinate()

    async def obstinate():
        while True:
            try:
                await asyncio.sleep(3600)
            except BaseException as error:
                if isinstance(error, GeneratorExit):
                    raise

    hub.run(port=0, loop="{loop}", io_threads={io_threads}, shutdown_timeout=0.2, access_log=False)
    print("saved", flush=True)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("io_threads", [0, 1])
@pytest.mark.parametrize("whose", ["hub", "program"])
def test_a_process_ends_although_a_task_does_not(tmp_path: Path, loop: str, io_threads: int, whose: str) -> None:
    path = tmp_path / "program.py"
    program_text = textwrap.dedent(PROGRAM.format(loop=loop, io_threads=io_threads))
    if whose == "program":
        program_text = program_text.replace("await obstinate()", "tasks.append(asyncio.ensure_future(obstinate()))")
    path.write_text(program_text)
    with running([sys.executable, str(path)]) as program, program.connect(program.wait_for_port()) as client:
        assert client.recv(10) == "hello"
        program.process.send_signal(signal.SIGTERM)
        assert program.wait_for("given up")
        assert program.wait_for("^saved")
        assert program.wait() == 0
    assert "Traceback" not in program.output
    assert "destroyed" not in program.output
