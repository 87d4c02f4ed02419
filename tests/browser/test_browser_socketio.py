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
    const go = () => socket.emit("echo", "gr\\u00fc\\u00dfe", { a: [1, null] }, new Uint8Array([0, 255]).buffer);
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


@pytest.mark.parametrize("form", ["", ".min", ".esm.min", ".msgpack.min"])
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
    if "msgpack" in form:
        options = {**options, "path": "/msgpack/socket.io/"}
    result = browser.execute_async_script(SESSION, f"/socket.io/socket.io{form}.js", options)
    assert result == {"came": ["gr\u00fc\u00dfe", {"a": [1, None]}, [0, 255]], "transport": transport}


# ---- pages of another origin

ELSEWHERE = Path(__file__).with_name("socketio_elsewhere.py")

#: Connects a page to a server of another origin, twice, and tells what the server has seen.
VISIT = """
const [server, options, done] = arguments;
const script = Object.assign(document.createElement("script"), { src: `${server}/listed/socket.io.js` });
script.onerror = () => done({ error: "no script" });
script.onload = () => {
  const visit = (then) => {
    const socket = io(server, { reconnection: false, forceNew: true, ...options });
    const fail = (error) => { socket.close(); done({ error: error.message }); };
    socket.on("connect_error", fail);
    socket.on("connect", () => {
      const ask = () => socket.emit("seen", (seen) => { socket.close(); then(seen); });
      if (options.transports || socket.io.engine.transport.name === "websocket") ask();
      else socket.io.engine.once("upgrade", ask);
    });
  };
  visit(() => visit(done));
};
document.documentElement.append(script);
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, str]]:
    """The origin of a page, and that of a server."""
    if client_folder() is None:
        pytest.skip("this wheel was built without npm and has no client")
    with running([sys.executable, str(ELSEWHERE)]) as program:
        ports = program.wait_for(r"^(\d+) (\d+)$")
        yield f"http://127.0.0.1:{ports[1]}", f"http://127.0.0.1:{ports[2]}"


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None], ids=["polling", "websocket", "upgrade"])
@pytest.mark.parametrize("credentials", [False, True], ids=["without credentials", "with credentials"])
@pytest.mark.parametrize(
    ("path", "allows", "takes_credentials"),
    [
        ("listed", True, True),
        ("open", True, False),
        ("asked", True, True),
        ("default", False, False),
        ("others", False, False),
        ("refusing", False, False),
    ],
)
def test_a_page_of_another_origin_connects_where_it_may(
    browser: Chrome,
    elsewhere: tuple[str, str],
    path: str,
    allows: bool,
    takes_credentials: bool,
    credentials: bool,
    transports: list[str] | None,
) -> None:
    page, server = elsewhere
    browser.get(page)
    browser.delete_all_cookies()
    # The field that is not a simple one makes the browser ask first, where it can be given at all.
    options: dict[str, Any] = {"path": f"/{path}/", "withCredentials": credentials, "extraHeaders": {"x-token": "t"}}
    if transports is not None:
        options["transports"] = transports
    result = browser.execute_async_script(VISIT, server, options)
    polls = transports != ["websocket"]
    if not allows or (credentials and polls and not takes_credentials):
        assert "error" in result, result
        return
    assert result["origin"] == page
    assert result["token"] == ("t" if polls else None)
    # The cookie of the first visit comes with the second: a WebSocket always sends it, a poll if it has credentials.
    assert result["cookie"] == (not polls or credentials)
