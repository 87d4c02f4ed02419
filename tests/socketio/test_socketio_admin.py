"""`instrument`: what the page of @socket.io/admin-ui is told about a server, and what it may do there.

The page itself is opened in tests/browser/test_browser_admin.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket as sockets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from hubbub import Hub, Limits
from hubbub.socketio import Server as SocketIo, Socket, compat
from hubbub.socketio.admin import AdminOptions, door, watcher
from hubbub.socketio.admin.preview import preview
from support.handlers import KINDS
from support.server import Serve, Server, until
from support.socketio import Peer, connecting, joining

pytestmark = pytest.mark.anyio

NODE = Path(__file__).parents[1] / "clients" / "node"

ADA = {"username": "ada", "password": "lovelace"}
ALL = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]


def program(hub: Hub | None = None, **options: Any) -> SocketIo:
    """What clients/node/admin-reference.js is."""
    io = SocketIo(hub or Hub())
    io.instrument(**{"auth": ADA, "server_id": "here", **options})

    @io.use
    def middleware(socket: Socket) -> None:
        socket.data["name"] = "grace"

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.join("lobby")

        @socket.on("say")
        def say(text: str) -> str:
            socket.emit("said", text)
            io.to("lobby").emit("heard", text)
            return "ok"

        socket.on("settle", lambda: None)

    return io


class Page:
    """A client in the admin namespace."""

    def __init__(self, peer: Peer, nsp: str = "/admin") -> None:
        self.peer = peer
        self.nsp = nsp
        #: Events that came before the answer to CONNECT: the reference's do.
        self._early: list[list[Any]] = []

    async def enter(self, auth: Any) -> None:
        await self.peer.send(f"0{self.nsp},{'' if auth is None else json.dumps(auth)}")
        while (packet := str(await self.peer.recv())).startswith(f"2{self.nsp},"):
            self._early.append(json.loads(packet.removeprefix(f"2{self.nsp},")))
        assert packet.startswith(f"0{self.nsp},"), packet
        self.peer.sid = json.loads(packet.removeprefix(f"0{self.nsp},"))["sid"]

    async def next(self) -> list[Any]:
        return self._early.pop(0) if self._early else await self.peer.event(self.nsp)

    async def next_of(self, *kinds: str) -> list[Any]:
        """The next event of one of these names; others are passed over."""
        while True:
            event = await self.next()
            if event[0] in kinds:
                return event

    async def until(self, name: str) -> list[list[Any]]:
        """All events up to the next of this name, that one included."""
        events = [await self.next()]
        while events[-1][0] != name:
            events.append(await self.next())
        return events

    async def ask(self, *args: Any) -> list[Any]:
        """What an action is answered with; events that come meanwhile are passed over."""
        await self.peer.emit(*args, nsp=self.nsp, ack=7)
        while True:
            packet = str(await self.peer.recv())
            if packet.startswith(f"3{self.nsp},7"):
                return list(json.loads(packet.removeprefix(f"3{self.nsp},7")))


@asynccontextmanager
async def looking(server: Server, auth: Any = ADA, nsp: str = "/admin") -> AsyncIterator[Page]:
    async with connecting(server) as peer:
        page = Page(peer, nsp)
        await page.enter(auth)
        yield page


async def has_begun(page: Page) -> dict[str, Any]:
    """The list that a page begins with, by the sockets' ids."""
    listed = (await page.next_of("all_sockets"))[1]
    return {each["id"]: each for each in listed}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers come every tenth of a second."""
    made = AdminOptions.__init__

    def make(self: AdminOptions, *args: Any, **options: Any) -> None:
        made(self, *args, **{"stats_interval": 0.1, **options})

    monkeypatch.setattr(AdminOptions, "__init__", make)


# ---- who is let in


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (None, "needs auth"),
        (True, "auth is"),
        ("lovelace", "auth is"),
        ([], "auth is"),
        ([ADA, "lovelace"], "not str"),
        ({"username": "ada"}, "dict with"),
        ({**ADA, "name": "x"}, "dict with"),
        ({**ADA, "type": "digest"}, "basic"),
        ({"username": "ada", "password": ""}, "not empty"),
        ({"username": "ada", "password": b"lovelace"}, "not empty"),
        ({"username": "ada", "password": "$2b$10$heqvAkYMez.Va6Et2uXInOnkCT6/uQj1brkrbyG3LpopDklcq7ZOS"}, "bcrypt"),
    ],
)
def test_auth_must_be_given_and_be_something_that_can_be_asked(auth: Any, words: str) -> None:
    io = SocketIo(Hub())
    with pytest.raises(ValueError, match=words):
        io.instrument(auth=auth)
    assert "/admin" not in io.namespaces
    sio = compat.AsyncServer(async_mode="asgi")
    with pytest.raises(ValueError, match=words):
        sio.instrument(auth=auth)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "test"},
        {"read_only": 1},
        {"server_id": ""},
        {"namespace_name": "/"},
        {"namespace_name": "/a,b"},
    ],
)
def test_other_arguments_are_checked(options: Any) -> None:
    io = SocketIo(Hub())
    with pytest.raises((ValueError, TypeError)):
        io.instrument(auth=ADA, **options)
    io.instrument(auth=ADA)
    with pytest.raises(ValueError, match="already"):
        io.instrument(auth=ADA)


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"username": "ada"},
        {"username": "ada", "password": "Lovelace"},
        {"username": "Ada", "password": "lovelace"},
        {"username": "ada", "password": "hopper"},
        {"username": ["ada"], "password": {"x": 1}},
        {"username": "ada", "password": None},
        {"sessionId": "x"},
        {"sessionId": None},
        {"sessionId": ["x"]},
    ],
)
async def test_who_is_not_known_is_not_let_in(serve: Serve, told: Any, caplog: pytest.LogCaptureFixture) -> None:
    io = program(auth=[ADA, {"username": "grace", "password": "hopper"}])
    async with serve(io.hub) as server, connecting(server) as peer:
        assert await peer.asked("/admin", told) == '4/admin,{"message":"invalid credentials"}'
        assert not io.of("/admin").sockets
        # Nor may it do anything.
        await peer.send('2/admin,["_disconnect","/",true]')
        await peer.ended()
    assert "'/admin' has refused 127.0.0.1" in caplog.text


@pytest.mark.parametrize("auth", [ADA, [{"username": "grace", "password": "hopper"}, {"type": "basic", **ADA}]])
async def test_a_page_that_was_let_in_comes_again_without_its_password(serve: Serve, auth: Any) -> None:
    io = program(auth=auth)
    async with serve(io.hub) as server:
        async with looking(server) as page:
            session = (await page.next_of("session"))[1]
            assert re.fullmatch("[0-9a-f]{32}", session)
        async with looking(server, {"sessionId": session}) as page:
            assert "session" not in [event[0] for event in await page.until("all_sockets")]


async def test_sessions_are_few_and_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_SESSIONS", 2)
    io = program(mode="production")
    sessions = []
    async with serve(io.hub) as server:
        for _ in range(3):
            async with looking(server) as page:
                sessions.append((await page.next_of("session"))[1])
        async with connecting(server) as peer:
            assert str(await peer.asked("/admin", {"sessionId": sessions[0]})).startswith("4/admin")
            await peer.join("/admin", {"sessionId": sessions[1]})
        monkeypatch.setattr(door, "SESSION_SECONDS", 0.0)
        async with looking(server) as page:
            ended = (await page.next_of("session"))[1]
        async with connecting(server) as peer:
            assert str(await peer.asked("/admin", {"sessionId": ended})).startswith("4/admin")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [True, False, None, "yes"])
async def test_a_function_decides_by_what_the_page_has_sent(serve: Serve, kind: Any, answer: Any) -> None:
    asked: list[Any] = []

    def decide(told: dict[str, Any]) -> Any:
        asked.append(told)
        return answer

    io = program(auth=kind(decide))
    async with serve(io.hub) as server, connecting(server) as peer:
        packet = str(await peer.asked("/admin", {"token": "x"}))
        assert packet.startswith("0/admin" if answer is True else "4/admin")
        assert asked == [{"token": "x"}]
        if answer is True:
            session = (await Page(peer).next_of("session"))[1]
            async with looking(server, {"sessionId": session}):
                assert len(asked) == 1


async def test_everyone_is_let_in_if_the_program_says_so_and_the_log_tells(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = program(auth=False, mode="production")
    assert "lets everyone in" in caplog.text
    async with serve(io.hub) as server, looking(server, None) as page:
        assert [event[0] for event in await page.until("server_stats")] == ["config", "server_stats"]


# ---- what is told


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({}, [*ALL, "AGGREGATED_EVENTS", "ALL_EVENTS"]),
        ({"mode": "production"}, [*ALL, "AGGREGATED_EVENTS"]),
        ({"read_only": True}, ["AGGREGATED_EVENTS", "ALL_EVENTS"]),
        ({"read_only": True, "mode": "production"}, ["AGGREGATED_EVENTS"]),
    ],
)
async def test_the_page_is_told_what_it_may_do(serve: Serve, options: Any, features: list[str]) -> None:
    io = program(**options)
    async with serve(io.hub) as server, looking(server) as page:
        assert (await page.next_of("config"))[1] == {"supportedFeatures": features}


async def test_a_page_sees_who_is_there_and_who_they_are(serve: Serve) -> None:
    io = program()
    async with serve(io.hub) as server:
        headers = {"Cookie": "id=secret", "Authorization": "Basic secret", "X-Tribe": "otters"}
        async with joining(server, headers=headers, query="&x=y") as peer, looking(server) as page:
            there = await has_begun(page)
            assert set(there) == {peer.sid, page.peer.sid}
            grace = there[peer.sid]
            handshake = grace.pop("handshake")
            assert sorted(grace.pop("rooms")) == sorted(["lobby", peer.sid])
            ws = io.sockets.sockets[peer.sid].conn
            assert grace == {
                "id": peer.sid,
                "clientId": ws.id,
                "transport": "websocket",
                "nsp": "/",
                "data": {"name": "grace"},
            }
            assert handshake.pop("headers") | {
                "cookie": "(not shown)",
                "authorization": "(not shown)",
                "x-tribe": "otters",
            } == dict(ws.request.headers) | {"cookie": "(not shown)", "authorization": "(not shown)"}
            issued = io.sockets.sockets[peer.sid].handshake.issued
            assert handshake == {
                "address": "127.0.0.1",
                "issued": int(issued * 1000),
                "query": {"EIO": "4", "transport": "websocket", "x": "y"},
                "secure": False,
                "time": io.sockets.sockets[peer.sid].handshake.time,
                "url": "/socket.io/?EIO=4&transport=websocket&x=y",
                "xdomain": False,
            }


async def test_what_is_no_json_and_what_is_long_is_named_or_cut() -> None:
    class Odd(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError

    deep: list[Any] = []
    deep.append(deep)
    assert preview(["e", b"abc", 2**53, -1, 1.5, float("inf"), None, True]) == [
        "e",
        "<3 bytes>",
        "<int>",
        -1,
        1.5,
        "inf",
        None,
        True,
    ]
    assert preview({1: {2}, "odd": [Odd(), "\ud800", object()]}) == {"1": [2], "odd": ["<Odd>", "?", "<object>"]}
    for long in (deep, "x" * 5000, ["x" * 900] * 100, list(range(10_000)), {str(n): n for n in range(10_000)}):
        assert len(json.dumps(preview(long))) < 15_000
        assert "\u2026" in json.dumps(preview(long), ensure_ascii=False)


# ---- the same as of the reference


@pytest.fixture(scope="session")
def password_hash(packages: None) -> str:
    script = "console.log(require('bcryptjs').hashSync('lovelace', 4))"
    return subprocess.run(["node", "-e", script], cwd=NODE, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(params=["development", "production"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reference(password_hash: str, mode: str) -> Iterator[Server]:
    """The server of socket.io, instrumented by @socket.io/admin-ui."""
    env = {**os.environ, "PASSWORD_HASH": password_hash, "MODE": mode}
    command = ["node", "admin-reference.js"]
    with subprocess.Popen(command, cwd=NODE, env=env, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        try:
            yield Server(Hub(), None, ("tcp", "127.0.0.1", int(node.stdout.readline())))
        finally:
            node.terminate()


async def history(server: Server, mode: str) -> list[Any]:
    """What a page is told while a client does this and that; ids and times by the names that they are given here."""
    told: list[Any] = []
    async with looking(server) as page:
        beginning = await page.until("all_sockets" if mode == "development" else "config")
        told += [event for event in beginning if event[0] in ("session", "config", "all_sockets")]
        async with joining(server) as peer:
            await peer.emit("say", {"a": [1]}, ack=1)
            answers = [await peer.recv() for _ in range(3)]
            assert answers[2] == '31["ok"]'
            await page.peer.emit("join", "/", "extra", peer.sid, nsp="/admin")
            await page.peer.emit("emit", "/", "lobby", "x", 1, nsp="/admin")
            assert await peer.event() == ["x", 1]
            await page.peer.emit("leave", "/", "extra", nsp="/admin")
            if mode == "development":
                told += await page.until("room_left")
            await page.peer.emit("_disconnect", "/", False, peer.sid, nsp="/admin")
            assert await peer.recv() == "1"
        if mode == "development":
            told += await page.until("socket_disconnected")
            # In no particular order.
            left = [await page.next_of("room_left"), await page.next_of("room_left")]
            told += sorted(left, key=lambda event: event[2] != "lobby")
            # That is the reference's noticing what the middleware has done before.
            told = [event for event in told if event[0] != "socket_updated"]
        stats = await page.next_of("server_stats")
        while not stats[1]["aggregatedEvents"]:
            stats = await page.next_of("server_stats")
        kinds = {(event["type"], event.get("subType")) for event in stats[1].pop("aggregatedEvents")}
        stats[1].pop("eventsLeftOut", None)
        told += [stats, sorted(kinds, key=str)]
    names = {peer.sid: "<peer>", page.peer.sid: "<page>"}
    return [named(event, names) for event in told]


def named(value: Any, names: dict[str, str]) -> Any:
    """Without what is never the same twice."""
    if isinstance(value, dict):
        kept = {key: named(each, names) for key, each in value.items() if key not in ("headers", "pid", "uptime")}
        for key in kept.keys() & {"clientId", "time", "issued"}:
            kept[key] = type(value[key]).__name__
        if "rooms" in kept:
            kept["rooms"] = sorted(kept["rooms"])
        return kept
    if isinstance(value, (list, tuple)):
        return [named(each, names) for each in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value):
        return "<time>"
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{16,32}", value):
        return "<session>"
    return names.get(value, value) if isinstance(value, str) else value


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_a_page_is_told_what_the_reference_tells(serve: Serve, reference: Server, mode: str) -> None:
    io = program(mode=mode)
    async with serve(io.hub) as server:
        ours = await history(server, mode)
    theirs = await history(reference, mode)
    assert ours == theirs


# ---- development mode


async def test_the_page_is_told_of_events_however_they_are_sent(serve: Serve) -> None:
    io = program()
    async with serve(io.hub) as server, joining(server) as peer, joining(server) as other, looking(server) as page:
        await has_begun(page)
        one = io.sockets.sockets[peer.sid]
        one.emit("a", b"abc")
        one.volatile.emit("b")
        answer = one.emit_with_ack("c", 1)
        one.broadcast.emit("d")
        io.to(other.sid).emit("e")
        io.except_(other.sid).emit("f")
        io.of("/admin").emit("not told")
        for event, receiver in (("a", peer), ("b", peer), ("c", peer), ("d", other), ("e", other), ("f", peer)):
            told = await page.next_of("event_sent", "not told")
            assert told[:3] == ["event_sent", "/", receiver.sid]
            assert told[3] == [event, *{"a": ["<3 bytes>"], "c": [1]}.get(event, [])]
        assert (await page.next_of("event_sent", "not told"))[0] == "not told"
        assert [await peer.recv() for _ in range(4)][2:] == ['2["b"]', '20["c",1]']
        await peer.send("30[2]")
        assert await answer == 2
        io.emit("g")
        told = [await page.next_of("event_sent") for _ in range(2)]
        assert sorted(event[2] for event in told) == sorted([peer.sid, other.sid])
        # An acknowledgement is no argument.
        await peer.emit("say", "x", ack=1)
        assert (await page.next_of("event_received"))[:4] == ["event_received", "/", peer.sid, ["say", "x"]]


async def test_events_that_threads_send_are_told_too(serve: Serve) -> None:
    io = program()
    async with serve(io.hub) as server, joining(server) as peer, looking(server) as page:
        await has_begun(page)
        one = io.sockets.sockets[peer.sid]
        await anyio.to_thread.run_sync(lambda: (io.emit("to all", 1), one.emit("to one", 2)))
        assert (await page.next_of("event_sent"))[2:4] == [peer.sid, ["to all", 1]]
        assert (await page.next_of("event_sent"))[2:4] == [peer.sid, ["to one", 2]]


async def test_namespaces_that_begin_later_are_watched_too(serve: Serve) -> None:
    io = program()
    io.of(re.compile("^/room-")).on("connection", lambda socket: socket.on("x", lambda: None))
    async with serve(io.hub) as server, looking(server) as page:
        await has_begun(page)
        async with joining(server, "/room-1") as peer:
            assert (await page.next_of("socket_connected"))[1]["id"] == peer.sid
            await peer.emit("x", nsp="/room-1")
            assert (await page.next_of("event_received"))[:4] == ["event_received", "/room-1", peer.sid, ["x"]]
        assert (await page.next_of("socket_disconnected"))[:3] == ["socket_disconnected", "/room-1", peer.sid]


async def test_data_that_changes_and_an_upgrade_are_told(serve: Serve, soon: None) -> None:
    io = program()
    async with serve(io.hub) as server, joining(server) as peer, looking(server) as page:
        await has_begun(page)
        io.sockets.sockets[peer.sid].data["seen"] = {"of": [1]}
        change = {"id": peer.sid, "nsp": "/", "transport": "websocket", "data": {"name": "grace", "seen": {"of": [1]}}}
        assert await page.next_of("socket_updated") == ["socket_updated", change]
        # Once.
        beside = [await page.next_of("socket_updated", "server_stats") for _ in range(3)]
        assert {event[0] for event in beside} == {"server_stats"}


async def test_sockets_that_do_not_fit_one_list_are_told_one_by_one(serve: Serve) -> None:
    # Less than a list of all of them.
    io = program(Hub(limits=Limits(outbox_bytes=12_000)))
    async with serve(io.hub) as server, anyio.create_task_group() as group:
        ids: list[str] = []
        stop = anyio.Event()

        async def stay() -> None:
            async with joining(server) as peer:
                ids.append(peer.sid)
                await stop.wait()

        for _ in range(30):
            group.start_soon(stay)
        await until(lambda: len(ids) == 30)
        async with looking(server) as page:
            listed = set(await has_begun(page))
            assert 0 < len(listed) < 15
            while not listed.issuperset(ids):
                each = (await page.next_of("socket_connected"))[1]
                assert each["id"] not in listed or each["id"] == page.peer.sid
                listed.add(each["id"])
        stop.set()


async def test_what_is_too_much_is_counted_and_the_page_gets_the_list_again(
    serve: Serve, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "MAX_DETAILS", 20)
    io = program()
    async with serve(io.hub) as server, joining(server) as peer, looking(server) as page:
        await has_begun(page)
        for number in range(100):
            io.emit("x", number)
        # This is more than is told, and changes what there is.
        io.sockets.sockets[peer.sid].join("unseen")
        told = await page.until("all_sockets")
        assert len([event for event in told if event[0] == "event_sent"]) <= 20
        assert told[-2][0] == "server_stats"
        assert told[-2][1]["eventsLeftOut"] >= 81
        (now,) = [each for each in told[-1][1] if each["id"] == peer.sid]
        assert "unseen" in now["rooms"]
        # And then it goes on.
        io.emit("y")
        assert (await page.next_of("event_sent"))[3] == ["y"]


async def test_details_are_bounded_in_bytes_as_well(serve: Serve) -> None:
    io = program(Hub(limits=Limits(outbox_bytes=40_000)))
    async with serve(io.hub) as server, joining(server) as peer, looking(server) as page:
        await has_begun(page)
        for _ in range(100):
            io.sockets.sockets[peer.sid].emit("x", "\u20ac" * 5_000)
        watching = io._admin and io._admin.watcher
        assert watching is not None
        # Of 20,000 bytes each has more than 3,000.
        assert 94 <= watching.left_out < 100
        # What is for many is left out as one, and not even written for each of them.
        before = watching.left_out
        io.emit("x", "\u20ac" * 5_000)
        assert watching.left_out == before + 1
        # The page is still there.
        assert await page.ask("join", "/", "x") == []


async def test_names_that_are_too_long_are_not_told(serve: Serve, soon: None) -> None:
    io = program()
    long = "/" + "x" * 300
    io.of(long)
    async with serve(io.hub) as server, joining(server, long) as unseen, joining(server) as peer:
        async with looking(server) as page:
            assert unseen.sid not in await has_begun(page)
            io.sockets.sockets[peer.sid].join([long, "short"])
            assert (await page.next_of("room_joined"))[2] == "short"
            stats = (await page.next_of("server_stats"))[1]
            assert [nsp["name"] for nsp in stats["namespaces"]] == ["/", "/admin"]
        async with looking(server) as page:
            assert sorted((await has_begun(page))[peer.sid]["rooms"]) == sorted([peer.sid, "lobby", "short"])


async def test_nothing_is_kept_or_told_while_nobody_looks(serve: Serve, soon: None) -> None:
    io = program()
    panel = io._admin
    assert panel is not None
    assert panel.watcher is not None
    async with serve(io.hub) as server, joining(server) as peer:
        await peer.emit("say", "x", ack=1)
        for _ in range(3):
            await peer.recv()
        assert not panel.watcher._told
        assert panel._timer is None
        for _ in range(2):
            async with looking(server) as page:
                await has_begun(page)
                assert panel.watcher._told
                # What has happened before is not told.
                stats = (await page.next_of("server_stats"))[1]
                kinds = {event["type"] for event in stats["aggregatedEvents"]}
                assert "rawConnection" not in kinds
                assert "packetsIn" not in kinds
                assert panel._timer is not None
            await until(lambda: not io.of("/admin").sockets)
            assert not panel.watcher._told
            assert panel._timer is None


# ---- production mode


async def test_in_production_mode_numbers_are_told_and_nothing_else(serve: Serve, soon: None) -> None:
    io = program(mode="production")
    async with serve(io.hub) as server, looking(server) as page:
        told = await page.until("server_stats")
        async with joining(server) as peer:
            await peer.emit("say", "x", ack=1)
            for _ in range(3):
                await peer.recv()
            while told[-1][1]["namespaces"][0]["socketsCount"] != 1:
                told.append(await page.next())
        while "rawDisconnection" not in str(told[-1]):
            told.append(await page.next())
    assert [event[0] for event in told[:2]] == ["session", "config"]
    assert {event[0] for event in told[2:]} == {"server_stats"}
    counted: dict[str, int] = {}
    for _, stats in told[2:]:
        for event in stats["aggregatedEvents"]:
            assert event["timestamp"] % 1000 == 0
            counted[event["type"]] = counted.get(event["type"], 0) + event["count"]
    assert counted.keys() == {"rawConnection", "rawDisconnection", "packetsIn", "packetsOut", "bytesIn", "bytesOut"}
    assert counted["rawConnection"] == counted["rawDisconnection"] == 1
    stats = told[-1][1]
    assert (stats["serverId"], stats["hostname"], stats["pid"]) == ("here", sockets.gethostname(), os.getpid())
    assert stats["namespaces"] == [{"name": "/", "socketsCount": 0}, {"name": "/admin", "socketsCount": 1}]
    assert (stats["clientsCount"], stats["pollingClientsCount"]) == (1, 0)


async def test_in_production_mode_sockets_are_as_without_an_admin() -> None:
    bare, instrumented = SocketIo(Hub()), SocketIo(Hub())
    instrumented.instrument(auth=ADA, mode="production")
    for name in ("/", "/x"):
        for io in (bare, instrumented):
            assert io.of(name)._socket_type is Socket
            assert io.of(name)._watcher is None
            assert not io.of(name).adapter._listeners


# ---- what the page may do


async def test_the_page_joins_leaves_emits_and_disconnects(serve: Serve) -> None:
    io = program()
    async with serve(io.hub) as server, looking(server) as page, joining(server) as peer, joining(server) as other:
        ask = page.ask
        assert await ask("join", "/", "one", peer.sid) == []
        assert await ask("join", "/", "all", None) == []
        assert await ask("join", "/", "also all", "") == []
        assert io.adapter.rooms["one"] == {peer.sid}
        assert io.adapter.rooms["all"] == io.adapter.rooms["also all"] == {peer.sid, other.sid}
        assert await ask("leave", "/", "also all") == []
        assert await ask("leave", "/", "all", other.sid) == []
        assert "also all" not in io.adapter.rooms
        assert io.adapter.rooms["all"] == {peer.sid}
        assert await ask("emit", "/", "one", "x", {"a": 1}, 2) == []
        assert await ask("emit", "/", None, "y") == []
        assert await peer.event() == ["x", {"a": 1}, 2]
        assert await peer.event() == await other.event() == ["y"]
        assert await ask("_disconnect", "/", False, "all") == []
        assert await peer.recv() == "1"
        assert set(io.sockets.sockets) == {other.sid}
        assert await ask("_disconnect", "/", True, other.sid) == []
        assert await other.recv() == "1"
        await other.ended()


async def test_a_page_may_disconnect_another(serve: Serve) -> None:
    io = program()
    async with serve(io.hub) as server, looking(server) as page, looking(server) as other:
        await page.peer.emit("_disconnect", "/admin", False, other.peer.sid, nsp="/admin")
        assert (await page.next_of("socket_disconnected"))[:3] == ["socket_disconnected", "/admin", other.peer.sid]
        while await other.peer.recv() != "1/admin,":
            pass
        # And that is the last that it is told.
        assert str(await other.peer.asked("/nowhere")).startswith("4/nowhere,")


REFUSED = [
    ["join"],
    ["join", "/"],
    ["join", "/nowhere", "room"],
    ["join", None, "room"],
    ["join", ["/"], "room"],
    ["join", "/", None],
    ["join", "/", ""],
    ["join", "/", {"room": 1}],
    ["join", "/", ["room"]],
    ["join", "/", "room", 5],
    ["join", "/", "room", ["x"]],
    ["join", "/", "room", None, "more"],
    ["leave", "/"],
    ["leave", "/", 1],
    ["_disconnect"],
    ["_disconnect", "/", "yes"],
    ["_disconnect", "/", None],
    ["_disconnect", "/", True, {}],
    ["_disconnect", "/nowhere", True],
    ["emit", "/", None],
    ["emit", "/", None, 1],
    ["emit", "/", None, ""],
    ["emit", "/", None, "connect"],
    ["emit", "/", None, "disconnect"],
    ["emit", "/admin", None, "config", {}],
]


async def test_what_the_page_would_never_ask_changes_nothing_and_is_answered(serve: Serve) -> None:
    io = program()
    async with serve(io.hub) as server, looking(server) as page, joining(server) as peer:
        for asked in REFUSED:
            (answer,) = await page.ask(*asked)
            assert list(answer) == ["error"], asked
            # Nor without an acknowledgement.
            await page.peer.emit(*asked, nsp="/admin")
        assert await page.ask("join", "/", "room", "nobody") == []
        assert set(io.adapter.rooms) == {"lobby", peer.sid}
        assert list(io.namespaces) == ["/", "/admin"]
        await peer.settled()


async def test_a_page_that_only_reads_cannot_act(serve: Serve) -> None:
    io = program(read_only=True)
    async with serve(io.hub) as server, looking(server) as page, joining(server) as peer:
        await page.peer.emit("join", "/", "room", nsp="/admin")
        await page.peer.emit("emit", "/", None, "x", nsp="/admin")
        await page.peer.emit("_disconnect", "/", True, nsp="/admin")
        # Its answer comes when everything before has been handled.
        await page.peer.send("0/nowhere,")
        while not str(await page.peer.recv()).startswith("4/nowhere,"):
            pass
        await peer.settled()
        assert set(io.adapter.rooms) == {"lobby", peer.sid}


async def test_clients_of_other_namespaces_cannot_act(serve: Serve) -> None:
    io = program()
    async with serve(io.hub) as server, joining(server) as other, joining(server) as peer:
        await peer.emit("_disconnect", "/", True)
        await peer.settled()
        await other.settled()
        assert len(io.sockets.sockets) == 2


# ---- beside other things


async def test_in_production_a_page_cannot_act_on_a_program_of_python_socketio() -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [*ALL, "AGGREGATED_EVENTS", "ALL_EVENTS"]),
        ({"mode": "production"}, ["AGGREGATED_EVENTS"]),
    ]
    for options, features in cases:
        sio = compat.AsyncServer(async_mode="asgi")
        sio.instrument(auth=ADA, **options)
        compat.ASGIApp(sio)
        assert sio._carrier is not None
        assert sio._carrier._admin is not None
        assert sio._carrier._admin._features == features


async def test_state_recovery_is_not_for_the_page(serve: Serve) -> None:
    hub = Hub()
    io = SocketIo(hub, connection_state_recovery=True)
    io.instrument(auth=ADA)
    async with serve(hub) as server, looking(server) as page, joining(server) as peer:
        assert io.of("/admin").sockets[page.peer.sid]._session is None
        assert io.sockets.sockets[peer.sid]._session is not None
        await has_begun(page)
        io.emit("x")
        # Without the offset that its client is sent.
        assert (await page.next_of("event_sent"))[2:4] == [peer.sid, ["x"]]


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("auth", ["pair", "function"])
async def test_a_program_of_python_socketio_can_be_watched(
    serve: Serve, anyio_backend_name: str, kind: str, when: str, auth: str
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("python-socketio's API is for asyncio")
    sio: Any = compat.AsyncServer(async_mode="asgi") if kind == "async" else compat.Server()
    options = {"auth": ADA if auth == "pair" else lambda told: told == ADA, "server_stats_interval": 0.1}
    if when == "before":
        sio.instrument(**options)
    app = compat.ASGIApp(sio) if kind == "async" else compat.WSGIApp(sio)
    if when == "after":
        sio.instrument(**options)
    with pytest.raises(ValueError, match="already"):
        sio.instrument(**options)
    heard: list[Any] = []
    sio.on("say", lambda sid, text: heard.append(text))
    async with serve(app.hub) as server:
        async with connecting(server) as peer:
            assert "invalid credentials" in str(await peer.asked("/admin", {"username": "ada", "password": "x"}))
        async with looking(server) as page, joining(server) as peer:
            await has_begun(page)
            await peer.emit("say", "hello")
            assert (await page.next_of("event_received"))[:4] == ["event_received", "/", peer.sid, ["say", "hello"]]
            assert await page.ask("join", "/", "room", peer.sid) == []
            assert "room" in sio.rooms(peer.sid) if kind == "async" else True
            assert await page.ask("emit", "/", "room", "x", 1) == []
            assert await peer.event() == ["x", 1]
            stats = (await page.next_of("server_stats"))[1]
            assert stats["clientsCount"] == 2
            assert await page.ask("_disconnect", "/", False, peer.sid) == []
            assert await peer.recv() == "1"
    assert heard == ["hello"]
