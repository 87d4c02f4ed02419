"""examples/socketio in Chromium: five programs, as people see them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from hubbub.socketio.served import client_folder
from support.program import ROOT, Program, running

NAMES = ["hello", "events", "namespaces", "rooms", "broadcasts"]
ATTACK = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


def run_programs(port: int) -> AbstractContextManager[Program]:
    return running([sys.executable, str(ROOT / "examples/socketio/app.py"), "--port", str(port)])


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where examples/socketio is."""
    if client_folder() is None:
        pytest.skip("this wheel was built without npm and has no client")
    with run_programs(0) as program:
        yield program.wait_for_port()
        assert program.stop() == 0, program.output
    assert "Traceback" not in program.output


def open_page(browser: Chrome, port: int, name: str) -> None:
    """A page whose sockets are connected, in a tab of its own."""
    if browser.current_url.startswith("http"):
        browser.switch_to.new_window("tab")
    browser.get(f"http://127.0.0.1:{port}/{name}.html")
    until(browser, lambda: set(texts(browser, ".state")) == {"connected"})


def texts(browser: Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)"
    found: list[str] = browser.execute_script(script, selector)
    return found


def until(browser: Chrome, condition: Callable[[], Any]) -> None:
    WebDriverWait(browser, 15, poll_frequency=0.05).until(lambda _: condition())


def sees(browser: Chrome, selector: str, *expected: str) -> None:
    until(browser, lambda: texts(browser, selector) == [*expected])


def write(browser: Chrome, selector: str, text: str) -> None:
    browser.find_element(By.CSS_SELECTOR, selector).send_keys(text, Keys.ENTER)


def click(browser: Chrome, selector: str) -> None:
    browser.find_element(By.CSS_SELECTOR, selector).click()


def errors(browser: Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


# ---- each program


def test_hello_shows_what_is_said_and_what_happens_to_the_connection(browser: Chrome, port: int) -> None:
    open_page(browser, port, "hello")
    write(browser, "#text", "good morning")
    sees(browser, "#heard li b", "connect", "message", "message")
    assert texts(browser, "#heard li span")[1:] == ["welcome", "you said: good morning"]
    click(browser, "#cut")
    again = ["disconnect", "reconnect_attempt", "reconnect", "connect", "message"]
    sees(browser, "#heard li b", "connect", "message", "message", *again)
    assert texts(browser, "#heard li span")[3] == "forced close"
    assert texts(browser, "#state") == ["connected"]
    click(browser, "#toggle")
    assert texts(browser, "#state, #toggle") == ["disconnected", "Connect"]
    assert texts(browser, "#heard li span")[-1] == "io client disconnect"
    click(browser, "#toggle")
    sees(browser, "#state, #toggle", "connected", "Disconnect")
    assert errors(browser) == []


def test_hello_comes_back_when_the_server_does(browser: Chrome, port: int) -> None:
    with run_programs(0) as program:
        own_port = program.wait_for_port()
        open_page(browser, own_port, "hello")
        program.stop()
        until(browser, lambda: "connect_error" in texts(browser, "#heard li b"))
        assert texts(browser, "#state") != ["connected"]
        assert "disconnect" in texts(browser, "#heard li b")
    with run_programs(own_port) as program:
        program.wait_for_port()
        sees(browser, "#state", "connected")
        until(browser, lambda: texts(browser, "#heard li b")[-3:] == ["reconnect", "connect", "message"])


def test_events_go_both_ways_and_are_acknowledged_both_ways(browser: Chrome, port: int) -> None:
    open_page(browser, port, "events")
    write(browser, "#text", "hear me")
    sees(browser, "#echoes li", "HEAR ME (7)")
    click(browser, "#add button")
    sees(browser, "#sum", "42")
    click(browser, "#ask")
    sees(browser, "#question", "Who are you?")
    write(browser, "#name", "Ada")
    sees(browser, "#told", "Hello Ada!")
    assert not browser.find_element(By.ID, "reply").is_displayed()
    assert errors(browser) == []


def test_namespaces_do_not_hear_each_other(browser: Chrome, port: int) -> None:
    open_page(browser, port, "namespaces")
    write(browser, "#to-main", "in main")
    sees(browser, "#main .log li", "welcome to /", "in main")
    write(browser, "#to-news", "in news")
    sees(browser, "#news .log li", "welcome to /news", "in news")
    click(browser, "#news header button")
    assert texts(browser, ".state") == ["connected", "disconnected"]
    write(browser, "#to-main", "still here")
    sees(browser, "#main .log li", "welcome to /", "in main", "still here")
    click(browser, "#news header button")
    sees(browser, "#news .log li", "welcome to /news", "in news", "welcome to /news")
    assert errors(browser) == []


def test_rooms_show_who_is_in_them(browser: Chrome, port: int) -> None:
    open_page(browser, port, "rooms")
    ada, ada_id = browser.current_window_handle, texts(browser, "#me")[0]
    write(browser, "#room", "tea")
    sees(browser, "#rooms h2", "tea")
    sees(browser, ".members li", f"{ada_id} (you)")
    open_page(browser, port, "rooms")
    grace, grace_id = browser.current_window_handle, texts(browser, "#me")[0]
    sees(browser, ".members li", ada_id)
    assert not browser.find_element(By.CSS_SELECTOR, "#rooms form").is_displayed()
    click(browser, "#rooms header button")
    sees(browser, ".members li", *sorted([ada_id, f"{grace_id} (you)"]))
    write(browser, "#rooms form input", "hello")
    sees(browser, ".log li", "you hello")
    write(browser, "#room", "garden")
    sees(browser, "#rooms h2", "tea", "garden")
    browser.switch_to.window(ada)
    sees(browser, "#rooms h2", "tea", "garden")
    sees(browser, "#rooms section:first-child .log li", f"{grace_id[:6]} hello")
    # Who closes a page has left, and a room in which nobody is has gone.
    browser.switch_to.window(grace)
    browser.close()
    browser.switch_to.window(ada)
    sees(browser, "#rooms h2", "tea")
    sees(browser, ".members li", f"{ada_id} (you)")
    click(browser, "#rooms header button")
    sees(browser, "#rooms h2")
    assert errors(browser) == []


def test_rooms_say_what_they_refuse_and_survive_odd_names(browser: Chrome, port: int) -> None:
    open_page(browser, port, "rooms")
    write(browser, "#room", texts(browser, "#me")[0])
    sees(browser, "#refused", "That is no name for a room.")
    names = ["__proto__", "constructor", ATTACK[:40]]
    for name in names:
        write(browser, "#room", name)
        until(browser, lambda name=name: name in texts(browser, "#rooms h2"))
    sees(browser, "#refused", "")
    for left in range(len(names), 0, -1):
        until(browser, lambda left=left: len(texts(browser, "#rooms h2")) == left)
        click(browser, "#rooms header button")
    sees(browser, "#rooms h2")
    assert errors(browser) == []


def test_broadcasts_reach_whom_they_are_for(browser: Chrome, port: int) -> None:
    open_page(browser, port, "broadcasts")
    assert texts(browser, "#clients h2") == ["Ada", "Grace", "Linus"]
    for way in ("to everyone", "to the others", "to the room", "to the others in the room", "to everyone"):
        click(browser, f'#clients section:first-child button[value="{way}"]')
    expected = {
        1: ["to everyone", "to the room", "to everyone"],
        2: ["to everyone", "to the others", "to the room", "to the others in the room", "to everyone"],
        3: ["to everyone", "to the others", "to everyone"],
    }
    for number, ways in expected.items():
        sees(browser, f"#clients section:nth-child({number}) .log li", *(f"Ada, {way}" for way in ways))
    click(browser, "#clients section:nth-child(3) [type=checkbox]")
    click(browser, '#clients section:nth-child(3) button[value="to the others in the room"]')
    for number in (1, 2):
        log = f"#clients section:nth-child({number}) .log li:last-child"
        sees(browser, log, "Linus, to the others in the room")
    assert errors(browser) == []


# ---- all of them


def test_the_index_leads_to_each(browser: Chrome, port: int) -> None:
    browser.get(f"http://127.0.0.1:{port}/")
    links = browser.execute_script("return [...document.querySelectorAll('.contents a')].map((a) => a.href)")
    assert links == [f"http://127.0.0.1:{port}/{name}.html" for name in NAMES]
    click(browser, ".contents a")
    sees(browser, "h1", "Hello")
    sees(browser, "nav [aria-current]", "Hello")
    assert errors(browser) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_the_code_that_runs(browser: Chrome, port: int, name: str) -> None:
    open_page(browser, port, name)
    folder = ROOT / "examples/socketio"
    sources = [(folder / f"programs/{name}.py").read_text(), (folder / f"public/{name}.js").read_text()]
    sees(browser, "shown-code code", *sources)


def test_what_is_said_stays_text(browser: Chrome, port: int) -> None:
    open_page(browser, port, "hello")
    write(browser, "#text", ATTACK)
    until(browser, lambda: f"you said: {ATTACK}" in texts(browser, "#heard span"))
    open_page(browser, port, "namespaces")
    write(browser, "#to-news", ATTACK)
    until(browser, lambda: ATTACK in texts(browser, "#news .log li"))
    open_page(browser, port, "rooms")
    write(browser, "#room", ATTACK[:40])
    sees(browser, "#rooms h2", ATTACK[:40])
    write(browser, "#rooms form input", ATTACK)
    until(browser, lambda: f"you {ATTACK}" in texts(browser, ".log li"))
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        assert browser.find_elements(By.CSS_SELECTOR, "main img, .log script") == []
        assert "broken" not in browser.title


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", NAMES)
def test_it_fits_every_width_in_both_schemes(browser: Chrome, port: int, name: str, width: int, scheme: str) -> None:
    scheme_feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_feature)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        open_page(browser, port, name)
        fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert browser.execute_script(fits)
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) > 384) == (scheme == "light")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
