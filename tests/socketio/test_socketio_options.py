"""Options of a server: what they may be is said at once, and what they do."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import hubbub.socketio.compat as compat
from hubbub import Hub, Limits
from hubbub.socketio import Server, Socket
from support.client import Refused
from support.http import visiting
from support.server import Serve
from support.socketio import connecting, joining

pytestmark = pytest.mark.anyio

SECONDS = ["connect_timeout", "ping_interval", "ping_timeout", "upgrade_timeout"]
NUMBERS = ["concurrency", "max_attachments", "max_http_buffer_size", "max_namespaces"]
FLAGS = ["add_trailing_slash", "allow_upgrades", "cleanup_empty_child_namespaces", "serve_client"]


# ---- what they may be


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("wrong", ["25", True, [25], 0, -1, float("nan"), float("inf"), 1e12])
def test_times_are_seconds_above_zero(name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} is seconds.*, not "):
        Server(Hub(), **{name: wrong})


def test_a_time_limit_may_be_left_out_where_that_makes_sense() -> None:
    Server(Hub(), connect_timeout=None)
    for name in SECONDS[1:]:
        with pytest.raises(TypeError, match=f"^{name} is seconds, not None"):
            Server(Hub(), **{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SECONDS)
def test_who_writes_milliseconds_is_told(name: str) -> None:
    with pytest.warns(UserWarning, match=f"^{name}=25000 is seconds here, not milliseconds: 6.9 hours") as told:
        Server(Hub(), **{name: 25000})  # type: ignore[arg-type]
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Server(Hub(), **{name: 3600.0})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("wrong", ["3", None, True, 1.5, -1])
def test_numbers_are_whole(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is a whole number from [01] on, not "):
        Server(Hub(), **{name: wrong})
    with pytest.raises(ValueError, match=rf"^{name} is a whole number from [01] to \d+, not "):
        Server(Hub(), **{name: 1 << 41})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FLAGS)
def test_flags_are_true_or_false(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} is True or False, not 'no'"):
        Server(Hub(), **{name: "no"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transports": "websocket"}, "transports is a list of some of 'polling', 'websocket', not 'websocket'"),
        ({"transports": []}, "transports is a list"),
        ({"transports": None}, "transports is a list"),
        ({"transports": ["websocket", "webtransport"]}, "not ['websocket', 'webtransport']"),
        ({"transports": [["polling"]]}, "transports is a list"),
        ({"cookie": ""}, "a cookie's name is letters, digits and -_.!, not ''"),
        ({"cookie": "a b"}, "a cookie's name is"),
        ({"cookie": "io=1"}, "a cookie's name is"),
        ({"cookie": 5}, "a cookie is its name, or a dict, not 5"),
        ({"parser": "xml"}, 'a parser is "json" or "msgpack", not \'xml\''),
        ({"parser": ["json"]}, "a parser is"),
        ({"connection_state_recovery": "yes"}, "connection_state_recovery is True, None, or how it works, not 'yes'"),
        ({"connection_state_recovery": {"max_bytes": 0}}, "max_bytes is a number above 0"),
        ({"origins": "*"}, "origins is a sequence of non-empty str"),
        ({"origins": ["*"]}, "an origin is written as in 'https://example.org'"),
        ({"origins": ["https://example.org/"]}, "an origin is written as in 'https://example.org'"),
        ({"path": "socket.io"}, "a path is a str that begins with '/'"),
        ({"headers": "x"}, "headers is a dict of names and values, not 'x'"),
        ({"headers": {"a b": "x"}}, "a header's name is a token, not 'a b'"),
        ({"headers": {"X": "a\r\nb"}}, "a header's value is printable ASCII"),
        ({"headers": {"Content-Length": "5"}}, "Content-Length is said by the network itself"),
        ({"cors": {"origin": "*", "credentials": "no"}}, "credentials is True or False, not 'no'"),
        ({"path": None}, "a path is a str that begins with '/'"),
    ],
)
def test_what_an_option_may_be_is_said(options: dict[str, Any], message: str) -> None:
    hub = Hub()
    with pytest.raises((TypeError, ValueError)) as refused:
        Server(hub, **options)
    assert message in str(refused.value)
    Server(hub)  # nothing is left of the one that was refused


@pytest.mark.parametrize("second", ["/socket.io/", "/socket.io"])
def test_two_servers_need_two_paths(second: str) -> None:
    hub = Hub()
    Server(hub)
    with pytest.raises(ValueError, match=r"the hub has an endpoint at '/socket\.io/' already"):
        Server(hub, second)
    Server(hub, "/other/")


async def test_a_hub_that_runs_takes_no_further_server(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub):
        with pytest.raises(RuntimeError, match="the hub is running"):
            Server(hub)
    Server(hub)


# ---- what they do


@pytest.mark.parametrize("path", ["/chat", "/chat/", "/"])
async def test_clients_ask_with_a_slash_at_the_end_of_the_path(serve: Serve, path: str) -> None:
    hub = Hub()
    Server(hub, path)
    asked = path.rstrip("/") + "/"
    async with serve(hub) as server, connecting(server, asked) as peer:
        assert len(await peer.join()) == 1


@pytest.mark.parametrize("path", ["/chat", "/chat/"])
async def test_clients_that_leave_the_slash_out_are_served_if_wanted(serve: Serve, path: str) -> None:
    hub = Hub()
    Server(hub, path, add_trailing_slash=False)
    async with serve(hub) as server, connecting(server, "/chat") as peer:
        assert len(await peer.join()) == 1


@pytest.mark.parametrize("own", [None, ["https://own.example"]])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_pages_that_may_connect_are_the_hubs_or_the_servers_own(
    serve: Serve, own: list[str] | None, transport: str
) -> None:
    hub = Hub(origins=["https://hub.example"])
    Server(hub, origins=own)
    allowed = "https://hub.example" if own is None else own[0]
    target = f"/socket.io/?EIO=4&transport={transport}"
    async with serve(hub) as server:
        for origin in ("https://hub.example", "https://own.example", "https://elsewhere.example"):
            if transport == "polling":
                async with visiting(server) as visitor:
                    status = (await visitor.get(target, f"Origin: {origin}\r\n")).status
            else:
                try:
                    async with server.connect(target, origin=origin):
                        status = 200
                except Refused as refused:
                    status = refused.status
            assert status == (200 if origin == allowed else 403), origin


def test_more_than_the_hub_lets_through_is_refused() -> None:
    small = Hub(limits=Limits(max_message_bytes=5000))
    Server(small)  # the default is no wish: the hub's limit holds
    with pytest.raises(ValueError, match=r"2000000, but the hub has Limits\(max_message_bytes=5000\)"):
        Server(small, "/other/", max_http_buffer_size=2_000_000)
    with pytest.raises(ValueError, match=r"Limits\(max_body_bytes=1048576\)"):
        Server(Hub(limits=Limits(max_message_bytes=None)), max_http_buffer_size=2_000_000)
    Server(Hub(limits=Limits(max_message_bytes=None, max_body_bytes=2_000_000)), max_http_buffer_size=2_000_000)


@pytest.mark.parametrize("make", ["hub", "compat", "compat with a float"])
async def test_a_hub_of_its_own_lets_messages_of_the_size_through(serve: Serve, make: str) -> None:
    size = 3_000_000
    if make == "hub":
        io = Server(max_http_buffer_size=size)
        hub = io.hub

        @io.on("connection")
        def connected(socket: Socket) -> None:
            socket.on("length", lambda text: len(text))
    else:
        sio = compat.AsyncServer(max_http_buffer_size=float(size) if "float" in make else size)
        sio.on("length", lambda sid, text: len(text))
        hub = compat.ASGIApp(sio).hub
    async with serve(hub) as server, joining(server) as peer:
        assert peer.opened["maxPayload"] == size
        await peer.emit("length", "x" * (size - 100), ack=1)
        assert await peer.recv() == f"31[{size - 100}]"


async def test_a_handler_that_blocks_is_told_with_its_server(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    import time

    hub = Hub(limits=Limits(slow_handler=0.05))
    io = Server(hub)
    io.on("connection", lambda socket: socket.on("block", lambda: time.sleep(0.1)))
    async with serve(hub) as server, joining(server) as peer:
        await peer.emit("block", ack=1)
        assert await peer.recv() == "31[]"
        # It is told behind the batch; what is answered afterwards comes from the next one.
        await peer.emit("block", ack=2)
        assert await peer.recv() == "32[]"
    told = [record.getMessage() for record in caplog.records if "busy" in record.getMessage()]
    assert len(told) == 1
    assert "the events of <Server '/socket.io/'>" in told[0]
