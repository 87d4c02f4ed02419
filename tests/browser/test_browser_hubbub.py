"""hubbub.js in Chromium: what carries its messages, and what becomes of them when that is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from support.cutting import Cutting, cutting

WAYS = ["websocket", "eventsource", "polling"]

#: Connects, keeps a list of what has happened, and waits until it is open.
DIAL = """
const [options, path, done] = arguments;
import("/hubbub.js").then(({ connect }) => {
  const socket = connect(path, { backoffBase: 20, backoffCap: 100, ...options });
  const happened = [];
  socket.onopen = ({ recovered, transport, sid }) => happened.push({ type: "open", recovered, transport, sid });
  socket.onclose = ({ code, reason, terminal }) => happened.push({ type: "close", code, reason, terminal });
  socket.onmessage = ({ data }) => happened.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
  Object.assign(window, { socket, happened });
  socket.addEventListener("open", () => done(happened[0]), { once: true });
  socket.addEventListener("close", ({ terminal }) => terminal && done(happened[0]));
}, (error) => done(String(error)));
"""


@pytest.fixture
def way(comet: int) -> Iterator[Cutting]:
    """A way to comet_server.py that can be cut."""
    with cutting(comet) as way:
        yield way


def dial(browser: Chrome, port: int, path: str = "/push", before: str = "", **options: Any) -> Any:
    """Opens an empty page, does `before` in it, and connects; gives the first thing that has happened."""
    browser.get(f"http://127.0.0.1:{port}/")
    browser.execute_script(before)
    return browser.execute_async_script(DIAL, options, path)


def happened(browser: Chrome) -> list[Any]:
    found: list[Any] = browser.execute_script("return happened")
    return found


def messages(browser: Chrome) -> list[Any]:
    return [event for event in happened(browser) if not isinstance(event, dict)]


def events(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    return [event for event in happened(browser) if isinstance(event, dict) and event["type"] == kind]


def until(browser: Chrome, condition: Any) -> None:
    wait: WebDriverWait[Chrome] = WebDriverWait(browser, 15, poll_frequency=0.02)
    wait.until(lambda _: condition(), f"what has happened: {browser.execute_script('return happened')}")


def ask(browser: Chrome, text: str) -> Any:
    """Sends it and waits for the next message."""
    script = """
        const [text, done] = arguments;
        socket.addEventListener("message", ({ data }) => done(data), { once: true });
        socket.send(text);
    """
    return browser.execute_async_script(script, text)


@pytest.mark.parametrize("transport", WAYS)
def test_text_and_binary_come_back_as_they_were(browser: Chrome, comet: int, transport: str) -> None:
    assert dial(browser, comet, transports=[transport])["transport"] == transport
    texts = ["grüße 🎈", "", "a\nb\r\nc\rd", "a\x1eb", "\ufeffbom", "</script>", "x" * 100_000]
    for text in texts:
        assert ask(browser, text) == text
    browser.execute_script("socket.send(new Uint8Array([0, 255, 128]))")
    until(browser, lambda: messages(browser)[-1] == [0, 255, 128])


@pytest.mark.parametrize("transport", WAYS)
def test_a_stream_that_is_cut_comes_whole_in_order_and_once(browser: Chrome, way: Cutting, transport: str) -> None:
    first = dial(browser, way.port, transports=[transport])
    browser.execute_script("socket.send('!count 500')")
    for cut in range(1, 6):
        until(browser, lambda cut=cut: len(messages(browser)) > 80 * cut)
        way.cut()
        if transport != "polling":  # Chromium repeats a GET of its own accord if a connection that has served is reset
            until(browser, lambda cut=cut: len(events(browser, "open")) > cut)
    until(browser, lambda: messages(browser)[-1] == "499")
    assert messages(browser) == [str(number) for number in range(500)]
    for again in events(browser, "open")[1:]:
        assert again == {"type": "open", "recovered": True, "transport": transport, "sid": first["sid"]}
    assert all(not lost["terminal"] for lost in events(browser, "close"))


@pytest.mark.parametrize(
    ("before", "taken"),
    [
        ("", "websocket"),
        ("delete window.WebSocket", "eventsource"),
        ("window.WebSocket = class { constructor() { throw new Error('blocked') } }", "eventsource"),
        ("delete window.WebSocket; delete window.EventSource", "polling"),
    ],
)
def test_the_next_transport_is_taken_where_one_is_missing(browser: Chrome, comet: int, before: str, taken: str) -> None:
    assert dial(browser, comet, before=before)["transport"] == taken
    assert ask(browser, "hello") == "hello"


def test_the_next_transport_is_taken_where_the_server_does_not_offer_one(browser: Chrome, comet: int) -> None:
    assert dial(browser, comet, path="/polls")["transport"] == "polling"
    assert ask(browser, "hello") == "hello"


def test_a_session_goes_on_over_another_transport(browser: Chrome, way: Cutting) -> None:
    first = dial(browser, way.port)
    assert first["transport"] == "websocket"
    browser.execute_script("socket.send('!count 200')")
    until(browser, lambda: len(messages(browser)) > 50)
    browser.execute_script("delete window.WebSocket")
    way.cut()
    until(browser, lambda: messages(browser)[-1] == "199")
    assert messages(browser) == [str(number) for number in range(200)]
    (again,) = events(browser, "open")[1:]
    assert again == {**first, "recovered": True, "transport": "eventsource"}


def test_whoever_may_not_come_is_told_once(browser: Chrome, comet: int) -> None:
    closed = dial(browser, comet, path="/closed")
    assert closed == {"type": "close", "code": 1008, "reason": "HTTP 403", "terminal": True}


@pytest.mark.parametrize("transport", WAYS)
def test_a_page_that_is_left_has_left(browser: Chrome, comet: int, transport: str) -> None:
    dial(browser, comet, transports=[transport])
    session = ask(browser, "!id")
    browser.switch_to.new_window("tab")
    dial(browser, comet)
    watcher = browser.current_window_handle
    browser.switch_to.window(browser.window_handles[0])
    browser.get("about:blank")
    browser.switch_to.window(watcher)
    code, _, _ = json.loads(ask(browser, f"!ended {session}"))
    # Far from 1006, which would be a session given up after a while.
    assert code in (1000, 1001)


@pytest.mark.parametrize("transport", WAYS)
def test_a_page_that_comes_back_has_a_new_session(browser: Chrome, comet: int, transport: str) -> None:
    first = dial(browser, comet, transports=[transport])
    browser.execute_script("window.marked = true")
    browser.get("about:blank")
    browser.back()
    if not browser.execute_script("return window.marked === true"):
        pytest.skip("this browser has not kept the page")
    until(browser, lambda: len(events(browser, "open")) == 2)
    (left,) = events(browser, "close")
    assert (left["code"], left["terminal"]) == (1001, False)
    again = events(browser, "open")[1]
    assert (again["recovered"], again["sid"] != first["sid"]) == (False, True)
    assert ask(browser, "hello") == "hello"


@pytest.mark.parametrize("transport", WAYS)
def test_being_offline_is_noticed_at_once_and_nothing_is_lost(browser: Chrome, comet: int, transport: str) -> None:
    first = dial(browser, comet, transports=[transport], backoffBase=60_000, backoffCap=60_000)
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    until(browser, lambda: events(browser, "close"))
    browser.execute_script("socket.send('said offline')")
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    # The wait would be up to a minute.
    until(browser, lambda: messages(browser) == ["said offline"])
    assert events(browser, "open")[1] == {**first, "recovered": True}
    assert events(browser, "close") == [{"type": "close", "code": 1006, "reason": "offline", "terminal": False}]


def test_the_browsers_own_eventsource_comes_again_when_it_is_cut(browser: Chrome, way: Cutting) -> None:
    browser.get(f"http://127.0.0.1:{way.port}/")
    listen = """
        const [done] = arguments;
        window.happened = [];
        const source = new EventSource("/push?room=news");
        source.onmessage = ({ data }) => happened.push(data);
        source.onopen = () => done(happened.push({ type: "open" }));
    """
    browser.execute_async_script(listen)
    events_tab = browser.current_window_handle
    browser.switch_to.new_window("tab")
    dial(browser, way.port)
    speaker = browser.current_window_handle
    for number in range(1, 4):
        browser.switch_to.window(speaker)
        until(browser, lambda: browser.execute_script("return socket.readyState") == 1)
        browser.execute_script(f"socket.send('!say news number {number}')")
        browser.switch_to.window(events_tab)
        until(browser, lambda number=number: messages(browser)[-1:] == [f"number {number}"])
        way.cut()
        until(browser, lambda number=number: len(events(browser, "open")) == number + 1)
    assert messages(browser) == [f"number {number}" for number in range(1, 4)]
