"""What README and guide say is true: programs run, fragments compile, tables name what there is."""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import hubbub
from support.program import ROOT, Program, hubbub_command, running
from support.tables import written

PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "guide.md",
    ROOT / "docs" / "socketio.md",
    ROOT / "docs" / "socketio-compat.md",
]
GUIDE = PAGES[1].read_text()

BLOCKS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S))
]


def is_program(code: str) -> bool:
    return '__name__ == "__main__"' in code


PROGRAMS = [block for block in BLOCKS if is_program(str(block.values[0]))]
FRAGMENTS = [block for block in BLOCKS if not is_program(str(block.values[0]))]


@pytest.mark.parametrize("code", FRAGMENTS)
def test_a_fragment_compiles(code: str) -> None:
    compile(code, "fragment", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("code", PROGRAMS)
def test_a_program_does_what_the_page_says(code: str, tmp_path: Path) -> None:
    name = code.splitlines()[0].removeprefix("# ")
    assert name in CLIENTS, f"the program {name} needs a client below"
    (tmp_path / name).write_text(code.replace("port=8000", "port=0"))
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("<h1>home</h1>")
    with running([sys.executable, name], cwd=tmp_path) as program:
        CLIENTS[name](program, program.wait_for_port())
    assert "Traceback" not in program.output


def chat(program: Program, port: int) -> None:
    with program.connect(port) as ada:
        assert ada.recv(timeout=5) == "welcome"
        with program.connect(port) as grace:
            assert grace.recv(timeout=5) == "welcome"
            grace.send("hello")
            assert ada.recv(timeout=5) == "hello"
        assert ada.recv(timeout=5) == "somebody has left"


def rooms(program: Program, port: int) -> None:
    with program.connect(port, "/chat/tea") as ada, program.connect(port, "/chat/garden") as grace:
        grace.send("elsewhere")
        assert grace.recv(timeout=5) == "elsewhere"
        ada.send("hello")
        assert ada.recv(timeout=5) == "hello"


def door(program: Program, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert answer.read() == b"Connect with a WebSocket client.\n"
    with program.connect(port, "/?token=let-me-in") as client:
        assert client.recv(timeout=5) == "hello Ada"
    with pytest.raises(InvalidStatus, match="403"), program.connect(port):
        pass
    url = f"ws://127.0.0.1:{port}/?token=let-me-in"
    elsewhere = "https://elsewhere.example"
    with pytest.raises(InvalidStatus, match="403"), connect(url, origin=elsewhere, proxy=None):  # type: ignore[arg-type]
        pass


def echo(program: Program, port: int) -> None:
    with program.connect(port) as client:
        for message in ("text", b"binary"):
            client.send(message)
            assert client.recv(timeout=5) == message


def paths(program: Program, port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/files/a/b%20c", subprotocols=["v1", "v2"], proxy=None) as client:  # type: ignore
        assert client.recv(timeout=5) == "a/b c by v2"
    with pytest.raises(InvalidStatus, match="404"), program.connect(port, "/elsewhere"):
        pass


def pages(program: Program, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b"<title>hello</title>" in answer.read()
    with connect(f"ws://127.0.0.1:{port}/?name=Ada", subprotocols=["json"], proxy=None) as client:  # type: ignore
        assert client.recv(timeout=5) == "hello Ada"
        assert client.subprotocol == "json"
        assert client.response is not None
        assert client.response.headers["X-Served-By"] == "hubbub"
    with pytest.raises(InvalidStatus, match="400"), program.connect(port):
        pass


def poll(program: Program, port: int) -> None:
    got: list[bytes] = []

    def ask() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/news") as answer:
            got.append(answer.read())

    asking = threading.Thread(target=ask)
    asking.start()
    with program.connect(port) as client:
        # Nobody outside sees when the request has come to wait.
        while asking.is_alive():
            client.send("it rains")
            asking.join(0.01)
    assert got == [b"it rains"]


def announce(program: Program, port: int) -> None:
    with program.connect(port, "/live") as client:
        client.send("here")
        assert client.recv(timeout=5) == "here"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", data=b"hello") as answer:
            assert answer.read() == b"1 have got it\n"
        assert client.recv(timeout=5) == "hello"


def site(program: Program, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert answer.read() == b"<h1>home</h1>"
        assert answer.headers["Cache-Control"] == "max-age=60"
    with program.connect(port, "/live") as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


def talk(program: Program, port: int) -> None:
    path = "/socket.io/?EIO=4&transport=websocket"
    with program.connect(port, path) as ada, program.connect(port, path) as grace:
        for client in (ada, grace):
            client.recv(timeout=5)
            client.send("40")
            assert str(client.recv(timeout=5)).startswith('40{"sid":"')
        ada.send('42["chat message","hello"]')
        assert grace.recv(timeout=5) == '42["chat message","hello"]'


def said(program: Program, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert answer.read() == b"<h1>home</h1>"
    path = "/socket.io/?EIO=4&transport=websocket"
    with program.connect(port, path) as ada, program.connect(port, path) as grace:
        for client in (ada, grace):
            client.recv(timeout=5)
            client.send("40")
            assert str(client.recv(timeout=5)).startswith('40{"sid":"')
        ada.send('421["say","hello"]')
        assert grace.recv(timeout=5) == '42["said","hello"]'
        assert ada.recv(timeout=5) == '431["ok"]'


CLIENTS: dict[str, Callable[[Program, int], None]] = {
    "chat.py": chat,
    "rooms.py": rooms,
    "door.py": door,
    "echo.py": echo,
    "paths.py": paths,
    "pages.py": pages,
    "poll.py": poll,
    "inside.py": echo,
    "announce.py": announce,
    "site.py": site,
    "talk.py": talk,
    "said.py": said,
}


# ---- tables and names


def rows(section: str) -> list[list[str]]:
    """The cells of the tables in one section of the guide."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", GUIDE, re.M | re.S)
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]


def test_the_guides_table_of_limits_is_what_the_fields_say() -> None:
    assert written(GUIDE) == GUIDE, "make tables writes it"


def test_the_guide_names_every_figure() -> None:
    hub = hubbub.Hub()

    async def figures() -> hubbub.Stats:
        async with hub.listening(port=0):
            return hub.stats()

    told = [name for row in rows("Figures") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(asyncio.run(figures()))


def test_the_type_of_the_figures_names_every_one() -> None:
    told = [name for row in rows("Figures") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(hubbub.Stats.__annotations__)


def test_the_guide_names_every_metric() -> None:
    hub = hubbub.Hub()

    async def text() -> str:
        async with hub.listening(port=0):
            return hub.metrics_text()

    told = [name for row in rows("Metrics") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(re.findall(r"^# TYPE (\w+)", asyncio.run(text()), re.M))


def test_the_guide_names_every_exported_name() -> None:
    told = set(re.findall(r"\w+", GUIDE))
    # These are met as what others give, and are explained there.
    given = {"Audience", "Headers", "Listening", "Room", "Rooms", "Sessions", "mask_kernel"}
    assert set(hubbub.__all__) - given <= told


def test_options_that_the_pages_show_exist() -> None:
    shown = subprocess.run(hubbub_command("run", "--help"), capture_output=True, text=True, check=True).stdout
    existing = set(re.findall(r"--[a-z-]+", shown))
    for page in PAGES:
        commands = "\n".join(re.findall(r"^.*hubbub run.*$|^\| `--.*$", page.read_text(), re.M))
        told = set(re.findall(r"--[a-z-]*[a-z]\b(?!-…)", commands))
        assert told - existing - {"--limit"} == set()


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
            file, _, anchor = target.partition("#")
            there = page.parent / file if file else page
            assert there.exists(), f"{page.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", there.read_text(), re.M)
                assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
