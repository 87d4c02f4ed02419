"""The Socket.IO client as a server serves it, in the browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from hubbub.socketio.served import client_folder
from support.program import running

PROGRAM = Path(__file__).parents[1] / "socketio" / "program.py"

#: Loads the client, asks for an echo, and tells what came, by which transport.
SESSION = """
const [file, options, done] = arguments;
async function load() {
  if (file.includes(".esm.")) return (await import(file)).io;
  await new Promise((loaded, failed) => {
    const script = Object.assign(document.createElement("script"), { src: file, onload: loaded, onerror: failed });
    document.documentElement.append(script);
  });
  return window.io;
}
load().then((io) => {
  const socket = io(options);
  socket.on("connect_error", (error) => done({ error: error.message }));
  socket.on("echo", (...came) => {
    const plain = came.map((each) => each instanceof ArrayBuffer ? [...new Uint8Array(each)] : each);
    const transport = socket.io.engine.transport.name;
    socket.disconnect();
    done({ came: plain, transport });
  });
  socket.on("connect", () => {
    const go = () => socket.emit("echo", "gr\\u00fc\\u00dfe", { a: [1, null] }, new Uint8Array([0, 255]));
    if (options.transports || socket.io.engine.transport.name === "websocket") go();
    else socket.io.engine.once("upgrade", go);
  });
}, (error) => done({ error: String(error) }));
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    if client_folder() is None:
        pytest.skip("this wheel was built without npm and has no client")
    with running([sys.executable, str(PROGRAM)]) as program:
        yield int(program.wait_for(r"^(\d+)$")[1])


@pytest.mark.parametrize("form", ["", ".min", ".esm.min"])
@pytest.mark.parametrize(
    ("options", "transport"),
    [({}, "websocket"), ({"transports": ["polling"]}, "polling"), ({"transports": ["websocket"]}, "websocket")],
    ids=["upgrade", "polling", "websocket"],
)
def test_the_served_client_talks_to_its_server(
    browser: Chrome, port: int, form: str, options: dict[str, Any], transport: str
) -> None:
    # A page of the same server; what is on it does not matter.
    browser.get(f"http://127.0.0.1:{port}/socket.io/socket.io.js")
    result = browser.execute_async_script(SESSION, f"/socket.io/socket.io{form}.js", options)
    assert result == {"came": ["gr\u00fc\u00dfe", {"a": [1, None]}, [0, 255]], "transport": transport}
