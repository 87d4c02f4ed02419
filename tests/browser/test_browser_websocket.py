"""The browser's own WebSocket, against the server."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import Chrome

from support.program import Program

#: Opens a socket, runs `first` when it is open, closes it when `enough` has come, and tells how it went.
SESSION = """
const done = arguments[arguments.length - 1];
const [url, protocols, first, enough] = arguments;
const came = [];
const socket = new WebSocket(url, protocols);
socket.binaryType = "arraybuffer";
socket.onopen = () => eval(first);
socket.onmessage = ({ data }) => {
  came.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
  if (came.length === enough) socket.close(3000, "enough");
};
socket.onclose = ({ code, reason, wasClean }) =>
  done({ came, code, reason, wasClean, protocol: socket.protocol });
"""


def session(browser: Chrome, port: int, first: str, enough: int = 1, protocols: list[str] | None = None) -> Any:
    """Opens the echo server's page and a socket in it: runs `first` when it is open, closes it after `enough`."""
    browser.get(f"http://127.0.0.1:{port}/")
    return browser.execute_async_script(SESSION, f"ws://127.0.0.1:{port}/", protocols or [], first, enough)


def test_text_and_binary_come_back_as_they_were(browser: Chrome, echo: tuple[Program, int]) -> None:
    first = "socket.send('grüße 🎈'); socket.send(''); socket.send(new Uint8Array([0, 255, 128]))"
    result = session(browser, echo[1], first, enough=3)
    assert result["came"] == ["grüße 🎈", "", [0, 255, 128]]


def test_a_thousand_messages_come_back_in_order(browser: Chrome, echo: tuple[Program, int]) -> None:
    result = session(browser, echo[1], "for (let i = 0; i < 1000; i++) socket.send(String(i))", enough=1000)
    assert result["came"] == [str(number) for number in range(1000)]


@pytest.mark.parametrize(("size", "kind"), [(125, "text"), (126, "text"), (65536, "binary"), (1 << 20, "text")])
def test_large_messages_come_back_whole(browser: Chrome, echo: tuple[Program, int], size: int, kind: str) -> None:
    text = f"socket.send('x'.repeat({size}))"
    binary = f"socket.send(new Uint8Array({size}).fill(120))"
    (came,) = session(browser, echo[1], text if kind == "text" else binary)["came"]
    assert came == ("x" * size if kind == "text" else [120] * size)


def test_a_message_over_the_limit_closes_with_1009(browser: Chrome, echo: tuple[Program, int]) -> None:
    result = session(browser, echo[1], f"socket.send('x'.repeat({(1 << 20) + 1}))")
    assert (result["code"], result["came"]) == (1009, [])


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_the_server_closes_with_a_code_and_a_reason(browser: Chrome, echo: tuple[Program, int], code: int) -> None:
    result = session(browser, echo[1], f"socket.send('close {code} schöne Grüße')")
    assert (result["code"], result["reason"], result["wasClean"]) == (code, "schöne Grüße", True)
    echo[0].wait_for(rf"closed {code} 'schöne Grüße'")


def test_the_page_closes_with_a_code_and_a_reason(browser: Chrome, echo: tuple[Program, int]) -> None:
    result = session(browser, echo[1], "socket.close(4001, 'für heute')")
    # The answer repeats the code, which is all that RFC 6455 §5.5.1 asks for; the reason has arrived.
    assert (result["code"], result["wasClean"]) == (4001, True)
    echo[0].wait_for(r"closed 4001 'für heute'")


def test_the_page_closes_without_a_code(browser: Chrome, echo: tuple[Program, int]) -> None:
    result = session(browser, echo[1], "socket.close()")
    assert (result["code"], result["wasClean"]) == (1005, True)
    echo[0].wait_for(r"closed 1005 ''")


def test_a_tab_that_is_closed_ends_its_session(browser: Chrome, echo: tuple[Program, int]) -> None:
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(f"http://127.0.0.1:{echo[1]}/")
    opened = "window.kept = new WebSocket(arguments[0]); window.kept.onopen = () => arguments[1](true)"
    assert browser.execute_async_script(opened, f"ws://127.0.0.1:{echo[1]}/")
    browser.close()
    browser.switch_to.window(first)
    echo[0].wait_for(r"closed (1001|1006)")


def test_the_server_chooses_the_subprotocol_it_prefers(browser: Chrome, echo: tuple[Program, int]) -> None:
    result = session(browser, echo[1], "socket.close()", protocols=["chat.v1", "chat.v2"])
    assert result["protocol"] == "chat.v2"
