"""Tests that take a server run on one of three event loops, with the network in the loop's thread or in one of its own.

Which of the six forms a test takes is settled by its name, so that all forms are seen and each test always takes the
same one. Tests with the mark ``matrix``, and all of them with ``--matrix``, take all six.
"""

from __future__ import annotations

import faulthandler
import functools
import inspect
import logging
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from hubbub import _logs
from support.server import Serve
from support.unstable import AGAIN, Unstable

#: Seconds for one test. What waits longer has failed, and says where.
TEST_TIME = 20.0
#: The same where nothing but the end of the process ends it. Programs that tests start have limits of their own.
BLOCKED_TIME = 200.0

#: Clients, and what they are clients of.
NODE = Path(__file__).parent / "clients" / "node"

#: The forms that a test can take, as they stand in its name.
FORM = re.compile(r"(?<=[\[-])(?:asyncio|uvloop|trio|inline|threaded)(?=[-\]])")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="run each test in all of its forms, not in one of them")
    parser.addoption(AGAIN, action="store_true", help="a failure of an unstable test is a failure")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("matrix") or any("[" in argument for argument in config.args):
        return
    forms: dict[str, list[pytest.Item]] = {}
    for item in items:
        if FORM.search(item.nodeid) and item.get_closest_marker("matrix") is None:
            forms.setdefault(FORM.sub("*", item.nodeid), []).append(item)
    left_out = {
        item
        for test, of_test in forms.items()
        for number, item in enumerate(of_test)
        if number != zlib.crc32(test.encode()) % len(of_test)
    }
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_configure(config: pytest.Config) -> None:
    # An exception that nobody can catch, an unawaited coroutine, a socket left open: all fail the test.
    config.addinivalue_line("filterwarnings", "error")
    config.pluginmanager.register(Unstable(config.rootpath), "unstable")


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture(params=[0, 1], ids=["inline", "threaded"])
def io_threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def serve(io_threads: int) -> Serve:
    return Serve(io_threads)


@pytest.fixture(scope="session")
def packages() -> None:
    """What clients/node/package-lock.json names, installed."""
    installed = NODE / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (NODE / "package-lock.json").stat().st_mtime:
        return
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE, check=True)


@pytest.fixture
def failures(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The errors that were logged; a test that does not ask for them must cause none."""
    return _Failures(caplog)


class _Failures(list[logging.LogRecord]):
    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        super().__init__()
        caplog.handler.addFilter(self._take)

    def _take(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            self.append(record)
        return True


@pytest.fixture(autouse=True)
def _nothing_fails_unnoticed(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    # What was logged before does not count.
    _logs.failures.renew()
    yield
    if "failures" not in request.fixturenames:
        errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
        assert errors == [], [record.getMessage() for record in errors]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = _bounded(pyfuncitem.obj)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    # For what no time limit of the event loop can reach: a loop that is blocked.
    faulthandler.dump_traceback_later(BLOCKED_TIME, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _bounded(test: object) -> object:
    @functools.wraps(test)  # type: ignore[arg-type]
    async def bounded(*args: object, **kwargs: object) -> None:
        with anyio.fail_after(TEST_TIME):
            await test(*args, **kwargs)  # type: ignore[operator]

    return bounded
