"""examples/chat, for the tests of its page: the program, people with a tab each, and voices without a page."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from websockets.exceptions import ConnectionClosed

from support.program import ROOT, Program, running
from support.talking import talking_to

__all__ = ["APP", "MARKS", "PUBLIC", "Person", "Voice", "emptied", "fill", "run_chat", "sqlite"]

APP = ROOT / "examples/chat/app.py"
PUBLIC = APP.parent / "public"

#: Run before a page's own scripts: keeps what would otherwise have gone by when a test looks.
MARKS = """
window.marks = { statuses: [], violations: [], additions: [], sockets: 0, sent: [] };
addEventListener("securitypolicyviolation", ({ blockedURI, violatedDirective }) =>
  marks.violations.push(`${blockedURI} ${violatedDirective}`));
addEventListener("DOMContentLoaded", () => {
  const $ = (id) => document.getElementById(id);
  new MutationObserver((changes) => {
    // What the nodes say, not what stands there now: that may be the next status already.
    for (const { addedNodes } of changes) for (const { textContent } of addedNodes) marks.statuses.push(textContent);
  }).observe($("status"), { childList: true });
  new MutationObserver((changes) => {
    const live = $("log").getAttribute("aria-live");
    for (const { addedNodes } of changes)
      for (const node of addedNodes)
        if (node.matches(".said")) marks.additions.push([live, node.querySelector(".text").textContent]);
  }).observe($("lines"), { childList: true });
});
if (window.WebSocket) window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); marks.sockets += 1; }
  send(data) { marks.sent.push(data); super.send(data); }
};
window.XMLHttpRequest = class extends XMLHttpRequest {
  send(data) { marks.sent.push(data ?? ""); super.send(data); }
};
"""


def sqlite(folder: Path) -> str:
    """The address of a database in this folder."""
    return f"sqlite+aiosqlite:///{folder / 'chat.db'}"


@contextmanager
def run_chat(database: str, port: int = 0, *options: str) -> Iterator[tuple[Program, int]]:
    """examples/chat on every address of this machine, and its port."""
    command = [sys.executable, str(APP), "--host", "0.0.0.0", "--port", str(port), "--database", database, *options]
    with running(command) as program:
        yield program, int(program.wait_for(r"Open http://[^ ]+:(\d+)/")[1])
    assert "Traceback" not in program.output, program.output


class Person:
    """One person's tab. Each has an address of this machine to themselves, and so a browser's memory of their own."""

    def __init__(
        self,
        browser: Chrome,
        port: int,
        name: str | None = None,
        *,
        query: str = "lang=en",
        before: str = MARKS,
        host: str = "",
    ) -> None:
        browser.switch_to.new_window("tab")
        self.browser = browser
        self.handle = browser.current_window_handle
        self.host = host or f"127.0.0.{len(browser.window_handles)}"
        self.url = f"http://{self.host}:{port}/?{query}"
        storage = {"origin": f"http://{self.host}:{port}", "storageTypes": "local_storage"}
        browser.execute_cdp_cmd("Storage.clearDataForOrigin", storage)
        if before:  # for as long as this tab lives
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": before})
        browser.get(self.url)
        self.until(lambda: self.state == "nameless")
        if name is not None:
            self.introduce(name)
            self.until(lambda: self.state == "open")

    @classmethod
    def of_tab(cls, browser: Chrome) -> Person:
        """Whoever has the tab that the browser is turned to."""
        person = cls.__new__(cls)
        person.browser, person.handle = browser, browser.current_window_handle
        person.url = browser.current_url
        return person

    # ---- what they do

    def turn_to(self) -> None:
        self.browser.switch_to.window(self.handle)

    def type(self, selector: str, *keys: str) -> None:
        self.turn_to()
        self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(*keys)

    def fill(self, selector: str, text: str) -> None:
        """Puts a text into a field as if it was pasted, whatever limits the field has."""
        self.run(
            "const field = document.querySelector(arguments[0]); field.removeAttribute('maxlength');"
            "field.value = arguments[1]; field.dispatchEvent(new Event('input', { bubbles: true }))",
            selector,
            text,
        )

    def press(self, *keys: str) -> None:
        """Keys for whatever has the focus."""
        self.turn_to()
        self.browser.switch_to.active_element.send_keys(*keys)

    def click(self, selector: str) -> None:
        self.turn_to()
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def introduce(self, name: str) -> None:
        self.fill("#name", name)
        self.type("#name", Keys.ENTER)

    def until_upgraded(self, times: int = 1) -> None:
        """Waits until so many connections have gone over from polls to a WebSocket.

        A page does not notice when a connection between two polls, or the one that is to be a WebSocket, is cut.
        """
        self.until(lambda: self.marks("sent").count("5") >= times)

    def say(self, text: str) -> None:
        self.fill("#text", text)
        self.type("#text", Keys.ENTER)

    def enter(self, room: str) -> None:
        self.fill("#room", room)
        self.type("#room", Keys.ENTER)
        self.until(lambda: self.title == room)

    def turn(self, room: str | None) -> None:
        self.click("#rooms li:first-child .to-room" if room is None else f'#rooms .to-room[data-room="{room}"]')
        self.until(lambda: self.title == (room or "All messages"))

    def address(self, room: str) -> None:
        """Adds a room to those that are written to, or takes it away."""
        self.click(f'#to [data-room="{room}"]')

    def close(self) -> None:
        self.turn_to()
        self.browser.close()
        self.browser.switch_to.window(self.browser.window_handles[0])

    # ---- what they see

    def run(self, script: str, *arguments: Any) -> Any:
        self.turn_to()
        return self.browser.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)"
        texts: list[str] = self.run(script, selector)
        return texts

    def text(self, selector: str) -> str:
        (text,) = self.texts(selector)
        return text

    def until(self, condition: Callable[[], Any]) -> None:
        self.turn_to()
        WebDriverWait(self.browser, 15, poll_frequency=0.05).until(lambda _: condition(), self.seen())

    def sees(self, *texts: str) -> None:
        """Waits for messages or news with these texts."""
        self.until(lambda: set(texts) <= {*self.messages, *self.news})

    def seen(self) -> str:
        parts = ("#status", "#name-error", "#notice", "#lines li", "#people", "#rooms")
        return repr({part: self.texts(part) for part in parts})

    @property
    def state(self) -> str:
        return str(self.run("return document.body.dataset.state ?? ''"))

    @property
    def title(self) -> str:
        return self.text("#title")

    @property
    def messages(self) -> list[str]:
        return self.texts("#lines .text")

    @property
    def news(self) -> list[str]:
        return self.texts("#lines .news")

    @property
    def notice(self) -> str:
        return self.text("#notice")

    @property
    def people(self) -> list[str]:
        return self.texts("#people .cut")

    @property
    def rooms(self) -> dict[str, str]:
        """How many people are in each room."""
        return dict(zip(self.texts("#rooms [data-room] .cut"), self.texts("#rooms .count"), strict=True))

    @property
    def mine(self) -> list[str]:
        return self.texts("#rooms .mine .cut")

    def unread(self, room: str | None) -> str:
        row = "#rooms li:first-child" if room is None else f'#rooms .to-room[data-room="{room}"]'
        return "".join(self.texts(f"{row} .unread"))

    def sent(self, event: str) -> int:
        """How often the page has sent this event, since it was opened."""
        return "".join(self.marks("sent")).count(f'["{event}"')

    def marks(self, name: str) -> Any:
        """What the scripts of `MARKS` have kept."""
        return self.run("return marks[arguments[0]]", name)


class Voice:
    """Somebody without a page, who says what a page would not let them, and faster."""

    #: Those that have not left.
    here: ClassVar[list[Voice]] = []

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self._socket = talking_to(port)  # until `leave`, or the end of the server
        self._asked = 0
        assert str(self._socket.recv()).startswith("0{")
        self._socket.send("40")
        while not str(self._socket.recv()).startswith("40{"):
            pass
        entered = self.ask("enter", {"name": name, "key": f"the secret of {name}"})
        assert "error" not in entered, entered
        self._others = {*entered["people"]} - {name}
        Voice.here.append(self)

    def tell(self, event: str, value: Any) -> None:
        """Sends an event whose answer is not waited for."""
        self._asked += 1
        self._socket.send(f"42{self._asked}{json.dumps([event, value])}")

    def ask(self, event: str, value: Any) -> dict[str, Any]:
        self.tell(event, value)
        prefix = f"43{self._asked}["
        while not (packet := str(self._socket.recv())).startswith(prefix):
            pass
        answer: dict[str, Any] = json.loads(packet[len(prefix) - 1 :])[0]
        return answer

    def say(self, text: str, *rooms: str) -> dict[str, Any]:
        return self.ask("say", {"text": text, "rooms": rooms})

    def until_alone(self) -> None:
        """Waits for those to leave who were there first."""
        while self._others:
            packet = str(self._socket.recv(30))
            if packet.startswith('42["left"'):
                self._others.discard(json.loads(packet[2:])[1]["name"])

    def leave(self) -> None:
        Voice.here.remove(self)
        with suppress(ConnectionClosed):  # with its program
            self._socket.send("41")
        self._socket.close()


def emptied(port: int, file: Path) -> int:
    """Makes a program, with this file of SQLite, one in which nobody is and nothing was said. No tab is open."""
    for voice in [voice for voice in Voice.here if voice.port == port]:
        voice.leave()
    last = Voice(port, "The last")
    last.until_alone()
    end = last.say("the end")["id"]  # What was said before is written before.
    with closing(sqlite3.connect(file)) as connection:
        while connection.execute("SELECT id FROM chat_messages WHERE id = ?", [end]).fetchone() is None:
            time.sleep(0.01)
        with connection:
            connection.execute("DELETE FROM chat_messages")
            connection.execute("DELETE FROM chat_audiences")
    last.leave()
    return port


def fill(port: int, texts: list[str]) -> None:
    """Has these said to everybody: ten by each of so many voices, which nobody slows."""
    for start in range(0, len(texts), 10):
        voice = Voice(port, f"Voice {start // 10}")
        *first, last = texts[start : start + 10]
        for text in first:
            voice.tell("say", {"text": text})
        assert "id" in voice.say(last)
        voice.leave()
