"""examples/chat, as clients see it: every event, every refusal, and what is done to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from support.chat import CHAT, Person, chatting, key_of
from support.program import ROOT, running

ATTACKS = ["<script>alert(1)</script>", "'; DROP TABLE chat_messages; --", '" OR 1=1 --', "${7*7}{{7*7}}%s%n"]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with chatting(tmp_path / "chat.db") as (_, port):
        yield port


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[int]:
    """Whoever is lost loses the name after a second, not after five."""
    with chatting(tmp_path / "chat.db", "--patience", "1") as (_, port):
        yield port


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One program for tests that do not mind what others have said. Whoever is lost keeps the name for ten minutes."""
    with chatting(tmp_path_factory.mktemp("chat") / "chat.db", "--patience", "600") as (_, port):
        yield port


@pytest.fixture(scope="module")
def node() -> Path:
    """Where the official client is."""
    if shutil.which("npm") is None:
        pytest.skip("Node is not here")
    folder = ROOT / "tests" / "clients" / "node"
    if not (folder / "node_modules" / "socket.io-client").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)
    return folder


@pytest.fixture
def ada(shared: int) -> Iterator[Person]:
    person = Person(shared, name="Ada")
    yield person
    person.leave()


@pytest.fixture
def grace(shared: int, ada: Person) -> Iterator[Person]:
    person = Person(shared, name="Grace Hopper")
    ada.hears("joined")
    yield person
    person.leave()
    while ada.hears("left")["name"] != "Grace Hopper":
        pass


# ---- names


def test_who_enters_is_told_everything_and_the_others_are_told_who(port: int) -> None:
    ada = Person(port, name="Ada")
    assert ada.told == {
        "name": "Ada",
        "people": ["Ada"],
        "rooms": [{"name": "red", "people": 0}, {"name": "green", "people": 0}],
        "mine": [],
        "messages": [],
        "more": False,
        "database": {"state": "well", "lost": 0, "waiting": 0},
    }
    before = time.time() * 1000
    grace = Person(port, name="  Grace  ")
    joined = ada.hears("joined")
    assert joined["name"] == "Grace" == grace.told["name"]
    assert abs(joined["at"] - before) < 60_000
    assert grace.told["people"] == ["Ada", "Grace"]
    assert grace.all_heard("joined") == []


def test_the_first_thing_said_is_the_name(shared: int, ada: Person) -> None:
    nameless = Person(shared)
    assert nameless.say("Ada") == {"error": "taken"}
    assert nameless.say("") == {"error": "empty"}
    assert nameless.say("Barbara")["people"] == ["Ada", "Barbara"]
    assert ada.hears("joined")["name"] == "Barbara"
    assert "id" in nameless.say("Barbara")
    assert ada.hears("message")["text"] == "Barbara"
    nameless.leave()
    assert ada.hears("left")["name"] == "Barbara"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("", {"error": "empty"}),
        ("   ", {"error": "empty"}),
        ("x" * 25, {"error": "long"}),
        ("A\nda", {"error": "characters"}),
        ("A\u200bda", {"error": "characters"}),
        ("@Ada", {"error": "characters"}),
        ("Ada", {"error": "taken"}),
        ("ADA", {"error": "lookalike", "other": "Ada"}),
        ("\u0410da", {"error": "lookalike", "other": "Ada"}),
        ("\uff21da", {"error": "lookalike", "other": "Ada"}),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_reason(
    shared: int, ada: Person, name: str, answer: dict[str, str]
) -> None:
    nameless = Person(shared)
    assert nameless.ask("enter", {"name": name, "key": key_of("another")}) == answer
    assert "people" in nameless.ask("enter", {"name": "Another", "key": key_of("another")})
    nameless.leave()


@pytest.mark.parametrize("key", ["", "x" * 15, "x" * 201])
def test_a_key_is_a_secret_of_some_length(shared: int, key: str) -> None:
    assert Person(shared).ask("enter", {"name": "Somebody", "key": key}) == {"error": "key"}


def test_a_key_has_to_be_there(shared: int) -> None:
    assert Person(shared).ask("enter", {"name": "Somebody"}) == {"error": "key"}


def test_nobody_enters_twice_by_one_connection(ada: Person) -> None:
    assert ada.enter("Ada the second") == {"error": "entered"}


def test_another_tab_of_the_same_browser_may_take_the_name_over(shared: int, ada: Person, grace: Person) -> None:
    grace.ask("join", "red")
    tab = Person(shared)
    assert tab.enter("Grace Hopper") == {"error": "here"}
    told = tab.enter("Grace Hopper", takeover=True)
    assert told["mine"] == ["red"]
    assert grace.hears("notice") == {"code": "replaced"}
    assert grace.is_dismissed()
    ada.say("@Grace Hopper are you there?")
    assert tab.hears("message")["text"] == "are you there?"
    ada.ask("join", "red")
    ada.say("or there?", "red")
    assert tab.hears("message")["text"] == "or there?"
    ada.ask("leave", "red")
    # Nobody else has noticed.
    assert ada.all_heard("left") == ada.all_heard("joined") == []
    tab.leave()


def test_with_another_key_a_name_cannot_be_taken_over(shared: int, ada: Person) -> None:
    thief = Person(shared)
    assert thief.ask("enter", {"name": "Ada", "key": key_of("thief"), "takeover": True}) == {"error": "taken"}


def test_who_leaves_is_gone_at_once(shared: int, ada: Person) -> None:
    grace = Person(shared, name="Grace")
    ada.hears("joined")
    grace.leave()
    assert ada.hears("left")["name"] == "Grace"
    again = Person(shared)
    assert "people" in again.ask("enter", {"name": "grace", "key": key_of("somebody else")})
    again.leave()


def test_who_closes_the_page_is_gone_at_once(shared: int, ada: Person) -> None:
    grace = Person(shared, name="Grace")
    grace.ws.close(1001)
    assert ada.hears("left")["name"] == "Grace"
    again = Person(shared)
    assert "people" in again.ask("enter", {"name": "Grace", "key": key_of("somebody else")})
    again.leave()


def test_a_lost_connection_keeps_the_name_for_five_seconds(port: int) -> None:
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    grace.ask("join", "red")
    began = time.monotonic()
    grace.lose_connection()
    assert Person(port).ask("enter", {"name": "Grace", "key": key_of("somebody else")}) == {"error": "taken"}
    assert "id" in ada.say("@Grace you will read this")
    assert ada.hears("left")["name"] == "Grace"
    # The connection is seen to go when it goes: no sooner than five seconds later the name is free.
    assert time.monotonic() - began > 4.9
    assert [one["people"] for one in ada.all_heard("room")] == [1, 0]
    assert Person(port, name="Grace").told["mine"] == []


def test_who_comes_back_in_time_goes_on_and_nobody_notices(port: int) -> None:
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    ada.hears("joined")
    grace.ask("join", "red")
    ada.say("before")
    last = grace.hears("message")["id"]
    grace.lose_connection()
    ada.say("meanwhile")
    ada.say("@Grace and to you")
    # Not recovered: another connection, which knows the key and what it has seen.
    back = Person(port)
    told = back.enter("Grace", since=last, takeover=True)
    assert [message["text"] for message in told["messages"]] == ["meanwhile", "and to you"]
    assert told["mine"] == ["red"]
    assert ada.all_heard("left") == ada.all_heard("joined") == []


def test_a_recovered_connection_goes_on_without_a_word_and_has_missed_nothing(port: int) -> None:
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    ada.hears("joined")
    grace.ask("join", "red")
    ada.ask("join", "red")
    ada.say("before")
    grace.hears("message")
    assert grace.offset is not None
    grace.lose_connection()
    for text, rooms in (("meanwhile", ()), ("in red", ("red",)), ("@Grace to you", ())):
        ada.say(text, *rooms)
    back = Person(port, auth={"pid": grace.pid, "offset": grace.offset})
    assert (back.sid, back.pid) == (grace.sid, grace.pid)
    assert [back.hears("message")["text"] for _ in range(3)] == ["meanwhile", "in red", "to you"]
    assert back.enter("Grace") == {"error": "entered"}
    assert "id" in back.say("here I am", "red")
    assert ada.ask("who", "red")["people"] == ["Grace", "Ada"]
    assert ada.all_heard("left") == ada.all_heard("joined") == []


def test_who_is_recovered_too_late_has_left_and_joins_again_into_the_same_rooms(hasty: int) -> None:
    port = hasty
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    ada.hears("joined")
    grace.ask("join", "red")
    ada.hears("room")
    grace.lose_connection()
    assert ada.hears("left")["name"] == "Grace"
    assert ada.hears("room") == {"name": "red", "people": 0}
    ada.say("very late")
    back = Person(port, auth={"pid": grace.pid, "offset": grace.offset})
    assert back.hears("message")["text"] == "very late"
    assert ada.hears("joined")["name"] == "Grace"
    assert ada.hears("room") == {"name": "red", "people": 1}
    assert "id" in back.say("back", "red")


def test_who_is_recovered_when_the_name_is_somebody_elses_is_put_out(hasty: int) -> None:
    port = hasty
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    grace.lose_connection()
    assert ada.hears("left")["name"] == "Grace"
    other = Person(port)
    other.ask("enter", {"name": "GRACE", "key": key_of("other")})
    back = Person(port, auth={"pid": grace.pid, "offset": grace.offset})
    assert back.hears("notice") == {"code": "replaced"}
    assert back.is_dismissed()
    assert ada.ask("who", "red")["people"] == []
    ada.say("@grace hello")
    assert other.hears("message")["text"] == "hello"


def test_who_was_replaced_while_away_does_not_come_back_by_recovery(port: int) -> None:
    grace = Person(port, name="Grace")
    grace.lose_connection()
    tab = Person(port, name="Grace")
    back = Person(port, auth={"pid": grace.pid, "offset": grace.offset} if grace.offset else {"pid": grace.pid})
    assert back.hears("notice") == {"code": "replaced"}
    assert back.is_dismissed()
    assert "id" in tab.say("I am the one")


# ---- messages


def test_a_message_in_no_room_goes_to_everybody_who_has_a_name(shared: int, ada: Person, grace: Person) -> None:
    nameless = Person(shared)
    answer = ada.say("hello, 世界 😀\nsecond line")
    for person in (ada, grace):
        message = person.hears("message")
        assert message == {
            "id": answer["id"],
            "at": answer["id"] // 1000,
            "kind": "all",
            "from": "Ada",
            "text": "hello, 世界 😀\nsecond line",
        }
    assert abs(message["at"] - time.time() * 1000) < 60_000
    assert nameless.all_heard("message") == []


def test_a_message_in_rooms_goes_to_those_in_any_of_them_once_each(shared: int, ada: Person, grace: Person) -> None:
    alan = Person(shared, name="Alan")
    for person, rooms in ((ada, ("red", "green")), (grace, ("red", "green")), (alan, ("tea",))):
        for room in rooms:
            person.ask("join", room)
    ada.say("colours", "red", "green", "red")
    for person in (ada, grace):
        (message,) = person.all_heard("message")
        assert message["kind"] == "rooms"
        assert message["rooms"] == ["red", "green"]
    assert alan.all_heard("message") == []
    alan.leave()
    for person in (ada, grace):
        for room in ("red", "green"):
            person.ask("leave", room)


def test_a_private_message_is_for_two(shared: int, ada: Person, grace: Person) -> None:
    alan = Person(shared, name="Alan")
    answer = ada.say("@grace hopper  see you", "red")
    for person in (ada, grace):
        (message,) = person.all_heard("message")
        assert message["id"] == answer["id"]
        assert (message["kind"], message["to"], message["text"]) == ("private", "Grace Hopper", "see you")
        assert "rooms" not in message
    assert alan.all_heard("message") == []
    alan.leave()


def test_the_longest_name_that_fits_is_meant(shared: int, ada: Person, grace: Person) -> None:
    short = Person(shared, name="Grace")
    ada.say("@Grace Hopper hello")
    ada.say("@Grace Hopperina")
    assert ada.hears("message")["to"] == "Grace Hopper"
    assert ada.hears("message")["to"] == "Grace"
    assert grace.all_heard("message")[0]["text"] == "hello"
    assert [message["text"] for message in short.all_heard("message")] == ["Hopperina"]
    short.leave()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", {"error": "empty"}),
        (" \n\t", {"error": "empty"}),
        ("\0\x07", {"error": "empty"}),
        ("x" * 2001, {"error": "long"}),
        ("x" * 1_000_000, {"error": "long"}),
        ("@Nobody hello", {"error": "offline", "to": "Nobody"}),
        ("@" + "x" * 1000, {"error": "offline", "to": "x" * 24}),
        ("@Adam hello", {"error": "offline", "to": "Adam"}),
        ("@Ada hello", {"error": "yourself"}),
        ("@Grace Hopper", {"error": "empty"}),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_reason(
    ada: Person, grace: Person, text: str, answer: dict[str, str]
) -> None:
    assert ada.say(text) == answer
    assert grace.all_heard("message") == []
    assert "id" in ada.say("but this")


def test_an_at_sign_by_itself_is_no_private_message(ada: Person, grace: Person) -> None:
    ada.say("@ five o'clock")
    ada.say("@")
    assert [message["kind"] for message in grace.all_heard("message")] == ["all", "all"]


def test_nobody_speaks_in_a_room_that_they_are_not_in(ada: Person, grace: Person) -> None:
    grace.ask("join", "red")
    ada.ask("join", "green")
    assert ada.say("hello", "green", "red") == {"error": "not in", "room": "red"}
    assert grace.all_heard("message") == ada.all_heard("message") == []
    ada.ask("leave", "green")
    grace.ask("leave", "red")


def test_ids_grow(ada: Person) -> None:
    ids = [ada.say(str(number))["id"] for number in range(8)]
    assert ids == sorted({*ids})
    assert ids[-1] < 1 << 53


def test_without_a_name_only_names_are_taken(shared: int) -> None:
    nameless = Person(shared)
    events: list[tuple[str, Any]] = [("join", "red"), ("leave", "red"), ("who", "red")]
    events += [("older", {"before": 1}), ("typing", {})]
    for event, asked in events:
        assert nameless.ask(event, asked) == {"error": "name"}


FORMS: list[tuple[str, Any]] = [
    (event, asked)
    for event, given in {
        "enter": [
            None,
            5,
            "Ada",
            [],
            {},
            {"name": 5},
            {"name": "x", "key": 5},
            {"name": "x", "key": "k" * 16, "since": "1"},
        ],
        "say": [
            None,
            5,
            "hello",
            [],
            {},
            {"text": 5},
            {"text": "x", "rooms": "red"},
            {"text": "x", "rooms": [["red"]]},
        ],
        "join": [None, 5, [], {"room": "red"}, True],
        "leave": [None, 5, ["red"]],
        "who": [None, 5, {}],
        "older": [None, {}, {"before": "1"}, {"before": -1}, {"before": 1 << 53}, {"before": 1.5}, {"before": True}],
        "typing": [None, 5, {"rooms": "red"}, {"to": 5}],
    }.items()
    for asked in given
]


@pytest.mark.parametrize(("event", "asked"), FORMS)
def test_what_has_not_the_form_is_refused(shared: int, ada: Person, event: str, asked: Any) -> None:
    person = Person(shared) if event == "enter" else ada
    assert person.ask(event, asked) == {"error": "form"}


@pytest.mark.parametrize("event", ["enter", "say", "join", "leave", "who", "older", "typing"])
def test_events_without_arguments_or_with_too_many_are_answered(ada: Person, event: str) -> None:
    assert ada.ask(event) == {"error": "form"}
    assert ada.ask(event, 5, 6, 7) == {"error": "form"}
    # And without an acknowledgement nothing is answered, and nothing breaks.
    ada.ws.send(f'42["{event}"]')
    ada.ws.send(f'42["{event}",5]')
    assert ada.ask("who", "red")["room"] == "red"


def test_half_of_a_character_arrives_as_the_replacement_character(shared: int, ada: Person) -> None:
    broken = Person(shared, name="Broken")
    broken.ws.send('42["say",{"text":"cut \\ud800"}]')
    assert ada.hears("message")["text"] == "cut \ufffd"
    broken.leave()


def test_three_megabytes_end_their_sender_alone(shared: int, ada: Person) -> None:
    huge = Person(shared, name="Huge")
    with pytest.raises(ConnectionClosed):
        huge.say("x" * 3_000_000)
    assert "id" in ada.say("still here")


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_a_text_like_any_other(shared: int, ada: Person, grace: Person, text: str) -> None:
    mallory = Person(shared, name=text[:24])
    assert mallory.ask("join", text[:24])["room"] == text[:24].strip()
    mallory.say(text)
    mallory.say(text, text[:24])
    mallory.say("@Grace Hopper " + text)
    assert mallory.ask("older", {"before": (1 << 53) - 1, "room": text[:24]})["messages"][0]["text"] == text
    assert [message["text"] for message in grace.all_heard("message")] == [text, text]
    assert ada.ask("older", {"before": (1 << 53) - 1})["messages"][-1]["from"] == text[:24].strip()
    mallory.leave()


# ---- rooms


def test_rooms_are_entered_and_left_and_everybody_sees_their_numbers(ada: Person, grace: Person) -> None:
    assert ada.ask("join", "tea") == {"room": "tea", "people": ["Ada"], "messages": [], "more": False}
    assert grace.hears("room") == {"name": "tea", "people": 1}
    assert grace.ask("join", " tea ")["people"] == ["Ada", "Grace Hopper"]
    assert ada.hears("entered") == {"room": "tea", "name": "Grace Hopper"}
    assert grace.ask("join", "tea") == {"error": "already"}
    assert ada.ask("who", "tea") == {"room": "tea", "people": ["Ada", "Grace Hopper"]}
    assert grace.ask("leave", "tea") == {"room": "tea"}
    assert ada.hears("departed") == {"room": "tea", "name": "Grace Hopper"}
    assert grace.ask("leave", "tea") == {"error": "not in", "room": "tea"}
    assert grace.all_heard("departed") == []
    ada.all_heard("room")
    ada.ask("leave", "tea")
    assert ada.all_heard("room") == [{"name": "tea", "people": 0}]
    assert ada.ask("who", "tea") == {"room": "tea", "people": []}


def test_red_and_green_are_always_there_and_other_rooms_while_somebody_is_in_them(shared: int, ada: Person) -> None:
    ada.ask("join", "coffee")
    grace = Person(shared, name="Grace")
    rooms = [(room["name"], room["people"]) for room in grace.told["rooms"]]
    assert rooms == [("red", 0), ("green", 0), ("coffee", 1)]
    grace.leave()
    ada.ask("leave", "coffee")


@pytest.mark.parametrize(
    ("room", "code"),
    [("", "empty"), (" ", "empty"), ("x" * 25, "long"), ("a\nb", "characters"), ("a\u200b", "characters")],
)
def test_a_room_that_cannot_be_is_refused_with_the_reason(ada: Person, room: str, code: str) -> None:
    assert ada.ask("join", room) == {"error": code}


def test_nobody_is_in_more_than_twenty_rooms(port: int) -> None:
    ada = Person(port, name="Ada")
    for number in range(20):
        assert "people" in ada.ask("join", f"room {number}")
    assert ada.ask("join", "one more") == {"error": "many"}
    ada.ask("leave", "room 0")
    assert "people" in ada.ask("join", "one more")


def test_a_room_called_like_somebodys_socket_hears_nothing_of_theirs(shared: int, ada: Person, grace: Person) -> None:
    eve = Person(shared, name="Eve")
    eve.ask("join", ada.sid)
    eve.ask("join", "*")
    ada.say("@Grace Hopper between us")
    assert eve.all_heard("message") == []
    eve.leave()


def test_who_goes_has_left_the_rooms(shared: int, ada: Person) -> None:
    ada.ask("join", "red")
    grace = Person(shared, name="Grace")
    grace.ask("join", "red")
    ada.all_heard("room")
    grace.leave()
    assert ada.hears("departed") == {"room": "red", "name": "Grace"}
    assert ada.hears("room") == {"name": "red", "people": 1}
    ada.ask("leave", "red")


# ---- typing


def test_typing_is_told_to_those_whom_it_is_for(shared: int, ada: Person, grace: Person) -> None:
    alan = Person(shared, name="Alan")
    grace.ask("join", "red")
    alan.ask("join", "red")
    assert ada.ask("typing", {"to": "Grace Hopper"}) == {}
    assert grace.hears("typing") == {"name": "Ada", "to": "Grace Hopper"}
    assert alan.ask("typing", {"rooms": ["red"]}) == {}
    assert grace.hears("typing") == {"name": "Alan", "rooms": ["red"]}
    assert grace.ask("typing", {}) == {}
    assert ada.all_heard("typing") == [{"name": "Grace Hopper"}]
    assert alan.all_heard("typing") == [{"name": "Grace Hopper"}]
    assert grace.all_heard("typing") == []
    alan.leave()
    grace.ask("leave", "red")


def test_typing_goes_on_once_a_second(ada: Person, grace: Person) -> None:
    began = time.monotonic()
    for _ in range(8):
        assert ada.ask("typing", {}) == {}
    assert 1 <= len(grace.all_heard("typing")) <= 1 + (time.monotonic() - began)


def test_typing_in_a_room_is_for_those_in_it(ada: Person, grace: Person) -> None:
    grace.ask("join", "red")
    assert ada.ask("typing", {"rooms": ["red"]}) == {"error": "not in", "room": "red"}
    assert ada.ask("typing", {"to": "Nobody"}) == {}
    assert grace.all_heard("typing") == []
    grace.ask("leave", "red")


# ---- pace


def test_who_sends_too_fast_is_told_so_once_and_held_back_and_nothing_is_lost(port: int) -> None:
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    began = time.monotonic()
    for number in range(25):
        ada.begin("say", {"text": str(number)})
    said = [grace.hears("message")["text"] for _ in range(25)]
    # Ten at once, then five a second.
    assert time.monotonic() - began > 2.5
    assert said == [str(number) for number in range(25)]
    notices = ada.all_heard("notice")
    assert [notice["code"] for notice in notices] == ["slow"]
    assert 0 < notices[0]["seconds"] < 5
    assert grace.all_heard("notice") == []


def test_who_floods_and_goes_leaves_nothing_behind_that_waits(port: int) -> None:
    ada, flood = Person(port, name="Ada"), Person(port, name="Flood")
    for number in range(200):
        flood.begin("say", {"text": str(number)})
    flood.hears("notice")
    flood.leave()
    while ada.hears("left")["name"] != "Flood":
        pass
    heard = [message["text"] for message in ada.all_heard("message")]
    assert heard == [str(number) for number in range(len(heard))]
    # What may be said at once is said, less what it cost to enter; with the end in sight the rest is dropped.
    assert 9 <= len(heard) < 100


def test_others_do_not_wait_for_who_sends_too_fast(port: int) -> None:
    ada, flood = Person(port, name="Ada"), Person(port, name="Flood")
    for number in range(200):
        flood.begin("say", {"text": str(number)})
    flood.hears("notice")
    assert "id" in ada.say("hello")
    assert ada.all_heard("notice") == []


# ---- the page, other clients, other pages


def test_the_page_comes_with_its_policy(shared: int) -> None:
    for path in ("/", "/index.html"):
        with urllib.request.urlopen(f"http://127.0.0.1:{shared}{path}") as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Content-Security-Policy"] == (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.read() == (CHAT / "public" / "index.html").read_bytes()


@pytest.mark.parametrize("path", ["/app.py", "/../app.py", "/%2e%2e/app.py", "/chat.db", "/nothing", "/chat/"])
def test_nothing_else_is_served(shared: int, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{shared}{path}")
    assert refused.value.code == 404
    refused.value.close()


def test_other_pages_may_not_connect(shared: int) -> None:
    url = f"ws://127.0.0.1:{shared}/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, origin="http://elsewhere.example", proxy=None).__enter__()  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


OFFICIAL = """
const { io } = require("socket.io-client");
const socket = io(process.argv[1], { transports: [process.argv[2]] });
const heard = [];
socket.on("message", (message) => heard.push(message.text));
socket.on("connect", async () => {
  const entered = await socket.emitWithAck("enter", { name: process.argv[3], key: "0123456789abcdef" });
  const said = await socket.emitWithAck("say", { text: "hello from " + process.argv[3] });
  console.log(JSON.stringify({ people: entered.people, id: typeof said.id, heard }));
  socket.disconnect();
});
"""


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_the_official_client_gets_along_with_it(shared: int, node: Path, ada: Person, transport: str) -> None:
    client = subprocess.run(
        ["node", "-e", OFFICIAL, f"http://127.0.0.1:{shared}", transport, f"Node {transport}"],
        cwd=node,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert client.returncode == 0, client.stderr
    told = json.loads(client.stdout)
    # Those whose connections were broken in other tests are still waited for.
    assert [name for name in told["people"] if name not in ("Broken", "Huge")] == ["Ada", f"Node {transport}"]
    assert told == {
        "people": told["people"],
        "id": "number",
        "heard": [f"hello from Node {transport}"],
    }
    assert ada.hears("message")["text"] == f"hello from Node {transport}"
    assert ada.hears("left")["name"] == f"Node {transport}"


# ---- the command line


def test_the_environment_says_where_and_which_database(tmp_path: Path) -> None:
    environment = {"HOST": "localhost", "PORT": "0", "DATABASE": f"sqlite+aiosqlite:///{tmp_path / 'mine.db'}"}
    with running([sys.executable, str(CHAT / "app.py")], environment=environment) as program:
        program.wait_for(r"Open http://(127\.0\.0\.1|\[::1\]):\d+/ in two tabs")
        assert program.stop() == 0
    assert (tmp_path / "mine.db").exists()
    assert "Traceback" not in program.output


def test_the_network_may_be_in_the_event_loops_thread(tmp_path: Path) -> None:
    with chatting(tmp_path / "chat.db", "--io-threads", "0") as (_, port):
        ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
        grace.ask("join", "red")
        ada.say("hello")
        grace.hears("message")
        grace.lose_connection()
        ada.say("@Grace hello")
        back = Person(port, auth={"pid": grace.pid, "offset": grace.offset})
        assert back.hears("message")["kind"] == "private"


@pytest.mark.parametrize(("name", "kind"), [("PORT", "int"), ("IO_THREADS", "int"), ("CHAT_PATIENCE", "float")])
def test_an_environment_that_makes_no_sense_is_said_in_a_line(name: str, kind: str) -> None:
    done = start(**{name: "abc"})
    assert done.returncode == 2
    assert done.stderr.endswith(f"invalid {kind} value: 'abc'\n")
    assert "Traceback" not in done.stderr


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "is it? 100% #1"
    shutil.copytree(CHAT, folder, ignore=shutil.ignore_patterns("chat.db*", "__pycache__"))
    with running([sys.executable, str(folder / "app.py"), "--port", "0"], environment={"DATABASE": ""}) as program:
        program.wait_for("Open http")
        assert program.stop() == 0
    assert (folder / "chat.db").exists()


def test_a_port_that_is_taken_is_said_in_a_line(shared: int, tmp_path: Path) -> None:
    done = start("--port", str(shared), "--database", f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"app.py: [Errno 98] cannot listen on 127.0.0.1 port {shared}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "'nonsense' is not the address of a database"),
        ("mysql+pymysql://root:secret@127.0.0.1/test", "mysql+pymysql://root:***@127.0.0.1/test: mysql+pymysql is not"),
        ("sqlite:///chat.db", "sqlite:///chat.db: sqlite is not one of the asynchronous drivers"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_with_what_can(url: str, says: str) -> None:
    done = start("--port", "0", "--database", url)
    assert done.returncode == 1
    assert says in done.stderr
    assert "sqlite+aiosqlite://, mysql+asyncmy://, mariadb+asyncmy://, postgresql+asyncpg://" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def start(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHAT / "app.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ | environment)


# ---- another name


def test_another_name_is_told_and_the_rooms_and_what_is_private_stay(port: int) -> None:
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    ada.ask("join", "red")
    key = key_of("Countess")
    assert ada.ask("rename", {"name": "Countess", "key": key}) == {"name": "Countess"}
    told = grace.hears("renamed")
    assert (told["name"], told["to"]) == ("Ada", "Countess")
    assert grace.ask("who", "red")["people"] == ["Countess"]
    assert "id" in grace.say("@Countess psst")
    assert ada.hears("message")["to"] == "Countess"
    assert grace.say("@Ada psst")["error"] == "offline"
    # The former name is free, and who has it now reads nothing.
    other = Person(port, name="Ada")
    assert other.told["messages"] == []
    # Whoever comes back with the new key is the same person.
    ada.lose_connection()
    again = Person(port)
    assert again.enter("Countess", key=key, takeover=True)["mine"] == ["red"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("", "empty"), ("Grace", "taken"), ("GRACE", "lookalike"), ("x" * 25, "long"), ("@da", "characters")],
)
def test_a_name_that_cannot_be_changes_nothing(port: int, name: str, error: str) -> None:
    ada, grace = Person(port, name="Ada"), Person(port, name="Grace")
    assert ada.ask("rename", {"name": name, "key": key_of(name)})["error"] == error
    assert ada.ask("rename", {"name": "Countess", "key": "short"})["error"] == "key"
    assert "id" in grace.say("@Ada psst")
    assert grace.all_heard("renamed") == []
    # The case of one's own name is one's own.
    assert ada.ask("rename", {"name": "ADA", "key": key_of("ADA")}) == {"name": "ADA"}


def test_who_has_no_name_has_none_to_change(port: int) -> None:
    assert Person(port).ask("rename", {"name": "Ada", "key": key_of("Ada")})["error"] == "name"
