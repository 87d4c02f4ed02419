"""Node's `ws` as a client: node/ws.test.js, run by Node's own test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_ws_of_node_gets_along_with_the_server(packages: None, port: int) -> None:
    ran = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "ws.test.js"],
        cwd=FOLDER,
        env={**os.environ, "PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# pass 12\n" in ran.stdout, ran.stdout
