"""examples/clocks in Chromium: one broadcast, carried in six ways."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from support.program import ROOT, Program, running

WAYS = ["polling", "long-polling", "iframe", "eventsource", "websocket", "ladder"]
ATTACK = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


@pytest.fixture(scope="module")
def clocks() -> Iterator[tuple[Program, int]]:
    """examples/clocks and its port, on every address of this machine."""
    command = [sys.executable, str(ROOT / "examples/clocks/app.py"), "--host", "0.0.0.0", "--port", "0"]
    with running(command) as program:
        yield program, program.wait_for_port()
    assert "Traceback" not in program.output


def open_page(browser: Chrome, port: int, page: str, host: str = "127.0.0.1") -> str:
    """A page in a tab of its own; gives the tab."""
    if browser.current_url.startswith("http"):
        browser.switch_to.new_window("tab")
    browser.get(f"http://{host}:{port}/{page}")
    return browser.current_window_handle


def texts(browser: Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)"
    found: list[str] = browser.execute_script(script, selector)
    return found


def lines(browser: Chrome, way: str) -> list[str]:
    return texts(browser, f'clock-panel[carrier="{way}"] li')


def until(browser: Chrome, condition: Any) -> None:
    WebDriverWait(browser, 15, poll_frequency=0.05).until(lambda _: condition())


def wait_until_live(browser: Chrome, ways: list[str]) -> None:
    for way in ways:
        until(browser, lambda way=way: texts(browser, f'clock-panel[carrier="{way}"][data-state="live"]'))


def say(browser: Chrome, *words: str) -> None:
    for text in words:
        browser.find_element(By.ID, "line").send_keys(text, Keys.ENTER)
        until(browser, lambda: browser.find_element(By.ID, "line").get_attribute("value") == "")


def test_one_broadcast_arrives_in_order_in_all_panels_and_on_a_page_for_each_way(
    browser: Chrome, clocks: tuple[Program, int]
) -> None:
    _, port = clocks
    everywhere = open_page(browser, port, "")
    # A browser has six connections to an address, and these pages keep up to two each.
    tabs = {way: open_page(browser, port, f"{way}.html", f"127.0.0.{number}") for number, way in enumerate(WAYS, 2)}
    for way, tab in tabs.items():
        browser.switch_to.window(tab)
        wait_until_live(browser, [way])
    browser.switch_to.window(everywhere)
    wait_until_live(browser, WAYS)
    said = [f"line {number}" for number in range(1, 9)]
    say(browser, *said)
    for way in WAYS:
        until(browser, lambda way=way: len(lines(browser, way)) >= len(said))
        assert lines(browser, way) == said, way
    for way, tab in tabs.items():
        browser.switch_to.window(tab)
        until(browser, lambda way=way: len(lines(browser, way)) >= len(said))
        assert lines(browser, way) == said, way
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("way", WAYS)
def test_a_clock_goes_on_by_each_way(browser: Chrome, clocks: tuple[Program, int], way: str) -> None:
    open_page(browser, clocks[1], f"{way}.html")
    script = """
        const [done] = arguments;
        const times = [];
        const time = document.querySelector("clock-panel time");
        new MutationObserver(() => times.push(time.textContent) === 3 && done(times))
          .observe(time, { childList: true });
    """
    times = browser.execute_async_script(script)
    seconds = [sum(int(part) * 60**power for power, part in enumerate(reversed(time.split(":")))) for time in times]
    # Whoever asks once a second may get two at once.
    assert all(0 < (after - before) % 86_400 <= 2 for before, after in itertools.pairwise(seconds))


@pytest.mark.parametrize("way", WAYS)
def test_a_page_shows_the_code_that_it_runs(browser: Chrome, clocks: tuple[Program, int], way: str) -> None:
    open_page(browser, clocks[1], f"{way}.html")
    source = (ROOT / f"examples/clocks/public/{way}.js").read_text()
    until(browser, lambda: texts(browser, "clock-panel code") == [source])
    assert len(source.splitlines()) <= 25


def test_code_that_is_opened_stretches_its_own_panel_only(browser: Chrome, clocks: tuple[Program, int]) -> None:
    open_page(browser, clocks[1], "")
    wait_until_live(browser, WAYS)
    heights = "return [...document.querySelectorAll('clock-panel')].map((panel) => Math.round(panel.offsetHeight))"
    before = browser.execute_script(heights)
    browser.find_element(By.CSS_SELECTOR, "clock-panel summary").click()
    until(browser, lambda: browser.execute_script(heights)[0] > before[0] + 50)
    assert browser.execute_script(heights)[1:] == before[1:]


def test_what_is_said_stays_text(browser: Chrome, clocks: tuple[Program, int]) -> None:
    open_page(browser, clocks[1], "")
    wait_until_live(browser, WAYS)
    say(browser, ATTACK)
    for way in WAYS:
        until(browser, lambda way=way: ATTACK in lines(browser, way))
    assert browser.find_elements(By.CSS_SELECTOR, "li img, li script") == []
    assert "broken" not in browser.title


def test_what_cannot_be_said_is_told(browser: Chrome, clocks: tuple[Program, int]) -> None:
    open_page(browser, clocks[1], "")
    wait_until_live(browser, WAYS)
    browser.execute_script("document.querySelector('#line').removeAttribute('maxlength')")
    browser.execute_script("document.querySelector('#line').value = 'x'.repeat(2000)")
    browser.find_element(By.CSS_SELECTOR, "#say button").click()
    until(browser, lambda: "Not sent" in texts(browser, "#say output")[0])
    browser.find_element(By.ID, "line").clear()
    say(browser, "shorter")
    until(browser, lambda: "shorter" in lines(browser, "ladder"))
    assert texts(browser, "#say output") == [""]


def test_clocks_are_links_and_can_be_reached_by_keyboard(browser: Chrome, clocks: tuple[Program, int]) -> None:
    open_page(browser, clocks[1], "")
    wait_until_live(browser, WAYS)
    reached = []
    for _ in range(2 + 3 * len(WAYS)):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.execute_script("return document.activeElement.href ?? document.activeElement.id"))
    assert "line" in reached
    assert [name for name in reached if name.endswith(".html")] == [
        f"http://127.0.0.1:{clocks[1]}/{way}.html" for way in WAYS
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("page", ["", "polling.html"])
def test_it_fits_every_width_in_both_schemes(
    browser: Chrome, clocks: tuple[Program, int], page: str, width: int, scheme: str
) -> None:
    scheme_feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_feature)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        open_page(browser, clocks[1], page)
        wait_until_live(browser, WAYS if page == "" else ["polling"])
        fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert browser.execute_script(fits)
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) > 384) == (scheme == "light")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
