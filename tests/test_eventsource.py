"""Event streams: sessions that only send, and rooms that remember what was said for clients who come back."""

from __future__ import annotations

import itertools
import math
import re
import threading

import anyio
import httpx
import pytest

from hubbub import ConnectionClosed, EventStream, Hub, Limits, Request, Response, Session, WebSocket
from support.push import Event, browsing, listening
from support.server import Serve, until

pytestmark = [
    pytest.mark.anyio,
    # On trio, httpx leaves the generators of a stream that has not ended to the garbage collector.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]


def remembering(messages: int = 100) -> Hub:
    """A hub with rooms that remember, and a stream at `/rooms/{name}` whose clients are in that one."""
    hub = Hub(limits=Limits(history_messages=messages))

    @hub.eventsource("/rooms/{name}")
    def stream(es: EventStream) -> None:
        es.join(es.path_params["name"])

    return hub


async def test_a_function_is_called_and_the_stream_stays_open(serve: Serve) -> None:
    hub = Hub()
    seen: list[EventStream] = []

    @hub.eventsource("/stream")
    def stream(es: EventStream) -> None:
        seen.append(es)
        es.join("lobby")
        es.send("welcome")

    async with serve(hub) as server:
        async with listening(server, "/stream") as client:
            assert client.response.headers["cache-control"] == "no-store"
            assert client.response.headers["x-accel-buffering"] == "no"
            assert await client.data() == "welcome"
            [es] = seen
            assert type(es) is EventStream
            assert isinstance(es, Session)
            assert not isinstance(es, WebSocket)
            assert es.transport == "eventsource"
            assert repr(es).startswith("<EventStream")
            assert es in hub.room("lobby")
            assert list(hub.sessions) == [es]
            assert (await hub.room("lobby").broadcast("one")).reached == 1
            assert (await hub.broadcast("two", event="news")).reached == 1
            assert await client.data() == "one"
            assert await client.told() == Event(event="news", data="two")
            with pytest.raises(RuntimeError, match="eventsource"):
                es.ping()
        await until(lambda: es.closed)
        assert es.close_code == 1006
        assert len(hub.rooms) == 0
        with pytest.raises(ConnectionClosed):
            await es.send("late")


async def test_a_coroutine_serves_the_stream_until_it_returns(serve: Serve) -> None:
    hub = Hub()

    @hub.eventsource("/count/{to}")
    async def count(es: EventStream) -> None:
        for number in range(int(es.path_params["to"])):
            await es.send(str(number), id=str(number))

    async with serve(hub) as server, listening(server, "/count/3") as client:
        for number in range(3):
            assert await client.told() == Event(id=str(number), data=str(number))
        assert await client.told() == Event(event="close", data='{"code":1000,"reason":""}')
        assert await client.next() is None


async def test_an_event_has_all_the_fields_that_it_is_given(serve: Serve) -> None:
    hub = Hub()

    @hub.eventsource("/stream")
    async def stream(es: EventStream) -> None:
        es.send("a\r\nb\rc\nd\n", event="news", id="7 up", retry=1.5)
        es.send("", event="empty")
        es.send(b"\x00\x01\xff")
        es.send(bytearray(b"\x02"), event="raw")
        es.send(id="", retry=0)
        es.comment("still\nhere")
        es.comment()
        es.send("data: not a field\nid: 9")
        await es.recv()

    async with serve(hub) as server, listening(server, "/stream") as client:
        expected = [
            Event(event="news", id="7 up", retry=1500, data="a\nb\nc\nd\n"),
            Event(event="empty", data=""),
            Event(event="binary", data="AAH/"),
            Event(event="raw", data="Ag=="),
            Event(id="", retry=0),
            Event(comments=["still", "here"]),
            Event(comments=[""]),
            Event(data="data: not a field\nid: 9"),
        ]
        assert [await client.next() for _ in expected] == expected


async def test_what_cannot_be_sent_is_said_at_once(serve: Serve) -> None:
    hub = Hub()
    refused: list[str] = []

    @hub.eventsource("/stream")
    async def stream(es: EventStream) -> None:
        for wrong in (
            {"event": "a\nb"},
            {"event": "a\rb"},
            {"id": "a\nb"},
            {"id": "a\0b"},
            {"retry": -1},
            {"retry": math.inf},
            {"retry": math.nan},
        ):
            with pytest.raises(ValueError, match=r"line break|retry") as error:
                es.send("x", **wrong)
            refused.append(str(error.value))
        for data in (7, ["x"], object()):
            with pytest.raises(TypeError):
                es.send(data)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="line break"):
            hub.room("x").broadcast("x", event="a\nb")
        with pytest.raises(UnicodeEncodeError):
            es.send("\ud800")
        es.send("done")
        await es.recv()

    async with serve(hub) as server, listening(server, "/stream") as client:
        assert await client.next() == Event(data="done")
    assert len(refused) == 7
    assert "line break" in refused[0]
    assert "NUL" in refused[3]


async def test_nothing_comes_from_its_client_and_recv_waits_for_the_end(serve: Serve) -> None:
    hub = Hub()
    ends: list[int | None] = []

    @hub.eventsource("/stream")
    async def stream(es: EventStream) -> None:
        es.send("here")
        try:
            await es.recv()
        except ConnectionClosed as closed:
            ends.append(closed.code)
            raise

    async with serve(hub) as server:
        async with listening(server, "/stream") as client:
            assert await client.data() == "here"
            assert ends == []
        await until(lambda: bool(ends))
        async with listening(server, "/stream") as client:
            assert await client.data() == "here"
            [es] = hub.sessions
            es.close(4000, "enough")
            assert (await client.told()).data == '{"code":4000,"reason":"enough"}'
            assert await client.next() is None
        await until(lambda: len(ends) == 2)
    assert ends == [1006, 4000]


async def test_await_send_waits_for_a_client_that_does_not_read(serve: Serve) -> None:
    hub = Hub(limits=Limits(outbox_bytes=32 << 20, ping_interval=None))
    sent: list[int] = []

    @hub.eventsource("/stream")
    async def stream(es: EventStream) -> None:
        for number in range(100):
            await es.send("x" * 200_000, id=str(number))
            sent.append(number)
        await es.recv()

    async with serve(hub) as server, listening(server, "/stream") as client:
        await until(lambda: len(sent) > 1)
        before = -1
        while len(sent) != before:
            before = len(sent)
            await anyio.sleep(0.05)
        assert len(sent) < 100
        for number in range(100):
            assert (await client.told()).id == str(number)
        await until(lambda: len(sent) == 100)


async def test_on_request_decides_and_may_keep_a_client_away(serve: Serve) -> None:
    hub = Hub()
    asked: list[tuple[bool, str]] = []

    @hub.on_request
    def request(request: Request) -> Response | None:
        asked.append((request.is_websocket, request.path))
        if request.headers.get("last-event-id") == "the end":
            return Response(204)
        request.state.name = "ann"
        request.response_headers["X-Served-By"] = "hubbub"
        return None

    @hub.eventsource("/stream")
    def stream(es: EventStream) -> None:
        es.send(f"{es.state.name} {es.last_event_id}", id="the end")

    async with serve(hub) as server:
        async with listening(server, "/stream", Last_Event_ID="grün 7") as client:
            assert await client.told() == Event(data="ann grün 7", id="the end")
            assert client.response.headers["x-served-by"] == "hubbub"
        async with listening(server, "/stream") as client:
            assert await client.told() == Event(data="ann None", id="the end")
        async with browsing(server) as http:
            response = await http.get("/stream", headers={"Last-Event-ID": "the end"})
            assert (response.status_code, response.text) == (204, "")
    assert asked == [(False, "/stream")] * 3


async def test_a_stream_is_no_websocket_endpoint_and_takes_no_other_method(serve: Serve) -> None:
    hub = Hub(origins=["https://hub.example"])

    @hub.eventsource("/stream", origins=["https://a.example"])
    def stream(es: EventStream) -> None:
        es.send("hello")

    async with serve(hub) as server, browsing(server) as http:
        for method, status in (("POST", 405), ("HEAD", 405), ("DELETE", 405), ("OPTIONS", 204)):
            assert (await http.request(method, "/stream")).status_code == status
        assert (await http.get("/stream", headers={"Origin": "https://hub.example"})).status_code == 403
        async with listening(server, "/stream", Origin="https://a.example") as client:
            assert client.response.headers["access-control-allow-origin"] == "https://a.example"
            assert await client.data() == "hello"


async def test_a_handler_that_raises_ends_the_stream_with_1011(serve: Serve, failures: list[object]) -> None:
    hub = Hub()

    @hub.eventsource("/function")
    def function(es: EventStream) -> None:
        raise ValueError("on purpose")

    @hub.eventsource("/coroutine")
    async def coroutine(es: EventStream) -> None:
        raise ValueError("on purpose")

    async with serve(hub) as server:
        for path in ("/function", "/coroutine"):
            async with listening(server, path) as client:
                assert await client.told() == Event(event="close", data='{"code":1011,"reason":"internal error"}')
                assert await client.next() is None
    assert len(failures) == 2


# ---- history


async def test_who_comes_back_gets_what_it_has_missed(serve: Serve) -> None:
    hub = remembering()
    async with serve(hub) as server:
        room = hub.room("red")
        async with listening(server, "/rooms/red") as client:
            await until(lambda: len(room) == 1)
            for number in range(3):
                await room.broadcast(str(number))
            for number in range(3):
                assert await client.data() == str(number)
        assert client.last_id is not None
        assert re.fullmatch(r"[0-9a-f]{8}-3", client.last_id)
        await until(lambda: len(room) == 0)
        for number in range(3, 6):
            await room.broadcast(str(number), event="late")
            await hub.room("blue").broadcast("not for it")
        async with listening(server, "/rooms/red", Last_Event_ID=client.last_id) as again:
            for number in range(3, 6):
                event = await again.told()
                assert (event.event, event.data) == ("late", str(number))
            await room.broadcast("now")
            assert await again.data() == "now"
        # Who comes for the first time has missed nothing.
        async with listening(server, "/rooms/red") as first:
            await until(lambda: len(room) >= 1)
            await room.broadcast("fresh")
            assert await first.data() == "fresh"
        assert hub.stats()["replayed"] == 3


async def test_what_is_not_kept_is_a_gap(serve: Serve) -> None:
    hub = remembering(2)
    async with serve(hub) as server:
        room = hub.room("red")
        async with listening(server, "/rooms/red") as client:
            await until(lambda: len(room) == 1)
            await room.broadcast("0")
            assert await client.data() == "0"
        for number in range(1, 5):
            await room.broadcast(str(number))
        for last in (client.last_id, "garbage", "deadbeef-1"):
            assert last is not None
            async with listening(server, "/rooms/red", Last_Event_ID=last) as again:
                assert (await again.told()).event == "gap"
                assert [await again.data(), await again.data()] == ["3", "4"]


async def test_a_room_has_a_history_of_its_own_length(serve: Serve) -> None:
    hub = remembering(0)
    async with serve(hub) as server:
        red, blue = hub.room("red"), hub.room("blue")
        assert red.history is None
        red.history = 2
        assert (red.history, blue.history) == (2, None)
        async with listening(server, "/rooms/red") as client:
            await until(lambda: len(red) == 1)
            for number in range(4):
                await red.broadcast(str(number))
                await blue.broadcast(str(number))
            for _ in range(2):
                await client.told()
            last = client.last_id
            assert last is not None
            await client.told()
        async with listening(server, "/rooms/red", Last_Event_ID=last) as again:
            assert [await again.data(), await again.data()] == ["2", "3"]
        for wrong in (-1, 1.5, "many"):
            with pytest.raises((ValueError, TypeError)):
                red.history = wrong  # type: ignore[assignment]
        red.history = None
        assert red.history is None


@pytest.mark.parametrize("kind", ["function", "coroutine"])
@pytest.mark.parametrize("io_threads", [0, 1, 4])
async def test_rooms_that_one_handler_joins_are_told_together_while_others_speak(serve: Serve, kind: str) -> None:
    hub = Hub(limits=Limits(history_messages=100))

    def said(*rooms: str) -> None:
        """Another thread speaks, in each of the rooms."""

        def speak() -> None:
            for room in rooms:
                hub.room(room).broadcast(str(next(numbers)))

        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()

    def come(es: EventStream) -> None:
        if es.last_event_id is None:
            es.join("a")
            return
        es.join("a")
        said("a", "b", "b", "a")
        es.join("b")
        said("b", "a")

    async def stay(es: EventStream) -> None:
        come(es)
        await anyio.sleep_forever()

    hub.eventsource("/stream")(come if kind == "function" else stay)
    numbers = itertools.count()
    async with serve(hub) as server:
        async with listening(server, "/stream") as stream:
            await until(lambda: len(hub.room("a")) == 1)
            said("a")
            last = (await stream.told()).id
        await until(lambda: len(hub.room("a")) == 0)
        assert last is not None
        said("b", "a", "b")
        async with listening(server, "/stream", Last_Event_ID=last) as stream:
            events = [await stream.told() for _ in range(9)]
    assert [event.data for event in events] == [str(number) for number in range(1, 10)]
    ids = [int(str(event.id).split("-")[1]) for event in events]
    assert ids == sorted(set(ids))


async def test_the_order_is_one_for_all_whichever_thread_speaks(serve: Serve) -> None:
    """An id says: everything before it has been seen. So ids only rise, also when several threads broadcast."""
    each = 300
    hub = remembering(2000)
    async with serve(hub) as server:
        room = hub.room("red")

        def speak(name: str) -> None:
            for number in range(each):
                room.broadcast(f"{name} {number}")

        async with listening(server, "/rooms/red") as client:
            await until(lambda: len(room) == 1)
            threads = [threading.Thread(target=speak, args=(name,)) for name in "abc"]
            for thread in threads:
                thread.start()
            for number in range(each):
                room.broadcast(f"loop {number}")
                if number % 20 == 0:
                    await anyio.sleep(0)
            seen: dict[str, int] = {}
            before = 0
            for _ in range(4 * each):
                event = await client.told()
                assert event.id is not None
                assert event.data is not None
                offset = int(event.id.split("-")[1])
                assert offset == before + 1
                before = offset
                name, number_text = event.data.split()
                assert seen.get(name, -1) + 1 == int(number_text)
                seen[name] = int(number_text)
            for thread in threads:
                thread.join()


async def test_curl_and_a_plain_client_read_a_stream(serve: Serve) -> None:
    hub = Hub()

    @hub.eventsource("/stream")
    async def stream(es: EventStream) -> None:
        await es.send("one", event="news")
        await es.send("two\nlines")

    async with serve(hub) as server:
        url = f"http://{server.address[1]}:{server.address[2]}/stream"
        done = await anyio.run_process(["curl", "--silent", "--no-buffer", "--max-time", "8", url])
        expected = (
            'event: news\ndata: one\n\ndata: two\ndata: lines\n\nevent: close\ndata: {"code":1000,"reason":""}\n\n'
        )
        assert done.stdout.decode() == expected
        done = await anyio.run_process(["curl", "--silent", "--http1.0", "--max-time", "8", url])
        assert done.stdout.decode() == expected
        text = await anyio.to_thread.run_sync(lambda: httpx.get(url).text)
        assert text == expected


def test_wrong_arguments_are_refused_at_once() -> None:
    hub = Hub()

    def nothing() -> None: ...

    def function(es: WebSocket) -> None: ...

    for path in ("stream", "", None):
        with pytest.raises(ValueError, match="path"):
            hub.eventsource(path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="called with"):
        hub.eventsource("/a")(nothing)
    with pytest.raises(TypeError, match="origins"):
        hub.eventsource("/a", origins="https://a.example")
    assert hub.eventsource("/b")(function) is function
    for wrong in ({"history_messages": -1}, {"history_bytes": 0}, {"session_timeout": 0}, {"resume_bytes": -1}):
        with pytest.raises(ValueError, match=r"from [01] to|above 0 and up to"):
            Limits(**wrong)  # type: ignore[arg-type]
    for wrong in ({"history_timeout": None}, {"session_timeout": "1"}, {"history_messages": 1.5}):
        with pytest.raises(TypeError):
            Limits(**wrong)  # type: ignore[arg-type]
