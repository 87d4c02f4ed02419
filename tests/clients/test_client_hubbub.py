"""hubbub.js in Node: node/hubbub.test.js, run by Node's own test runner."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = HERE / "node"


@pytest.fixture(params=[0, 1], ids=["io_threads=0", "io_threads=1"])
def comet(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where comet_server.py listens."""
    command = [sys.executable, HERE / "comet_server.py", "--io-threads", str(request.param)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.terminate()
        assert server.wait(10) == 0


def flags() -> list[str] | None:
    """What makes this Node have a WebSocket and an EventSource; `None` if nothing does."""
    node = shutil.which("node")
    if node is None:
        return None
    known = subprocess.run([node, "--help"], capture_output=True, text=True, check=True).stdout
    return [flag for flag in ("--experimental-websocket", "--experimental-eventsource") if flag in known]


def has(name: str) -> bool:
    script = f"process.exit(globalThis.{name} ? 0 : 1)"
    return subprocess.run(["node", *(flags() or []), "-e", script], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(flags() is None or not has("WebSocket"), reason="there is no Node with a WebSocket (22 or later)")
def test_hubbub_js_keeps_a_session_in_node(comet: int) -> None:
    # Node ends when nothing of the sockets is left.
    ran = subprocess.run(
        ["node", *(flags() or []), "--test", "--test-reporter=tap", "hubbub.test.js"],
        cwd=FOLDER,
        env={**os.environ, "PORT": str(comet)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"^# pass (\d+)$", ran.stdout, re.M)
    assert passed is not None
    assert int(passed[1]) >= 60, ran.stdout
