"""Makes the pictures of examples/chat for the README: docs/chat-light.png and docs/chat-dark.png.

PYTHONPATH=tests python tests/browser/screenshot_chat.py [FOLDER]

It starts the chat with a database of its own, lets six people talk in it, and photographs what one of them sees.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from chatting import Person, Voice, run_chat, sqlite
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from conftest import FLAGS
from support.program import ROOT

WIDTH, HEIGHT = 1200, 820
LARGEST = 150_000  # bytes


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    browser = chromium()
    try:
        with tempfile.TemporaryDirectory() as database, run_chat(sqlite(Path(database))) as (_, port):
            person, typing = conversation(browser, port)
            for scheme in ("light", "dark"):
                person.turn_to()
                features = [{"name": "prefers-color-scheme", "value": scheme}]
                browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
                size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                person.until(lambda: person.run("return innerWidth") == WIDTH)
                typing.ask("typing", {})
                person.until(lambda: person.text("#typing") != "")
                picture = folder / f"chat-{scheme}.png"
                browser.save_screenshot(str(picture))
                print(picture, picture.stat().st_size, "bytes")
                assert picture.stat().st_size < LARGEST
                person.until(lambda: person.text("#typing") == "")
    finally:
        browser.quit()


def conversation(browser: webdriver.Chrome, port: int) -> tuple[Person, Voice]:
    """Somebody who sees it, and somebody who is about to say something."""
    grace, linus, li, margaret = (Voice(port, name) for name in ("Grace", "Linus", "小李", "Margaret"))
    for voice, rooms in ((grace, ["red", "garden"]), (linus, ["red", "green"]), (li, ["red"]), (margaret, ["garden"])):
        for room in rooms:
            voice.ask("join", room)
    ada = Person(browser, port, "Ada")
    ada.enter("green")
    ada.enter("red")
    ada.turn(None)
    grace.say("Good morning! Who is coming to the demo at eleven?")
    linus.say("I am. The projector is set up already.")
    li.say("我也来。需要带什么吗？")  # noqa: RUF001
    ada.say("Just yourselves. There will be cake.")
    ada.sees("Just yourselves. There will be cake.")
    linus.say("Room red: the numbers of last night are in.", "red")
    li.say("太好了", "red")
    ada.address("red")
    ada.say("Thank you both. I will put them on the first page.")
    ada.sees("Thank you both. I will put them on the first page.")
    margaret.say("@Ada do we have a candle for the cake?")
    ada.say("@Margaret two, and a spare one")
    ada.sees("two, and a spare one")
    Voice(port, "Alan")
    ada.sees("Alan joined")
    ada.run("document.activeElement.blur()")
    return ada, grace


def chromium() -> webdriver.Chrome:
    options = Options()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


if __name__ == "__main__":
    main()
