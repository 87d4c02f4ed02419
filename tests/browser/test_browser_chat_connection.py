"""examples/chat while its connection is cut, its server away, its name taken to another tab, and without WebSockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from chatting import MARKS, Person, Voice, fill, run_chat, sqlite
from selenium.webdriver import Chrome, Keys

from support.cutting import Cutting

pytest.importorskip("sqlalchemy", reason="examples/chat needs SQLAlchemy")
pytest.importorskip("aiosqlite", reason="examples/chat needs aiosqlite")

LOST = "Connection lost, reconnecting …"
RECOVERED = "Back. Nothing was missed."
OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
NO_WEBSOCKET = "delete window.WebSocket;" + MARKS


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with run_chat(sqlite(tmp_path)) as (_, port):
        yield port


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A program in which the name of whoever is lost, and has not left, is not free before the tests are over."""
    with run_chat(sqlite(tmp_path_factory.mktemp("patient")), 0, "--patience", "600") as (_, port):
        yield port


def go_offline(person: Person) -> None:
    person.turn_to()
    person.browser.execute_cdp_cmd("Network.enable", {})
    person.browser.execute_cdp_cmd("Network.emulateNetworkConditions", OFFLINE)
    person.until(lambda: person.text("#status") == LOST)


def go_online(person: Person) -> None:
    person.turn_to()
    person.browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**OFFLINE, "offline": False})
    person.until(lambda: person.state == "open")


class OneWay(Cutting):
    """A way that may hand on what the client sends, and nothing that the server does."""

    def __init__(self, port: int) -> None:
        self.mute = threading.Event()
        super().__init__(port)

    def _hand_on(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        if source is pair[0]:
            super()._hand_on(source, sink, pair)
            return
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.mute.is_set():
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def one_way(port: int) -> Iterator[OneWay]:
    way = OneWay(port)
    try:
        yield way
    finally:
        way.close()


# ---- the connection is lost


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_who_was_away_for_a_moment_has_missed_nothing_and_what_they_typed_is_sent_once(
    browser: Chrome, port: int, transport: str
) -> None:
    query = "lang=en" if transport == "websocket" else "lang=en&transport=polling"
    ada, grace = Person(browser, port, "Ada", query=query), Person(browser, port, "Grace")
    ada.enter("red")
    grace.enter("red")
    grace.turn(None)
    ada.turn(None)
    go_offline(ada)
    for text in ("first", "second"):
        ada.say(text)
    ada.until(lambda: ada.texts("#waiting p") == ["first", "second"])
    assert ada.texts("#waiting small") == ["will be sent when the connection is back"] * 2
    grace.say("said meanwhile")
    grace.address("red")
    grace.say("said in red")
    grace.sees("said in red")
    go_online(ada)
    ada.until(lambda: ada.messages == ["said meanwhile", "said in red", "first", "second"])
    assert ada.texts("#waiting p") == []
    assert LOST in ada.marks("statuses")
    assert RECOVERED in ada.marks("statuses")
    grace.sees("second")
    assert grace.messages == ["said meanwhile", "said in red", "first", "second"]
    # Nobody was told that she had gone.
    assert grace.news == []


def test_a_connection_that_is_cut_again_and_again_loses_and_doubles_nothing(browser: Chrome, port: int) -> None:
    with one_way(port) as way:
        ada, grace = Person(browser, way.port, "Ada", host="127.0.0.1"), Person(browser, port, "Grace")
        said = []
        for number in range(4):
            for person, name in ((ada, "Ada"), (grace, "Grace")):
                person.say(f"{name} {number}")
                said.append(f"{name} {number}")
            ada.until_upgraded(number + 1)
            ada.until(lambda: ada.state == "open")
            assert way.cut() > 0
            ada.until(lambda number=number: ada.marks("statuses").count(LOST) > number)
        for person in (ada, grace):
            person.until(lambda person=person: len(person.messages) >= len(said))
            assert sorted(person.messages) == sorted(said)
        order = [text for text in grace.messages if text.startswith("Ada")]
        assert order == [f"Ada {number}" for number in range(4)]
        ada.until(lambda: ada.texts("#waiting p") == [])
        assert ada.messages == grace.messages


def test_a_message_whose_answer_was_lost_is_not_said_twice(browser: Chrome, port: int) -> None:
    with one_way(port) as way:
        ada, grace = Person(browser, way.port, "Ada", host="127.0.0.1"), Person(browser, port, "Grace")
        ada.say("before")
        grace.sees("before")
        ada.until_upgraded()
        way.mute.set()
        ada.say("just before it broke")
        grace.sees("just before it broke")
        assert ada.texts("#waiting p") == ["just before it broke"]
        way.cut()
        way.mute.clear()
        ada.until(lambda: ada.texts("#waiting p") == [])
        ada.say("after")
        grace.sees("after")
        ada.sees("after")
        for person in (ada, grace):
            assert person.messages == ["before", "just before it broke", "after"]


def test_the_page_goes_on_when_the_server_does(browser: Chrome, tmp_path: Path) -> None:
    with run_chat(sqlite(tmp_path)) as (first, port):
        ada, grace = Person(browser, port, "Ada"), Person(browser, port, "Grace")
        grace.enter("garden")
        ada.enter("garden")
        grace.say("the roses are out")
        ada.sees("the roses are out")
        assert first.stop() == 0
        ada.until(lambda: ada.text("#status") == LOST)
        ada.say("kept for later")
        ada.type("#text", "half a sent")
        assert ada.texts("#waiting p") == ["kept for later"]
    with run_chat(sqlite(tmp_path), port):
        for person in (ada, grace):
            person.until(lambda person=person: person.state == "open" and person.mine == ["garden"])
        grace.sees("kept for later")
        ada.sees("kept for later")
        assert ada.title == "garden"
        ada.until(lambda: ada.people == ["Ada", "Grace"])
        ada.type("#text", "ence", Keys.ENTER)
        grace.sees("half a sentence")
        assert grace.messages == ["the roses are out", "kept for later", "half a sentence"]
        assert ada.messages == grace.messages


def test_what_was_said_before_the_server_went_is_counted_when_it_is_back(browser: Chrome, tmp_path: Path) -> None:
    with run_chat(sqlite(tmp_path)) as (first, port):
        ada = Person(browser, port, "Ada")
        Voice(port, "Linus").say("hello")
        ada.sees("hello")
        go_offline(ada)
        fill(port, ["one", "two"])
        assert first.stop() == 0
    with run_chat(sqlite(tmp_path), port):
        go_online(ada)
        ada.until(lambda: "Back. 2 messages came meanwhile." in ada.marks("statuses"))
        assert ada.messages == ["hello", "one", "two"]


def test_what_was_said_in_rooms_that_the_server_had_forgotten_is_counted_too(browser: Chrome, tmp_path: Path) -> None:
    with run_chat(sqlite(tmp_path)) as (first, port):
        ada = Person(browser, port, "Ada")
        grace = Voice(port, "Grace")
        for room in ("few", "many"):
            grace.ask("join", room)
            grace.say(f"old in {room}", room)
            ada.enter(room)
            ada.sees(f"old in {room}")
        ada.turn(None)
        go_offline(ada)
        grace.say("to all")
        grace.say("one", "few")
        grace.say("two", "few")
        assert first.stop() == 0
    with run_chat(sqlite(tmp_path), port):
        go_online(ada)
        # What was there before we were away is known, and not counted.
        ada.until(lambda: "Back. 3 messages came meanwhile." in ada.marks("statuses"))
        assert RECOVERED not in ada.marks("statuses")
        assert sorted(ada.mine) == ["few", "many"]
        assert ada.messages == ["old in few", "old in many", "to all", "one", "two"]


def test_of_much_that_was_missed_in_a_forgotten_room_the_older_part_comes_by_scrolling_up(
    browser: Chrome, tmp_path: Path
) -> None:
    said = [f"rose {number}" for number in range(30)]
    with run_chat(sqlite(tmp_path)) as (first, port):
        ada = Person(browser, port, "Ada")
        ada.enter("garden")
        ada.turn(None)
        ada.say("before")
        ada.sees("before")
        go_offline(ada)
        for start in range(0, 30, 10):
            voice = Voice(port, f"Voice {start}")
            voice.ask("join", "garden")
            for text in said[start : start + 10]:
                assert "id" in voice.say(text, "garden")
            voice.leave()
        assert first.stop() == 0
    with run_chat(sqlite(tmp_path), port):
        go_online(ada)
        ada.until(lambda: "Back. Much was said meanwhile; scroll up for the older part." in ada.marks("statuses"))
        ada.run("document.querySelector('#log').scrollTop = 0")
        ada.until(lambda: ada.messages == ["before", *said])


def test_of_much_that_was_missed_the_older_part_comes_by_scrolling_up(browser: Chrome, tmp_path: Path) -> None:
    with run_chat(sqlite(tmp_path)) as (first, port):
        ada = Person(browser, port, "Ada")
        ada.say("before")
        ada.sees("before")
        go_offline(ada)
        missed = [f"message {number}" for number in range(230)]
        fill(port, missed)
        assert first.stop() == 0
    with run_chat(sqlite(tmp_path), port):
        go_online(ada)
        ada.until(lambda: "Back. Much was said meanwhile; scroll up for the older part." in ada.marks("statuses"))
        assert ada.messages == missed[30:]
        for reached in (missed[10:], ["before", *missed]):
            ada.run("document.querySelector('#log').scrollTop = 0")
            ada.until(lambda reached=reached: ada.messages == reached)


def test_a_server_that_is_not_there_yet_is_waited_for(browser: Chrome, tmp_path: Path) -> None:
    with run_chat(sqlite(tmp_path)) as (first, port):
        ada = Person(browser, port)
        assert first.stop() == 0
    ada.until(lambda: ada.text("#status") == LOST)
    ada.introduce("Ada")
    ada.until(lambda: ada.text("#come") == "One moment …")
    with run_chat(sqlite(tmp_path), port):
        ada.until(lambda: ada.state == "open")
        assert ada.people == ["Ada"]


def test_a_name_that_was_taken_meanwhile_is_asked_for_again(browser: Chrome, tmp_path: Path) -> None:
    with run_chat(sqlite(tmp_path)) as (first, port):
        ada = Person(browser, port, "Ada")
        go_offline(ada)
        assert first.stop() == 0
    with run_chat(sqlite(tmp_path), port):
        Voice(port, "Ada")
        ada.browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**OFFLINE, "offline": False})
        ada.until(lambda: ada.text("#name-error") == "Somebody here has this name. Please choose another.")
        ada.introduce("Countess")
        ada.until(lambda: ada.people == ["Countess", "Ada"])


def test_a_page_without_its_client_says_so(browser: Chrome, port: int) -> None:
    browser.switch_to.new_window("tab")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*socket.io.min.js*"]})
    browser.get(f"http://127.0.0.1:{port}/?lang=en")
    text = "return document.querySelector('#status').textContent"
    assert "The Socket.IO client could not be loaded" in browser.execute_script(text)


# ---- without WebSockets


@pytest.mark.parametrize(
    ("query", "before"),
    [("lang=en&transport=polling", MARKS), ("lang=en", NO_WEBSOCKET)],
    ids=["asked-for", "no-WebSocket"],
)
def test_it_works_by_polling_alone(browser: Chrome, port: int, query: str, before: str) -> None:
    ada = Person(browser, port, "Ada", query=query, before=before)
    grace = Person(browser, port, "Grace")
    ada.sees("Grace joined")
    ada.enter("red")
    grace.enter("red")
    ada.sees("Grace came into red")
    for number in range(5):
        ada.say(f"poll {number}")
    grace.say("push")
    for person in (ada, grace):
        person.sees("poll 4", "push")
        assert sorted(person.messages) == sorted(["push", *(f"poll {number}" for number in range(5))])
    assert ada.marks("sockets") == 0
    assert grace.marks("sockets") == 1
    assert ada.marks("violations") == []


@pytest.mark.parametrize("query", ["lang=en", "lang=en&transport=polling"], ids=["websocket", "polling"])
@pytest.mark.parametrize("leaving", ["close", "reload", "elsewhere"])
def test_whoever_leaves_the_page_has_left_at_once(browser: Chrome, patient: int, query: str, leaving: str) -> None:
    port = patient
    ada = Person(browser, port, "Ada")
    grace = Person(browser, port, "Grace", query=query)
    ada.sees("Grace joined")
    grace.turn_to()
    if leaving == "close":
        grace.close()
    elif leaving == "reload":
        browser.refresh()
        grace.until(lambda: grace.state == "open")
        assert grace.text("#name-error") == ""
    else:
        browser.get("about:blank")
    # A name would wait for ten minutes for a connection that was lost.
    ada.sees("Grace left")
    if leaving == "elsewhere":
        grace.turn_to()
        browser.back()
        grace.until(lambda: grace.state == "open" and grace.people == ["Grace", "Ada"])
        ada.until(lambda: ada.people == ["Ada", "Grace"])


# ---- two tabs


def test_a_second_tab_of_the_same_name_is_told_and_may_take_it_over(browser: Chrome, port: int) -> None:
    ada = Person(browser, port, "Ada")
    ada.enter("red")
    grace = Person(browser, port, "Grace")
    browser.switch_to.new_window("tab")
    browser.get(ada.url)
    second = Person.of_tab(browser)
    # Nothing is wrong, and nothing is red.
    second.until(lambda: second.text("#introduction").startswith("You are Ada in another tab."))
    assert (second.text("#name-error"), second.run("return document.querySelector('#name').value")) == ("", "")
    assert second.text("#takeover") == "Be Ada in this tab instead"
    second.click("#takeover")
    second.until(lambda: second.state == "open")
    assert second.mine == ["red"]
    ada.until(lambda: ada.state == "moved")
    assert ada.text("#moved-title") == "The chat goes on in another tab"
    second.say("@Grace from the second tab")
    grace.sees("from the second tab")
    assert grace.news == []  # for the others, nothing has happened
    ada.press(Keys.ESCAPE, Keys.ESCAPE)
    ada.until(lambda: ada.run("return document.querySelector('#moved').open"))
    # A browser that shows a page again that it had kept does not take the name back.
    ada.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert ada.state == "moved"
    ada.click("#back")
    ada.until(lambda: ada.state == "open")
    ada.turn(None)
    ada.until(lambda: "from the second tab" in ada.messages)
    second.until(lambda: second.state == "moved")
