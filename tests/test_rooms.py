"""Rooms: who is in them, who gets what, and what is known about them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from hubbub import Hub, Limits, Room, TooManyRooms, WebSocket
from support.client import Client
from support.server import Serve, until

pytestmark = [pytest.mark.anyio, pytest.mark.matrix]


def naming_hub(**limits: Any) -> tuple[Hub, dict[str, WebSocket]]:
    """A hub whose sessions are known by the name in their path."""
    hub, sessions = Hub(limits=Limits(**limits)), {}

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        sessions[ws.path.strip("/")] = ws

    return hub, sessions


async def nothing_more(*clients: Client, sessions: dict[str, WebSocket], names: str) -> None:
    """Says something to each and sees that it is the next that each gets."""
    for client, name in zip(clients, names, strict=True):
        sessions[name].send("nothing more")
        assert await client.recv() == "nothing more"


async def test_a_room_is_its_members(serve: Serve) -> None:
    hub, sessions = naming_hub()
    room = hub.room("room")
    async with serve(hub) as server, server.connect("/a") as a, server.connect("/b") as b:
        await until(lambda: len(sessions) == 2)
        one, two = sessions["a"], sessions["b"]
        assert (len(room), list(room), room.members, room.ids) == (0, [], [], [])
        assert bool(room)
        one.join("room")
        assert (len(room), list(room), room.members, room.ids) == (1, [one], [one], [one.id])
        assert one in room
        assert two not in room
        assert "anything else" not in room
        two.join("room")
        two.join("room")
        assert len(room) == 2
        assert set(room) == {one, two}
        assert repr(room) == "<Room 'room'>"
        assert room.name == "room"
        one.leave("room")
        one.leave("room")
        assert list(room) == [two]
        assert (one.rooms, two.rooms) == (frozenset(), frozenset({"room"}))
        room.broadcast("hello")
        assert await b.recv() == "hello"
        await nothing_more(a, sessions=sessions, names="a")


async def test_a_broadcast_reaches_each_member_and_says_how_many(serve: Serve) -> None:
    hub, sessions = naming_hub()
    async with serve(hub) as server, server.connect("/a") as a, server.connect("/b") as b, server.connect("/c") as c:
        await until(lambda: len(sessions) == 3)
        for name in "ab":
            sessions[name].join("room")
        delivery = hub.room("room").broadcast("hello")
        assert await delivery is delivery
        assert (delivery.reached, delivery.dropped, delivery.done) == (2, 0, True)
        assert repr(delivery) == "<Delivery reached=2 dropped=0>"
        assert await delivery is delivery
        assert await a.recv() == await b.recv() == "hello"
        assert (await hub.room("nobody").broadcast("x")).reached == 0
        assert (await hub.broadcast(b"all")).reached == 3
        for client in (a, b, c):
            assert await client.recv() == b"all"


async def test_skip_leaves_sessions_out(serve: Serve) -> None:
    hub, sessions = naming_hub()
    async with serve(hub) as server, server.connect("/a") as a, server.connect("/b") as b, server.connect("/c") as c:
        await until(lambda: len(sessions) == 3)
        one, two, three = (sessions[name] for name in "abc")
        for ws in sessions.values():
            ws.join("room")
        room = hub.room("room")
        assert (await room.broadcast("1", skip=one)).reached == 2
        assert (await room.broadcast("2", skip=[one, two])).reached == 1
        assert (await room.broadcast("3", skip=iter([three]))).reached == 2
        assert (await room.broadcast("4", skip=[])).reached == 3
        assert (await hub.broadcast("5", skip=two)).reached == 2
        assert (await hub.broadcast("6", skip=[one, two, three])).reached == 0
        assert (await hub.to("room").skip(one).skip(two, three).broadcast("7")).reached == 0
        assert (await hub.skip(one).broadcast("8")).reached == 2
        assert [await a.recv() for _ in range(3)] == ["3", "4", "5"]
        assert [await b.recv() for _ in range(4)] == ["1", "3", "4", "8"]
        assert [await c.recv() for _ in range(5)] == ["1", "2", "4", "5", "8"]
        await nothing_more(a, b, c, sessions=sessions, names="abc")


async def test_a_broadcast_to_several_rooms_reaches_each_session_once(serve: Serve) -> None:
    hub, sessions = naming_hub()
    async with serve(hub) as server, server.connect("/a") as a, server.connect("/b") as b, server.connect("/c") as c:
        await until(lambda: len(sessions) == 3)
        for name, rooms in (("a", ["red", "blue"]), ("b", ["blue"]), ("c", ["green"])):
            for room in rooms:
                sessions[name].join(room)
        assert (await hub.to("red", "blue").broadcast("1")).reached == 2
        assert (await hub.to("red").to("green").broadcast("2")).reached == 2
        assert (await hub.to("red", "red").broadcast("3")).reached == 1
        assert (await hub.to().broadcast("4")).reached == 0
        assert [await a.recv() for _ in range(3)] == ["1", "2", "3"]
        assert await b.recv() == "1"
        assert await c.recv() == "2"
        await nothing_more(a, b, c, sessions=sessions, names="abc")


async def test_the_hub_knows_its_rooms_that_have_members(serve: Serve) -> None:
    hub, sessions = naming_hub()
    async with serve(hub) as server, server.connect("/a"):
        await until(lambda: len(sessions) == 1)
        ws = sessions["a"]
        assert (len(hub.rooms), dict(hub.rooms)) == (0, {})
        ws.join("red")
        ws.join("blue")
        assert len(hub.rooms) == 2
        assert set(hub.rooms) == {"red", "blue"}
        assert "red" in hub.rooms
        assert "green" not in hub.rooms
        assert isinstance(hub.rooms["red"], Room)
        assert list(hub.rooms["red"]) == [ws]
        with pytest.raises(KeyError):
            hub.rooms["green"]
        assert hub.rooms.get("green") is None
        ws.leave("red")
        assert list(hub.rooms) == ["blue"]
        assert repr(hub.rooms) == "<Rooms ['blue']>"


async def test_beyond_the_limit_of_rooms_join_raises_and_the_session_goes_on(serve: Serve) -> None:
    hub, sessions = naming_hub(rooms_per_session=2)
    async with serve(hub) as server, server.connect("/a") as client:
        await until(lambda: len(sessions) == 1)
        ws = sessions["a"]
        for room in "abb":
            ws.join(room)
        with pytest.raises(TooManyRooms, match=r"in 2 rooms at a time \(Limits\.rooms_per_session\)") as caught:
            ws.join("c")
        assert caught.value.most == 2
        assert (ws.rooms, len(hub.room("c"))) == ({"a", "b"}, 0)
        ws.leave("a")
        ws.join("c")
        assert (await hub.room("c").broadcast("all")).reached == 1
        assert await client.recv() == "all"


async def test_a_session_may_be_in_very_many_rooms(serve: Serve) -> None:
    hub, sessions = naming_hub(rooms_per_session=None)
    names = [f"room {number}" for number in range(2000)]
    async with serve(hub) as server, server.connect("/a") as client:
        await until(lambda: len(sessions) == 1)
        for name in names:
            sessions["a"].join(name)
        assert len(hub.rooms) == len(sessions["a"].rooms) == 2000
        hub.to(*names).broadcast("once")
        assert await client.recv() == "once"
        await client.close()
        await until(lambda: sessions["a"].closed)
        assert len(hub.rooms) == 0


@pytest.mark.parametrize("name", ["", " ", "grün ☃", "a/b?c#d", "x" * 10_000, "\x00", "\n"])
async def test_any_str_is_a_name(serve: Serve, name: str) -> None:
    hub, sessions = naming_hub()
    async with serve(hub) as server, server.connect("/a") as client:
        await until(lambda: len(sessions) == 1)
        sessions["a"].join(name)
        assert list(hub.rooms) == [name]
        assert sessions["a"].rooms == {name}
        hub.room(name).broadcast("hello")
        assert await client.recv() == "hello"


@pytest.mark.parametrize("orderly", [True, False], ids=["closed", "lost"])
async def test_a_session_that_ends_leaves_its_rooms_and_on_close_still_sees_them(serve: Serve, orderly: bool) -> None:
    hub, sessions = naming_hub()
    told, over = [], anyio.Event()

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((ws.rooms, len(hub.room("red")), ws in hub.room("red"), ws in hub.sessions, len(hub.rooms)))
        hub.room("blue").broadcast("somebody has gone")
        over.set()

    async with serve(hub) as server, server.connect("/a") as a, server.connect("/b") as b:
        await until(lambda: len(sessions) == 2)
        sessions["a"].join("red")
        sessions["a"].join("blue")
        sessions["b"].join("blue")
        if orderly:
            await a.close()
        else:
            a.abort()
        await over.wait()
        assert told == [(frozenset({"red", "blue"}), 0, False, False, 1)]
        assert await b.recv() == "somebody has gone"
        with pytest.raises(Exception, match="closed"):
            sessions["a"].join("red")
        assert list(hub.room("blue")) == [sessions["b"]]


async def test_coroutine_handlers_see_the_rooms_in_on_close_too(serve: Serve) -> None:
    hub, told, over = Hub(), [], anyio.Event()

    @hub.on_connection
    async def connected(ws: WebSocket) -> None:
        ws.join("red")

    @hub.on_close
    async def closed(ws: WebSocket, code: int, reason: str) -> None:
        told.append((ws.rooms, len(hub.room("red"))))
        over.set()

    async with serve(hub) as server, server.connect() as client:
        await until(lambda: len(hub.room("red")) == 1)
        await client.close()
        await over.wait()
    assert told == [(frozenset({"red"}), 0)]


async def test_position_counts_the_broadcasts_of_one_life_of_a_room(serve: Serve) -> None:
    hub, sessions = naming_hub()
    async with serve(hub) as server, server.connect("/a"):
        await until(lambda: len(sessions) == 1)
        room = hub.room("room")
        assert room.position is None
        sessions["a"].join("room")
        epoch, start = room.position
        for _ in range(5):
            await room.broadcast("x")
        hub.to("room", "other").broadcast("y")
        assert room.position == (epoch, start + 6)
        hub.broadcast("not to the room")
        assert room.position == (epoch, start + 6)
        sessions["a"].leave("room")
        assert room.position is None
        sessions["a"].join("room")
        assert room.position[0] != epoch
        assert room.position[1] == start


async def test_hub_sessions_are_the_open_ones(serve: Serve) -> None:
    hub, sessions = naming_hub()
    assert (len(hub.sessions), list(hub.sessions)) == (0, [])
    async with serve(hub) as server, server.connect("/a") as a:
        async with server.connect("/b"):
            await until(lambda: len(hub.sessions) == 2)
            assert set(hub.sessions) == set(sessions.values())
            assert sessions["a"] in hub.sessions
            assert "a" not in hub.sessions
            assert repr(hub.sessions) == "<Sessions 2>"
        await until(lambda: len(hub.sessions) == 1)
        assert list(hub.sessions) == [sessions["a"]]
        assert sessions["b"] not in hub.sessions
        await a.close()
        await until(lambda: len(hub.sessions) == 0)


# ---- a member that does not read


@pytest.mark.parametrize("policy", ["close", "drop", "drop_oldest"])
async def test_the_policy_says_what_becomes_of_a_member_that_does_not_read(serve: Serve, policy: str) -> None:
    hub, sessions = naming_hub()
    hub.limits = Limits(outbox_bytes=200_000, close_timeout=0.2)
    async with serve(hub) as server, server.connect("/a", receive_buffer=4096) as slow, server.connect("/b") as fast:
        await until(lambda: len(sessions) == 2)
        room = hub.room("room")
        assert room.policy is None
        for ws in sessions.values():
            ws.join("room")
        room.policy = policy
        assert hub.room("room").policy == policy
        reached = dropped = 0
        for number in range(200):
            delivery = await room.broadcast(f"{number:03}".ljust(50_000))
            reached += delivery.reached
            dropped += delivery.dropped
            assert (await fast.recv())[:3] == f"{number:03}"
        sessions["b"].send("the fast one has got everything")
        assert await fast.recv() == "the fast one has got everything"
        stats = hub.stats()
        if policy == "close":
            await until(lambda: sessions["a"].closed)
            assert stats["slow_closed"] == 1
            assert list(room) == [sessions["b"]]
            return
        assert not sessions["a"].closed
        sessions["a"].send("the end")
        got = []
        while (data := await slow.recv()) != "the end":
            got.append(int(data[:3]))
        assert got == sorted(set(got))
        assert 0 < len(got) < 200
        assert got[0] == 0
        if policy == "drop":
            assert reached == 200 + len(got)
            assert dropped == 200 - len(got)
        else:
            # The newest are there, the oldest that had not left yet have made room.
            assert got[-1] == 199
            assert reached == 400


async def test_a_room_without_a_policy_goes_by_the_limits(serve: Serve) -> None:
    hub, sessions = naming_hub()
    hub.limits = Limits(outbox_bytes=100_000, outbox_policy="drop")
    async with serve(hub) as server, server.connect("/a", receive_buffer=4096):
        await until(lambda: len(sessions) == 1)
        sessions["a"].join("room")
        dropped = 0
        while dropped == 0:
            dropped = (await hub.room("room").broadcast(b"x" * 50_000)).dropped
        assert not sessions["a"].closed
        assert hub.room("room").policy is None


async def test_wrong_policies_are_refused(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub):
        for policy, error in (("keep", ValueError), ("", ValueError), (7, TypeError)):
            with pytest.raises(error):
                hub.room("room").policy = policy
        with pytest.raises(ValueError, match='"close", "drop" or "drop_oldest", got \'keep\''):
            hub.room("room").policy = "keep"


async def test_a_policy_and_a_history_may_be_set_before_each_run(serve: Serve) -> None:
    hub = Hub()
    red, blue = hub.room("red"), hub.room("blue")
    assert (red.policy, red.history) == (None, None)
    red.history = 100
    red.policy = "drop_oldest"
    blue.policy = "drop"
    for _ in range(2):
        assert (red.policy, red.history, blue.policy, blue.history) == ("drop_oldest", 100, "drop", None)
        async with serve(hub):
            assert (red.policy, red.history, blue.policy, blue.history) == ("drop_oldest", 100, "drop", None)
            red.history = None
            assert red.history is None
    red.policy = red.history = None
    async with serve(hub):
        assert (red.policy, red.history) == (None, None)


@pytest.mark.parametrize(("policy", "error"), [("keep", ValueError), ("", ValueError), (7, TypeError)])
def test_wrong_policies_are_refused_before_the_run_as_well(policy: object, error: type) -> None:
    with pytest.raises(error, match='"close", "drop" or "drop_oldest"'):
        Hub().room("room").policy = policy  # type: ignore[assignment]


# ---- on_broadcast


async def test_on_broadcast_is_told_room_data_and_sender(serve: Serve) -> None:
    hub, told = Hub(), []

    @hub.on_broadcast
    def spoken(room: str, data: str | bytes, sender: WebSocket | None) -> None:
        told.append((room, data, sender))

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        ws.join("red")
        ws.room("red").broadcast(data, skip=ws)
        hub.room("blue").broadcast(b"binary")
        hub.to("red", "blue").broadcast("both")
        hub.broadcast("everyone")
        ws.send("done")

    async with serve(hub) as server, server.connect() as client:
        await client.send("hello")
        while await client.recv() != "done":
            pass
        await until(lambda: len(told) == 4)
        (ws,) = hub.sessions
        hub.room("red").broadcast("outside of any handler")
        await until(lambda: len(told) == 5)
    assert told == [
        ("red", "hello", ws),
        ("blue", b"binary", None),
        ("red", "both", None),
        ("blue", "both", None),
        ("red", "outside of any handler", None),
    ]


async def test_on_broadcast_may_broadcast(serve: Serve) -> None:
    hub = Hub()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        ws.join("red")
        ws.join("blue")

    @hub.on_broadcast
    def spoken(room: str, data: str, sender: WebSocket | None) -> None:
        if room == "red":
            hub.room("blue").broadcast("echo " + data)

    async with serve(hub) as server, server.connect() as client:
        await until(lambda: len(hub.rooms) == 2)
        hub.room("red").broadcast("hello")
        assert [await client.recv(), await client.recv()] == ["hello", "echo hello"]


async def test_an_on_broadcast_that_raises_is_logged_and_called_again(serve: Serve, failures) -> None:
    hub, told = Hub(), []

    @hub.on_broadcast
    def spoken(room: str, data: str, sender: WebSocket | None) -> None:
        told.append(data)
        raise RuntimeError("broken")

    async with serve(hub):
        hub.room("red").broadcast("1")
        hub.room("red").broadcast("2")
        await until(lambda: len(told) == 2)
    assert told == ["1", "2"]
    assert len(failures) == 2
    assert "'red'" in failures[0].getMessage()
