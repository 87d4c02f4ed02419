"""Namespaces, and the middleware that clients have to pass."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest

from hubbub import Hub
from hubbub.socketio import ConnectError, Namespace, Server, Socket
from support.handlers import KINDS
from support.server import Serve, until
from support.socketio import connecting, joining

pytestmark = pytest.mark.anyio

kinds = pytest.mark.parametrize("kind", KINDS)


def settling(nsp: Any) -> None:
    nsp.on("connection", lambda socket: socket.on("settle", lambda: None))


# ---- which there are


async def test_namespaces_do_not_hear_each_other(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub)
    news = io.of("news")
    heard: list[tuple[str, str]] = []
    for nsp in (io.sockets, news):

        @nsp.on("connection")
        def connected(socket: Socket) -> None:
            socket.on("event", lambda: heard.append((socket.nsp.name, socket.id)))
            socket.on("settle", lambda: None)
            socket.join("room")

    async with serve(hub) as server, joining(server) as peer:
        main = peer.sid
        await peer.join("/news")
        assert peer.sid != main
        io.emit("to all of", "/")
        news.emit("to all of", "/news")
        io.to("room").emit("to the room of", "/")
        news.to("room").emit("to the room of", "/news")
        news.to(main).emit("to nobody")
        io.to(main).emit("to one")
        assert await peer.event() == ["to all of", "/"]
        assert await peer.event("/news") == ["to all of", "/news"]
        assert await peer.event() == ["to the room of", "/"]
        assert await peer.event("/news") == ["to the room of", "/news"]
        assert await peer.event() == ["to one"]
        await peer.emit("event", nsp="/news")
        await peer.settled("/news")
        assert heard == [("/news", peer.sid)]
        await peer.send("1/news,")
        await peer.settled()
        assert not news.sockets
        assert set(io.sockets.sockets) == {main}
        assert io.adapter.rooms == {main: {main}, "room": {main}}


def test_a_namespace_is_made_once() -> None:
    io = Server(Hub())
    made: list[Namespace] = []
    io.on("new_namespace", made.append)
    assert io.of("/") is io.sockets
    assert io.of("/a") is io.of("a")
    assert made == [io.of("/a")]
    assert list(io.namespaces) == ["/", "/a"]
    assert io.find_namespace("/a") is io.namespaces["/a"]
    assert (io.find_namespace("/b"), io.find_namespace(7)) == (None, None)
    for wrong in ("/a,b", "/a\0", "/a\n"):
        with pytest.raises(ValueError, match="namespace"):
            io.of(wrong)
    with pytest.raises(TypeError, match="namespace"):
        io.of(1)  # type: ignore[call-overload]


@kinds
async def test_a_pattern_or_a_function_allows_namespaces(serve: Serve, kind: Any) -> None:
    hub = Hub()
    io = Server(hub)
    parent = io.of(re.compile(r"^/room-\d+$"))
    members = io.of(kind(lambda name, auth: name == "/members" and auth.get("token") == "x"))
    made: list[str] = []
    io.on("new_namespace", lambda nsp: made.append(nsp.name))
    for nsp in (parent, members):
        settling(nsp)
    async with serve(hub) as server, connecting(server) as peer:
        assert await peer.asked("/room-x") == '4/room-x,{"message":"Invalid namespace"}'
        assert await peer.asked("/members", {"token": "y"}) == '4/members,{"message":"Invalid namespace"}'
        await peer.join("/members", {"token": "x"})
        async with connecting(server) as other:
            assert await other.asked("/members", {"token": "y"}) == '4/members,{"message":"Invalid namespace"}'
        for name in ("/room-1", "/room-2"):
            await peer.join(name)
            await peer.settled(name)
        assert made == ["/members", "/room-1", "/room-2"]
        parent.emit("to all rooms")
        events = [await peer.recv(), await peer.recv()]
        assert sorted(map(str, events)) == ['2/room-1,["to all rooms"]', '2/room-2,["to all rooms"]']
        assert io.of("/room-1") in parent.children
        with pytest.raises(ValueError, match="children"):
            await parent.fetch_sockets()


@pytest.mark.parametrize("value", [None, 1, "yes", RuntimeError("broken"), ConnectError("no")])
async def test_a_function_that_does_not_say_true_allows_nothing(serve: Serve, value: Any, failures: list[Any]) -> None:
    hub = Hub()
    io = Server(hub)

    def allow(name: str, auth: dict[str, Any]) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    io.of(allow)
    async with serve(hub) as server, connecting(server) as peer:
        assert await peer.asked("/x") == '4/x,{"message":"Invalid namespace"}'
        assert len(failures) == (1 if isinstance(value, RuntimeError) else 0)


@pytest.mark.parametrize("clean", [True, False])
async def test_an_empty_namespace_of_a_pattern_can_be_forgotten(serve: Serve, clean: bool) -> None:
    hub = Hub()
    io = Server(hub, cleanup_empty_child_namespaces=clean)
    parent = io.of(re.compile("^/x"))
    released = anyio.Event()

    @parent.use
    async def middleware(socket: Socket) -> None:
        if socket.handshake.auth:
            await released.wait()
            raise ConnectError("no")

    async with serve(hub) as server, joining(server, "/x") as peer:
        await peer.send("1/x,")
        await peer.join("/")
        assert ("/x" in io.namespaces) is not clean
        assert bool(parent.children) is not clean
        # Nor is it forgotten while somebody is being let in.
        await peer.send('0/x,{"wait":true}')
        async with joining(server, "/x"):
            before = io.of("/x")
        await until(lambda: not before.sockets)
        assert io.namespaces["/x"] is before
        released.set()
        assert await peer.recv() == '4/x,{"message":"no"}'
        assert ("/x" in io.namespaces) is not clean


# ---- middleware


@kinds
async def test_middleware_is_asked_in_order_and_may_refuse(serve: Serve, kind: Any) -> None:
    hub = Hub()
    io = Server(hub)
    asked: list[Any] = []

    def first(socket: Socket) -> None:
        asked.append(("first", socket.connected))
        socket.data["user"] = socket.handshake.auth.get("user")
        socket.join("members")

    def second(socket: Socket) -> None:
        asked.append("second")
        if socket.data["user"] is None:
            raise ConnectError("not authorized", {"retry": False})

    io.use(kind(first))
    io.use(kind(second))
    io.on("connection", lambda socket: asked.append(socket.data["user"]))
    async with serve(hub) as server, connecting(server) as peer:
        assert await peer.asked("/") == '4{"message":"not authorized","data":{"retry":false}}'
        assert not io.sockets.sockets
        assert not io.adapter.rooms
        await peer.join(auth={"user": "alice"})
        assert io.adapter.rooms == {peer.sid: {peer.sid}, "members": {peer.sid}}
    once = [("first", False), "second"]
    assert asked == [*once, *once, "alice"]


class Refusal(Exception):
    data = (1, 2)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (None, '0{"sid"'),
        (ConnectError("no"), '4{"message":"no"}'),
        (ValueError("no"), '4{"message":"no"}'),
        ("no", '4{"message":"no"}'),
        (Refusal("no"), '4{"message":"no","data":[1,2]}'),
    ],
)
@pytest.mark.parametrize("later", [False, True])
async def test_middleware_may_call_next(serve: Serve, error: Any, answer: str, later: bool) -> None:
    hub = Hub()
    io = Server(hub)

    @io.use
    async def asynchronous(socket: Socket, next: Any) -> None:
        if later:
            await anyio.sleep(0.01)
        next(error)
        next("a second time changes nothing")

    async with serve(hub) as server, connecting(server) as peer:
        assert str(await peer.asked("/")).startswith(answer)


@kinds
async def test_what_else_a_middleware_raises_is_not_told_to_the_client(
    serve: Serve, kind: Any, failures: list[Any]
) -> None:
    hub = Hub()
    io = Server(hub)

    def fail(socket: Socket) -> None:
        raise KeyError("a secret")

    io.use(kind(fail))
    async with serve(hub) as server, connecting(server) as peer:
        assert await peer.asked("/") == '4{"message":"internal error"}'
        assert len(failures) == 1


async def test_nothing_of_a_namespace_works_before_its_middleware_has_answered(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub)
    io.of("/b")
    released = anyio.Event()
    told: list[Any] = []

    @io.use
    async def middleware(socket: Socket) -> None:
        socket.on("disconnect", told.append)
        assert socket.emit("too early") is not None
        await released.wait()

    io.on("connection", told.append)
    async with serve(hub) as server:
        for packet in ("0", '2["event"]', "1"):
            async with connecting(server) as peer:
                await peer.join("/b")
                await peer.send("0")
                assert await peer.recv() == '2["too early"]'
                io.emit("for nobody")
                await peer.send(packet)
                await peer.ended()
        await until(lambda: io.clients_count == 0)
        released.set()
        await anyio.sleep(0.01)
        assert not io.sockets.sockets
        assert not io.adapter.rooms
    assert told == []


async def test_who_is_let_in_too_late_is_gone(serve: Serve) -> None:
    hub = Hub()
    io = Server(hub, connect_timeout=0.05)

    @io.use
    async def middleware(socket: Socket) -> None:
        await anyio.sleep(0.2)

    io.on("connection", lambda socket: pytest.fail("it is gone"))
    async with serve(hub) as server, connecting(server) as peer:
        await peer.send("0")
        await peer.ended()
        await anyio.sleep(0.25)
        assert not io.sockets.sockets
