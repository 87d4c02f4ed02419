"""`hubbub new`: a project that runs is written, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.chat import CHAT, Person
from support.program import hubbub_command, running


def new(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(hubbub_command("new", *arguments), cwd=folder, capture_output=True, text=True, timeout=30)


def files(folder: Path) -> dict[str, bytes]:
    """Every file but those that Python, tools or the chat make."""
    found = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    made = ("__pycache__", "chat.db", "_cache/")
    return {name: file.read_bytes() for name, file in found.items() if not any(word in name for word in made)}


def test_the_chat_is_written_with_all_its_files_and_the_next_commands_are_told(tmp_path: Path) -> None:
    done = new(tmp_path, "chat")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n\n")[0] == "chat is there. Next:"
    commands = [line.strip() for line in done.stdout.splitlines()[2:]]
    assert commands == ["cd chat", "pip install -r requirements.txt", "python app.py"]
    assert files(tmp_path / "chat") == files(CHAT)


def test_what_was_written_starts_and_answers(tmp_path: Path) -> None:
    assert new(tmp_path, "chat", "my talk").returncode == 0
    project = tmp_path / "my talk"
    with running([sys.executable, "app.py", "--port", "0"], cwd=project) as program:
        port = int(program.wait_for(r"Open http://127\.0\.0\.1:(\d+)/")[1])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert page.read() == (CHAT / "public" / "index.html").read_bytes()
        ada = Person(port, name="Ada")
        assert "id" in ada.say("hello")
        ada.leave()
        assert program.stop() == 0
    assert (project / "chat.db").exists()


def test_the_folder_may_be_there_if_it_is_empty_and_its_name_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    done = new(tmp_path, "chat", "a b")
    assert done.returncode == 0
    assert "    cd 'a b'\n" in done.stdout
    assert (tmp_path / "a b" / "app.py").exists()


@pytest.mark.parametrize("taken", ["a folder", "a file"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    if taken == "a file":
        (tmp_path / "chat").write_text("mine")
    else:
        (tmp_path / "chat").mkdir()
        (tmp_path / "chat" / "app.py").write_text("mine")
    before = files(tmp_path)
    done = new(tmp_path, "chat")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "hubbub: error: chat is there already, and nothing is overwritten: give another folder\n"
    assert files(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = new(tmp_path, "chat", "file/chat")
    assert done.returncode == 1
    assert done.stderr.startswith("hubbub: error: ")
    assert "Traceback" not in done.stderr


def test_a_project_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    done = new(tmp_path, "spaceship")
    assert done.returncode == 2
    told = "'spaceship' is no project; there is chat. For a folder of that name: hubbub new chat spaceship"
    assert told in done.stderr.splitlines()[-1]
    assert [*tmp_path.iterdir()] == []


def test_the_help_names_the_projects(tmp_path: Path) -> None:
    done = new(tmp_path, "--help")
    assert done.returncode == 0
    assert "chat: names, private messages" in " ".join(done.stdout.split())
    assert "FOLDER" in done.stdout
