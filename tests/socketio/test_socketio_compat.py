"""python-socketio's API: each test is run with `hubbub.socketio.compat` and with python-socketio itself, and both pass.

The latter is an ASGI application of a hub's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

import socketio
from hubbub import Hub
from hubbub.socketio import compat
from support.server import Serve, Server, until
from support.socketio import Peer, connecting

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[{"use_uvloop": False}, {"use_uvloop": True}], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    # python-socketio is for asyncio.
    return "asyncio", request.param


@pytest.fixture(params=[compat, socketio], ids=["compat", "original"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return request.param  # type: ignore[no-any-return]


class Program:
    """A server of either kind, and clients."""

    def __init__(self, module: ModuleType, serve: Serve, **options: Any) -> None:
        self.sio = module.AsyncServer(async_mode="asgi", **options)
        self.exceptions = module.exceptions
        self._module = module
        self._serve = serve

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        app = self._module.ASGIApp(self.sio)
        hub = app.hub if isinstance(app, compat.ASGIApp) else Hub(app=app)
        async with self._serve(hub) as server:
            yield server

    @asynccontextmanager
    async def clients(self, *names: str, auth: Any = None) -> AsyncIterator[list[Peer]]:
        """So many clients, each in the namespace of this name."""
        async with self.running() as server, AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(connecting(server)) for _ in names]
            for peer, name in zip(peers, names, strict=True):
                await join(peer, name, auth)
            yield peers


async def join(peer: Peer, nsp: str = "/", auth: Any = None) -> list[Any]:
    """Into a namespace; what events came before or with the answer: the original sends them before it."""
    written = "" if nsp == "/" else f"{nsp},"
    await peer.send(f"0{written}{'' if auth is None else json.dumps(auth)}")
    events = []
    while True:
        packet = await peer.recv()
        assert isinstance(packet, str)
        if packet.startswith(f"0{written}"):
            peer.sid = json.loads(packet[1 + len(written) :])["sid"]
            return events
        assert packet.startswith(f"2{written}"), packet
        events.append(json.loads(packet[1 + len(written) :]))


async def refused(peer: Peer, nsp: str, auth: Any = None) -> Any:
    """What the client is told that is not let in."""
    packet = await peer.asked(nsp, auth)
    assert isinstance(packet, str)
    assert packet.startswith(f"4{nsp},"), packet
    return json.loads(packet[2 + len(nsp) :])


async def acked(peer: Peer, nsp: str, *args: Any) -> list[Any]:
    """What an event is acknowledged with."""
    await peer.emit(*args, nsp=nsp, ack=1)
    packet = await peer.recv()
    written = "" if nsp == "/" else f"{nsp},"
    assert isinstance(packet, str)
    assert packet.startswith(f"3{written}1["), packet
    return list(json.loads(packet[2 + len(written) :]))


# ---- events


async def test_an_event_is_acknowledged_with_what_its_handler_returns(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    sio = program.sio

    @sio.event
    def plain(sid: str, *args: Any) -> Any:
        return [sid, *args]

    @sio.on("with spaces")
    async def later(sid: str) -> Any:
        await asyncio.sleep(0)
        return 1, "two", None

    @sio.event(namespace="/other")
    def nothing(sid: str) -> None: ...

    sio.on("lambda", lambda sid: {"a": True}, namespace="/other")
    async with program.clients("/", "/other") as (first, other):
        assert await acked(first, "/", "plain", 1, {"x": None}) == [[first.sid, 1, {"x": None}]]
        assert await acked(first, "/", "with spaces") == [1, "two", None]
        assert await acked(other, "/other", "nothing") == []
        assert await acked(other, "/other", "lambda") == [{"a": True}]


async def test_events_reach_those_they_are_for(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    sio = program.sio

    @sio.event
    async def tell(sid: str, data: Any, how: dict[str, Any]) -> None:
        await sio.emit("told", tuple(data) if isinstance(data, list) else data, **how)
        await sio.emit("end")

    @sio.event
    async def enter(sid: str, room: Any) -> None:
        await sio.enter_room(sid, room)

    async with program.clients("/", "/", "/") as peers:
        one, two, three = peers
        for peer, room in ((one, "a"), (two, "a"), (two, "b"), (three, 7)):
            assert await acked(peer, "/", "enter", room) == []

        async def reached(data: Any, **how: Any) -> list[list[Any]]:
            await one.emit("tell", data, how)
            came: list[list[Any]] = []
            for peer in peers:
                events = []
                while (event := await peer.event()) != ["end"]:
                    events.append(event)
                came.append(events)
            return came

        told = [["told", 1]]
        assert await reached(1) == [told, told, told]
        assert await reached(1, to=one.sid) == [told, [], []]
        assert await reached(1, room="a") == [told, told, []]
        assert await reached(1, to="a", skip_sid=one.sid) == [[], told, []]
        assert await reached(1, skip_sid=[one.sid, two.sid]) == [[], [], told]
        assert await reached(1, room=["a", "b"]) == [told, told, []]
        assert await reached(1, room=["b", three.sid]) == [[], told, told]
        assert await reached(1, room=7) == [[], [], told]
        assert await reached(1, room="nobody's") == [[], [], []]
        # The original takes these for everyone, or fails.
        if module is compat:
            for nobody in ({"room": []}, {"to": []}, {"room": ""}, {"to": ""}):
                assert await reached(1, **nobody) == [[], [], []]
        assert await reached(1, namespace="/other") == [[], [], []]
        assert await reached(None, to=two.sid) == [[], [["told"]], []]
        assert await reached([1, [2], {"b": 3}], to=two.sid) == [[], [["told", 1, [2], {"b": 3}]], []]
        assert await reached([], to=two.sid) == [[], [["told"]], []]


async def test_bytes_go_both_ways(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)

    @program.sio.event
    async def echo(sid: str, *args: Any) -> None:
        await program.sio.send(args, to=sid)

    async with program.clients("/") as (peer,):
        await peer.send('51-["echo",{"_placeholder":true,"num":0},"x"]', b"\0\1")
        assert await peer.recv() == '51-["message",{"_placeholder":true,"num":0},"x"]'
        assert await peer.recv() == b"\0\1"


async def test_what_has_no_handler_is_for_the_star(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve, namespaces="*")
    sio = program.sio

    @sio.on("known")
    def known(sid: str, x: int) -> Any:
        return "known", x

    @sio.on("*")
    def unknown(event: str, sid: str, *args: Any) -> Any:
        return "unknown", event, *args

    @sio.on("anywhere", namespace="*")
    def anywhere(namespace: str, sid: str, *args: Any) -> Any:
        return "anywhere", namespace, *args

    @sio.on("*", namespace="*")
    def whatever(event: str, namespace: str, sid: str, *args: Any) -> Any:
        return "whatever", event, namespace, *args

    async with program.clients("/", "/x") as (root, other):
        assert await acked(root, "/", "known", 1) == ["known", 1]
        assert await acked(root, "/", "else", 1) == ["unknown", "else", 1]
        assert await acked(root, "/", "anywhere", 1) == ["unknown", "anywhere", 1]
        assert await acked(other, "/x", "anywhere", 1) == ["anywhere", "/x", 1]
        assert await acked(other, "/x", "known", 1) == ["whatever", "known", "/x", 1]


async def test_an_event_called_star_is_one_like_the_others_for_who_hears_all(serve: Serve) -> None:
    # The original calls the handler without the event's name: what the client has sent then stands for the client's id.
    program = Program(compat, serve, namespaces="*")

    @program.sio.on("*")
    def unknown(event: str, sid: str, *args: Any) -> Any:
        return event, program.sio.get_environ(sid) is not None, *args

    @program.sio.on("*", namespace="*")
    def whatever(event: str, namespace: str, sid: str, *args: Any) -> Any:
        return event, namespace, *args

    async with program.clients("/", "/x") as (root, other):
        assert await acked(root, "/", "*", root.sid) == ["*", True, root.sid]
        assert await acked(other, "/x", "*", 1) == ["*", "/x", 1]


async def test_a_client_is_asked_and_answers(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    sio = program.sio
    heard: list[Any] = []

    @sio.event
    async def ask(sid: str, timeout: float) -> Any:
        try:
            return "answer", await sio.call("question", ("a", 1), to=sid, timeout=timeout)
        except program.exceptions.TimeoutError:
            return "timeout"

    @sio.event
    async def tell(sid: str) -> None:
        await sio.emit("question", to=sid, callback=lambda *args: heard.append(args))

    @sio.event
    def heard_of(sid: str) -> Any:
        return heard

    async with program.clients("/") as (peer,):
        for sent, answer in (("[]", None), ("[5]", 5), ("[5,6]", [5, 6])):
            await peer.emit("ask", 5, ack=1)
            question = await peer.recv()
            assert isinstance(question, str)
            number = question.removeprefix("2").removesuffix('["question","a",1]')
            await peer.send(f"3{number}{sent}")
            assert await peer.recv() == f"31{json.dumps(['answer', answer], separators=(',', ':'))}"
        await peer.emit("ask", 0.01, ack=2)
        await peer.recv()
        assert await peer.recv() == '32["timeout"]'
        await peer.emit("tell")
        question = await peer.recv()
        assert isinstance(question, str)
        number = question.removeprefix("2").removesuffix('["question"]')
        await peer.send(f"3{number}[1,2]")
        assert await acked(peer, "/", "heard_of") == [[[1, 2]]]


async def test_only_a_client_can_be_asked(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    async with program.running():
        with pytest.raises(ValueError, match="Cannot use call"):
            await program.sio.call("question")
        # Nobody is there.
        await program.sio.emit("event", to="nobody")
        with pytest.raises(program.exceptions.TimeoutError):
            await program.sio.call("question", to="nobody", timeout=0.01)
    orderly = Program(module, serve, async_handlers=False)
    with pytest.raises(RuntimeError, match="async_handlers is False"):
        await orderly.sio.call("question", to="somebody")


@pytest.mark.parametrize("async_handlers", [True, False])
async def test_handlers_run_side_by_side_or_in_order(module: ModuleType, serve: Serve, async_handlers: bool) -> None:
    program = Program(module, serve, async_handlers=async_handlers)
    gate = asyncio.Event()

    @program.sio.event
    async def wait(sid: str) -> None:
        await gate.wait()

    @program.sio.event
    async def go(sid: str) -> None:
        gate.set()

    @program.sio.event
    async def soon(sid: str) -> None:
        await asyncio.sleep(0)

    async with program.clients("/") as (peer,):
        if async_handlers:
            await peer.emit("wait", ack=1)
            await peer.emit("go", ack=2)
            assert {await peer.recv(), await peer.recv()} == {"31[]", "32[]"}
        else:
            for number in range(1, 4):
                await peer.emit("soon", ack=number)
            assert [await peer.recv() for _ in range(3)] == ["31[]", "32[]", "33[]"]


# ---- coming and going


async def test_a_connect_handler_sees_who_comes(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    seen: dict[str, tuple[Any, ...]] = {}

    @program.sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        seen["/"] = (sid, environ, auth)

    @program.sio.on("connect", namespace="/two")
    def connect_two(sid: str, environ: dict[str, Any]) -> None:
        seen["/two"] = (sid, environ)

    async with program.running() as server, connecting(server, query="&room=a%20b", headers={"X-One": "1"}) as peer:
        await join(peer, auth={"token": "t"})
        sid, environ, auth = seen["/"]
        assert (sid, auth) == (peer.sid, {"token": "t"})
        assert environ["HTTP_X_ONE"] == "1"
        assert environ["PATH_INFO"] == "/socket.io/"
        assert environ["QUERY_STRING"].endswith("&room=a%20b")
        assert environ["asgi.scope"]["type"] == "websocket"
        assert environ["asgi.scope"]["client"][0] == "127.0.0.1"
        assert (b"x-one", b"1") in environ["asgi.scope"]["headers"]
        assert program.sio.get_environ(sid) is environ
        await join(peer, "/two")
        assert seen["/two"] == (peer.sid, environ)
        assert program.sio.transport(peer.sid, "/two") == "websocket"


async def test_a_connect_handler_can_refuse(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    sio, refusal = program.sio, program.exceptions.ConnectionRefusedError
    gone: list[str] = []

    @sio.on("connect", namespace="/false")
    async def never(sid: str, environ: Any) -> bool:
        return False

    def raising(namespace: str, error: Exception) -> None:
        @sio.on("connect", namespace=namespace)
        def refuse(sid: str, environ: Any) -> None:
            raise error

    raising("/plain", refusal())
    raising("/why", refusal("why"))
    raising("/data", refusal("why", {"code": 1}))
    raising("/much", refusal("why", 1, "two"))
    raising("/system", ConnectionRefusedError())
    sio.on("disconnect", gone.append, namespace="/false")
    async with program.running() as server, connecting(server) as peer:
        assert await refused(peer, "/false") == {"message": "Connection rejected by server"}
        assert await refused(peer, "/plain") == {"message": "Connection rejected by server"}
        assert await refused(peer, "/why") == {"message": "why"}
        assert await refused(peer, "/data") == {"message": "why", "data": {"code": 1}}
        assert await refused(peer, "/much") == {"message": "why", "data": [1, "two"]}
        assert await refused(peer, "/system") == {"message": "Connection refused by server"}
        await join(peer)
    assert gone == []


async def test_a_connect_handler_can_send_and_join(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    sio = program.sio

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.enter_room(sid, "lobby")
        await sio.emit("to", 1, to=sid)
        await sio.emit("room", 2, room="lobby")
        await sio.emit("all", 3)
        await sio.emit("not", 4, skip_sid=sid)
        await sio.emit("else", 5, room="elsewhere")
        async with sio.session(sid) as session:
            session["rooms"] = sorted(sio.rooms(sid))

    @sio.event
    async def last(sid: str) -> Any:
        return (await sio.get_session(sid))["rooms"], sorted(sio.rooms(sid))

    async with program.running() as server, connecting(server) as peer:
        events = await join(peer)
        while len(events) < 3:
            events.append(await peer.event())
        assert events == [["to", 1], ["room", 2], ["all", 3]]
        rooms = sorted([peer.sid, "lobby"])
        assert await acked(peer, "/", "last") == [rooms, rooms]


async def test_what_is_sent_while_connect_handlers_wait_reaches_those_it_is_for(
    module: ModuleType, serve: Serve
) -> None:
    program = Program(module, serve)
    sio = program.sio
    waiting: dict[str, str] = {}
    decided = asyncio.Event()

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        waiting[auth["name"]] = sid
        if auth["name"] == "a":
            await sio.enter_room(sid, "lobby")
        await decided.wait()

    async with program.running() as server, AsyncExitStack() as stack:
        peers = {name: await stack.enter_async_context(connecting(server)) for name in "abc"}
        for name, peer in peers.items():
            await peer.send(f'0{{"name":"{name}"}}')
        await until(lambda: len(waiting) == 3)
        await sio.emit("room", room="lobby")
        await sio.emit("one", room=waiting["b"])
        await sio.emit("both", room=["lobby", waiting["b"]])
        await sio.emit("but a", skip_sid=waiting["a"])
        decided.set()
        await until(lambda: all(sio.rooms(sid) for sid in waiting.values()))
        await sio.emit("last")
        expected = {"a": ["room", "both"], "b": ["one", "both", "but a"], "c": ["but a"]}
        for name, peer in peers.items():
            events = []
            while not events or events[-1] != "last":
                packet = str(await peer.recv())
                if packet.startswith("2"):
                    events += json.loads(packet[1:])
            assert events == [*expected[name], "last"]


async def test_always_connect_lets_in_first(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve, always_connect=True)

    @program.sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        await program.sio.emit("asked", to=sid)
        return auth is None

    async with program.running() as server, connecting(server) as peer:
        assert await join(peer) == []
        assert await peer.event() == ["asked"]
        async with connecting(server) as other:
            assert await join(other, auth={"a": 1}) == []
            assert await other.event() == ["asked"]
            packet = await other.recv()
            assert str(packet).startswith("1")


@pytest.mark.parametrize(
    ("namespaces", "allowed", "not_allowed"),
    [(None, ["/", "/handled", "/class"], ["/x"]), (["/x"], ["/x", "/handled"], ["/"]), ("*", ["/", "/x", "/y"], [])],
    ids=["default", "listed", "all"],
)
async def test_which_namespaces_there_are(
    module: ModuleType, serve: Serve, namespaces: Any, allowed: list[str], not_allowed: list[str]
) -> None:
    program = Program(module, serve, namespaces=namespaces)
    program.sio.on("event", lambda sid: None, namespace="/handled")
    program.sio.register_namespace(module.AsyncNamespace("/class"))
    async with program.running() as server, connecting(server) as peer:
        for name in not_allowed:
            packet = await peer.asked(name) if name != "/" else None
            if packet is None:
                await peer.send("0")
                packet = await peer.recv()
            assert str(packet).startswith("4")
        for name in allowed:
            await join(peer, name)


@pytest.mark.parametrize("with_reason", [True, False])
async def test_a_disconnect_handler_hears_why_and_still_knows_who(
    module: ModuleType, serve: Serve, with_reason: bool
) -> None:
    program = Program(module, serve)
    sio = program.sio
    gone: asyncio.Queue[Any] = asyncio.Queue()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.save_session(sid, {"name": "n"})
        await sio.enter_room(sid, "a")

    async def heard(sid: str, reason: str) -> None:
        gone.put_nowait((sid, reason, await sio.get_session(sid), sorted(sio.rooms(sid))))

    if with_reason:
        sio.on("disconnect", heard)
    else:

        @sio.event
        async def disconnect(sid: str) -> None:
            await heard(sid, "")

    @sio.event
    async def leave(sid: str) -> None:
        await sio.disconnect(sid)

    async with program.clients("/", "/", "/") as (one, two, three):
        await one.send("1")
        reasons = []
        for peer in (one, two, three):
            if peer is two:
                await two.emit("leave")
                assert str(await two.recv()).startswith("1")
            elif peer is three:
                three.client.abort()
            sid, reason, session, rooms = await gone.get()
            assert (sid, session, rooms) == (peer.sid, {"name": "n"}, sorted([peer.sid, "a"]))
            reasons.append(reason)
            if peer is one:
                await join(one)
    if with_reason:
        assert reasons[:2] == ["client disconnect", "server disconnect"]
        assert reasons[2] in ("transport close", "transport error")


# ---- rooms and sessions


async def test_rooms_are_entered_left_and_closed(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve, namespaces="*")
    sio = program.sio
    async with program.clients("/", "/other") as (one, other):
        await sio.enter_room(one.sid, "a")
        await sio.enter_room(one.sid, 5)
        await sio.enter_room(other.sid, "a", namespace="/other")
        assert set(sio.rooms(one.sid)) == {one.sid, "a", 5}
        await sio.leave_room(one.sid, "a")
        await sio.leave_room(one.sid, "never entered")
        assert set(sio.rooms(one.sid)) == {one.sid, 5}
        await sio.close_room(5)
        await sio.close_room("nobody's")
        assert sio.rooms(one.sid) == [one.sid]
        assert set(sio.rooms(other.sid, "/other")) == {other.sid, "a"}
        assert sio.rooms("nobody") == []
        with pytest.raises(ValueError, match="not connected to requested namespace"):
            await sio.enter_room("nobody", "a", namespace="/nowhere")


async def test_sessions_are_kept_by_client_and_namespace(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)
    sio = program.sio
    async with program.running() as server, connecting(server) as peer:
        sio.on("event", lambda sid: None, namespace="/other")
        await join(peer)
        first = peer.sid
        await join(peer, "/other")
        async with sio.session(first) as session:
            session["n"] = 1
        await sio.save_session(peer.sid, {"n": 2}, namespace="/other")
        assert await sio.get_session(first) == {"n": 1}
        assert await sio.get_session(peer.sid, namespace="/other") == {"n": 2}
        with pytest.raises(KeyError):
            await sio.get_session("nobody")


async def test_a_namespace_may_be_a_class(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve)

    class Chat(module.AsyncNamespace):  # type: ignore[misc,name-defined]
        secret = "not for clients"

        async def on_connect(self, sid: str, environ: Any) -> None:
            await self.save_session(sid, {"said": 0})
            await self.enter_room(sid, "all")

        async def on_say(self, sid: str, text: str) -> Any:
            async with self.session(sid) as session:
                session["said"] += 1
            await self.emit("said", text, room="all", skip_sid=sid)
            return session["said"], sorted(self.rooms(sid)) == sorted([sid, "all"])

        def on_plain(self, sid: str) -> str:
            return "plain"

        async def on_leave(self, sid: str) -> None:
            await self.disconnect(sid)

    program.sio.register_namespace(Chat("/chat"))
    async with program.clients("/chat", "/chat") as (one, two):
        assert await acked(one, "/chat", "say", "hi") == [1, True]
        assert await two.event("/chat") == ["said", "hi"]
        assert await acked(one, "/chat", "say", "again") == [2, True]
        assert await acked(one, "/chat", "plain") == ["plain"]
        # Nobody handles these, and what an attribute is called is no event's business.
        assert await acked(one, "/chat", "unknown") == []
        assert await acked(one, "/chat", "_set_server", None) == []
        await two.emit("leave", nsp="/chat")
        assert await two.event("/chat") == ["said", "again"]
        assert str(await two.recv()).startswith("1/chat,")
    with pytest.raises(ValueError, match=r"(?i)namespace"):
        program.sio.register_namespace(module.Namespace("/sync"))


# ---- who is where


async def test_the_manager_knows_who_is_where(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve, client_manager=module.AsyncManager(), namespaces=["/", "/b"])
    sio = program.sio
    async with program.clients("/", "/", "/b") as (one, two, three):
        await sio.enter_room(one.sid, "a room")
        await sio.enter_room(one.sid, "another")
        await sio.enter_room(two.sid, "another")
        await sio.enter_room(three.sid, "a room", namespace="/b")

        def sids(*where: Any) -> list[str]:
            return sorted(sid for sid, _ in sio.manager.get_participants(*where))

        assert sorted(sio.manager.get_namespaces()) == ["/", "/b"]
        assert sids("/", None) == sorted([one.sid, two.sid])
        assert sids("/", "a room") == [one.sid]
        assert sids("/", ["a room", "another"]) == sorted([one.sid, two.sid])
        assert sids("/b", "a room") == [three.sid]
        assert sids("/", "nobody") == sids("/c", None) == []
        assert sio.manager.is_connected(one.sid, "/")
        assert not sio.manager.is_connected(one.sid, "/b")
        assert not sio.manager.is_connected("nobody", "/")
        assert set(sio.manager.rooms["/"]["another"]) == {one.sid, two.sid}
        assert set(sio.manager.rooms["/b"]) == {None, three.sid, "a room"}
        assert sorted(sio.manager.get_rooms(one.sid, "/")) == sorted([one.sid, "a room", "another"])
        eio = sio.manager.eio_sid_from_sid(one.sid, "/")
        assert dict(sio.manager.get_participants("/", None))[one.sid] == eio
        assert sio.manager.sid_from_eio_sid(eio, "/") == one.sid
        assert sio.manager.sid_from_eio_sid("nobody", "/") is None
        await sio.disconnect(two.sid)
        assert sids("/", "another") == [one.sid]


# ---- MessagePack


async def test_packets_are_messagepack_where_both_say_so(module: ModuleType, serve: Serve) -> None:
    program = Program(module, serve, serializer="msgpack", namespaces=["/", "/b"])
    sio = program.sio
    heard: asyncio.Queue[Any] = asyncio.Queue()
    value = {"a": [1, -(2**40), 2.5, None, True, "gr\u00fc\u00dfe"], "b": b"\x00\xff", "c": {"d": [b""]}}

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        heard.put_nowait(auth)
        await sio.enter_room(sid, "a room")

    @sio.event
    async def echo(sid: str, *args: Any) -> Any:
        await sio.emit("echo", args, to=sid)
        return args

    @sio.on("echo", namespace="/b")
    async def echo_b(sid: str, *args: Any) -> Any:
        return {"you say": await sio.call("question", args, to=sid, namespace="/b")}

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        heard.put_nowait(reason)

    async with program.running() as server:
        # The judge is python-socketio's own client.
        client = socketio.AsyncClient(serializer="msgpack", reconnection=False)
        told: asyncio.Queue[Any] = asyncio.Queue()
        for event in ("echo", "to all"):
            client.on(event, lambda *args: told.put_nowait(args))
        client.on("question", lambda *args: args, namespace="/b")
        assert server.listening is not None
        url = f"http://127.0.0.1:{server.listening.port}"
        await client.connect(url, auth={"token": b"x"}, namespaces=["/", "/b"])
        assert await heard.get() == {"token": b"x"}
        assert await client.call("echo", (value, 1)) == (value, 1)
        assert await told.get() == (value, 1)
        assert await client.call("echo", value, namespace="/b") == {"you say": value}
        await sio.emit("to all", value, room="a room")
        assert await told.get() == (value,)
        await sio.disconnect(client.get_sid())
        assert await heard.get() == "server disconnect"
        await client.disconnect()
