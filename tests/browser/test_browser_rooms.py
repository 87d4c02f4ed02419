"""examples/rooms, as people see it: two tabs of a browser."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from support.program import Program

ATTACK = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


class Tab:
    """One person's tab."""

    def __init__(self, browser: Chrome, port: int, name: str, room: str = "") -> None:
        if browser.current_url.startswith("http"):
            browser.switch_to.new_window("tab")
        self.browser = browser
        self.handle = browser.current_window_handle
        browser.get(f"http://127.0.0.1:{port}/{'#' + room if room else ''}")
        browser.execute_script("sessionStorage.clear()")
        browser.refresh()
        self.type("#name", name, Keys.ENTER)
        self.until(lambda: self.status == "Connected" and self.lines)

    def turn_to(self) -> None:
        self.browser.switch_to.window(self.handle)

    def type(self, selector: str, *keys: str) -> None:
        self.turn_to()
        self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(*keys)

    def click(self, selector: str) -> None:
        self.turn_to()
        # The page may draw it anew in between.
        wait = WebDriverWait(self.browser, 15, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException])
        wait.until(lambda browser: browser.find_element(By.CSS_SELECTOR, selector).click() is None)

    def say(self, text: str) -> None:
        self.type("#text", text, Keys.ENTER)

    def enter(self, room: str) -> None:
        self.type("#room", room, Keys.ENTER)
        self.until(lambda: f"You are in {room}" in self.lines)

    def until(self, condition: Callable[[], Any]) -> None:
        self.turn_to()
        WebDriverWait(self.browser, 15, poll_frequency=0.05).until(lambda _: condition(), self._seen)

    def sees(self, line: str) -> None:
        self.until(lambda: line in self.lines)

    @property
    def status(self) -> str:
        return self._texts("#status")[0]

    @property
    def lines(self) -> list[str]:
        """What was said and what has happened in the room that is shown."""
        return self._texts("#logs ol:not([hidden]) :is(.text, .news)")

    @property
    def people(self) -> list[str]:
        return self._texts("#names .cut")

    @property
    def rooms(self) -> list[str]:
        return self._texts("#rooms .cut")

    def _texts(self, selector: str) -> list[str]:
        self.turn_to()
        script = "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)"
        texts: list[str] = self.browser.execute_script(script, selector)
        return texts

    def _seen(self) -> str:
        return f"status {self.status!r}, lines {self.lines}, people {self.people}, rooms {self.rooms}"


def test_two_tabs_talk_and_see_who_is_there(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    grace = Tab(browser, chat[1], "Grace")
    ada.sees("Grace came in")
    ada.until(lambda: ada.people == ["Ada", "Grace"])
    grace.until(lambda: grace.people == ["Grace", "Ada"])
    ada.say("hello")
    grace.sees("hello")
    grace.say("good morning")
    ada.sees("good morning")
    assert [line for line in ada.lines if line in ("hello", "good morning")] == ["hello", "good morning"]
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_rooms_are_apart(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    grace = Tab(browser, chat[1], "Grace")
    ada.enter("garden")
    grace.until(lambda: grace.rooms == ["lobby", "garden"])
    ada.say("only for the garden")
    ada.sees("only for the garden")
    grace.say("in the lobby")
    grace.sees("in the lobby")
    assert "only for the garden" not in grace.lines
    ada.until(lambda: ada._texts("#rooms .unread") == ["1"])
    ada.click('#rooms [data-room="lobby"]')
    assert "in the lobby" in ada.lines
    assert ada._texts("#rooms .unread") == []


def test_the_address_names_the_room(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada", room="tea%20time")
    assert ada.lines == ["You are in tea time"]
    assert browser.current_url.endswith("#tea%20time")


def test_leaving_a_room_is_seen_and_ends_what_one_hears(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    grace = Tab(browser, chat[1], "Grace")
    grace.click("#leave")
    ada.sees("Grace left")
    ada.until(lambda: ada.people == ["Ada"])
    ada.say("alone")
    ada.sees("alone")
    assert grace.lines == []
    grace.click('#rooms [data-room="lobby"]')
    grace.sees("You are in lobby")
    assert "alone" not in grace.lines


def test_a_closed_tab_has_left(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    grace = Tab(browser, chat[1], "Grace")
    grace.turn_to()
    browser.close()
    ada.sees("Grace left")


def test_who_goes_to_another_page_has_left_and_comes_back(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    grace = Tab(browser, chat[1], "Grace")
    grace.turn_to()
    browser.get("about:blank")
    ada.sees("Grace left")
    grace.turn_to()
    browser.back()
    grace.until(lambda: sorted(grace.people) == ["Ada", "Grace"])


def test_a_name_can_be_changed(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    grace = Tab(browser, chat[1], "Grace")
    grace.click("#me")
    grace.type("#name", Keys.CONTROL, "a", Keys.NULL, "Admiral Hopper", Keys.ENTER)
    ada.until(lambda: ada.people == ["Ada", "Admiral Hopper"])


def test_a_script_stays_text_wherever_it_is_written(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    grace = Tab(browser, chat[1], ATTACK[:40])
    grace.enter(ATTACK[:40])
    ada.enter(ATTACK[:40])
    grace.say(ATTACK)
    ada.sees(ATTACK)
    assert ada.people == ["Ada", ATTACK[:40]]
    ada.turn_to()
    for made in ("#logs img", "#logs script", "#names img", "#rooms img"):
        assert browser.find_elements(By.CSS_SELECTOR, made) == []
    assert "broken" not in browser.title


def test_the_policy_stops_what_should_get_in_all_the_same(browser: Chrome, chat: tuple[Program, int]) -> None:
    Tab(browser, chat[1], "Ada")
    browser.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.broken = true';"
        "document.body.append(script)"
    )
    assert browser.execute_script("return window.broken") is None
    elsewhere = (
        "const done = arguments[0]; fetch('http://127.0.0.2:9/').then(() => done('sent'), () => done('refused'))"
    )
    assert browser.execute_async_script(elsewhere) == "refused"
    blocked = [
        entry["message"] for entry in browser.get_log("browser") if "Content Security Policy" in entry["message"]
    ]
    assert len(blocked) >= 2


def test_another_page_may_not_connect(browser: Chrome, chat: tuple[Program, int], echo: tuple[Program, int]) -> None:
    browser.get(f"http://127.0.0.1:{echo[1]}/")
    attempt = """
        const [url, done] = arguments;
        const socket = new WebSocket(url);
        socket.onopen = () => done("open");
        socket.onerror = () => done("refused");
    """
    assert browser.execute_async_script(attempt, f"ws://127.0.0.1:{chat[1]}/ws") == "refused"
    chat[0].wait_for(r'"GET /ws.*" 403')


def test_tabs_come_back_when_the_server_does(
    browser: Chrome, restart: Callable[[int], AbstractContextManager[Program]]
) -> None:
    with restart(0) as first:
        port = first.wait_for_port()
        ada = Tab(browser, port, "Ada")
        grace = Tab(browser, port, "Grace")
        grace.enter("garden")
        ada.type("#text", "half a sent")
        assert first.stop() == 0
    ada.until(lambda: ada.status == "Reconnecting …")
    assert not browser.find_element(By.CSS_SELECTOR, "#say button").is_enabled()
    with restart(port) as second:
        second.wait_for_port()
        for tab in (ada, grace):
            tab.until(lambda tab=tab: tab.status == "Connected")  # type: ignore[misc]
        ada.until(lambda: sorted(ada.people) == ["Ada", "Grace"])
        grace.until(lambda: grace.people == ["Grace"])
        ada.say("ence")
        grace.click('#rooms [data-room="lobby"]')
        grace.sees("half a sentence")


def test_it_can_be_used_by_keyboard_alone(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    assert browser.switch_to.active_element.get_attribute("id") == "text"
    browser.switch_to.active_element.send_keys("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two", Keys.ENTER)
    ada.sees("one\ntwo")
    reached = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.execute_script("return document.activeElement.id || document.activeElement.textContent"))
    assert {"Skip to the message field", "me", "room", "leave", "text"} <= set(reached)


def test_the_time_is_told_in_24_hours(browser: Chrome, chat: tuple[Program, int]) -> None:
    ada = Tab(browser, chat[1], "Ada")
    # Six in the evening, wherever this runs.
    script = "Date.prototype.toLocaleTimeString = function (...how) { window.how = how; return '18:05' };"
    browser.execute_script(script)
    ada.say("hello")
    ada.sees("hello")
    assert browser.execute_script("return how[1].hourCycle") == "h23"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_every_width_in_both_schemes(
    browser: Chrome, chat: tuple[Program, int], width: int, scheme: str
) -> None:
    scheme_feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 600}
    ada = Tab(browser, chat[1], "Ada, Countess of Lovelace")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_feature)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        ada.say("w" * 300)
        ada.sees("w" * 300)
        assert browser.execute_script("return document.documentElement.scrollWidth") == width
        for part in ("#text", "#say button", "#leave", "#me", "#room", "#enter button"):
            box = browser.find_element(By.CSS_SELECTOR, part).rect
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= 740
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) > 384) == (scheme == "light")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
