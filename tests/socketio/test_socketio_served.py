"""The client for browsers that the wheel brings along: complete, of the version that is pinned, with its licences."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hubbub.socketio.served import client_folder

SOURCE = Path(__file__).parents[2] / "python" / "client"
FILES = {
    f"socket.io{form}.js{end}" for form in ("", ".min", ".esm.min", ".msgpack.min") for end in ("", ".map")
}  # what socket.io 4.8 has in its own client-dist

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed: the wheel has no client")


@pytest.fixture
def folder() -> Path:
    found = client_folder()
    assert found is not None
    return found


def test_all_forms_of_the_client_are_there_and_nothing_else(folder: Path) -> None:
    compressed = {name + end for name in FILES for end in (".br", ".gz")}
    assert {path.name for path in folder.iterdir()} == FILES | compressed | {"LICENSE"}


def test_the_compressed_forms_are_the_same_files_and_smaller(folder: Path) -> None:
    for name in FILES:
        content = (folder / name).read_bytes()
        assert gzip.decompress((folder / f"{name}.gz").read_bytes()) == content
        # Python has no Brotli; Node, by which they were made, does.
        script = "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync(process.argv[1])))"
        command = ["node", "-e", script, folder / f"{name}.br"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == content
        sizes = [(folder / f"{name}{end}").stat().st_size for end in (".br", ".gz", "")]
        assert sizes == sorted(sizes)
        assert sizes[1] < sizes[2] / 3


def test_the_compressed_forms_are_not_older_than_the_files(folder: Path) -> None:
    # Or else they would not be served.
    for name in FILES:
        for end in (".br", ".gz"):
            assert int((folder / f"{name}{end}").stat().st_mtime) >= int((folder / name).stat().st_mtime)


def test_the_version_is_the_one_that_is_pinned(folder: Path) -> None:
    pinned = json.loads((SOURCE / "package.json").read_text())["dependencies"]["socket.io-client"]
    lock = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
    assert lock["node_modules/socket.io-client"]["version"] == pinned
    assert all("integrity" in package for path, package in lock.items() if path)
    for name in FILES:
        if name.endswith(".js"):
            assert f"Socket.IO v{pinned}\n" in (folder / name).read_text(encoding="utf-8")[:200]


def test_the_licences_of_all_that_is_bundled_come_with_it(folder: Path) -> None:
    text = (folder / "LICENSE").read_text(encoding="utf-8")
    parts = dict(part.strip().split("\n\n", 1) for part in text.split("-" * 80))
    assert {"socket.io-client", "engine.io-client", "socket.io-parser", "debug", "notepack.io"} <= set(parts)
    for name, licence in parts.items():
        assert "Permission is hereby granted, free of charge" in " ".join(licence.split()), name
        assert re.search(r"Copyright \(c\)", licence, re.IGNORECASE), name
