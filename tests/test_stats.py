"""What the server knows about itself: `hub.stats()`, and the same for Prometheus."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from hubbub import Hub, Limits, NotRunning, Request, WebSocket
from support.client import Client, Refused
from support.server import Serve, Server, until

pytestmark = pytest.mark.anyio

Samples = dict[tuple[str, str], float]


def echoing(hub: Hub) -> Hub:
    @hub.on_message
    def message(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    return hub


def samples(text: str) -> Samples:
    """Every sample, by its name and the value of its label."""
    families = list(text_string_to_metric_families(text))
    found = {
        (sample.name, "".join(sample.labels.values())): sample.value for family in families for sample in family.samples
    }
    assert sum(len(family.samples) for family in families) == len(found)
    return found


def read(server: Server, path: str = "/metrics", method: str = "GET", accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and content; it blocks."""
    url = f"http://127.0.0.1:{server.listening.port}{path}"
    request = urllib.request.Request(url, headers={"Accept": accept}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=8) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.headers["Allow"] or ""


# ---- figures


async def test_sessions_are_counted_by_transport_and_their_ends_by_code(serve: Serve) -> None:
    hub = echoing(Hub())
    async with serve(hub) as server:
        async with server.connect() as client:
            counts = {"sessions": 1, "opened": 1, "closed": 0}
            others = {"sessions": 0, "opened": 0, "closed": 0}
            carried = ("eventsource", "iframe", "polling")
            assert hub.stats()["transports"] == {"websocket": counts, **dict.fromkeys(carried, others)}
            await client.close(1000)
        async with server.connect() as client:
            await client.close(4001)
        async with server.connect() as client:
            client.abort()
        await until(lambda: hub.stats()["closed"] == 3)
        stats = hub.stats()
        assert stats["transports"]["websocket"] == {"sessions": 0, "opened": 3, "closed": 3}
        assert {code: n for code, n in stats["closes"].items() if n} == {"1000": 1, "1006": 1, "other": 1}


async def test_requests_are_counted_by_status_and_by_reason(serve: Serve) -> None:
    hub = Hub(origins=["http://here"])

    @hub.websocket("/")
    async def nothing(ws: WebSocket) -> None: ...

    async with serve(hub) as server:
        for path, origin in (("/nowhere", None), ("/", "http://there"), ("/nowhere", None)):
            with pytest.raises(Refused):
                async with server.connect(path, origin=origin):
                    pass
        await until(lambda: hub.stats()["refused"] == 3)
        stats = hub.stats()
        assert stats["answers"] == {"403": 1, "404": 2}
        assert {reason: n for reason, n in stats["refusals"].items() if n} == {"origin": 1, "not_found": 2}


async def test_drops_are_told_by_policy_and_by_room_and_go_with_the_room(serve: Serve) -> None:
    """Row 13, F25: what is told by room is bounded by the rooms that exist, and by ten."""
    hub = Hub(limits=Limits(outbox_policy="drop"))

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        for number in range(12):
            ws.join(f"room {number}")

    async with serve(hub) as server:
        async with server.connect(receive_buffer=4096):
            missed = 0
            while missed < 20:
                for number in range(12):
                    missed += (await hub.room(f"room {number}").broadcast(b"x" * 65536)).dropped
            rooms = {name: room.dropped for name, room in hub.rooms.items()}
            assert sum(rooms.values()) == missed
            stats = hub.stats()
            assert stats["drops"] == {"close": 0, "drop": missed, "drop_oldest": 0}
            top = stats["dropping_rooms"]
            assert list(top.values()) == sorted(rooms.values(), reverse=True)[:10]
            assert all(rooms[name] == count for name, count in top.items())
            outbox = stats["outbox"]
            assert outbox["blocked_sessions"] == 1
            assert 0 < outbox["largest_bytes"] == outbox["bytes"] == next(iter(hub.sessions)).buffered_amount
            text = hub.metrics_text()
            assert "room 1" not in text
            assert samples(text)["hubbub_broadcasts_dropped_total", "drop"] == missed
        await until(lambda: hub.stats()["connections"] == 0)
        assert hub.stats()["dropping_rooms"] == {}
        assert hub.room("room 1").dropped == 0
        assert hub.stats()["outbox"] == {"bytes": 0, "largest_bytes": 0, "blocked_sessions": 0}
    assert hub.room("room 1").dropped == 0


async def test_the_slowest_handler_is_named_and_slow_ones_are_counted(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub(limits=Limits(slow_handler=0.01))

    @hub.on_message
    def working(ws: WebSocket, data: str | bytes) -> None:
        time.sleep(0.03 if data == "slow" else 0.0)
        ws.send(data)

    async with serve(hub) as server, server.connect() as client:
        for data in ("slow", "slow", "quick"):
            await client.send(data)
            await client.recv()
        await until(lambda: hub.stats()["handlers"]["slow"] >= 2)
        handlers = hub.stats()["handlers"]
        assert handlers["slowest"] == working.__qualname__
        assert handlers["slowest_seconds"] >= 0.03
        assert handlers["passes"] >= 3
        assert handlers["seconds"] >= 0.06
        told = [record.getMessage() for record in caplog.records if "kept the event loop busy" in record.getMessage()]
        assert len(told) == 1
        assert working.__qualname__ in told[0]


async def test_the_loops_lag_is_how_late_its_timer_runs(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub):
        time.sleep(1.3)  # it is the loop that is blocked: its timer was due after a second
        await until(lambda: hub.stats()["loop_lag"]["count"] > 0)
        lag = hub.stats()["loop_lag"]
        assert lag["recent_max_seconds"] >= 0.25
        assert lag["seconds"] >= 0.25
        assert lag["buckets"][0.1] < lag["count"]


async def test_the_delay_of_the_handover_is_that_of_batches_from_other_threads(serve: Serve) -> None:
    hub = echoing(Hub())
    async with serve(hub) as server, server.connect() as client:
        while hub.stats()["handover_delay"]["seconds"] < 0.05:
            await client.send("x")
            time.sleep(0.05)  # the loop does not take what its shard hands over
            await client.recv()
            if serve.io_threads == 0:
                break
        delay = hub.stats()["handover_delay"]
        assert (delay["count"] > 0) == (serve.io_threads > 0)
        assert delay["buckets"][0.0001] <= delay["buckets"][5.0] <= delay["count"]


async def test_broadcasts_are_counted_once_however_many_threads_hand_them_out(anyio_backend: object) -> None:
    hub = Hub()
    async with Serve(3)(hub) as server, server.connect(), server.connect(), server.connect():
        # Nobody gets what is for everyone before the program knows of it.
        await until(lambda: len(hub.sessions) == 3)
        for _ in range(5):
            assert (await hub.broadcast("x")).reached == 3
        await until(lambda: hub.stats()["deliveries"] == 15)
        assert hub.stats()["broadcasts"] == 5


async def test_figures_can_be_written_as_json_and_end_with_the_run(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub):
        assert json.loads(json.dumps(hub.stats()))["closes"]["1000"] == 0
    for ask in (hub.stats, hub.metrics_text):
        with pytest.raises(NotRunning):
            ask()


# ---- for Prometheus


async def exchange(client: Client) -> None:
    await client.send("x" * 100)
    await client.recv()


async def test_the_text_is_what_prometheus_reads(serve: Serve) -> None:
    hub = echoing(Hub())
    async with serve(hub) as server, server.connect() as client:
        await exchange(client)
        await until(lambda: hub.stats()["messages_out"] == 1)
        stats, found = hub.stats(), samples(hub.metrics_text())
        assert found["hubbub_sessions", "websocket"] == 1
        assert found["hubbub_sessions_opened_total", "websocket"] == 1
        assert found["hubbub_messages_received_total", ""] == stats["messages_in"] == 1
        assert found["hubbub_received_bytes_total", ""] == stats["bytes_in"]
        assert found["hubbub_sent_bytes_total", ""] == stats["bytes_out"]
        assert found["hubbub_sessions_closed_total", "1000"] == 0
        assert found["hubbub_handover_delay_seconds_bucket", "+Inf"] == found["hubbub_handover_delay_seconds_count", ""]
        assert found["hubbub_pass_seconds_total", ""] > 0


async def test_open_metrics_is_read_by_its_own_parser(serve: Serve) -> None:
    hub = echoing(Hub())
    async with serve(hub) as server, server.connect() as client:
        await exchange(client)
        families = {family.name: family for family in openmetrics_families(hub.metrics_text(openmetrics=True))}
        assert families["hubbub_messages_received"].type == "counter"
        assert families["hubbub_loop_lag_seconds"].type == "histogram"
        assert families["hubbub_outbox_bytes"].type == "gauge"
        plain = {family.name for family in text_string_to_metric_families(hub.metrics_text())}
        assert set(families) == plain


async def test_the_endpoint_answers_without_handlers(serve: Serve) -> None:
    hub = echoing(Hub())
    asked = []
    hub.on_request(lambda request: asked.append(request))
    hub.metrics("/internal/metrics")
    async with serve(hub) as server, server.connect():
        status, kind, text = await anyio.to_thread.run_sync(read, server, "/internal/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert samples(text)["hubbub_sessions", "websocket"] == 1
        wanted = "application/openmetrics-text; version=1.0.0; q=0.9, text/plain; q=0.5"
        _, kind, text = await anyio.to_thread.run_sync(read, server, "/internal/metrics", "GET", wanted)
        assert kind.startswith("application/openmetrics-text")
        assert list(openmetrics_families(text))
        assert await anyio.to_thread.run_sync(read, server, "/internal/metrics", "HEAD") == (
            200,
            "text/plain; version=0.0.4; charset=utf-8",
            "",
        )
        status, _, allow = await anyio.to_thread.run_sync(read, server, "/internal/metrics", "POST")
        assert (status, allow) == (405, "GET, HEAD")
        assert len(asked) == 1, "on_request decides about the session alone"
        stats = hub.stats()
        assert stats["answers"] == {"200": 3, "405": 1}


async def test_the_figures_are_for_those_who_are_allowed(serve: Serve, tmp_path: Path) -> None:
    hub = Hub()
    hub.metrics("/default")
    hub.metrics("/elsewhere", allow=["203.0.113.0/24", "2001:db8::/32", "unix"])
    hub.metrics("/all", allow=None)
    async with serve(hub) as server:
        for path, status in (("/default", 200), ("/elsewhere", 403), ("/all", 200)):
            assert (await anyio.to_thread.run_sync(read, server, path))[0] == status
        assert hub.stats()["refusals"]["address"] == 1
    async with serve(hub, uds=str(tmp_path / "socket")) as server:
        for path, status in (("/default", 403), ("/elsewhere", 200), ("/all", 200)):
            with pytest.raises(Refused) as refused:
                async with server.connect(path):
                    pass
            assert refused.value.status == status


async def test_the_figures_do_not_take_the_place_of_sessions(serve: Serve) -> None:
    hub = Hub()
    hub.metrics()
    async with serve(hub) as server, server.connect("/anywhere"):
        await until(lambda: hub.stats()["sessions"] == 1)


def test_who_may_read_is_checked_when_it_is_said() -> None:
    hub = Hub()
    with pytest.raises(ValueError, match="begins with '/'"):
        hub.metrics("metrics")
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        hub.metrics(allow=["10.0.0.1/8"])
    with pytest.raises(ValueError, match="localhost"):
        hub.metrics(allow=["localhost"])
    with pytest.raises(TypeError, match="sequence"):
        hub.metrics(allow="127.0.0.1")


async def test_the_figures_are_read_while_a_handler_blocks(anyio_backend: object) -> None:
    hub = Hub()
    hub.metrics()
    entered, leave = threading.Event(), threading.Event()

    @hub.on_message
    def block(ws: WebSocket, data: str | bytes) -> None:
        entered.set()
        leave.wait(8)
        ws.send(data)

    @hub.on_request
    def request(request: Request) -> None: ...

    answers: list[tuple[int, str, str]] = []

    def scrape(server: Server) -> None:
        try:
            if entered.wait(8):
                answers.append(read(server))
        finally:
            leave.set()

    async with Serve(1)(hub) as server, server.connect() as client:
        thread = threading.Thread(target=scrape, args=(server,))
        thread.start()
        await client.send("x")
        await client.recv()
        thread.join()
        assert hub.stats()["handlers"]["slowest"] == block.__qualname__
    ((status, _, text),) = answers
    assert status == 200
    assert samples(text)["hubbub_messages_received_total", ""] == 1
