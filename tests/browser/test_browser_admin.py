"""The page of @socket.io/admin-ui as it is, in the browser, looking at one of our servers."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from websockets.sync.client import ClientConnection, connect

from support.program import running

T = TypeVar("T")

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="the page comes from npm, which is not installed")


@pytest.fixture(scope="module")
def port(packages: None) -> Iterator[int]:
    with running([sys.executable, str(Path(__file__).with_name("admin_program.py"))]) as program:
        yield int(program.wait_for(r"^(\d+)$")[1])
        assert program.stop() == 0, program.output
    assert "Traceback" not in program.output


@pytest.fixture
def page(browser: Chrome, port: int) -> Iterator[Page]:
    page = Page(browser, port)
    yield page
    browser.execute_script("localStorage.clear()")


class Page:
    def __init__(self, browser: Chrome, port: int) -> None:
        self.browser = browser
        self.port = port
        # No fonts and icons from elsewhere: the page does without them.
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*googleapis.com*", "*jsdelivr.net*"]})
        browser.get(f"http://127.0.0.1:{port}/page/")

    def log_in(self, password: str = "lovelace", path: str = "/socket.io") -> None:
        self.fill("Server URL", f"http://127.0.0.1:{self.port}")
        self.fill("Username", "ada")
        self.fill("Password", password)
        if path != "/socket.io":
            self.click("//label[text()='Advanced options']")
            self.fill("Path", path)
        self.click("//button[contains(., 'Connect')]")

    def fill(self, label: str, text: str) -> None:
        field = self.find(f"//label[text()='{label}']/following-sibling::input")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def find(self, path: str) -> WebElement:
        """Waits until it is there to be seen."""
        return self.wait(lambda: next((each for each in self.all(path) if each.is_displayed()), None))

    def all(self, path: str) -> list[WebElement]:
        return self.browser.find_elements(By.XPATH, path)

    def wait_until_gone(self, path: str) -> None:
        self.wait(lambda: not any(each.is_displayed() for each in self.all(path)))

    def click(self, path: str) -> None:
        self.browser.execute_script("arguments[0].click()", self.find(path))

    def counted(self, kind: str) -> int:
        """How often the page has been told of something that has gone by."""
        script = """
        return document.querySelector('#app').__vue__.$store.state.main.aggregatedEvents
            .filter((event) => event.type === arguments[0]).reduce((sum, event) => sum + event.count, 0)
        """
        return int(self.browser.execute_script(script, kind))

    def go_to(self, title: str) -> None:
        self.click(f"//nav//a[contains(., '{title}')]")

    def wait(self, condition: Callable[[], T | None]) -> T:
        # An element may be gone again before it is looked at.
        waiting = WebDriverWait(self.browser, 10, poll_frequency=0.05, ignored_exceptions=[WebDriverException])
        found = waiting.until(lambda _: condition())
        assert found
        return found


class Client:
    """A client of Socket.IO, by WebSocket."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.ws.send("40")
        self.sid = str(json.loads(self.next("40"))["sid"])

    def next(self, kind: str) -> str:
        """The next packet that begins so, without that; others are passed over."""
        while True:
            packet = str(self.ws.recv(timeout=10))
            if packet.startswith(kind):
                return packet.removeprefix(kind)

    def ask(self, *args: Any) -> list[Any]:
        self.ws.send(f"427{json.dumps(args)}")
        return list(json.loads(self.next("437")))

    def say(self, text: str) -> None:
        self.ws.send(f"42{json.dumps(['say', text])}")
        assert json.loads(self.next("42")) == ["said", text]


@contextmanager
def joining(port: int, path: str = "/socket.io/") -> Iterator[Client]:
    with connect(f"ws://127.0.0.1:{port}{path}?EIO=4&transport=websocket", proxy=None) as ws:
        assert str(ws.recv(timeout=10)).startswith("0{")
        yield Client(ws)


def test_who_has_the_wrong_password_is_told_so(page: Page) -> None:
    page.log_in("hopper")
    page.find("//*[contains(., 'Invalid credentials') and contains(@class, 'red--text')]")
    page.log_in()
    page.find("//*[text()='connected']")


def test_the_page_shows_numbers(page: Page) -> None:
    page.log_in()
    page.find("//*[text()='connected']")
    with joining(page.port) as client:
        row = "//tr[td/code[text()='{}']]/td[2][normalize-space()='{}']"
        page.find(row.format("/", 1))
        page.find(row.format("/admin", 1))
        # Bytes have gone by, and are drawn.
        client.say("hello")
        page.wait(lambda: page.counted("bytesIn") > 0 and page.counted("packetsOut") > 0)
        page.wait(lambda: page.counted("rawConnection") == 1)
    page.wait(lambda: page.counted("rawDisconnection") == 1)
    page.find(row.format("/", 0))
    page.go_to("Servers")
    page.wait(lambda: "HEALTHY" in page.find("//tr[td[1][normalize-space()='here']]").text.split())


def test_the_page_shows_a_socket_its_room_and_its_events(page: Page) -> None:
    with joining(page.port) as client:
        # The page shows the namespace / because there is somebody in it.
        page.log_in()
        page.go_to("Sockets")
        row = page.find(f"//tr[td[normalize-space()='{client.sid}']]").text.split()
        assert row == [client.sid, "127.0.0.1", "WebSocket"]
        page.go_to("Rooms")
        page.find("//tr[td[1][normalize-space()='lobby'] and td[3][normalize-space()='1']]")
        client.say("something")
        page.go_to("Events")
        for what in ("Event received", "Event sent"):
            page.find(f"//tr[contains(., '{client.sid}') and contains(., '{what}') and contains(., 'sa')]")
        page.go_to("Sockets")
        page.click(f"//td[normalize-space()='{client.sid}']")
        page.find("//code[contains(., 'grace')]")
        page.find("//td[normalize-space()='lobby']")
    page.go_to("Events")
    page.find(f"//tr[contains(., '{client.sid}') and contains(., 'Disconnection') and contains(., 'transport close')]")
    page.go_to("Rooms")
    page.wait_until_gone("//td[normalize-space()='lobby']")


def test_the_page_puts_a_socket_into_rooms_and_out_and_disconnects_it(page: Page) -> None:
    with joining(page.port) as client, joining(page.port) as other:
        page.log_in()
        page.go_to("Sockets")
        page.click(f"//td[normalize-space()='{client.sid}']")
        page.fill("Join a room", "attic")
        page.click("//form[contains(., 'Join a room')]//button[@type='submit']")
        page.find("//td[normalize-space()='attic']")
        assert client.ask("rooms") == [["attic", "lobby"]]
        page.click("//tr[td[normalize-space()='lobby']]//button")
        # The page shows the room now, and who is left in it.
        page.find(f"//td[normalize-space()='{other.sid}']")
        page.wait_until_gone(f"//td[normalize-space()='{client.sid}']")
        assert client.ask("rooms") == [["attic"]]
        assert other.ask("rooms") == [["lobby"]]
        page.go_to("Sockets")
        page.click(f"//tr[td[normalize-space()='{client.sid}']]//button")
        assert client.next("41") == ""
        # And the socket, which has gone.
        page.find("//tr[td[normalize-space()='Status']]//*[text()='disconnected']")
        page.go_to("Sockets")
        page.find(f"//td[normalize-space()='{other.sid}']")
        page.wait_until_gone(f"//td[normalize-space()='{client.sid}']")


def test_the_page_comes_again_without_the_password(page: Page) -> None:
    page.log_in()
    page.find("//*[text()='connected']")
    page.browser.refresh()
    page.find("//*[text()='connected']")
    assert not [each for each in page.all("//button[contains(., 'Connect')]") if each.is_displayed()]


def test_in_production_mode_the_page_shows_numbers_alone(page: Page) -> None:
    page.log_in(path="/busy")
    page.find("//*[text()='connected']")
    with joining(page.port, "/busy/"):
        page.find("//tr[td/code[text()='/']]/td[2][normalize-space()='1']")
        assert [link.text for link in page.all("//nav//a")] == ["Dashboard", "Servers"]
