"""Clients that we did not write: the official one in Node, and python-socketio's."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from typing import Any

import pytest

from conftest import NODE  # type: ignore[attr-defined]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("transports", ["websocket"])
@pytest.mark.parametrize("client", ["socket.io-client", "socket.io-client-4.0", "socket.io-client-3.1"])
def test_the_official_client_gets_along_with_the_server(
    packages: None, port: int, client: str, transports: str
) -> None:
    ran = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "socketio.test.js"],
        cwd=NODE,
        env={**os.environ, "PORT": str(port), "CLIENT": client, "TRANSPORTS": transports},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    skipped = 0 if client == "socket.io-client" else 2
    assert f"# pass {16 - skipped}\n" in ran.stdout, ran.stdout
    assert f"# skipped {skipped}\n" in ran.stdout, ran.stdout
