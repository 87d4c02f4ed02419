"""Servers for the attacks, in both modes of the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from process import Serve, Server, eventually


@pytest.fixture(params=[0, 1], ids=["io_threads=0", "io_threads=1"], scope="session")
def io_threads(request: pytest.FixtureRequest) -> int:
    mode: int = request.param
    return mode


@pytest.fixture
def serve(io_threads: int) -> Iterator[Serve]:
    """Starts servers: keywords are limits, the rest options of server.py."""
    with ExitStack() as running:

        def start(*options: str, **limits: Any) -> Server:
            return running.enter_context(Server(io_threads, limits, options))

        yield start


@pytest.fixture(scope="module")
def server(io_threads: int) -> Iterator[Server]:
    """One server for the tests of a module that leave no trace; each test shows that it is well afterwards."""
    with Server(io_threads, {}, ("--ask",)) as server:
        yield server
        server.is_well()


@pytest.fixture(scope="module")
def talking(io_threads: int) -> Iterator[Server]:
    """The same with a Socket.IO server. Nobody is left of each test's clients."""
    with Server(io_threads, {}, ("--ask", "--socketio", "{}")) as server:
        yield server
        assert eventually(lambda: server.report()["socketio"]["clients"] == 0)
        left = server.report()["socketio"]
        assert left.pop("namespaces") == 3, "those that the program has made"
        assert not any(left.values()), left
        server.is_well()
