"""Clients that we did not write: the official one in Node, and python-socketio's."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import socketio

NODE = Path(__file__).parents[1] / "clients" / "node"


def try_official_client(port: int, client: str, transports: str, parser: str, skipped: int) -> None:
    """Runs clients/node/socketio.test.js: so many of its tests are skipped, all others pass."""
    tests = (NODE / "socketio.test.js").read_text().count("\ntest(")
    ran = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "socketio.test.js"],
        cwd=NODE,
        env={**os.environ, "PORT": str(port), "CLIENT": client, "TRANSPORTS": transports, "PARSER": parser},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"# pass {tests - skipped}\n" in ran.stdout, ran.stdout
    assert f"# skipped {skipped}\n" in ran.stdout, ran.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("transports", ["polling", "websocket", "polling,websocket", "websocket,polling"])
@pytest.mark.parametrize("client", ["socket.io-client", "socket.io-client-4.0", "socket.io-client-3.1"])
def test_the_official_client_gets_along_with_the_server(
    packages: None, port: int, client: str, transports: str
) -> None:
    try_official_client(port, client, transports, "json", skipped=1 if client == "socket.io-client" else 3)


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
def test_the_client_of_python_socketio_gets_along_with_the_server(port: int, transports: list[str]) -> None:
    async def main() -> None:
        client = socketio.AsyncClient(reconnection=False)
        heard: asyncio.Queue[Any] = asyncio.Queue()
        for nsp in ("/", "/news"):
            client.on("*", lambda event, *args: heard.put_nowait((event, *args)), namespace=nsp)
        client.on("question", lambda question: {"answer to": question})
        await client.connect(
            f"http://127.0.0.1:{port}",
            transports=transports,
            namespaces=["/", "/news"],
            auth={"token": "x"},
            wait_timeout=10,
        )
        await client.emit("echo", ("text", 1, {"b": b"\1\2"}, [None]))
        assert await heard.get() == ("echo", "text", 1, {"b": b"\1\2"}, [None])
        await client.emit("echo", "x", namespace="/news")
        assert await heard.get() == ("echo", "news", "x")
        assert await client.call("add", (3, 4)) == (7, {"of": [3, 4]})
        assert await client.call("add later", (3, 4)) == 7
        assert await client.call("auth") == {"token": "x"}
        assert await client.call("ask me", "why?") == {"you say": {"answer to": "why?"}}
        assert await client.call("rooms") == [client.get_sid()]
        await client.send("hello")
        assert await heard.get() == ("message", "hello")
        gone: asyncio.Queue[str] = asyncio.Queue()
        client.on("disconnect", lambda reason: gone.put_nowait(reason), namespace="/news")
        client.on("disconnect", lambda reason: gone.put_nowait(reason))
        await client.emit("disconnect me", False)
        assert await gone.get() == "server disconnect"
        await client.disconnect()
        assert await gone.get() == "client disconnect"

    asyncio.run(asyncio.wait_for(main(), 20))


def test_the_client_of_python_socketio_is_told_why_it_is_refused(port: int) -> None:
    async def main() -> None:
        client = socketio.AsyncClient(reconnection=False)
        told: asyncio.Queue[Any] = asyncio.Queue()
        client.on("connect_error", told.put_nowait)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(f"http://127.0.0.1:{port}", auth={"token": "wrong"}, transports=["websocket"])
        assert await told.get() == {"message": "not authorized", "data": {"code": "E1"}}
        await client.disconnect()

    asyncio.run(asyncio.wait_for(main(), 20))
