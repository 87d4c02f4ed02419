"""`Hub.script`: hubbub.js as it is served, and what is in the package."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

import hubbub
from hubbub import Hub
from support.server import Serve, Server

CLIENT = Path(hubbub.__file__).parent / "client"
NAMES = ["hubbub.js", "hubbub.d.ts"]

pytestmark = pytest.mark.anyio


async def get(server: Server, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """The response, and its content as it came."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"http://127.0.0.1:{server.listening.port}{path}"
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", url, headers=fields) as response:
        return response, b"".join([part async for part in response.aiter_raw()])


async def test_hubbub_js_is_a_module_of_less_than_five_kilobytes(serve: Serve) -> None:
    hub = Hub()
    hub.script()
    async with serve(hub) as server:
        for codings, most in (("gzip", 5000), ("br, gzip", 4500)):
            response, content = await get(server, "/hubbub.js", accept_encoding=codings)
            assert response.status_code == 200
            assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert response.headers["Content-Encoding"] == codings.split(",")[0]
            assert "accept-encoding" in response.headers["Vary"].lower()
            assert len(content) < most
        response, content = await get(server, "/hubbub.js", accept_encoding="identity")
        assert content == (CLIENT / "hubbub.js").read_bytes()
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_its_types_are_beside_it(serve: Serve) -> None:
    hub = Hub()
    hub.script("/static/js")
    async with serve(hub) as server:
        response, content = await get(server, "/static/js/hubbub.d.ts", accept_encoding="identity")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert content == (CLIENT / "hubbub.d.ts").read_bytes()
        assert (await get(server, "/static/js/hubbub.js"))[0].status_code == 200
        assert (await get(server, "/hubbub.js"))[0].status_code == 404


async def test_who_has_it_is_told_so(serve: Serve) -> None:
    hub = Hub()
    hub.script()
    async with serve(hub) as server:
        response, _ = await get(server, "/hubbub.js")
        assert response.headers["Cache-Control"] == "no-cache"
        again, content = await get(server, "/hubbub.js", if_none_match=response.headers["ETag"])
        assert (again.status_code, content) == (304, b"")


async def test_a_folder_and_the_module_share_a_prefix(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    hub = Hub()
    hub.static("/", tmp_path)
    hub.script()
    async with serve(hub) as server:
        assert (await get(server, "/"))[1] == b"<!doctype html>"
        assert (await get(server, "/hubbub.js"))[0].status_code == 200
        assert (await get(server, "/elsewhere"))[0].status_code == 404


@pytest.mark.parametrize("name", NAMES)
def test_what_is_compressed_is_what_is_written(name: str) -> None:
    """If this fails: `rm .venv/done/client`, `make wheel`."""
    written = (CLIENT / name).read_bytes()
    assert gzip.decompress((CLIENT / f"{name}.gz").read_bytes()) == written
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node, and so nobody who knows brotli")
    script = "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(process.argv[1])))"
    done = subprocess.run([node, "-e", script, CLIENT / f"{name}.br"], capture_output=True, check=True)
    assert done.stdout == written
