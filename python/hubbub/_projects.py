"""Projects to start from: what ``hubbub new`` writes."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["PROJECTS", "write"]

#: Their names, and what they are.
PROJECTS = {"chat": "names, private messages, rooms, a history in a database and a page, on hubbub.socketio"}

#: Copies of examples that the wheel brings along.
_FOLDER = Path(__file__).parent / "projects"


def write(project: str, folder: Path) -> None:
    """Copies a project into a folder that is empty, or not there yet.

    Raises:
        OSError: the folder has something in it, or cannot be written.
    """
    source = _FOLDER / project
    if not source.is_dir():
        raise FileNotFoundError(f"this hubbub was built without the project {project}: build its wheel with make")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already, and nothing is overwritten: give another folder")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
