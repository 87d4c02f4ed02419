"""Numbered messages to many clients whose connections are cut: nothing may be lost, come twice, or come out of order.

Two senders broadcast to two rooms, each with numbers of its own, while every client is in both rooms and a proxy
resets connections again and again. A client that keeps its session, or that is told what it has missed, has to see
every number of each sender from the first that it has seen to the last; a client that begins anew counts anew.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from websockets.exceptions import WebSocketException

from hubbub import EventStream, Hub, Limits, WebSocket
from hubbub.socketio import Server as SocketIo, Socket
from support.client import Ended
from support.cutting import Cutting, cutting
from support.push import Patron, browsing, listening
from support.server import Server
from support.socketio import connecting

__all__ = ["CALLERS", "TRANSPORTS", "Totals", "check"]

TRANSPORTS = ("websocket", "eventsource", "comet", "socketio")
CALLERS = ("loop", "thread", "to_thread")
ROOMS = ("a", "b")
#: What a connection that is cut raises, in any of the clients.
CUT = (Ended, OSError, EOFError, httpx.HTTPError, WebSocketException, AssertionError)
#: Seconds between a sender's bursts, and the messages of one.
PACE, BURST = 0.002, 4
#: So that what was missed is more than one read takes.
FILLING = " " * 200


@dataclass
class Totals:
    """What a run has come to."""

    sent: int = 0
    heard: int = 0
    connections: int = 0
    continued: int = 0
    faults: list[str] = field(default_factory=list)


class Hearing:
    """What one client has heard. A message is ``SENDER ROOM NUMBER``, and the last ones end with ``last``."""

    def __init__(self, name: str, totals: Totals) -> None:
        self.name = name
        self.totals = totals
        self.numbers: dict[tuple[str, str], int] = {}
        self.complete: set[tuple[str, str]] = set()
        self.since_cut = asyncio.Event()

    def anew(self) -> None:
        """The session is another one, and what was missed is not told."""
        self.numbers.clear()

    def take(self, text: str) -> None:
        sender, room, written, *last = text.split()
        key, number = (sender, room), int(written)
        before = self.numbers.get(key, number - 1)
        if number != before + 1 and len(self.totals.faults) < 20:
            self.totals.faults.append(f"{self.name}: {sender} in {room}: {number} after {before}")
        self.numbers[key] = number
        self.totals.heard += 1
        self.since_cut.set()
        if last:
            self.complete.add(key)

    def follows(self, before: str | None, id: str | None) -> None:
        """The ids of events are in order, over all rooms."""
        if id is None or (before is not None and int(id.rpartition("-")[2]) <= int(before.rpartition("-")[2])):
            self.totals.faults.append(f"{self.name}: the id {id} after {before}")

    @property
    def done(self) -> bool:
        return len(self.complete) == 2 * len(ROOMS)


def check(transport: str, io_threads: int, caller: str, *, clients: int = 6, cuts: int = 4, seed: int = 0) -> Totals:
    """One run: so many clients, cut so often. What is wrong stands in ``faults``."""
    with _served(transport, io_threads) as (hub, say, port), cutting(port) as way:
        totals = Totals()
        asyncio.run(_run(transport, caller, hub, say, way, totals, clients, cuts, random.Random(seed)))
        return totals


Say = Callable[[str, str], Any]


@contextmanager
def _served(transport: str, io_threads: int) -> Any:
    """The hub in a thread of its own, how a room of it is told something, and its port."""
    limits = Limits(history_messages=1 << 20, history_bytes=1 << 28, resume_bytes=1 << 26, outbox_bytes=1 << 26)
    hub = Hub(limits=limits)

    def say(room: str, text: str) -> object:
        return hub.room(room).broadcast(text)

    def enter(session: WebSocket | EventStream) -> None:
        for room in ROOMS:
            session.join(room)

    if transport == "websocket":
        hub.on_connection(enter)
    elif transport == "eventsource":
        hub.eventsource("/numbers")(enter)
    elif transport == "comet":
        hub.comet("/numbers")
        hub.on_connection(enter)
    else:
        io = SocketIo(hub, connection_state_recovery=True)

        @io.on("connection")
        def connected(socket: Socket) -> None:
            socket.join(list(ROOMS))

        def say(room: str, text: str) -> object:
            return io.to(room).emit("numbered", text)

    started: Future[tuple[asyncio.AbstractEventLoop, int]] = Future()
    stopped: list[asyncio.Event] = []

    async def serve() -> None:
        stopped.append(asyncio.Event())
        async with hub.listening(port=0, io_threads=io_threads, access_log=False) as listening:
            started.set_result((asyncio.get_running_loop(), int(listening.addresses[0][2])))
            await stopped[0].wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="hub")
    thread.start()
    loop, port = started.result()
    try:
        yield (hub, loop), say, port
    finally:
        loop.call_soon_threadsafe(stopped[0].set)
        thread.join()


async def _run(
    transport: str,
    caller: str,
    served: tuple[Hub, asyncio.AbstractEventLoop],
    say: Say,
    way: Cutting,
    totals: Totals,
    clients: int,
    cuts: int,
    chance: random.Random,
) -> None:
    server = Server(served[0], None, ("tcp", "127.0.0.1", way.port))
    hearings = [Hearing(f"client {number}", totals) for number in range(clients)]
    enough = threading.Event()
    sending = [asyncio.wrap_future(_sender(caller, name, served[1], say, enough, totals)) for name in ("x", "y")]
    async with anyio.create_task_group() as group:
        for hearing in hearings:
            group.start_soon(_CLIENTS[transport], server, hearing, totals)
        for _ in range(cuts):
            for hearing in hearings:
                hearing.since_cut.clear()
                await hearing.since_cut.wait()
            # Something is missed meanwhile, and some are cut again while they are told it: the moment is what is tried.
            way.refuse()
            await asyncio.sleep(chance.random() * 0.1)
            way.accept()
            await asyncio.sleep(chance.random() * 0.03)
            way.cut()
        for hearing in hearings:
            hearing.since_cut.clear()
            await hearing.since_cut.wait()
        enough.set()
        totals.sent = sum(await asyncio.gather(*sending))


def _sender(
    caller: str, name: str, loop: asyncio.AbstractEventLoop, say: Say, enough: threading.Event, totals: Totals
) -> Future[int]:
    """Numbers from 1 to both rooms in turn, until it is enough; how many there were."""

    def burst(first: int) -> int:
        for number in range(first, first + BURST):
            for room in ROOMS:
                say(room, f"{name} {room} {number}{FILLING}")
        return first + BURST

    def last(number: int) -> int:
        for room in ROOMS:
            say(room, f"{name} {room} {number} last")
        return number * len(ROOMS)

    async def in_loop() -> int:
        number = 1
        while not enough.is_set():
            number = burst(number)
            await asyncio.sleep(PACE)
        return last(number)

    async def from_workers() -> int:
        number = 1
        while not enough.is_set():
            number = await asyncio.to_thread(burst, number)
            await asyncio.sleep(PACE)
        return await asyncio.to_thread(last, number)

    if caller == "loop":
        return asyncio.run_coroutine_threadsafe(in_loop(), loop)
    if caller == "to_thread":
        return asyncio.run_coroutine_threadsafe(from_workers(), loop)
    ended: Future[int] = Future()

    def in_thread() -> None:
        number = 1
        while not enough.wait(PACE):
            number = burst(number)
        ended.set_result(last(number))

    threading.Thread(target=in_thread).start()
    return ended


# ---- the clients: each connects again until it has heard the last message of every sender in every room


async def _websocket(server: Server, hearing: Hearing, totals: Totals) -> None:
    while not hearing.done:
        try:
            async with server.connect("/numbers") as client:
                totals.connections += 1
                hearing.anew()
                while not hearing.done:
                    hearing.take(str(await client.recv()))
        except CUT:
            continue


async def _eventsource(server: Server, hearing: Hearing, totals: Totals) -> None:
    last_id: str | None = None
    while not hearing.done:
        fields = {} if last_id is None else {"Last_Event_ID": last_id}
        try:
            async with listening(server, "/numbers", **fields) as stream:
                totals.connections += 1
                totals.continued += last_id is not None
                if last_id is None:
                    hearing.anew()
                while not hearing.done:
                    event = await stream.next()
                    if event is None:
                        break
                    if event.event == "gap":
                        totals.faults.append(f"{hearing.name}: a gap, though everything is remembered")
                        hearing.anew()
                    elif event.data is not None:
                        hearing.take(event.data)
                        hearing.follows(last_id, event.id)
                    last_id = stream.last_id
        except CUT:
            continue


async def _comet(server: Server, hearing: Hearing, totals: Totals) -> None:
    async with browsing(server) as http:
        patron = Patron(http, "/numbers")
        while not patron.sid:
            try:
                await patron.begin()
            except CUT:
                continue
        while not hearing.done:
            try:
                message = await patron.recv()
            except httpx.HTTPError:
                totals.continued += 1
                continue
            assert isinstance(message, str), message
            hearing.take(message)


async def _socketio(server: Server, hearing: Hearing, totals: Totals) -> None:
    pid, offset = None, None
    while not hearing.done:
        try:
            async with connecting(server) as peer:
                totals.connections += 1
                await peer.send("0" + json.dumps({} if offset is None else {"pid": pid, "offset": offset}))
                held: list[str] = []
                while not (packet := str(await peer.recv())).startswith("0"):
                    held.append(packet)
                told = json.loads(packet[1:])
                if told["pid"] == pid:
                    totals.continued += 1
                else:
                    hearing.anew()
                    pid, offset = told["pid"], None
                while not hearing.done:
                    _, text, offset = json.loads((held.pop(0) if held else str(await peer.recv()))[1:])
                    hearing.take(text)
        except CUT:
            continue


_CLIENTS = {"websocket": _websocket, "eventsource": _eventsource, "comet": _comet, "socketio": _socketio}
