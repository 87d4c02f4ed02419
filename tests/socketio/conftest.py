"""The program that real clients try."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session", params=[0, 1], ids=["io_threads=0", "io_threads=1"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where program.py listens."""
    command = [sys.executable, HERE / "program.py", "--io-threads", str(request.param)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.terminate()
        assert server.wait(10) == 0
