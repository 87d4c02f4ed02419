"""examples/chat/history.py: what was said is there later, for those it was for, whatever the database does."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from support.chat import CHAT, Person, chatting, key_of
from support.cutting import cutting
from support.databases import mariadb, postgresql
from support.program import PATIENCE

DATABASES = ["sqlite", "mariadb", "postgresql"]


@pytest.fixture(scope="module")
def maria() -> Iterator[str]:
    with mariadb() as address:
        yield address


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture
def url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database for one test; the tables of tests before it are gone."""
    if database == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}"
    if database == "mariadb":
        url = f"mysql+asyncmy://{request.getfixturevalue('maria')}"
    else:
        url = f"postgresql+asyncpg://{request.getfixturevalue('postgres')}"
    asyncio.run(history.dropped(url))
    return url


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def load() -> Any:
    """The module, and a way to empty a database with its own tables."""
    spec = util.spec_from_file_location("chat_history", CHAT / "history.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = util.module_from_spec(spec)
    sys.modules["chat_history"] = module
    spec.loader.exec_module(module)

    async def dropped(url: str) -> None:
        engine = module.create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(module.metadata.drop_all)
        await engine.dispose()

    module.dropped = dropped
    return module


history = load()

ATTACK = "'; DROP TABLE chat_messages; -- \" ` \\ %s ${x} <b> 世界 😀 \n\t|"


def texts(told: dict[str, Any]) -> list[str]:
    return [message["text"] for message in told["messages"]]


# ---- what is there later


def test_what_was_said_is_there_after_the_program_was_started_again(url: str) -> None:
    with chatting(url) as (_, port):
        ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
        for person in (ada, grace):
            person.ask("join", "red")
        ada.say("to all")
        ada.say("in two", "red")
        grace.say("@Ada " + ATTACK)
        heard = ada.all_heard("message")
        assert [message["kind"] for message in heard] == ["all", "rooms", "private"]
    with chatting(url) as (_, port):
        # Equal to what was heard, in every field.
        assert Person(port, name="Ada").told["messages"] == [heard[0], heard[2]]
        assert Person(port, name="Grace").ask("join", "red")["messages"] == [heard[1]]
        assert Person(port, name="Alan").told["messages"] == [heard[0]]


def test_the_last_twenty_come_first_and_older_ones_when_asked_for(url: str) -> None:
    with chatting(url) as (_, port):
        people = [Person(port, name=f"Ada {number}") for number in range(6)]
        for number in range(50):
            people[number // 9].say(str(number))
        told = Person(port, name="Grace").told
        assert (texts(told), told["more"]) == ([str(number) for number in range(30, 50)], True)
        grace = people[0]
        older = grace.ask("older", {"before": told["messages"][0]["id"]})
        assert (texts(older), older["more"]) == ([str(number) for number in range(10, 30)], True)
        older = grace.ask("older", {"before": older["messages"][0]["id"]})
        assert (texts(older), older["more"]) == ([str(number) for number in range(10)], False)
        assert grace.ask("older", {"before": 0}) == {"messages": [], "more": False}


def test_private_messages_belong_to_the_key_and_not_to_the_name(url: str) -> None:
    with chatting(url) as (_, port):
        ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
        ada.say("@Grace our secret")
        grace.leave()
        assert ada.hears("left")["name"] == "Grace"
        thief = Person(port)
        assert texts(thief.ask("enter", {"name": "Grace", "key": key_of("thief")})) == []
        assert texts(thief.ask("older", {"before": (1 << 53) - 1})) == []
        thief.leave()
        # Under another name, with the key: hers.
        again = Person(port)
        assert texts(again.ask("enter", {"name": "Hopper", "key": key_of("Grace")})) == ["our secret"]
    if url.startswith("sqlite"):
        assert key_of("Grace").encode() not in Path(url.removeprefix("sqlite+aiosqlite:///")).read_bytes()


def test_the_past_of_a_room_is_for_those_who_are_in_it(url: str) -> None:
    with chatting(url) as (_, port):
        ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
        for room in ("red", "green", "Red"):
            ada.ask("join", room)
        for text, rooms in (("r", ["red"]), ("g", ["green"]), ("both", ["red", "green"]), ("R", ["Red"]), ("all", [])):
            ada.say(text, *rooms)
        assert texts(grace.ask("older", {"before": (1 << 53) - 1})) == ["all"]
        assert grace.ask("older", {"before": 1, "room": "red"}) == {"error": "not in", "room": "red"}
        assert texts(grace.ask("join", "red")) == ["r", "both"]
        assert texts(grace.ask("join", "Red")) == ["R"]
        assert texts(grace.ask("older", {"before": (1 << 53) - 1})) == ["r", "both", "R", "all"]
        last = ada.ask("older", {"before": (1 << 53) - 1, "room": "red"})["messages"][-1]
        assert last["rooms"] == ["red", "green"]
        assert texts(ada.ask("older", {"before": last["id"], "room": "red"})) == ["r"]
        grace.ask("leave", "red")
        assert texts(grace.ask("older", {"before": (1 << 53) - 1})) == ["R", "all"]


def test_names_and_rooms_of_every_kind_are_kept_as_they_are(url: str) -> None:
    with chatting(url) as (_, port):
        for name in ("x" * 24, "😀" * 24, "'; DROP TABLE x; --", "小 明"):
            person = Person(port, name=name)
            person.ask("join", name)
            person.say("x" * 1999 + "😀", name)
            (message,) = person.ask("older", {"before": (1 << 53) - 1})["messages"]
            assert (message["from"], message["rooms"]) == (name, [name])
            assert len(message["text"]) == 2000


def test_since_gives_what_was_said_meanwhile_and_the_last_two_hundred_of_it(tmp_path: Path) -> None:
    with chatting(tmp_path / "chat.db") as (_, port):
        first = Person(port, name="Ada").say("first")["id"]
        people = [Person(port, name=f"Ada {number}") for number in range(21)]
        for number in range(205):
            people[number // 10].say(str(number))
        told = Person(port).ask("enter", {"name": "Grace", "key": key_of("Grace"), "since": first})
        assert texts(told) == [str(number) for number in range(5, 205)]
        assert told["more"]
        late = Person(port).ask("enter", {"name": "Alan", "key": key_of("Alan"), "since": told["messages"][-2]["id"]})
        assert (texts(late), late["more"]) == (["204"], False)


# ---- a database that goes away


def wait_written(url: str, count: int) -> None:
    """Until so many messages are in the tables: the program tells nobody."""

    async def main() -> None:
        engine = history.create_async_engine(url)
        query = history.sql.select(history.sql.func.count()).select_from(history.messages)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            async with engine.connect() as connection:
                if await connection.scalar(query) == count:
                    break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError(f"{count} messages were not written")
        await engine.dispose()

    asyncio.run(main())


def waits_until(person: Person, state: str) -> dict[str, Any]:
    while (notice := dict(person.hears("notice")))["code"] != "database" or notice["state"] != state:
        pass
    return notice


@pytest.mark.parametrize("database", ["mariadb", "postgresql"])
def test_a_server_that_goes_away_does_not_stop_the_chat_and_is_written_to_when_it_is_back(url: str) -> None:
    address = url.rpartition("@")[2]
    with cutting(int(address.partition(":")[2].partition("/")[0])) as way:
        through = url.replace(address, f"127.0.0.1:{way.port}/{address.partition('/')[2]}")
        with chatting(through) as (program, port):
            ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
            ada.say("before")
            wait_written(url, 1)
            way.refuse()
            ada.say("meanwhile")
            notice = waits_until(grace, "away")
            assert notice["lost"] == 0
            # Two, if the way was cut when the first was written and the program had not been told so.
            assert notice["waiting"] in (1, 2)
            assert grace.hears("message")["text"] == "before"
            assert grace.hears("message")["text"] == "meanwhile"
            told = Person(port, name="Alan").told
            assert told["database"] == {"state": "away", "lost": 0, "waiting": notice["waiting"]}
            # Only what waits is there.
            assert (texts(told), told["more"]) == (["before", "meanwhile"][-notice["waiting"] :], False)
            assert grace.ask("join", "red") == {
                "room": "red",
                "people": ["Grace"],
                "messages": [],
                "more": False,
                "database": {"state": "away", "lost": 0, "waiting": notice["waiting"]},
            }
            program.wait_for("the database is away: .+")
            way.accept()
            notice = waits_until(ada, "well")
            assert (notice["lost"], notice["waiting"]) == (0, 0)
            assert texts(Person(port, name="Barbara").told) == ["before", "meanwhile"]
            assert "database" not in grace.ask("older", {"before": 1})


@pytest.mark.parametrize("database", ["mariadb", "postgresql"])
def test_a_server_that_does_not_answer_any_more_is_away_too(url: str) -> None:
    address = url.rpartition("@")[2]
    with cutting(int(address.partition(":")[2].partition("/")[0])) as way:
        through = url.replace(address, f"127.0.0.1:{way.port}/{address.partition('/')[2]}")
        with chatting(through) as (_, port):
            ada = Person(port, name="Ada")
            ada.say("before")
            wait_written(url, 1)
            way.hold()
            ada.say("meanwhile")
            assert ada.ask("older", {"before": 1})["database"]["state"] == "away"
            way.release()
            waits_until(ada, "well")
            assert texts(ada.ask("older", {"before": (1 << 53) - 1})) == ["before", "meanwhile"]


def test_a_file_whose_folder_goes_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with chatting(folder / "chat.db") as (_, port):
        ada = Person(port, name="Ada")
        ada.say("before")
        wait_written(f"sqlite+aiosqlite:///{folder / 'chat.db'}", 1)
        folder.rename(tmp_path / "elsewhere")
        ada.say("meanwhile")
        assert waits_until(ada, "away")["waiting"] in (1, 2)  # two, as above
        (tmp_path / "elsewhere").rename(folder)
        waits_until(ada, "well")
        assert texts(ada.ask("older", {"before": (1 << 53) - 1})) == ["before", "meanwhile"]
        # And for good: the tables are made again.
        shutil.rmtree(folder)
        folder.mkdir()
        ada.say("afterwards")
        waits_until(ada, "well")
        assert texts(ada.ask("older", {"before": (1 << 53) - 1})) == ["afterwards"]


def test_a_database_that_is_away_from_the_beginning(tmp_path: Path) -> None:
    with chatting(tmp_path / "data" / "chat.db") as (_, port):
        ada = Person(port, name="Ada")
        assert ada.told["database"] == {"state": "away", "lost": 0, "waiting": 0}
        ada.say("early")
        (tmp_path / "data").mkdir()
        waits_until(ada, "well")
        assert texts(ada.ask("older", {"before": (1 << 53) - 1})) == ["early"]


def test_a_disk_that_is_full_and_has_room_again(tmp_path: Path) -> None:
    mounted = tmp_path / "small"
    mounted.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=256k hubbub-test {mounted} 2>/dev/null") != 0:
        pytest.skip("a small disk can only be mounted by root, where the kernel lets it")
    try:
        with chatting(mounted / "chat.db") as (program, port):
            people = [Person(port, name=f"Ada {number}") for number in range(3)]
            people[0].say("first")
            wait_written(f"sqlite+aiosqlite:///{mounted / 'chat.db'}", 1)
            fill(mounted / "filling")
            said = 0
            while not any(notice["code"] == "database" for notice in people[0].all_heard("notice")):
                people[said % 3].say("x" * 1990 + str(said))
                said += 1
            program.wait_for("the database is away: .*(full|disk|I/O)")
            (mounted / "filling").unlink()
            waits_until(people[1], "well")
            older = people[1].ask("older", {"before": (1 << 53) - 1})
            assert texts(older)[-1] == "x" * 1990 + str(said - 1)
    finally:
        os.system(f"umount {mounted}")
    assert "lost" not in program.output


def fill(file: Path) -> None:
    """Takes all the room that a disk has."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(descriptor, b"x" * 4096)
    os.close(descriptor)


def test_what_cannot_be_kept_is_counted_and_told(tmp_path: Path) -> None:
    """A thousand wait; what is beyond them is lost."""
    with chatting(tmp_path / "data" / "chat.db") as (program, port):
        people = [Person(port, name=f"Ada {number}") for number in range(102)]
        for person in people:
            for number in range(10):
                person.begin("say", {"text": str(number)})
        notice = {"lost": 0}
        while not notice["lost"]:
            notice = waits_until(people[0], "away")
        assert (notice["lost"], notice["waiting"]) == (1, 1000)
        for person in people:
            person.ask("who", "red")
        assert Person(port, name="Grace").told["database"] == {"state": "away", "lost": 20, "waiting": 1000}
        (tmp_path / "data").mkdir()
        notice = waits_until(people[0], "well")
        assert notice["lost"] == 20
        assert Person(port, name="Alan").told["messages"] != []
        assert program.stop() == 0
    assert "20 messages were not written" in program.output
    assert rows(tmp_path / "data" / "chat.db") == 1000


def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    with chatting(tmp_path / "chat.db") as (program, port):
        people = [Person(port, name=f"Ada {number}") for number in range(50)]
        for person in people:
            for number in range(10):
                person.begin("say", {"text": str(number)})
        for person in people:
            person.ask("who", "red")
        assert program.stop() == 0
    assert rows(tmp_path / "chat.db") == 500


def test_what_cannot_be_written_at_the_end_is_counted(tmp_path: Path) -> None:
    with chatting(tmp_path / "data" / "chat.db") as (program, port):
        ada = Person(port, name="Ada")
        for number in range(3):
            ada.say(str(number))
        assert program.stop() == 0
    assert "3 messages were not written to the database" in program.output


def rows(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM chat_messages").fetchone()[0])


# ---- the store by itself


def message(number: int, text: str = "x", audience: str = "*") -> Any:
    return history.Message(number, "Ada", text, None, [], frozenset({audience}))


def test_what_was_written_before_an_answer_was_lost_is_not_written_twice(url: str) -> None:
    async def main() -> None:
        async with history.History(url) as store:
            await store._store([message(1), message(2)], again=False)
            await store._store([message(2), message(3)], again=True)
            found, more = await store.read(["*"])
            assert ([one.id for one in found], more) == ([1, 2, 3], False)

    asyncio.run(main())


def test_a_message_that_is_there_already_does_not_keep_others_from_being_written(url: str) -> None:
    async def main() -> None:
        changes: list[str] = []
        async with history.History(url, lambda: changes.append("changed")) as store:
            await store._store([message(2)], again=False)
            for number in (1, 2, 3):
                store.add(message(number, "mine"))
            await written(store)
            found, _ = await store.read(["*"])
            assert [(one.id, one.text) for one in found] == [(1, "mine"), (2, "x"), (3, "mine")]
            assert changes == []

    asyncio.run(main())


@pytest.mark.parametrize("database", ["mariadb", "postgresql"])
def test_a_message_that_a_database_does_not_want_is_lost_alone_and_counted(
    url: str, failures: list[logging.LogRecord]
) -> None:
    async def main() -> None:
        async with history.History(url) as store:
            store.add(message(1))
            store.add(history.Message(2, "x" * 200, "text", None, [], frozenset("*")))
            store.add(message(3))
            await written(store)
            found, _ = await store.read(["*"])
            assert [one.id for one in found] == [1, 3]
            assert (store.state, store.lost) == ("well", 1)

    asyncio.run(main())
    assert [record.getMessage().split(":")[0] for record in failures] == ["a message cannot be stored"]


def test_a_connection_that_breaks_is_no_traceback_of_the_pools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The pool closes what is broken, and that fails as well: it is the history that says in one line what is wrong."""

    async def main() -> None:
        async with history.History(f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}") as store:
            dialect = store._engine.sync_engine.dialect
            close = dialect.do_close

            def broken(connection: object) -> None:
                close(connection)
                raise OSError("Lost connection to MySQL server during query")

            async with store._engine.connect() as connection:
                monkeypatch.setattr(dialect, "do_close", broken)
                monkeypatch.setattr(dialect, "do_terminate", broken)
                await connection.invalidate()
                monkeypatch.undo()

    asyncio.run(main())
    assert [record for record in caplog.records if record.exc_info] == []


async def written(store: Any) -> None:
    while store.waiting:
        await asyncio.sleep(0.01)


def test_a_database_that_hangs_is_waited_for_once_however_many_stand_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("asyncpg")
    monkeypatch.setattr(history, "TIMEOUT", 0.5)
    asked = []

    async def main() -> None:
        # Whoever connects is never answered.
        async with await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            store = history.History(f"postgresql+asyncpg://somebody@127.0.0.1:{port}/chat")
            found = await asyncio.gather(*(store.read(["*"]) for _ in range(40)))
            assert found == [([], False)] * 40
            assert store.state == "away"
            await store._engine.dispose()
            for writer in asked:
                writer.close()

    asyncio.run(main())
    assert len(asked) == history.MAX_READERS


def test_while_the_queue_stays_full_it_is_told_once_that_messages_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_WAITING", 50)
    monkeypatch.setattr(history, "MAX_BATCH", 1)
    changes: list[int] = []

    async def overflow(store: Any, ids: Iterator[int]) -> None:
        for _ in range(history.MAX_WAITING - store.waiting + 1):
            store.add(message(next(ids)))

    async def main() -> None:
        ids = iter(range(1, 1000))
        async with history.History(f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}") as store:
            store.changed = lambda: changes.append(store.lost)
            for lost in (1, 2, 3):
                await overflow(store, ids)
                assert store.lost == lost
                while store.waiting == history.MAX_WAITING:
                    await asyncio.sleep(0)
                assert store.waiting > 0
            assert changes == [1]
            await written(store)
            await asyncio.sleep(0)
            await overflow(store, ids)
            assert changes == [1, 4]

    asyncio.run(main())


def test_ids_go_on_behind_those_in_the_database(url: str) -> None:
    async def main() -> None:
        async with history.History(url) as store:
            await store._store([message(1 << 52)], again=False)
        async with history.History(url) as store:
            assert store.next_id() == (1 << 52) + 1
            assert store.next_id() == (1 << 52) + 2

    asyncio.run(main())


def test_what_is_being_written_is_found_once(url: str) -> None:
    """Somebody reads all the time while somebody writes: nothing is missing, nothing is there twice."""

    async def main() -> None:
        async with history.History(url) as store:
            for number in range(1, 200):
                store.add(message(number))
                if number % 3 == 0:
                    found, _ = await store.read(["*"], limit=1000)
                    assert [one.id for one in found] == list(range(1, number + 1))

    asyncio.run(main())


def test_a_long_history_costs_no_more_than_a_short_one(tmp_path: Path) -> None:
    """No step of the query walks over a whole table."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}"

    async def main() -> str:
        async with history.History(url) as store:
            audience = ["*", "@me", "#red"]
            query = history.newest(audience, 10**15, None, 21).compile(
                store._engine.sync_engine, compile_kwargs={"literal_binds": True}
            )
            return str(query)

    query = asyncio.run(main())
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + query)]
    walks = [step for step in plan if step.startswith("SCAN") and "chat_" in step]
    assert walks == []
    assert sum("chat_audiences USING COVERING INDEX" in step for step in plan) == 3
