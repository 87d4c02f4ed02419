"""Chromium without a screen, driven by selenium. Debian has both: chromium and chromium-driver."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import chatting
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from support.program import ROOT, Program, running

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Two tabs, of which one is always behind the other: both are to run as if they were seen.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip(
            "there is no chromium with its chromedriver here (Debian: apt-get install chromium chromium-driver)"
        )
    options = Options()
    options.binary_location = browser
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = webdriver.Chrome(options=options, service=Service(driver))
    chromium.set_script_timeout(20)
    try:
        yield chromium
    finally:
        chromium.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The browser with one empty tab, and nothing in its log."""
    chromium.get_log("browser")
    chromium.set_window_size(1280, 860)
    yield chromium
    for handle in chromium.window_handles[1:]:
        chromium.switch_to.window(handle)
        chromium.close()
    chromium.switch_to.window(chromium.window_handles[0])
    chromium.get("about:blank")


@pytest.fixture
def chat() -> Iterator[tuple[Program, int]]:
    """examples/rooms and its port."""
    with run_chat(0) as program:
        yield program, program.wait_for_port()


@pytest.fixture(scope="session")
def one_chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A port of examples/chat, and its database: for tests that empty it first."""
    folder = tmp_path_factory.mktemp("chat")
    with chatting.run_chat(chatting.sqlite(folder)) as (_, port):
        yield port, folder / "chat.db"


@pytest.fixture
def echo() -> Iterator[tuple[Program, int]]:
    """What `echo_server.py` is, and its port."""
    with running([sys.executable, str(Path(__file__).with_name("echo_server.py"))]) as program:
        yield program, program.wait_for_port()


@pytest.fixture(scope="session")
def comet() -> Iterator[int]:
    """Where tests/clients/comet_server.py listens."""
    with running([sys.executable, str(ROOT / "tests/clients/comet_server.py")]) as program:
        yield int(program.wait_for(r"^(\d+)$")[1])
        assert program.stop() == 0, program.output
    assert "Traceback" not in program.output


@pytest.fixture
def restart() -> Callable[[int], AbstractContextManager[Program]]:
    """Runs examples/rooms on a port."""
    return run_chat


def run_chat(port: int) -> AbstractContextManager[Program]:
    return running([sys.executable, str(ROOT / "examples/rooms/app.py"), "--port", str(port)])
