"""What was said: kept in a database, whether it is there just now or not.

Each message has an *audience*: ``*`` is everybody, ``#red`` whoever is in that room, ``@...`` the owner of a key. The
same words are the rooms of Socket.IO that it is sent to, so who may read a message later is who was told it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import create_async_engine

#: Messages that may wait for the database; further ones are lost, and counted.
MAX_WAITING = 1000
#: Messages in one transaction.
MAX_BATCH = 200
#: Queries at a time: when everybody comes back at once, they stand in line.
MAX_READERS = 8
#: Seconds for one transaction; then the database is taken for away.
TIMEOUT = 10.0
#: Seconds from one try to the next while the database is away: the first, and the longest.
RETRY = (0.25, 5.0)
#: Seconds at least from one word of how many wait to the next.
TELL_EVERY = 0.5
#: Seconds to write what waits when the program ends.
LAST_WORDS = 5.0

DRIVERS = {
    "sqlite+aiosqlite": "aiosqlite",
    "mysql+asyncmy": "asyncmy",
    "mariadb+asyncmy": "asyncmy",
    "postgresql+asyncpg": "asyncpg",
}

logger = logging.getLogger("chat.history")
# A connection that breaks is told in one line, by `_is_away`; the pool would add a traceback.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

# ---- tables

metadata = sql.MetaData()
# Compared byte by byte: #red and #Red are two rooms.
BYTEWISE: Any = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

messages = sql.Table(
    "chat_messages",
    metadata,
    sql.Column("id", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("sender", sql.String(24), nullable=False),
    sql.Column("text", sql.Text, nullable=False),
    sql.Column("recipient", sql.String(24)),
    sql.Column("rooms", sql.JSON, nullable=False),
    **BYTEWISE,
)
audiences = sql.Table(
    "chat_audiences",
    metadata,
    sql.Column("audience", sql.String(80), primary_key=True),
    sql.Column("message", sql.BigInteger, primary_key=True, autoincrement=False),
    **BYTEWISE,
)


@dataclass(frozen=True)
class Message:
    """One message. Its id is the time in microseconds, made strictly increasing."""

    id: int
    sender: str
    text: str
    recipient: str | None
    rooms: list[str]
    #: Empty if it comes from the database, which has chosen by it.
    audience: frozenset[str] = frozenset()

    @property
    def row(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "audience"}

    def for_clients(self) -> dict[str, Any]:
        kind = "private" if self.recipient is not None else "rooms" if self.rooms else "all"
        told = {"id": self.id, "at": self.id // 1000, "kind": kind, "from": self.sender, "text": self.text}
        if self.recipient is not None:
            told["to"] = self.recipient
        return told | ({"rooms": self.rooms} if self.rooms else {})


class BadDatabase(ValueError):
    """The address of a database that cannot be used, and what can be."""


class History:
    """The messages of a database. ``async with`` it: what waits is written at the end.

    Args:
        url: SQLAlchemy's, with one of the asynchronous drivers.
        changed: called when `state` has changed, when the first message is lost since nothing waited, and at most
            twice a second when more wait while the database is away.
    """

    def __init__(self, url: str | sql.URL, changed: Callable[[], object] = lambda: None) -> None:
        self.url = checked(url)
        self.changed = changed
        #: "well", or "away": then messages wait, and the past cannot be read.
        self.state = "well"
        #: Messages that will never be written, since the program was started.
        self.lost = 0
        self._waiting: deque[Message] = deque()
        self._work = asyncio.Event()
        self._readers = asyncio.Semaphore(MAX_READERS)
        self._last_id = 0
        self._closing = self._losing = False
        self._telling: asyncio.TimerHandle | None = None
        self._engine = create_async_engine(self.url, pool_pre_ping=True)
        if self.url.get_backend_name() == "sqlite":
            sql.event.listen(self._engine.sync_engine, "connect", self._opened)
            sql.event.listen(self._engine.sync_engine, "checkout", self._taken)

    async def __aenter__(self) -> History:
        try:
            await asyncio.wait_for(self._store([], again=True), TIMEOUT)
        except Exception as error:
            self._is_away(error)
        self._writer = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._work.set()
        if self._telling is not None:
            self._telling.cancel()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._writer, LAST_WORDS)
        await self._engine.dispose()
        self.lost += len(self._waiting)
        if self.lost:
            logger.warning("%d messages were not written to the database", self.lost)

    @property
    def waiting(self) -> int:
        """Messages that are still to be written."""
        return len(self._waiting)

    # ---- in

    def next_id(self) -> int:
        self._last_id = max(time.time_ns() // 1000, self._last_id + 1)
        return self._last_id

    def add(self, message: Message) -> None:
        """Has a message written, soon."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(message)
            self._work.set()
            if self.state == "away" and self._telling is None:
                self._telling = asyncio.get_running_loop().call_later(TELL_EVERY, self._tell_waiting)
            return
        self.lost += 1
        if not self._losing:
            self._losing = True
            self.changed()

    def _tell_waiting(self) -> None:
        self._telling = None
        if self.state == "away":
            self.changed()

    async def _write(self) -> None:
        delay, size = RETRY[0], MAX_BATCH
        while self._waiting or not self._closing:
            if not self._waiting and self.state == "well":
                self._work.clear()
                await self._work.wait()
                continue
            batch = list(islice(self._waiting, size))
            try:
                await asyncio.wait_for(self._store(batch, again=self.state == "away" or size == 1), TIMEOUT)
            except Exception as error:  # Whatever a network, a disk or a driver comes up with.
                if not is_unwanted(error):
                    self._is_away(error)
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, RETRY[1])
                    continue
                if size > 1:
                    size = 1  # Which one it is is found out one by one.
                    continue
                logger.error("a message cannot be stored: %s", error)
                self.lost += 1
            for _ in batch:
                self._waiting.popleft()
            delay, size = RETRY[0], MAX_BATCH
            self._losing = self._losing and bool(self._waiting)
            if self.state == "away":
                logger.info("the database is back")
                self.state = "well"
                self.changed()

    async def _store(self, batch: Sequence[Message], *, again: bool) -> None:
        """Writes them in one transaction; `again`, when some may be there already, or the tables may not."""
        async with self._engine.begin() as connection:
            if again:
                await connection.run_sync(metadata.create_all)
                last_id = await connection.scalar(sql.select(sql.func.max(messages.c.id)))
                self._last_id = max(self._last_id, last_id or 0)
                # The connection may have been lost between the commit and its answer.
                ids = [message.id for message in batch]
                stored = {*await connection.scalars(sql.select(messages.c.id).where(messages.c.id.in_(ids)))}
                batch = [message for message in batch if message.id not in stored]
            if batch:
                await connection.execute(sql.insert(messages), [message.row for message in batch])
                pairs = [{"audience": one, "message": message.id} for message in batch for one in message.audience]
                await connection.execute(sql.insert(audiences), pairs)

    def _is_away(self, error: Exception) -> None:
        if self.state == "well":
            reason = getattr(error, "orig", None) or str(error) or f"no answer within {TIMEOUT:g} seconds"
            logger.warning("the database is away: %s", reason)
            self.state = "away"
            self._work.set()
            self.changed()

    # ---- out

    async def read(
        self, audience: Collection[str], *, before: int | None = None, since: int | None = None, limit: int = 20
    ) -> tuple[list[Message], bool]:
        """The last messages for any of these, the oldest first; and whether there are more before them.

        What waits to be written is among them. While the database is away, nothing else is.
        """
        # Looked at first: what is written meanwhile is found twice, and nothing is found by neither.
        waiting = [
            message
            for message in self._waiting
            if not message.audience.isdisjoint(audience)
            and (before is None or message.id < before)
            and (since is None or message.id > since)
        ]
        stored: Iterable[Message] = ()
        if self.state == "well":
            query = newest(audience, before, since, limit + 1)
            try:
                async with self._readers:
                    if self.state == "well":  # Whoever was before us in line has perhaps waited in vain.
                        stored = await asyncio.wait_for(self._find(query), TIMEOUT)
            except Exception as error:
                self._is_away(error)
        found = {message.id: message for message in (*stored, *waiting)}
        last = sorted(found.values(), key=lambda message: message.id)[-limit:]
        return last, len(found) > limit

    async def _find(self, query: sql.Select[Any]) -> list[Message]:
        async with self._engine.connect() as connection:
            return [Message(*row) for row in await connection.execute(query)]

    # ---- SQLite

    def _opened(self, connection: Any, record: Any) -> None:
        """Readers do not wait for the writer, and a commit for the disk only now and then."""
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()
        record.info["file"] = self._file()

    def _taken(self, _connection: Any, record: Any, _proxy: Any) -> None:
        """A connection goes on writing into a file that was deleted: then another one is made."""
        if record.info["file"] != self._file():
            raise sql.exc.DisconnectionError

    def _file(self) -> tuple[int, int] | None:
        with suppress(OSError):
            found = os.stat(self.url.database or "")
            return found.st_dev, found.st_ino
        return None


def newest(audience: Collection[str], before: int | None, since: int | None, limit: int) -> sql.Select[Any]:
    """The last messages for any of these. Of each, only so many are looked at, however long the history is."""
    found = []
    for one in audience:
        ids = sql.select(audiences.c.message).where(audiences.c.audience == one)
        if before is not None:
            ids = ids.where(audiences.c.message < before)
        if since is not None:
            ids = ids.where(audiences.c.message > since)
        found.append(sql.select(ids.order_by(audiences.c.message.desc()).limit(limit).subquery()))
    chosen = sql.union(*found).subquery()
    return (
        sql.select(messages).join(chosen, messages.c.id == chosen.c.message).order_by(messages.c.id.desc()).limit(limit)
    )


def is_unwanted(error: Exception) -> bool:
    """The database is there, and does not take what it was given."""
    refused = isinstance(error, (sql.exc.IntegrityError, sql.exc.DataError))
    # asyncpg's only tell by SQLSTATE: a class of its own for data.
    return refused or str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith("22")


def checked(url: str | sql.URL) -> sql.URL:
    """The address of a database that can be used.

    Raises:
        BadDatabase: it is none, or its driver is not one of ours, or not installed.
    """
    allowed = ", ".join(f"{name}://" for name in DRIVERS)
    try:
        read = sql.make_url(url)
    except sql.exc.ArgumentError:
        raise BadDatabase(f"{url!r} is not the address of a database. It begins with one of {allowed}") from None
    driver = DRIVERS.get(read.drivername)
    if driver is None:
        shown = read.render_as_string(hide_password=True)
        raise BadDatabase(f"{shown}: {read.drivername} is not one of the asynchronous drivers: {allowed}")
    if importlib.util.find_spec(driver) is None:
        raise BadDatabase(f"{read.drivername} needs {driver}: pip install {driver}")
    return read
