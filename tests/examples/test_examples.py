"""Each example, as a program of its own, with a client that we did not write."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from support.program import ROOT, Program, running


@contextmanager
def example(name: str) -> Iterator[tuple[Program, int]]:
    command = [sys.executable, str(ROOT / "examples" / name)]
    with running(command, environment={"PORT": "0"}) as program:
        yield program, program.wait_for_port()
        assert program.stop() == 0, program.output
    assert "Traceback" not in program.output


def test_echo() -> None:
    with example("echo.py") as (program, port), program.connect(port) as client:
        for message in ("hello", "", b"\x00\xff"):
            client.send(message)
            assert client.recv(timeout=5) == message


def test_broadcast_from_thread() -> None:
    with example("broadcast_from_thread.py") as (program, port), program.connect(port) as one:
        json.loads(one.recv(timeout=5))  # the greeting
        with program.connect(port) as other:
            json.loads(other.recv(timeout=5))
            from_thread = [json.loads(client.recv(timeout=5)) for client in (one, other)]
    assert [news["listeners"] for news in from_thread] == [2, 2]


def test_chat_coroutine() -> None:
    with example("chat_coroutine.py") as (_, port):
        url = f"ws://127.0.0.1:{port}/chat/"
        with connect(f"{url}tea", subprotocols=["chat.v1"], proxy=None) as ada:  # type: ignore[list-item]
            assert ada.subprotocol == "chat.v1"
            assert ada.recv(timeout=5) == "1 in tea"
            with connect(f"{url}tea", proxy=None) as grace, connect(f"{url}garden", proxy=None) as elsewhere:
                assert grace.recv(timeout=5) == "2 in tea"
                assert elsewhere.recv(timeout=5) == "1 in garden"
                grace.send("hello")
                assert [ada.recv(timeout=5), grace.recv(timeout=5)] == ["hello", "hello"]
                elsewhere.send("nobody else here")
                assert elsewhere.recv(timeout=5) == "nobody else here"


# ---- rooms

PAGE = {"/": "text/html", "/style.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"}


@pytest.fixture(scope="module")
def rooms() -> Iterator[int]:
    with example("rooms/app.py") as (_, port):
        yield port


@pytest.mark.parametrize("app", ["rooms", "clocks", "socketio"])
def test_an_app_prints_its_address(app: str) -> None:
    command = [sys.executable, str(ROOT / f"examples/{app}/app.py"), "--port", "0", "--io-threads", "0"]
    with running(command) as program:
        program.wait_for(r"Open http://127\.0\.0\.1:0/")
        program.wait_for_port()


@pytest.mark.parametrize("path", PAGE)
def test_the_files_of_the_page_have_their_types_and_the_policy(rooms: int, path: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{rooms}{path}") as answer:
        kinds = {
            "/": "text/html",
            "/style.css": "text/css",
            "/page.js": "text/javascript",
            "/icon.svg": "image/svg+xml",
        }
        assert answer.headers["Content-Type"] == f"{kinds[path]}; charset=utf-8"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; connect-src 'self'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.read() == (ROOT / "examples/rooms" / (path[1:] or "index.html")).read_bytes()


def test_head_is_answered_without_the_content(rooms: int) -> None:
    with socket.create_connection(("127.0.0.1", rooms), timeout=5) as client:
        client.sendall(b"HEAD /style.css HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := client.recv(65536):
            answer += data
    size = (ROOT / "examples/rooms/style.css").stat().st_size
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(f"Content-Length: {size}\r\n\r\n".encode())


@pytest.mark.parametrize("path", ["/app.py", "/../app.py", "/%2e%2e/echo.py", "/nothing"])
def test_nothing_else_is_served(rooms: int, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{rooms}{path}")
    assert refused.value.code == 404
    refused.value.close()


@pytest.mark.parametrize("file", ["index.html", "page.js"])
def test_the_page_writes_text_as_text_only(file: str) -> None:
    source = (ROOT / "examples/rooms" / file).read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert way not in source


@contextmanager
def talk(port: int, name: str, room: str) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as client:
        client.send(json.dumps({"type": "name", "name": name}))
        client.send(json.dumps({"type": "enter", "room": room}))
        yield client


def until(client: ClientConnection, kind: str) -> dict[str, object]:
    while True:
        message: dict[str, object] = json.loads(client.recv(timeout=5))
        if message["type"] == kind:
            return message


def test_rooms_tells_who_is_there_and_what_they_say(rooms: int) -> None:
    with talk(rooms, "Ada", "tea") as ada, talk(rooms, "  Grace \n Hopper ", "tea") as grace:
        assert [person["name"] for person in until(grace, "people")["people"]].count("Grace Hopper") == 1  # type: ignore
        grace.send(json.dumps({"type": "say", "room": "tea", "text": " hello "}))
        said = until(ada, "said")
        assert (said["text"], said["by"]["name"]) == ("hello", "Grace Hopper")  # type: ignore[index]
        grace.close()
        while (left := until(ada, "people")).get("went") is None:
            pass
        assert left["people"] == [{"id": left["people"][0]["id"], "name": "Ada"}]  # type: ignore[index]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 10_000,
        '{"type": "say", "room": "elsewhere", "text": "not in it"}',
        '{"type": "say", "room": "tea", "text": " "}',
        '{"type": "name", "name": 1}',
        '{"type": "enter", "room": " "}',
        b"\xff",
    ],
)
def test_what_is_not_understood_is_said_and_nothing_breaks(rooms: int, wrong: str | bytes) -> None:
    with talk(rooms, "Ada", "tea") as ada:
        ada.send(wrong)
        assert until(ada, "error")["text"] == "That was not understood."


@pytest.mark.parametrize(("path", "origin", "status"), [("/", None, 404), ("/ws", "http://elsewhere.example", 403)])
def test_other_places_and_other_pages_are_refused(rooms: int, path: str, origin: str | None, status: int) -> None:
    url = f"ws://127.0.0.1:{rooms}{path}"
    with pytest.raises(InvalidStatus) as refused, connect(url, origin=origin, proxy=None):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == status


# ---- folders with pages

FILES = [
    *(("clocks", f"/{path.name}", path) for path in sorted((ROOT / "examples/clocks/public").iterdir())),
    *(("socketio", f"/{path.name}", path) for path in sorted((ROOT / "examples/socketio/public").iterdir())),
    *(
        ("socketio", f"/programs/{path.name}", path)
        for path in sorted((ROOT / "examples/socketio/programs").glob("*.py"))
    ),
]
PUBLIC = [path for _, _, path in FILES if path.suffix != ".py"]


def name_of(value: object) -> str | None:
    return value.name if isinstance(value, Path) else None


@pytest.fixture(scope="module")
def clocks() -> Iterator[int]:
    with example("clocks/app.py") as (_, port):
        yield port


@pytest.fixture(scope="module")
def ports(clocks: int) -> Iterator[dict[str, int]]:
    with example("socketio/app.py") as (_, port):
        yield {"clocks": clocks, "socketio": port}


@pytest.mark.parametrize("program", ["socket.io", "events", "namespaces", "rooms", "broadcasts"])
def test_other_pages_may_not_connect_to_the_programs(ports: dict[str, int], program: str) -> None:
    url = f"http://127.0.0.1:{ports['socketio']}/{program}/?EIO=4&transport=polling"
    own = urllib.request.Request(url, headers={"Origin": f"http://127.0.0.1:{ports['socketio']}"})
    with urllib.request.urlopen(own) as answer:
        assert answer.read().startswith(b'0{"sid":')
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Origin": "http://elsewhere.example"}))
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.parametrize(("app", "url", "path"), FILES, ids=name_of)
def test_a_file_of_the_pages_is_served_with_the_policy(ports: dict[str, int], app: str, url: str, path: Path) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[app]}{url}") as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert answer.read() == path.read_bytes()


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: f"{path.parts[-3]}-{path.name}")
def test_a_file_of_the_pages_loads_nothing_from_elsewhere_and_writes_text_as_text_only(path: Path) -> None:
    source = path.read_text().replace("http://www.w3.org/2000/svg", "")
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "http://",
        "https://",
        '"//',
    ):
        assert way not in source


def test_the_clock_has_one_broadcast_a_second_for_everyone(clocks: int) -> None:
    def times(client: ClientConnection) -> list[str]:
        return [json.loads(client.recv(timeout=5))["time"] for _ in range(3)]

    url = f"ws://127.0.0.1:{clocks}/clock"
    with connect(url, proxy=None) as one, connect(url, proxy=None) as other:
        heard, also = times(one), times(other)
        assert len({*heard}) == 3
        assert heard[1:] == also[:2] or heard == also
        one.send(" hello ")
        while (news := json.loads(other.recv(timeout=5))).get("line") is None:
            pass
        assert news == {"line": "hello"}
