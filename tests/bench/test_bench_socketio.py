"""`hubbub bench socketio`: its counts beside those of servers, and what it says of servers that do something else."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import anyio
import pytest
import uvicorn
from test_bench_cli import SHORT, bench, measured

import socketio as python_socketio
from hubbub import Hub, Request, Response, WebSocket
from hubbub._core import Load
from hubbub.bench import arguments, command, screen
from hubbub.socketio import ConnectError, Server as SocketIo, Socket
from support.program import hubbub_command, running
from support.server import Serve, Server

BOTH = pytest.mark.parametrize("transport", ["websocket", "polling"])
PACES = pytest.mark.parametrize("pace", [{"in_flight": 1}, {"in_flight": 20}, {"rate": 500.0}])


def run(settings: dict[str, Any]) -> dict[str, Any]:
    settings = {"protocol": "socketio", "duration": 0.4, "warmup": 0.1, "timeout": 2.0, **settings}
    text = Load(json.dumps(settings)).report()
    assert text is not None
    report: dict[str, Any] = json.loads(text)
    return report


async def load(server: Server, **settings: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{server.listening.port}/"
    return await anyio.to_thread.run_sync(run, {"url": url, **settings})


def assert_clean(report: dict[str, Any]) -> None:
    assert (report["errors"], report.get("failed")) == ({}, None)
    assert report["messages"] > 0


# ---- counts


def talking(counts: Counter[str]) -> Hub:
    """Echoes and broadcasts, and counts what comes and goes."""
    hub = Hub()
    io = SocketIo(hub)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        counts["sockets"] += 1

        @socket.on("echo")
        def echo(text: str) -> None:
            counts["echo"] += 1
            socket.emit("echo", text)

        @socket.on("broadcast")
        def broadcast(text: str) -> None:
            counts["broadcast"] += 1
            io.emit("broadcast", text)

        @socket.on("disconnect")
        def disconnected(reason: str) -> None:
            counts[reason] += 1

    return hub


@BOTH
@PACES
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.anyio
async def test_echoes_are_as_many_as_the_server_counts(
    serve: Serve, transport: str, pace: dict[str, Any], threads: int
) -> None:
    counts: Counter[str] = Counter()
    async with serve(talking(counts)) as server:
        report = await load(server, mode="echo", transport=transport, connections=7, threads=threads, **pace)
    assert_clean(report)
    assert (report["protocol"], report["transport"]) == ("socketio", transport)
    assert report["totals"]["sent"] == report["totals"]["received"] == counts["echo"]
    assert counts["sockets"] == 7


@BOTH
@pytest.mark.parametrize("pace", [{"in_flight": 1}, {"in_flight": 4}, {"rate": 100.0}])
@pytest.mark.anyio
async def test_deliveries_are_as_many_as_the_server_counts(serve: Serve, transport: str, pace: dict[str, Any]) -> None:
    counts: Counter[str] = Counter()
    async with serve(talking(counts)) as server:
        report = await load(server, mode="broadcast", transport=transport, connections=9, senders=2, threads=2, **pace)
    assert_clean(report)
    totals = report["totals"]
    assert totals["sent"] + totals["calls_sent"] == counts["broadcast"]
    assert totals["received"] == 9 * totals["sent"]


@BOTH
@pytest.mark.anyio
async def test_clients_say_goodbye(serve: Serve, transport: str) -> None:
    counts: Counter[str] = Counter()
    async with serve(talking(counts)) as server:
        report = await load(server, mode="idle", transport=transport, connections=20)
        with anyio.fail_after(5):
            while counts["client namespace disconnect"] < 20:
                await anyio.sleep(0.01)
    assert report["errors"] == {}
    assert report["connected"] == counts["sockets"] == 20


@pytest.mark.parametrize("size", [0, 9, 70_000])
@BOTH
@pytest.mark.anyio
async def test_events_of_any_size_come_back_whole(serve: Serve, transport: str, size: int) -> None:
    counts: Counter[str] = Counter()
    async with serve(talking(counts)) as server:
        assert_clean(await load(server, mode="echo", transport=transport, connections=3, in_flight=20, size=size))


@BOTH
@pytest.mark.anyio
async def test_pings_are_answered(serve: Serve, transport: str) -> None:
    hub = Hub()
    SocketIo(hub, ping_interval=0.1, ping_timeout=0.2)
    async with serve(hub) as server:
        report = await load(server, mode="idle", transport=transport, connections=5, duration=1.0)
    # The server would have closed them.
    assert (report["errors"], report["connected"]) == ({}, 5)


@contextmanager
def python_socketio_server(counts: Counter[str]) -> Iterator[int]:
    """Another library's server, on uvicorn in a thread; its port."""
    # It keeps the sessions of polls until a ping has no answer, and uvicorn waits for them.
    io = python_socketio.AsyncServer(async_mode="asgi", ping_interval=1, ping_timeout=1)

    @io.on("echo")
    async def echo(sid: str, text: str) -> None:
        counts["echo"] += 1
        await io.emit("echo", text, to=sid)

    @io.on("broadcast")
    async def broadcast(sid: str, text: str) -> None:
        counts["broadcast"] += 1
        await io.emit("broadcast", text)

    config = uvicorn.Config(python_socketio.ASGIApp(io), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@BOTH
def test_a_server_of_python_socketio_counts_the_same(transport: str) -> None:
    counts: Counter[str] = Counter()
    with python_socketio_server(counts) as port:
        about = {"url": f"ws://127.0.0.1:{port}", "transport": transport}
        echo = run({**about, "mode": "echo", "connections": 5, "in_flight": 16})
        broadcast = run({**about, "mode": "broadcast", "connections": 5})
    assert_clean(echo)
    assert_clean(broadcast)
    assert echo["totals"]["sent"] == echo["totals"]["received"] == counts["echo"]
    assert broadcast["totals"]["sent"] + broadcast["totals"]["calls_sent"] == counts["broadcast"]


class Forgetful(BaseHTTPRequestHandler):
    """Long polling that keeps no connection alive: HTTP/1.0, one request each."""

    protocol_version = "HTTP/1.0"
    connections = 0

    def setup(self) -> None:
        super().setup()
        Forgetful.connections += 1

    def do_GET(self) -> None:
        sid = re.search("sid=(\\w+)", self.path)
        if sid is None:
            name = f"s{len(queues)}"
            queues[name] = SimpleQueue()
            return self.answer("0" + json.dumps({"sid": name, "maxPayload": 1000}))
        return self.answer(queues[sid[1]].get())

    def do_POST(self) -> None:
        sid = re.search("sid=(\\w+)", self.path)
        assert sid is not None
        packets = self.rfile.read(int(self.headers["Content-Length"])).decode().split("\x1e")
        self.answer("ok")
        for packet in packets:
            if packet == "40":
                queues[sid[1]].put('40{"sid":"x"}')
            elif packet.startswith("42"):
                queues[sid[1]].put(packet)
            elif packet == "1":
                queues[sid[1]].put("6")

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


queues: dict[str, SimpleQueue[str]] = {}


def test_connections_that_are_not_kept_alive_are_opened_again() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            report = run({"url": url, "mode": "echo", "transport": "polling", "connections": 3})
        finally:
            server.shutdown()
            thread.join()
    assert_clean(report)
    assert report["totals"]["sent"] == report["totals"]["received"]
    # A poll and a POST for each.
    assert Forgetful.connections >= 2 * report["totals"]["received"]


# ---- servers that do something else


async def failure(serve: Serve, hub: Hub, transport: str, mode: str = "echo", path: str = "/") -> str:
    async with serve(hub) as server:
        url = f"http://127.0.0.1:{server.listening.port}{path}"
        settings = {"url": url, "mode": mode, "transport": transport, "connections": 2, "timeout": 0.5}
        report = await anyio.to_thread.run_sync(run, settings)
    return str(report["failed"])


@pytest.mark.anyio
async def test_a_server_without_socketio_is_told_by_its_answer(serve: Serve) -> None:
    hub = Hub()

    @hub.on_request
    def refuse(request: Request) -> Response:
        return Response(404, "nothing here\n")

    assert "the server answered 404, not 101: nothing here" in await failure(serve, hub, "websocket")
    assert 'a GET is answered with 404: "nothing here\\n"' in await failure(serve, hub, "polling")


@pytest.mark.anyio
async def test_a_page_at_the_place_of_socketio_is_shown(serve: Serve) -> None:
    hub = Hub()

    @hub.on_request
    def page(request: Request) -> Response:
        return Response(200, "<!DOCTYPE html><title>Hello</title>")

    told = await failure(serve, hub, "polling")
    assert 'it began with "<!DOCTYPE html><title>Hello</title>", not with an Engine.IO open packet' in told


@pytest.mark.anyio
async def test_a_websocket_that_speaks_otherwise_is_told_apart(serve: Serve) -> None:
    hub, silent = Hub(), Hub()

    @hub.on_connection
    def greet(ws: WebSocket) -> None:
        ws.send("hello")

    @silent.on_message
    def nothing(ws: WebSocket, data: str | bytes) -> None:
        pass

    assert 'it began with "hello", not with an Engine.IO open packet' in await failure(serve, hub, "websocket")
    told = await failure(serve, silent, "websocket")
    assert "there was no Engine.IO open packet: it may not speak Socket.IO here (0 connections were open)" in told


@BOTH
@pytest.mark.anyio
async def test_a_namespace_that_lets_nobody_in_is_told(serve: Serve, transport: str) -> None:
    hub = Hub()
    io = SocketIo(hub)

    @io.use
    def nobody(socket: Socket) -> None:
        raise ConnectError("not authorized")

    told = await failure(serve, hub, transport)
    assert 'it does not let anyone into the namespace /: {"message":"not authorized"}' in told


def answering(event: str, change: Any = lambda text: text) -> Hub:
    hub = Hub()
    io = SocketIo(hub)
    io.on("connection", lambda socket: socket.on("echo", lambda text: socket.emit(event, change(text))))
    return hub


@BOTH
@pytest.mark.anyio
async def test_answers_that_are_none_are_counted_by_kind(serve: Serve, transport: str) -> None:
    for event, change, kind in (
        ("echo", str.swapcase, "wrong_content"),
        ("echo", lambda text: text[1:], "wrong_length"),
        ("echo", lambda text: {"text": text}, "wrong_content"),
    ):
        async with serve(answering(event, change)) as server:
            report = await load(server, mode="echo", transport=transport, connections=2)
        assert report["errors"] == {kind: report["totals"]["received"]}
    async with serve(answering("reply")) as server:
        report = await load(server, mode="echo", transport=transport, connections=2, timeout=0.3)
    assert "the server sent no reply" in report["failed"]
    assert report["errors"] == {"unexpected": 2}


@BOTH
@pytest.mark.anyio
async def test_events_that_nobody_asked_for_are_counted(serve: Serve, transport: str) -> None:
    counts: Counter[str] = Counter()
    hub = talking(counts)
    server_io = SocketIo(hub, "/other/")

    @server_io.on("connection")
    def connected(socket: Socket) -> None:
        socket.emit("welcome", {"picture": b"some bytes"})
        socket.on("echo", lambda text: socket.emit("echo", text))

    async with serve(hub) as server:
        url = f"http://127.0.0.1:{server.listening.port}/other/"
        settings = {"url": url, "mode": "echo", "transport": transport, "connections": 3}
        report = await anyio.to_thread.run_sync(run, settings)
    assert report["errors"] == {"unexpected": 3}
    assert report["messages"] > 0


@BOTH
@pytest.mark.anyio
async def test_a_socket_that_is_disconnected_in_mid_run_is_counted(serve: Serve, transport: str) -> None:
    hub = Hub()
    io = SocketIo(hub)
    count = 0

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("echo")
        def echo(text: str) -> None:
            nonlocal count
            count += 1
            if count == 50:
                socket.disconnect()
            else:
                socket.emit("echo", text)

    async with serve(hub) as server:
        report = await load(server, mode="echo", transport=transport, connections=3)
    assert report["errors"] == {"closed_by_server": 1}
    assert report["totals"]["sent"] == count == report["totals"]["received"] + 1


# ---- the command


def test_each_scenario_can_be_tried_without_a_server(tmp_path: Path) -> None:
    for scenario, shown in (
        ("echo", "events/s"),
        ("broadcast", "deliveries/s"),
        ("polling", "events/s"),
        ("idle", "B for each connection"),
    ):
        options = [option for option in SHORT if scenario != "idle" or option not in ("--warmup", "0.1")]
        done = bench(tmp_path, "socketio", scenario, *options)
        assert done.returncode == command.GOOD, done.stderr
        assert "a hub of hubbub's own is loaded" in done.stderr
        assert re.search(rf"^socketio {scenario} ws://127.0.0.1:\d+/socket.io/$", done.stdout, re.MULTILINE)
        for what in (shown, "server memory", "no errors"):
            assert what in done.stdout


def test_the_report_says_what_was_spoken(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from hubbub.bench.hubs import socketio as hub\n")
    with running(hubbub_command("run", "app:hub", "--port", "0", "--no-access-log"), cwd=tmp_path) as program:
        url, pid = f"http://127.0.0.1:{program.wait_for_port()}", str(program.process.pid)
        files = ["--html", "report.html", "--plot", "report.svg"]
        echo = measured(tmp_path, "socketio", "echo", url, *SHORT, "--server-pid", pid, "--in-flight", "2", *files)
        polling = measured(tmp_path, "socketio", "polling", url, *SHORT, "--rate", "200", "--size", "100")
        plain = measured(tmp_path, "idle", "--duration", "0.1", "--connections", "5")
    assert (echo["mode"], echo["protocol"], echo["transport"]) == ("echo", "socketio", "websocket")
    assert (echo["in_flight"], echo["size"]) == (2, 64)
    assert echo["server_cpu_us_per_message"] > 0
    assert (polling["mode"], polling["protocol"], polling["transport"]) == ("echo", "socketio", "polling")
    assert (polling["rate"], polling["size"]) == (200.0, 100)
    assert polling["service_us"]["p50"] <= polling["latency_us"]["p50"]
    assert (plain["protocol"], plain["transport"]) == ("websocket", None)
    page = (tmp_path / "report.html").read_text()
    assert "<h1>socketio echo ws://" in page
    assert "events a second" in page
    assert "socketio" in (tmp_path / "report.svg").read_text()


def test_a_terminal_is_told_what_is_spoken() -> None:
    from rich.console import Console

    snapshot = {
        "stage": "connecting",
        "connections": 5,
        "open": 2,
        "gathered": 0,
        "stage_seconds": 1.0,
        "planned_seconds": None,
        "point": None,
        "errors": {},
        "recent": [],
    }
    settings = {"mode": "echo", "protocol": "socketio", "transport": "polling", "url": "http://somewhere/"}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(screen.picture(settings, snapshot))
    assert "hubbub bench socketio polling http://somewhere/" in console.export_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["socketio"], "SCENARIO"),
        (["socketio", "connect"], "invalid choice"),
        (["socketio", "echo", "ftp://127.0.0.1/"], "it must begin with http://, https://, ws:// or wss://"),
        (["socketio", "echo", "http://127.0.0.1:9/", "--binary"], "unrecognized arguments: --binary"),
        (["socketio", "echo", "http://127.0.0.1:9/", "--deflate"], "unrecognized arguments: --deflate"),
        (["socketio", "polling", "http://127.0.0.1:9/", "--header", "a b: c"], "a field has a name or a value"),
        (["socketio", "broadcast", "http://127.0.0.1:9/", "--size", "3"], "at least 16 bytes"),
        (["socketio", "idle", "http://127.0.0.1:9/", "--warmup", "1"], "unrecognized arguments: --warmup"),
    ],
)
def test_wrong_arguments_are_told(tmp_path: Path, options: list[str], told: str) -> None:
    done = bench(tmp_path, *options)
    assert (done.returncode, done.stdout) == (command.USAGE, "")
    assert told in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mode": "connect"}, "not connect"),
        ({"mode": "echo", "binary": True}, "not bytes"),
        ({"mode": "echo", "deflate": True}, "no permessage-deflate"),
        ({"mode": "echo", "transport": "pigeon"}, "unknown variant"),
        (
            {"mode": "echo", "protocol": "websocket", "transport": "polling"},
            "long polling is there with Socket.IO only",
        ),
    ],
)
def test_settings_that_do_not_fit_are_told(settings: dict[str, Any], told: str) -> None:
    url = "ws://127.0.0.1:9/"
    with pytest.raises(ValueError, match=told):
        Load(json.dumps({"url": url, "protocol": "socketio", "connections": 1, "duration": 1.0, **settings}))


def test_the_modes_are_those_that_the_generator_knows() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    arguments.add(parser.add_subparsers(), lambda options, given: 0)
    for scenario, mode, transport in (
        ("echo", "echo", None),
        ("broadcast", "broadcast", None),
        ("idle", "idle", None),
        ("polling", "echo", "polling"),
    ):
        settings = arguments.settings(parser.parse_args(["bench", "socketio", scenario]))
        assert (settings["mode"], settings["protocol"], settings.get("transport")) == (mode, "socketio", transport)
    assert arguments.settings(parser.parse_args(["bench", "echo"]))["protocol"] == "websocket"
