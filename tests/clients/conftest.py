"""One server for all clients, in both modes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session", params=[0, 1], ids=["io_threads=0", "io_threads=1"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where server.py listens."""
    command = [sys.executable, HERE / "server.py", "--io-threads", str(request.param)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.terminate()
        assert server.wait(10) == 0


@pytest.fixture
def url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/"


@pytest.fixture
def anyio_backend() -> str:
    # The clients here are asyncio's.
    return "asyncio"
