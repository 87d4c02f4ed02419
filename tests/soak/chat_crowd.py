"""Many people in examples/chat, and at the end a count: whatever was stored has been delivered to everyone it was for.

    chat_crowd.py [--users 500] [--seconds 60] [--rate 25] [--leaving 1.0] [--database URL]

Everybody enters, a third of them a room or two; then, for the given time, they say so many things a second in all, to
everybody, to rooms and to each other. Meanwhile connections are lost, so many a second, and are recovered.
When all is said, each one asks for something, so that what comes before the answer has been delivered; then the
program is stopped, and the database is compared with what each has heard: every message exactly once for each of its
audience, and none for anybody else. The figures are printed as JSON; the exit status is 1 if anything is amiss.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]

import sqlalchemy as sql  # noqa: E402
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402

from support.chat import chatting  # noqa: E402

MESSAGE = re.compile(rb'^42\["message",\{[^}]*?"id":(\d+)')
HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Wire(asyncio.Protocol):
    """One connection: frames of a server, which are not masked."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._buffer = bytearray()
        #: What the server says when it closes.
        self.closed = "without a word"

    def data_received(self, data: bytes) -> None:
        if self._user.wire is not self:
            return
        buffer = self._buffer
        buffer += data
        if buffer.startswith(b"HTTP/1.1 101"):
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del buffer[: end + 4]
        at = 0
        while len(buffer) - at >= 2:
            length, head = buffer[at + 1], 2
            if length >= 126:
                head = 4 if length == 126 else 10
                length = int.from_bytes(buffer[at + 2 : at + head], "big")
            if len(buffer) - at < head + length:
                break
            content = bytes(buffer[at + head : at + head + length])
            if buffer[at] & 0x0F == 8:
                self.closed = f"{int.from_bytes(content[:2], 'big')} {content[2:].decode()}"
            else:
                self._user.take(content)
            at += head + length
        del buffer[:at]

    def connection_lost(self, error: Exception | None) -> None:
        if self._user.wire is self:
            self._user.lost(self.closed if error is None else str(error))


class User:
    """One person, whatever connections carry them. It parses as little as it can: there are many."""

    def __init__(self, port: int, number: int) -> None:
        self.port = port
        self.name = f"User {number:04}"
        self.key = f"the secret of user {number:04}"
        self.rooms: list[str] = []
        self.heard: Counter[int] = Counter()
        self.closed: Counter[str] = Counter()
        self.slowed = self.recovered = 0
        self.pid = self.offset = ""
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self.wire: Wire | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    @property
    def audience(self) -> set[str]:
        return {"*", "@" + hashlib.sha256(self.key.encode()).hexdigest(), *(f"#{room}" for room in self.rooms)}

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready = loop.create_future()
        wire = self.wire = Wire(self)
        self._transport, _ = await loop.create_connection(lambda: wire, "127.0.0.1", self.port)
        self._transport.write(HANDSHAKE.encode())
        await self.ready

    async def come_back(self) -> None:
        """Loses the connection without a word, and recovers it."""
        if self.ready.done():
            assert self._transport is not None
            self.wire = None
            self._transport.abort()
            await self._recover()

    async def _recover(self) -> None:
        self.wire = None
        for future in self._answers.values():
            future.cancel()
        self._answers.clear()
        pid = self.pid
        await self.connect()
        assert self.pid == pid, f"{self.name} was not recovered"
        self.recovered += 1

    def lost(self, reason: str) -> None:
        """The server has closed the connection, which is not what this is about; a client comes back."""
        self.closed[reason] += 1
        self._recovering = asyncio.create_task(self._recover())

    async def ask(self, event: str, *args: Any) -> dict[str, Any]:
        await self.ready
        self._asked += 1
        self._answers[self._asked] = future = asyncio.get_running_loop().create_future()
        self._send(f"42{self._asked}{json.dumps([event, *args])}")
        return await future

    def _send(self, packet: str) -> None:
        data = packet.encode()
        assert self._transport is not None
        assert len(data) < 65536
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        # Masked with zeros, which changes nothing.
        self._transport.write(b"\x81" + length + b"\0\0\0\0" + data)

    def take(self, packet: bytes) -> None:
        if packet.startswith(b"42"):
            self.offset = packet[packet.rfind(b',"') + 2 : -2].decode()
            message = MESSAGE.match(packet)
            if message is not None:
                self.heard[int(message[1])] += 1
            elif packet.startswith(b'42["notice",{"code":"slow"'):
                self.slowed += 1
        elif packet.startswith(b"43"):
            number, _, told = packet[2:].partition(b"[")
            future = self._answers.pop(int(number), None)
            if future is not None and not future.done():
                future.set_result(json.loads(b"[" + told)[0])
        elif packet == b"2":
            self._send("3")
        elif packet.startswith(b"0"):
            auth = {"pid": self.pid, "offset": self.offset} if self.pid else {}
            self._send(f"40{json.dumps(auth)}")
        elif packet.startswith(b"40"):
            self.pid = json.loads(packet[2:])["pid"]
            self.ready.set_result(None)


async def crowd(
    port: int, count: int, seconds: float, rate: float, leaving: float
) -> tuple[list[User], dict[str, Any]]:
    """What everybody does; the users, and figures."""
    chance = random.Random(4711)
    began = time.monotonic()
    users = [User(port, number) for number in range(count)]
    rooms = ["red", "green", *(f"room {number}" for number in range(max(1, count // 25)))]

    async def arrive(user: User) -> None:
        await user.connect()
        told = await user.ask("enter", {"name": user.name, "key": user.key})
        assert told.get("name") == user.name, told
        if chance.random() < 0.33:
            for room in chance.sample(rooms, chance.choice((1, 2))):
                user.rooms.append(room)
                assert "error" not in await user.ask("join", room)

    # All at once, as after a server was started again.
    await asyncio.gather(*map(arrive, users))
    entered = time.monotonic() - began

    said: list[int] = []
    waited: list[float] = []
    refused: Counter[str] = Counter()
    unanswered = 0

    async def say(user: User) -> None:
        nonlocal unanswered
        text = f"{user.name} says {chance.random()}"
        how = chance.random()
        asked: dict[str, Any] = {"text": text}
        if how < 0.3 and user.rooms:
            asked["rooms"] = chance.sample(user.rooms, chance.randint(1, len(user.rooms)))
        elif how < 0.5:
            other = chance.choice(users)
            if other is not user:
                asked["text"] = f"@{other.name} {text}"
        at = time.monotonic()
        try:
            answer = await user.ask("say", asked)
        except asyncio.CancelledError:
            unanswered += 1
            return
        waited.append(time.monotonic() - at)
        if "id" in answer:
            said.append(answer["id"])
        else:
            refused[answer["error"]] += 1

    async def lose_connections() -> None:
        while leaving and time.monotonic() - began < seconds:
            await asyncio.sleep(1 / leaving)
            await chance.choice(users).come_back()

    began = time.monotonic()
    loser = asyncio.create_task(lose_connections())
    talking: set[asyncio.Task[None]] = set()
    number = 0
    while time.monotonic() - began < seconds:
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        number += 1
        task = asyncio.create_task(say(chance.choice(users)))
        talking.add(task)
        task.add_done_callback(talking.discard)
    await loser
    await asyncio.gather(*talking)
    took = time.monotonic() - began
    # What was sent before the answer has come before it.
    await asyncio.gather(*(user.ready for user in users))
    await asyncio.gather(*(user.ask("who", "red") for user in users))
    waited.sort()
    return users, {
        "users": count,
        "seconds_to_enter": round(entered, 1),
        "seconds": round(took, 1),
        "said": len(said),
        "unanswered": unanswered,
        "refused": refused,
        "closed_by_the_server": sum((user.closed for user in users), Counter()),
        "recovered": sum(user.recovered for user in users),
        "slowed": sum(user.slowed for user in users),
        "milliseconds_to_answer": {
            "median": round(1000 * waited[len(waited) // 2], 1),
            "p99": round(1000 * waited[len(waited) * 99 // 100], 1),
        },
        "ids": said,
    }


async def stored(url: str) -> dict[int, set[str]]:
    """The audience of each message in the database."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        ids = await connection.scalars(sql.text("SELECT id FROM chat_messages"))
        found: dict[int, set[str]] = {number: set() for number in ids}
        for number, audience in await connection.execute(sql.text("SELECT message, audience FROM chat_audiences")):
            found[number].add(audience)
    await engine.dispose()
    return found


def compare(users: list[User], kept: dict[int, set[str]]) -> dict[str, int]:
    """Deliveries that should have been, and what is amiss."""
    wanted = missing = twice = strange = 0
    for user in users:
        mine = {number for number, audience in kept.items() if audience & user.audience}
        wanted += len(mine)
        missing += sum(1 for number in mine if not user.heard[number])
        twice += sum(1 for times in user.heard.values() if times > 1)
        strange += sum(1 for number, times in user.heard.items() if times and number not in mine)
    return {"deliveries": wanted, "missing": missing, "twice": twice, "not_for_them": strange}


def main() -> int:
    parser = argparse.ArgumentParser(description="Many people in examples/chat, counted.")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=25.0, help="messages a second, of all together")
    parser.add_argument("--leaving", type=float, default=1.0, help="connections that are lost, a second")
    parser.add_argument("--database", help="SQLAlchemy's address of an empty database; SQLite if none is given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite+aiosqlite:///{folder}/chat.db"
        with chatting(url) as (program, port):
            work = crowd(port, options.users, options.seconds, options.rate, options.leaving)
            users, figures = asyncio.run(work)
            assert program.stop() == 0
        kept = asyncio.run(stored(url))
    ids = figures.pop("ids")
    figures |= {"stored": len(kept), "said_and_not_stored": len({*ids} - {*kept}), **compare(users, kept)}
    print(json.dumps(figures))
    print(program.output, file=sys.stderr)
    wrong = ("said_and_not_stored", "missing", "twice", "not_for_them")
    return 1 if any(figures[name] for name in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
