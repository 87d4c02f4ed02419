"""Static folders, as clients that we did not write see them: httpx and curl."""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import httpx
import pytest

from hubbub import Hub, Limits, Request, Response, WebSocket
from support.http import visiting
from support.server import Serve, Server

pytestmark = pytest.mark.anyio

CERTIFICATES = Path(__file__).parent / "certificates"
SCRIPT = "export const answer = 42\n" * 100
LARGE = bytes(range(256)) * 20_000


@pytest.fixture
def public(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>home</h1>")
    (folder / "docs" / "index.html").write_text("<h1>docs</h1>")
    (folder / "app.js").write_text(SCRIPT)
    (folder / "app.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "schön & gut.txt").write_text("schön")
    (folder / ".env").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to("../secret.txt")
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    return folder


@asynccontextmanager
async def browsing(server: Server, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{server.listening.port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, **options) as client:
        yield client


def static(public: Path, **options: Any) -> Hub:
    hub = Hub()
    hub.static("/", public, **options)
    return hub


async def test_httpx_gets_files_and_what_describes_them(serve: Serve, public: Path) -> None:
    async with serve(static(public, max_age=60.5, headers={"X-Test": "yes"})) as server, browsing(server) as client:
        home = await client.get("/")
        assert (home.status_code, home.text) == (200, "<h1>home</h1>")
        assert home.headers["content-type"] == "text/html; charset=utf-8"
        assert home.headers["last-modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
        assert (home.headers["cache-control"], home.headers["x-test"]) == ("max-age=60", "yes")
        assert (await client.get("/docs", follow_redirects=True)).url.path == "/docs/"
        script = await client.get("/app.js")
        assert (script.text, script.headers["content-encoding"], script.headers["vary"]) == (
            SCRIPT,
            "gzip",
            "Accept-Encoding",
        )
        plain = await client.get("/app.js", headers={"accept-encoding": "identity"})
        assert plain.text == SCRIPT
        assert "content-encoding" not in plain.headers
        assert plain.headers["etag"] != script.headers["etag"]
        again = await client.get("/app.js", headers={"if-none-match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        large = await client.get("/large.bin")
        assert large.content == LARGE
        part = await client.get("/large.bin", headers={"range": "bytes=1000-1999", "if-range": large.headers["etag"]})
        assert (part.status_code, part.content) == (206, LARGE[1000:2000])
        head = await client.head("/large.bin")
        assert (head.headers["content-length"], head.content) == (str(len(LARGE)), b"")
        assert (await client.get("/schön & gut.txt")).text == "schön"
        for path in ("/none", "/.env", "/link.txt", "/docs/none/"):
            missing = await client.get(path)
            assert (missing.status_code, "secret" in missing.text) == (404, False), path
        refused = await client.post("/app.js", content=b"x")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        stats = server.hub.stats()
        assert stats["refusals"]["not_found"] == 4
        assert stats["refusals"]["method"] == 1
        assert stats["answers"]["206"] == 1
        assert stats["requests"] == 0
        assert stats["bytes_out"] > len(LARGE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_curl_resumes_a_download_and_keeps_what_is_still_good(serve: Serve, public: Path, tmp_path: Path) -> None:
    async def curl(*arguments: str) -> str:
        process = await anyio.run_process(["curl", "--silent", "--show-error", "--fail", *arguments], stdout=PIPE)
        return process.stdout.decode()

    async with serve(static(public)) as server:
        url = f"http://127.0.0.1:{server.listening.port}"
        target = tmp_path / "large.bin"
        target.write_bytes(LARGE[:123_456])
        await curl("--continue-at", "-", "--output", str(target), f"{url}/large.bin")
        assert target.read_bytes() == LARGE
        tag = tmp_path / "tag"
        assert await curl("--etag-save", str(tag), "--output", str(target), f"{url}/app.js") == ""
        wanted = ["--etag-compare", str(tag), "--write-out", "%{http_code}", "--output", os.devnull, f"{url}/app.js"]
        assert await curl(*wanted) == "304"
        compressed = await curl("--compressed", "--write-out", "%{size_download}", f"{url}/app.js")
        assert compressed == f"{SCRIPT}{(public / 'app.js.gz').stat().st_size}"
        old = ["--time-cond", "Mon, 10 Sep 2001 00:00:00 GMT", "--write-out", "%{http_code}"]
        assert await curl(*old, f"{url}/app.js") == "304"
        # One connection for all of them: the first connects, the others go on.
        each = ["--output", os.devnull, f"{url}/app.js", "--output", os.devnull, f"{url}/large.bin"]
        assert await curl("--write-out", "%{num_connects}", *each) == "10"


async def test_files_stand_beside_websockets_an_application_and_the_figures(serve: Serve, public: Path) -> None:
    asked = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        body = f"{scope['method']} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    hub = Hub(app=app)
    hub.static("/", public)
    hub.metrics("/metrics")

    @hub.on_request
    def request(request: Request) -> Response | None:
        asked.append(request.path)
        return None

    @hub.websocket("/live")
    async def live(ws: WebSocket) -> None:
        async for data in ws:
            await ws.send(data)

    async with serve(hub) as server, browsing(server) as client:
        assert (await client.get("/")).text == "<h1>home</h1>"
        assert (await client.get("/none")).text == "GET /none"
        assert (await client.post("/app.js")).text == "POST /app.js"
        assert "hubbub_build_info" in (await client.get("/metrics")).text
        async with server.connect("/live") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
    assert asked == ["/none", "/app.js", "/live"], "who asks for a file is not asked about"


async def test_a_page_and_its_websockets_need_no_application(serve: Serve, public: Path) -> None:
    hub = static(public)

    @hub.on_message
    def message(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    async with serve(hub) as server, browsing(server) as client:
        assert (await client.get("/")).text == "<h1>home</h1>"
        assert (await client.get("/favicon.ico")).status_code == 404
        async with server.connect("/") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


async def test_the_longest_prefix_comes_first_then_the_first_that_was_given(serve: Serve, tmp_path: Path) -> None:
    hub = Hub()
    for prefix, name in [("/", "outer"), ("/assets/", "inner"), ("/assets", "second")]:
        folder = tmp_path / name
        (folder / "assets").mkdir(parents=True)
        for file in ("a.txt", f"{name}.txt"):
            (folder / file).write_text(name)
            (folder / "assets" / file).write_text(f"{name} in assets")
        hub.static(prefix, folder)
    async with serve(hub) as server, browsing(server) as client:
        for path, text in [
            ("/a.txt", "outer"),
            ("/assets/a.txt", "inner"),
            ("/assets/second.txt", "second"),
            ("/assets/outer.txt", "outer in assets"),
            ("/assets/assets/a.txt", "inner in assets"),
        ]:
            assert (await client.get(path)).text == text, path


async def test_files_come_over_tls(serve: Serve, public: Path) -> None:
    pair = {"ssl_certfile": CERTIFICATES / "localhost.pem", "ssl_keyfile": CERTIFICATES / "localhost.key"}
    async with serve(static(public), **pair) as server:
        url = f"https://localhost:{server.listening.port}"
        trust = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
        async with httpx.AsyncClient(base_url=url, verify=trust, trust_env=False) as client:
            assert (await client.get("/app.js")).text == SCRIPT
            assert (await client.get("/large.bin")).content == LARGE


async def test_requests_for_files_are_logged_as_others_are(
    serve: Serve, public: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hubbub.access")
    async with serve(static(public), access_log=True) as server, visiting(server) as visitor:
        host, port = visitor.address
        await visitor.get("/app.js?v=1")
        await visitor.get("/none")
    lines = [record.getMessage() for record in caplog.records if record.name == "hubbub.access"]
    found, missed = lines
    assert re.fullmatch(rf'{host}:{port} - "GET /app.js\?v=1" 200 in [0-9.]+ ms', found)
    assert re.fullmatch(rf'{host}:{port} - "GET /none" 404 in [0-9.]+ ms: Nothing is served here', missed)


async def test_who_does_not_read_a_large_file_is_given_up(serve: Serve, public: Path) -> None:
    (public / "huge.bin").write_bytes(bytes(30_000_000))
    hub = Hub(limits=Limits(message_timeout=0.2))
    hub.static("/", public)
    async with serve(hub) as server, visiting(server) as visitor:
        await visitor.write(b"GET /huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await visitor.until(b"\r\n\r\n")
        while server.hub.stats()["connections"]:
            await anyio.sleep(0.01)
        assert not (await visitor.response()).whole


async def test_folders_are_those_of_the_arguments(serve: Serve, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(public.parent)
    hub = Hub()
    hub.static("/plain", "public", index=None, cache_bytes=0)
    hub.static("/open", "public", index="app.js", dotfiles=True, follow_symlinks=True)
    monkeypatch.chdir("/")
    async with serve(hub) as server, browsing(server) as client:
        assert (await client.get("/plain/")).status_code == 404
        assert (await client.get("/plain/app.js")).text == SCRIPT
        assert (await client.get("/open/")).text == SCRIPT
        assert (await client.get("/open/.env")).text == "secret"
        assert (await client.get("/open/link.txt")).text == "secret"


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    hub = Hub()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FileNotFoundError, match="none"):
        hub.static("/", tmp_path / "none")
    with pytest.raises(NotADirectoryError, match="file"):
        hub.static("/", file)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("prefix", {"prefix": "assets"}),
        ("prefix", {"prefix": None}),
        ("index", {"index": "a/b"}),
        ("index", {"index": ""}),
        ("max_age", {"max_age": -1}),
        ("max_age", {"max_age": 1e9}),
        ("max_age", {"max_age": 1, "headers": {"cache-control": "no-cache"}}),
        ("cache_bytes", {"cache_bytes": -1}),
        ("cache_bytes", {"cache_bytes": 1.5}),
        ("ETag", {"headers": {"ETag": "x"}}),
        ("name", {"headers": {"a b": "x"}}),
        ("value", {"headers": {"a": "x\r\nb: y"}}),
        ("value", {"headers": {"a": "ä"}}),
    ]
    for match, arguments in wrong:
        with pytest.raises(ValueError, match=match):
            hub.static(**{"prefix": "/", "folder": tmp_path, **arguments})
