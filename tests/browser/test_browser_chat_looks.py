"""examples/chat for those who look at it, in every width, scheme and language, and for those who do not look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chatting import PUBLIC, Person, Voice, emptied, fill, run_chat, sqlite
from selenium.webdriver import Chrome, Keys

pytest.importorskip("sqlalchemy", reason="examples/chat needs SQLAlchemy")
pytest.importorskip("aiosqlite", reason="examples/chat needs aiosqlite")

#: The texts that are seen, with their contrast (WCAG 2.2) to what is behind them, where that is too little.
FAINT = """
const paint = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function rgba(colour) {
  paint.clearRect(0, 0, 1, 1);
  paint.fillStyle = colour;
  paint.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = paint.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}
const over = (top, below) => [0, 1, 2].map((part) => top[part] * top[3] + below[part] * (1 - top[3])).concat(1);
function behind(node) {
  const layers = [];
  for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
}
function light(colour) {
  const [red, green, blue] = colour.map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
const faint = [];
let looked = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !node.checkVisibility({ visibilityProperty: true })) continue;
  if (node.closest(".unseen, .skip, noscript")) continue;
  looked += 1;
  const ground = behind(node);
  const text = over(rgba(getComputedStyle(node).color), ground);
  const [dark, bright] = [light(text), light(ground)].sort((a, b) => a - b);
  const contrast = (bright + 0.05) / (dark + 0.05);
  if (contrast < 4.5) faint.push([walker.currentNode.textContent, node.className, contrast.toFixed(2)]);
}
return [looked, faint];
"""


@pytest.fixture
def port(one_chat: tuple[int, Path]) -> int:
    return emptied(*one_chat)


VOICES: list[Voice] = []


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A program with people in it, for tests that only look."""
    with run_chat(sqlite(tmp_path_factory.mktemp("crowd"))) as (_, port):
        VOICES[:] = [Voice(port, name) for name in ("Grace", "李雷", "W" * 24, "Person 3", "Person 4", "Person 5")]
        for number, voice in enumerate(VOICES):
            voice.ask("join", f"room {number % 5}")
            voice.say(f"hello from voice {number}")
        yield port


@contextmanager
def media(browser: Chrome, *, width: int = 1280, height: int = 800, **features: str) -> Iterator[None]:
    """What the page is shown on; `prefers_color_scheme="dark"` is such a feature."""
    wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def lively(browser: Chrome, crowd: int) -> Person:
    """A person who sees one of everything."""
    ada = Person(browser, crowd, "Ada, Countess of Lovela")
    for room in ("red", "room 0", "room 1"):
        ada.enter(room)
    VOICES[0].say("to a room", "room 0")
    ada.turn(None)
    VOICES[1].say("@Ada, Countess of Lovela in private")
    ada.address("red")
    ada.say("w" * 300)
    ada.say("@Grace an answer")
    ada.sees("w" * 300, "in private", "an answer")
    ada.click('[data-key="who room 0"]')
    ada.say("@Nobody there")
    ada.until(lambda: ada.notice)
    return ada


# ---- languages


def test_the_language_is_the_browsers_and_can_be_switched_and_is_remembered(browser: Chrome, port: int) -> None:
    ada = Person(browser, port, query="lang=zh")
    assert ada.text("#hello") == "怎么称呼你\uff1f"
    ada.introduce("Ada")
    ada.until(lambda: ada.state == "open")
    voice = Voice(port, "Grace")
    ada.sees("Grace加入了聊天室")
    ada.click('#rooms [data-room="red"]')
    ada.until(lambda: ada.title == "红")
    assert ada.text("#leave") == "离开"
    ada.click("#language")
    assert ada.text("#leave") == "Leave"
    assert ada.run("return document.documentElement.lang") == "en"
    ada.turn(None)
    assert ada.news == ["Grace joined"]  # also what was there before
    voice.leave()
    ada.sees("Grace left")
    browser.get(ada.url.replace("?lang=zh", ""))
    ada.until(lambda: ada.state == "open")
    assert ada.title == "All messages"
    assert ada.run("return document.querySelector('#text').placeholder") == "Write a message"


def test_the_language_can_be_switched_before_a_name_is_given(browser: Chrome, port: int) -> None:
    ada = Person(browser, port)
    ada.click("#welcome .language")
    assert ada.text("#come") == "进入聊天室"
    ada.type("#name", Keys.ENTER)
    ada.until(lambda: ada.text("#name-error") == "请输入用户名。")


def test_both_languages_have_every_text_with_the_same_values_and_the_page_has_a_text_for_all_it_names(
    browser: Chrome, port: int
) -> None:
    ada = Person(browser, port)
    texts = ada.browser.execute_async_script(
        "const [done] = arguments; import('/texts.js').then(({ LANGUAGES }) => done(LANGUAGES))"
    )
    english, chinese = texts["en"], texts["zh"]
    assert english.keys() == chinese.keys()

    def values(text: str | dict[str, str]) -> set[str]:
        words = text["other"] if isinstance(text, dict) else text
        return {part.split("}")[0] for part in words.split("{")[1:]}

    for key, text in english.items():
        assert values(text) - {"total", "count"} == values(chinese[key]) - {"total", "count"}, key
        assert isinstance(text, dict) == isinstance(chinese[key], dict), key
    named = ada.run(
        "return [...document.querySelectorAll('*')].flatMap(({ dataset }) => "
        "[dataset.say, dataset.sayLabel, dataset.sayPlaceholder].filter(Boolean))"
    )
    assert set(named) <= english.keys()

    scripts = "".join(file.read_text() for file in PUBLIC.glob("*.js") if file.name != "texts.js")
    scripts = re.sub(r'addEventListener\("\w+"', "", scripts)
    words = (PUBLIC / "texts.js").read_text()
    used = {*named, *re.findall(r'"([^"\n]*)"', scripts), *re.findall(r'say\("([^"]+)"', words)}
    # "name empty" is what `refusal("name", { error: "empty" })` says: a word of the server's.
    assert {key for key in english if key not in used and " " not in key} == set()


# ---- widths and schemes


@pytest.mark.parametrize(("width", "height"), [(667, 375), (844, 390), (932, 430)])
def test_a_phone_held_sideways_shows_messages(browser: Chrome, port: int, width: int, height: int) -> None:
    ada = Person(browser, port, "Ada")
    grace = Voice(port, "Grace")
    for number in range(8):
        grace.say(f"message {number}")
    ada.sees("message 7")
    with media(browser, width=width, height=height):
        ada.until(lambda: ada.run("return innerHeight") == height)
        share = "return document.querySelector('#log').clientHeight / innerHeight"
        assert ada.run(share) > 0.5
        for part in ("#send", "#text", "#menu", "#me"):
            ada.until(lambda part=part: ada.run(INSIDE, part, width, height))


def test_it_fits_every_width_in_both_schemes(browser: Chrome, crowd: int) -> None:
    ada = lively(browser, crowd)
    for width in (320, 360, 768, 1280, 1920):
        for scheme in ("light", "dark"):
            fits(ada, width, scheme)


#: Whether the element that a selector finds is inside of so much width and height.
INSIDE = """
const { left, top, right, bottom } = document.querySelector(arguments[0]).getBoundingClientRect();
return left >= 0 && top >= 0 && right <= arguments[1] && bottom <= arguments[2];
"""


def fits(ada: Person, width: int, scheme: str) -> None:
    with media(ada.browser, width=width, height=740, prefers_color_scheme=scheme):
        for menu in (False, True):
            if menu and width < 600:
                ada.click("#menu")
            sizes = "const { scrollWidth, clientWidth } = document.documentElement; return [scrollWidth, clientWidth]"
            assert ada.run(sizes) == [width, width]
            inside = (
                "const { scrollWidth, clientWidth } = document.querySelector('#log'); return scrollWidth - clientWidth"
            )
            assert ada.run(inside) <= 0
            parts = ["#menu", "#enter button"] if menu else ["#language", "#me", "#text", "#send", "#to"]
            for part in parts:
                if width >= 600 and part == "#menu":
                    continue
                # The menu slides in.
                ada.until(lambda part=part: ada.run(INSIDE, part, width, 740))  # type: ignore[misc]
        ground = ada.run("return getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) > 384) == (scheme == "light"), width
        ada.press(Keys.ESCAPE)  # the lists are put away


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_text_can_be_read(browser: Chrome, crowd: int, language: str) -> None:
    ada = lively(browser, crowd) if language == "en" else Person(browser, crowd, query="lang=zh")
    for scheme in ("light", "dark"):
        with media(browser, prefers_color_scheme=scheme):
            looked, faint = ada.run(FAINT)
            assert faint == []
            assert looked > (50 if language == "en" else 5)


def test_the_colours_of_all_names_and_rooms_can_be_read(browser: Chrome, crowd: int) -> None:
    ada = lively(browser, crowd)
    hues = "for (const node of document.querySelectorAll('[style]')) node.style.setProperty('--hue', arguments[0]);"
    for scheme in ("light", "dark"):
        with media(browser, prefers_color_scheme=scheme):
            for hue in range(0, 360, 15):
                ada.run(hues, str(hue))
                assert ada.run(FAINT)[1] == [], (scheme, hue)


def test_the_end_stays_in_sight_when_the_window_changes(browser: Chrome, crowd: int) -> None:
    ada = lively(browser, crowd)
    at_end = (
        "const log = document.querySelector('#log'); return log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    )
    for width, height in ((360, 740), (1280, 500), (768, 1000)):
        with media(browser, width=width, height=height):
            ada.until(lambda: ada.run(at_end))
        ada.until(lambda: ada.run(at_end))


def test_nothing_moves_for_those_who_do_not_want_it(browser: Chrome, crowd: int) -> None:
    ada = lively(browser, crowd)
    moving = (
        "return document.getAnimations().length + [...document.querySelectorAll('.said, .side, #status')]"
        ".filter((node) => getComputedStyle(node).animationName !== 'none'"
        " || getComputedStyle(node).transitionDuration !== '0s').length"
    )
    with media(browser, width=360, prefers_reduced_motion="no-preference"):
        assert ada.run(moving) > 0
    with media(browser, width=360, prefers_reduced_motion="reduce"):
        assert ada.run(moving) == 0


# ---- by keyboard, and by ear


def test_it_can_be_used_by_keyboard_alone(browser: Chrome, port: int) -> None:
    grace = Voice(port, "Grace")
    ada = Person(browser, port)
    ada.press("Ada", Keys.ENTER)  # the name is asked for where the keyboard is
    ada.until(lambda: ada.state == "open")
    assert ada.run("return document.activeElement.id") == "text"
    ada.press("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two", Keys.ENTER)
    ada.sees("one\ntwo")

    reached = {}
    for step in range(30):
        ada.press(Keys.TAB)
        name = ada.run(
            "const { id, dataset, className } = document.activeElement; return dataset.key ?? (id || className)"
        )
        reached.setdefault(name, step)
        if name != "body":
            ring = ada.run(
                "const seen = (node) => getComputedStyle(node).outlineStyle !== 'none' ||"
                " getComputedStyle(node).boxShadow !== 'none';"
                "const node = document.activeElement; return seen(node) || seen(node.parentElement)"
            )
            assert ring or not name, name
    wanted = ["skip", "language", "me", "everything", "enter red", "who red", "enter green", "who green", "room"]
    assert [name for name in reached if name in wanted] != []
    assert {*wanted, "person Grace", "log", "everybody", "text", "send"} <= set(reached)

    def tab_to(key: str) -> None:
        for _ in range(40):
            ada.press(Keys.TAB)
            at = ada.run("const { id, dataset } = document.activeElement; return dataset.key ?? id")
            if at == key:
                return
        raise AssertionError(f"{key} was not reached")

    tab_to("enter red")
    ada.press(Keys.ENTER)
    ada.until(lambda: ada.title == "red")
    tab_to("who red")
    ada.press(Keys.SPACE)
    ada.until(lambda: ada.texts("#rooms .inside") == ["Ada"])
    grace.ask("join", "red")
    ada.until(lambda: ada.texts("#rooms .inside") == ["Ada, Grace"])
    # The list was drawn anew, and the keyboard is where it was.
    assert ada.run("return document.activeElement.dataset.key") == "who red"
    tab_to("person Grace")
    ada.press(Keys.ENTER)
    assert ada.run("return document.activeElement.id") == "text"
    ada.press("hi", Keys.ENTER)
    ada.until(lambda: ada.texts("#lines .alone") == ["private, to Grace"])
    assert ada.title == "All messages"
    ada.press(Keys.ESCAPE)  # the next is not for Grace alone
    tab_to("room red")
    ada.press(Keys.ENTER)
    tab_to("leave")
    ada.press(Keys.ENTER)
    ada.until(lambda: ada.mine == [])
    ada.press(Keys.ESCAPE)
    assert ada.notice == ""


def test_the_lists_are_opened_and_closed_on_a_narrow_page(browser: Chrome, port: int) -> None:
    ada = Person(browser, port, "Ada")
    Voice(port, "Grace")
    with media(browser, width=360, height=740, prefers_reduced_motion="reduce"):
        visible = "return document.querySelector('#side').checkVisibility({ visibilityProperty: true })"
        expanded = "return document.querySelector('#menu').getAttribute('aria-expanded')"
        assert (ada.run(visible), ada.run(expanded)) == (False, "false")
        ada.click("#menu")
        ada.until(lambda: (ada.run(visible), ada.run(expanded)) == (True, "true"))
        assert ada.run("return document.querySelector('#side').contains(document.activeElement)")
        ada.press(Keys.ESCAPE)
        ada.until(lambda: not ada.run(visible))
        assert ada.run("return document.activeElement.id") == "menu"
        ada.click("#menu")
        ada.until(lambda: ada.people == ["Ada", "Grace"])
        ada.click('[data-key="person Grace"]')
        ada.until(lambda: not ada.run(visible))
        assert ada.run("return document.querySelector('#text').value") == "@Grace "


def test_what_is_said_is_told_to_those_who_listen_and_the_history_is_not(browser: Chrome, port: int) -> None:
    said = [f"message {number}" for number in range(30)]
    fill(port, said)
    ada = Person(browser, port, "Ada")
    ada.run("document.querySelector('#log').scrollTop = 0")
    ada.until(lambda: ada.messages == said)
    assert {live for live, _ in ada.marks("additions")} == {"off"}
    ada.until(lambda: ada.run("return document.querySelector('#log').getAttribute('aria-live')") == "polite")
    Voice(port, "Grace").say("something new")
    ada.sees("something new")
    assert ada.marks("additions")[-1] == ["polite", "something new"]


def test_everything_has_a_name_and_a_place(browser: Chrome, crowd: int) -> None:
    ada = lively(browser, crowd)
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    roles = {role for role, _ in nodes}
    assert {"banner", "navigation", "main", "log", "status"} <= roles
    unnamed = [
        role for role, name in nodes if role in ("button", "textbox", "dialog", "log", "navigation") and not name
    ]
    assert unnamed == []
    names = {name for _, name in nodes}
    assert {"Rooms", "Messages", "Message", "Send", "Enter green", "Who is in red: 1 person"} <= names
    assert ada.run("return document.querySelectorAll('h1').length") == 1
