"""The client for browsers that the wheel brings along: complete, of the version that is pinned, with its licences."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hubbub import Hub
from hubbub.socketio import Server, served
from hubbub.socketio.served import client_folder
from support.http import visiting
from support.server import Serve

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


# ---- served


@pytest.mark.anyio
async def test_a_server_has_its_client_below_its_path(serve: Serve, folder: Path) -> None:
    hub = Hub()
    Server(hub)
    Server(hub, "/other/", serve_client=False)
    async with serve(hub) as server, visiting(server) as visitor:
        for name in sorted(FILES):
            plain = await visitor.get(f"/socket.io/{name}")
            kind = "application/json" if name.endswith(".map") else "text/javascript; charset=utf-8"
            assert (plain.status, plain.headers["content-type"]) == (200, kind)
            assert plain.body == (folder / name).read_bytes()
            # A module, or a script with integrity, from another origin is nothing without that.
            assert plain.headers["access-control-allow-origin"] == "*"
            for coding, end in (("br", ".br"), ("gzip", ".gz")):
                answer = await visitor.get(f"/socket.io/{name}", f"Accept-Encoding: {coding}\r\n")
                assert (answer.status, answer.headers["content-encoding"]) == (200, coding)
                assert answer.body == (folder / f"{name}{end}").read_bytes()
                again = f"Accept-Encoding: {coding}\r\nIf-None-Match: {answer.headers['etag']}\r\n"
                assert (await visitor.get(f"/socket.io/{name}", again)).status == 304
        assert (await visitor.get("/socket.io/other.js")).status == 404
        # Nor is anything in the way of the server itself.
        opened = await visitor.get("/socket.io/?EIO=4&transport=polling")
        assert (opened.status, opened.body[:7]) == (200, b'0{"sid"')
        assert (await visitor.get("/other/socket.io.js")).status == 404


@pytest.mark.anyio
async def test_without_the_files_a_404_says_why(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(served, "_FOLDER", tmp_path)
    assert client_folder() is None
    hub = Hub()
    Server(hub)
    async with serve(hub) as server, visiting(server) as visitor:
        answer = await visitor.get("/socket.io/socket.io.js")
        assert answer.status == 404
        assert b"`make wheel` puts it in" in answer.body
        opened = await visitor.get("/socket.io/?EIO=4&transport=polling")
        assert (opened.status, opened.body[:7]) == (200, b'0{"sid"')
