"""send: what can be sent, in which order, from where, and what happens when the peer does not read."""

from __future__ import annotations

import array
import threading

import anyio
import anyio.to_thread
import pytest

from hubbub import ConnectionClosed, ConnectionClosedOK, Hub, Limits, WebSocket
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]

#: More than the kernel takes for a peer that does not read.
FLOOD = 16 << 20


def sessions_of(hub: Hub) -> list[WebSocket]:
    """Filled with the sessions that connect; they stay until the client goes."""
    sessions: list[WebSocket] = []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        sessions.append(ws)

    return sessions


async def first(sessions: list[WebSocket]) -> WebSocket:
    await until(lambda: bool(sessions))
    return sessions[0]


@pytest.mark.parametrize(
    ("data", "arrives"),
    [
        ("text", "text"),
        ("", ""),
        ("grün ☃ 𝄞 \x00", "grün ☃ 𝄞 \x00"),
        (b"bytes\x00\xff", b"bytes\x00\xff"),
        (b"", b""),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        (memoryview(b"0123456789")[3:7], b"3456"),
        (memoryview(bytearray(b"writable")), b"writable"),
        (memoryview(b"a" * 100_000), b"a" * 100_000),
        ("x" * 100_000, "x" * 100_000),
        ("ü" * 5000, "ü" * 5000),
        (b"y" * 70_000, b"y" * 70_000),
        (bytearray(20_000), bytes(20_000)),
    ],
    ids=lambda data: f"{type(data).__name__}{len(data)}",
)
async def test_str_is_sent_as_text_and_bytes_likes_as_binary(serve: Serve, data: object, arrives: str | bytes) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.send(data)
        ws.room("r").broadcast(data)
        ws.join("r")
        hub.room("r").broadcast(data)
        hub.broadcast(data)

    async with serve(hub) as server, server.connect() as client:
        for _ in range(3):
            assert await client.recv() == arrives


class Text(str):
    __slots__ = ()


class Blob(bytes):
    __slots__ = ()


async def test_subclasses_of_str_and_bytes_are_sent_as_what_they_are(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.send(Text("text"))
        ws.send(Blob(b"blob"))

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "text"
        assert await client.recv() == b"blob"


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (None, TypeError, "a message is str, bytes, bytearray or memoryview, not NoneType"),
        (7, TypeError, "not int"),
        (1.5, TypeError, "not float"),
        (["a"], TypeError, "not list"),
        ({"a": 1}, TypeError, "not dict"),
        (object, TypeError, "not type"),
        (array.array("B", b"abc"), TypeError, "not array"),
        (memoryview(b"0123456789")[::2], TypeError, "not contiguous"),
        (memoryview(b"0123456789")[::-1], TypeError, "not contiguous"),
        (memoryview(array.array("d", [1.0, 2.0])), TypeError, "not made of bytes"),
        (memoryview(array.array("i", [1])), TypeError, "not made of bytes"),
        ("\ud800", UnicodeEncodeError, "surrogates not allowed"),
        ("fine until \udfff", UnicodeEncodeError, "surrogates not allowed"),
        ("x" * 10_000 + "\ud800", UnicodeEncodeError, "surrogates not allowed"),
    ],
    ids=[
        *(
            [
                "none",
                "int",
                "float",
                "list",
                "dict",
                "class",
                "array",
                "step",
                "reverse",
                "double",
                "int32",
                "lone",
                "later",
                "long",
            ]
        )
    ],
)
async def test_nothing_else_can_be_sent_and_nothing_is(serve: Serve, data: object, error: type, says: str) -> None:
    hub = Hub()
    sessions = sessions_of(hub)
    async with serve(hub) as server, server.connect() as client:
        ws = await first(sessions)
        ws.join("r")
        for send in (ws.send, ws.room("r").broadcast, hub.broadcast, hub.to("r").broadcast):
            with pytest.raises(error, match=says):
                send(data)
        assert not ws.closed
        ws.send("the connection is as it was")
        assert await client.recv() == "the connection is as it was"


async def test_what_can_change_is_copied_before_send_returns(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        data = bytearray(b"a" * 50_000)
        ws.send(data)
        data[:] = b"b" * 50_000
        ws.send(memoryview(data))
        data.clear()

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == b"a" * 50_000
        assert await client.recv() == b"b" * 50_000


@pytest.mark.parametrize("size", [1, 1000, 10_000])
async def test_messages_arrive_in_the_order_of_sending_directly_and_through_rooms(serve: Serve, size: int) -> None:
    hub = Hub()
    count = 400_000 // size if size > 1 else 400

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.join("room")
        room = hub.room("room")
        for number in range(count):
            data = str(number).ljust(size)
            if number % 3 == 0:
                await ws.send(data)
            elif number % 3 == 1:
                await room.broadcast(data)
            else:
                hub.broadcast(data)
        await ws.recv()

    async with serve(hub) as server, server.connect() as client:
        for number in range(count):
            assert (await client.recv()).strip() == str(number)


async def test_send_waits_at_high_water_and_resumes_when_the_peer_reads(serve: Serve) -> None:
    hub, sent, total = Hub(limits=Limits(high_water_bytes=64 << 10)), 0, 0
    over = anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        nonlocal sent
        while sent < FLOOD:
            await ws.send(b"x" * 32768)
            sent += 32768
            assert ws.buffered_amount <= (64 << 10) + 2 * 32768
        over.set()
        await ws.recv()

    async with serve(hub) as server, server.connect() as client:
        before = -1
        while sent != before:
            before = sent
            await anyio.sleep(0.1)
        assert 0 < sent < FLOOD
        (ws,) = hub.sessions
        assert ws.buffered_amount > 32 << 10
        while total < FLOOD:
            total += len(await client.recv())
        await over.wait()
        await until(lambda: ws.buffered_amount == 0)
    assert sent == FLOOD


async def test_a_send_that_waits_can_be_cancelled_and_has_sent_its_message(serve: Serve) -> None:
    hub = Hub(limits=Limits(outbox_bytes=64 << 20))
    ready = anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.send(b"x" * FLOOD)
        for _ in range(3):
            with anyio.move_on_after(0.01) as scope:
                await ws.send("late")
            assert scope.cancelled_caught
        ready.set()
        await ws.send("last")
        await ws.close(4000)

    async with serve(hub) as server, server.connect() as client:
        await ready.wait()
        assert await client.recv() == b"x" * FLOOD
        assert [await client.recv() for _ in range(4)] == ["late", "late", "late", "last"]
        assert (await client.ended())[0] == 4000


async def test_a_send_that_waits_is_over_when_the_client_goes(serve: Serve) -> None:
    hub, told = Hub(limits=Limits(outbox_bytes=64 << 20)), []
    over, waiting = anyio.Event(), anyio.Event()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.send(b"x" * FLOOD)
        waiting.set()
        await ws.send("never")
        # The network may know a moment before the event loop is told how it ended.
        await until(lambda: ws.closed)
        told.append(ws.closed)
        with pytest.raises(ConnectionClosed) as closed:
            ws.send("too late")
        told.append(closed.value.code)
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await waiting.wait()
        client.abort()
        await over.wait()
    assert told == [True, 1006]


async def test_several_tasks_may_wait_to_send_to_one_session(serve: Serve) -> None:
    hub = Hub(limits=Limits(outbox_bytes=64 << 20))

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.send(b"x" * FLOOD)
        async with anyio.create_task_group() as tasks:
            for number in range(5):

                async def send(number: int = number) -> None:
                    await ws.send(str(number))

                tasks.start_soon(send)
        await ws.send("all have sent")
        await ws.recv()

    async with serve(hub) as server, server.connect() as client:
        assert len(await client.recv()) == FLOOD
        assert {await client.recv() for _ in range(5)} == set("01234")
        assert await client.recv() == "all have sent"


async def test_a_send_past_a_full_outbox_closes_with_1013(serve: Serve) -> None:
    hub = Hub(limits=Limits(outbox_bytes=100_000, close_timeout=0.2))
    sessions = sessions_of(hub)
    async with serve(hub) as server, server.connect():
        ws = await first(sessions)

        async def flood() -> None:
            for _ in range(2000):
                ws.send(b"x" * 50_000)
                await anyio.sleep(0)

        with pytest.raises(ConnectionClosed):
            await flood()
        await until(lambda: ws.closed)
        assert hub.stats()["sessions"] == 0


async def test_send_after_the_end_says_how_it_ended(serve: Serve) -> None:
    hub = Hub()
    sessions = sessions_of(hub)
    async with serve(hub) as server, server.connect() as client:
        ws = await first(sessions)
        await client.close(1001, "moving")
        await until(lambda: ws.closed)
        for attempt in (lambda: ws.send("x"), lambda: ws.ping(), lambda: ws.join("room")):
            with pytest.raises(ConnectionClosedOK) as closed:
                attempt()
            assert (closed.value.code, closed.value.reason) == (1001, "moving")
        # Leaving and closing what is gone is no error.
        ws.leave("room")
        await ws.close()
        ws.abort()


async def test_send_after_our_own_close_raises_at_once(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.send("first")
        ws.close(4001, "enough")
        try:
            ws.send("second")
        except ConnectionClosed as closed:
            told.append((closed.code, closed.reason, closed.received, closed.sent))

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "first"
        assert await client.ended() == (4001, "enough")
    assert told == [(4001, "enough", None, (4001, "enough"))]


# ---- other threads


async def test_send_and_broadcast_work_from_any_thread(serve: Serve) -> None:
    hub = Hub()
    sessions = sessions_of(hub)

    def work(ws: WebSocket, name: str) -> None:
        for number in range(100):
            ws.send(f"send {name} {number}")
            hub.room("room").broadcast(f"room {name} {number}")
            hub.broadcast(f"hub {name} {number}")

    async with serve(hub) as server, server.connect() as client:
        ws = await first(sessions)
        ws.join("room")
        threads = [threading.Thread(target=work, args=(ws, name)) for name in "abc"]
        for thread in threads:
            thread.start()
        got = [await client.recv() for _ in range(900)]
        for thread in threads:
            await anyio.to_thread.run_sync(thread.join)
    for name in "abc":
        # What one thread sends arrives in its order, whichever way it goes.
        expected = [f"{way} {name} {number}" for number in range(100) for way in ("send", "room", "hub")]
        assert [data for data in got if data.split()[1] == name] == expected


async def test_everything_else_works_from_other_threads_too(serve: Serve) -> None:
    hub, over = Hub(), []
    sessions = sessions_of(hub)

    def work(ws: WebSocket) -> None:
        ws.join("room")
        assert ws in hub.room("room")
        assert ws.rooms == {"room"}
        assert [*hub.rooms] == ["room"]
        assert [*hub.sessions] == [ws]
        ws.state.mark = "from a thread"
        ws.ping()
        ws.leave("room")
        assert len(hub.room("room")) == 0
        ws.close(4002, "from a thread")
        over.append(True)

    async with serve(hub) as server, server.connect() as client:
        ws = await first(sessions)
        await anyio.to_thread.run_sync(work, ws)
        assert await client.ended() == (4002, "from a thread")
    assert over == [True]
    assert ws.state.mark == "from a thread"


async def test_a_thread_that_sends_while_the_loop_is_idle_wakes_it(serve: Serve) -> None:
    hub = Hub()
    sessions = sessions_of(hub)
    async with serve(hub) as server, server.connect() as client:
        ws = await first(sessions)
        for number in range(20):
            threading.Timer(0.001, ws.send, [str(number)]).start()
            assert await client.recv() == str(number)


async def test_what_is_sent_at_the_end_of_a_handler_is_delivered(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        for number in range(100):
            ws.send(str(number) * 1000)

    async with serve(hub) as server, server.connect() as client:
        for number in range(100):
            assert await client.recv() == str(number) * 1000
        assert await client.ended() == (1000, "")
