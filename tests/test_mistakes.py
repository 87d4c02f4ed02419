"""Mistakes that newcomers make, and what they are told: what was expected, what was given, and what to do."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from hubbub import Hub, Limits, WebSocket
from support.client import Client, dial
from support.handlers import KINDS
from support.program import ROOT, hubbub_command
from support.server import Serve, Server, until

pytestmark = pytest.mark.anyio


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(hubbub_command(*arguments), cwd=folder, capture_output=True, text=True, timeout=30)


async def coroutine(ws: WebSocket) -> None: ...


def function(ws: WebSocket) -> None: ...


async def app(scope: Any, receive: Any, send: Any) -> None: ...


# ---- handlers that come too late, or twice, or not at all

LATE: dict[str, Callable[[Hub], object]] = {
    "on_connection": lambda hub: hub.on_connection(function),
    "on_message": lambda hub: hub.on_message(lambda ws, data: None),
    "on_message with concurrency": lambda hub: hub.on_message(concurrency=1)(lambda ws, data: None),
    "on_close": lambda hub: hub.on_close(lambda ws, code, reason: None),
    "on_request": lambda hub: hub.on_request(lambda request: None),
    "on_broadcast": lambda hub: hub.on_broadcast(lambda room, data, sender: None),
    "websocket": lambda hub: hub.websocket("/late")(coroutine),
    "eventsource": lambda hub: hub.eventsource("/late")(function),
    "comet": lambda hub: hub.comet("/late"),
    "mount": lambda hub: hub.mount("/late", app),
    "static": lambda hub: hub.static("/late", "."),
    "script": lambda hub: hub.script(),
    "metrics": lambda hub: hub.metrics("/late"),
}


@pytest.mark.parametrize("late", LATE.values(), ids=list(LATE))
async def test_what_comes_while_the_hub_runs_is_refused(serve: Serve, late: Callable[[Hub], object]) -> None:
    hub = Hub()
    async with serve(hub):
        with pytest.raises(RuntimeError, match=r"is given before the hub runs: .* Stop it first: hub\.stop\(\)"):
            late(hub)
    late(hub)


HANDLERS = ("on_connection", "on_message", "on_message with concurrency", "on_close", "on_request", "on_broadcast")


@pytest.mark.parametrize("name", HANDLERS)
def test_a_second_handler_of_a_kind_is_refused(name: str) -> None:
    hub = Hub()
    LATE[name](hub)
    with pytest.raises(ValueError, match=f"the hub has an {name.split()[0]} handler already: .*lambda|.*function"):
        LATE[name](hub)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("/a", "/a", r"the hub has an endpoint at '/a' already$"),
        (
            "/{a}",
            "/{b}",
            r"the hub has an endpoint at '/\{a\}' already, which is the same to whoever asks for '/\{b\}'",
        ),
        ("/a/{*rest}", "/a/{*other}", "the same to whoever asks"),
    ],
)
@pytest.mark.parametrize("late", ["websocket", "eventsource", "comet", "metrics"])
def test_a_path_that_is_taken_is_refused_at_the_decorator(first: str, second: str, says: str, late: str) -> None:
    hub = Hub()
    hub.websocket(first)(coroutine)
    add: dict[str, Callable[[], object]] = {
        "websocket": lambda: hub.websocket(second)(coroutine),
        "eventsource": lambda: hub.eventsource(second),
        "comet": lambda: hub.comet(second),
        "metrics": lambda: hub.metrics(second),
    }
    with pytest.raises(ValueError, match=says):
        add[late]()


async def test_a_hub_without_a_handler_is_warned_of_when_it_starts(serve: Serve, caplog: Any) -> None:
    async with serve(Hub()):
        assert any("this hub has no handler" in record.getMessage() for record in caplog.records)
    caplog.clear()
    for late in LATE.values():
        hub = Hub()
        late(hub)
        async with serve(hub):
            pass
    assert caplog.records == []


# ---- paths

PATHS = {
    "/x/{id:int}": "a parameter of a path is written {id}, not {id:int}: '/x/{id}'. Its value is a str",
    "/x/<room>": "a parameter of a path is written {room}, not <room>: '/x/{room}'",
    "/x/<int:room>": "a parameter of a path is written {room}, not <int:room>: '/x/{room}'",
    "/x/:room/y": "a parameter of a path is written {room}, not :room: '/x/{room}/y'",
    "/x/*": "a parameter of a path is written {*rest}, not *: '/x/{*rest}'",
    "/x/{}": "a parameter of a path is a name in braces, such as '/chat/{room}', not '/x/{}'",
    "/x/{room": "a name in braces",
    "/x/room}": "a name in braces",
    "/x/{a b}": "a name in braces",
    "/{*rest}/x": "{*rest} takes the rest of a path, so it stands at its end",
}


@pytest.mark.parametrize(("path", "says"), PATHS.items())
def test_a_parameter_in_another_spelling_is_refused_with_the_right_one(path: str, says: str) -> None:
    hub = Hub()
    for add in (hub.websocket, hub.eventsource, hub.comet):
        with pytest.raises(ValueError, match=re.escape(says)):
            add(path)(coroutine)


@pytest.mark.parametrize("path", ["/x/{room}", "/{*rest}", "/a:b", "/a*b", "/{{x}}", "/x{room}y"])
def test_paths_that_are_right_are_taken(path: str) -> None:
    Hub().websocket(path)(coroutine)


# ---- applications


async def test_an_application_may_be_mounted_at_a_slash(serve: Serve) -> None:
    hub, seen = Hub(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append((scope["path"], scope["root_path"]))
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    hub.mount("/", app)
    with pytest.raises(ValueError, match="mounted at '' already"):
        hub.mount("", app)
    async with serve(hub) as server:
        assert await ask(server, "/page") == 204
    assert seen == [("/page", "")]


def test_a_wsgi_application_is_refused_with_the_name_of_what_makes_it_one() -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        return []

    for mount in (lambda: Hub().mount("", wsgi), lambda: Hub(app=wsgi)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"takes \(environ.*a2wsgi\.WSGIMiddleware\(app\)"):
            mount()


def test_an_application_with_other_arguments_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"is called with \(scope, receive, send\); .* takes \(scope: 'Any'\) -> 'None'$"
    ):
        Hub(app=lambda_of_one)  # type: ignore[arg-type]


def lambda_of_one(scope: Any) -> None: ...


def test_a_hub_as_an_application_is_told_of_asgi() -> None:
    with pytest.raises(TypeError, match=r"cannot be called; a hub becomes one by hub\.asgi\(\)"):
        Hub(app=Hub())  # type: ignore[arg-type]


def test_the_command_line_says_how_a_hub_is_made_of_an_application(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "from hubbub import Hub\nasync def app(scope, receive, send): pass\nclass H(Hub): pass\n"
    )
    assert (
        "A hub serves an ASGI application: hub = Hub(app=app), and name that"
        in command(tmp_path, "run", "main:app").stderr
    )
    assert "name an instance, hub = H()" in command(tmp_path, "run", "main:H").stderr


# ---- running


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("127.0.0.1:8500", "give host='127.0.0.1' and port=8500"),
        ("localhost:8500", "give host='localhost' and port=8500"),
        (":8500", "give host='0.0.0.0' and port=8500"),
        ("[::1]:8500", "give host='::1' and port=8500"),
        ("http://example.org", "give host='example.org'"),
        ("ws://localhost:8500/chat", "give host='localhost' and port=8500"),
        ("localhost/chat", "give host='localhost'"),
    ],
)
def test_a_host_with_more_in_it_is_told_apart(host: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"host is a name or an address, not {host!r}: {says}")):
        Hub().run(host, loop="asyncio")


def test_a_port_in_the_place_of_the_host_is_told() -> None:
    with pytest.raises(TypeError, match="host is a name or an address, not 8000; the port is port="):
        Hub().run(8000)  # type: ignore[arg-type]


ARGUMENTS = {
    "reload": "hubbub run module:hub --reload",
    "workers": "reuse_port=True",
    "debug": 'logging.getLogger("hubbub").setLevel("DEBUG")',
    "ssl_context": "ssl_certfile=",
    "hosts": r"did you mean host=\?",
    "io_thread": r"did you mean io_threads=\?",
    "nonsense": r"help\(hubbub.Hub.run\)",
}


@pytest.mark.parametrize(("name", "says"), ARGUMENTS.items())
async def test_arguments_of_other_servers_are_told_what_is_there_instead(name: str, says: str) -> None:
    expected = f"there is no argument {name}=: .*{says if name != 'debug' else re.escape(says)}"
    with pytest.raises(TypeError, match=expected):
        Hub().run(port=0, **{name: True})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=expected):
        await Hub().serve(port=0, **{name: True})
    with pytest.raises(TypeError, match=expected):
        async with Hub().listening(port=0, **{name: True}):  # type: ignore[arg-type]
            pass


async def test_run_inside_of_a_running_loop_names_serve_and_listening() -> None:
    says = r"one is running here already: `await hub\.serve\(\.\.\.\)` .* `async with hub\.listening\(\.\.\.\)`"
    with pytest.raises(RuntimeError, match=says):
        Hub().run(port=0)
    with pytest.raises(RuntimeError, match=says):
        await Hub().run(port=0)  # type: ignore[func-returns-value]


def test_run_beside_a_loop_of_another_thread_is_fine() -> None:
    hub, threads = Hub(), []

    async def run_it() -> None:
        threads.append(asyncio.get_running_loop().run_in_executor(None, lambda: hub.run(port=0, loop="asyncio")))
        while hub._running.run is None:
            await asyncio.sleep(0.001)
        hub.stop()
        await threads[0]

    asyncio.run(run_it())


RUNS_ITSELF = """
from hubbub import Hub

hub = Hub()
{guard}hub.run(port=1)
"""


def test_a_module_that_runs_the_hub_itself_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(RUNS_ITSELF.format(guard=""))
    done = command(tmp_path, "run", "m:hub", "--port", "0")
    assert done.returncode == 1
    assert (
        'error: "m" runs the hub itself, with its own arguments: put hub.run(...) below `if __name__ ==' in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_the_log_level_is_taken_in_capitals(tmp_path: Path) -> None:
    done = command(tmp_path, "run", "nothing:hub", "--log-level", "INFO")
    assert 'there is no module "nothing"' in done.stderr


@pytest.mark.parametrize(("name", "value", "range_"), [
    ("max_message_bytes", -1, "an integer number of bytes from 0 to 1099511627776 or None"),
    ("outbox_bytes", 0, "an integer number of bytes from 1 to 1099511627776"),
    ("ping_interval", 0, "a number of seconds above 0 and up to 1099511627776 or None"),
    ("messages_per_second", -1, "a number per second above 0 and up to 4294967295 or None"),
])  # fmt: skip
def test_a_limit_out_of_its_range_is_told_the_range(name: str, value: float, range_: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be {range_}, got {value}$"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_make_run_names_another_port_when_its_own_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "examples/chat/app.py", "--port", port, "--database", "sqlite+aiosqlite:///:memory:"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert f"port {port}: Address already in use" in done.stderr
    assert "make run PORT=8001" in done.stderr


# ---- what is looked for under another name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("on_open", "@hub.on_connection"),
        ("on_connect", "@hub.on_connection"),
        ("on_disconnect", "@hub.on_close"),
        ("emit", r"hub\.broadcast\(data\)"),
        ("route", r"@hub\.websocket\(path\)"),
        ("clients", r"hub\.sessions"),
    ],
)
def test_attributes_of_other_libraries_are_told_what_is_there_instead(name: str, says: str) -> None:
    with pytest.raises(AttributeError, match=f"'Hub' object has no attribute '{name}'\\. .*{says}"):
        getattr(Hub(), name)


def test_other_attributes_are_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match=r"^'Hub' object has no attribute 'nonsense'$"):
        _ = Hub().nonsense
    assert not hasattr(Hub(), "_repr_html_")


# ---- on_close


@pytest.mark.parametrize("kind", KINDS)
async def test_what_on_close_raises_is_logged(serve: Serve, kind: Any, failures: list[logging.LogRecord]) -> None:
    hub, told = Hub(), []

    def gone(ws: WebSocket, code: int, reason: str) -> None:
        told.append(code)
        ws.send("bye")
        told.append("never")

    hub.on_close(kind(gone))
    async with serve(hub) as server:
        async with server.connect():
            pass
        await until(lambda: len(failures) == 1)
    assert told == [1006]
    assert "failed" in failures[0].getMessage()


# ---- what requests suggest


async def ask(server: Server, target: str, fields: str = "") -> int:
    with dial(server.address) as sock:
        client = Client(sock, None)
        await client.write(f"GET {target} HTTP/1.1\r\nHost: here:80\r\nConnection: close\r\n{fields}\r\n".encode())
        answer = b""
        while piece := await client.read():
            answer += piece
    return int(answer.split()[1])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("/chat/a/", "/chat/{room}"), ("/CHAT/a", "/chat/{room}"), ("/push", "/push/"), ("/Push", "/push/")],
)
async def test_a_path_that_is_nearly_right_is_told_once_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, asked: str, meant: str
) -> None:
    hub = Hub()
    hub.websocket("/chat/{room}")(coroutine)
    hub.comet("/push/")
    async with serve(hub) as server:
        for _ in range(3):
            assert await ask(server, asked) == 404
        assert await ask(server, "/elsewhere") == 404
        await until(lambda: hub.stats()["refused"] == 4)
        await until(lambda: bool(warnings(caplog)))
    assert warnings(caplog) == [f"nothing is served at {asked}; did you mean {meant}? (told once)"]


KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


async def test_a_handshake_without_upgrade_is_told_once_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub()
    hub.websocket("/chat")(coroutine)
    async with serve(hub) as server:
        assert await ask(server, "/chat", KEY) == 426
        assert await ask(server, "/elsewhere", KEY) == 404
        await until(lambda: bool(warnings(caplog)))
    assert warnings(caplog) == [
        "a WebSocket handshake came without its Upgrade and Connection fields: a proxy has removed them "
        '(docs/guide.md, "Behind a proxy") (told once)'
    ]


@pytest.mark.parametrize("path", ["/chat", "/push?transport=polling", "/events"])
async def test_a_page_from_elsewhere_is_told_with_the_host_that_it_asked_for(
    serve: Serve, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    hub = Hub(origins=["same-origin"])
    hub.websocket("/chat")(coroutine)
    hub.comet("/push")
    hub.eventsource("/events")(function)
    fields = f"Origin: http://here:8080\r\n{KEY}Upgrade: websocket\r\nConnection: Upgrade\r\n"
    async with serve(hub) as server:
        wanted = fields if path == "/chat" else "Origin: http://here:8080\r\n"
        with dial(server.address) as sock:
            client = Client(sock, None)
            await client.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n{wanted}\r\n".encode())
            assert b" 403 " in (await client.read())
        await until(lambda: bool(warnings(caplog)))
    assert warnings(caplog) == [
        "a page of http://here:8080 may not connect; the host that it asked for is here. A proxy has to hand on Host "
        'as it comes, with the port (docs/guide.md, "Behind a proxy") (told once)'
    ]


async def test_clients_cannot_fill_the_log_with_what_is_told_once(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    hub, came = Hub(origins=["http://a"]), []

    @hub.websocket("/chat")
    async def chat(ws: WebSocket) -> None:
        came.append(ws)

    async with serve(hub) as server:
        for number in range(110):
            with dial(server.address) as sock:
                client = Client(sock, None)
                head = f"GET /chat HTTP/1.1\r\nHost: a\r\nOrigin: http://b{number}\r\n{KEY}"
                await client.write(f"{head}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode())
                await client.read()
        # What was told before this client came has arrived when it is told of.
        async with server.connect("/chat"):
            await until(lambda: bool(came))
    assert len(warnings(caplog)) == 100


# ---- what is seen of a hub


async def test_a_hub_says_what_it_has_and_where_it_listens(serve: Serve) -> None:
    hub = Hub()
    assert repr(hub) == "<Hub: no handlers; not running>"
    hub.websocket("/a")(coroutine)
    hub.comet("/b")
    hub.mount("/app", app)
    hub.on_message(lambda ws, data: None)
    assert repr(hub) == "<Hub: 2 endpoints, 1 application, on_message; not running>"
    assert hub.addresses == []
    async with serve(hub) as server, server.connect("/c"):
        await until(lambda: len(hub.sessions) == 1)
        assert hub.addresses == server.listening.addresses
        url = f"ws://127.0.0.1:{server.listening.port}/"
        assert repr(hub) == f"<Hub: 2 endpoints, 1 application, on_message; {url}; sessions: 1>"
    assert hub.addresses == []


async def test_serve_says_where_it_listens(caplog: pytest.LogCaptureFixture, io_threads: int) -> None:
    caplog.set_level("INFO", "hubbub")
    hub = Hub()
    hub.on_connection(function)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: hub.serve(port=0, io_threads=io_threads, access_log=False))
        await until(lambda: bool(caplog.records))
        assert caplog.records[0].getMessage() == f"listening on ws://127.0.0.1:{hub.addresses[0][2]}/"
        hub.stop()


# ---- types

WRONG = """
from hubbub import EventStream, Hub, Request, Response, WebSocket

hub = Hub()

@hub.on_connection
def no_session() -> None: ...

@hub.on_message
def no_data(ws: WebSocket) -> None: ...

@hub.on_close
async def no_reason(ws: WebSocket, code: int) -> None: ...

@hub.on_request
def a_number(request: Request) -> int:
    return 404

@hub.on_broadcast
async def coroutine(room: str, data: str, sender: WebSocket | None) -> None: ...

@hub.websocket("/")
def function(ws: WebSocket) -> None: ...

@hub.comet("/")
async def takes_text(data: str) -> None: ...

@hub.eventsource("/")
def takes_two(es: EventStream, more: int) -> None: ...
"""

RIGHT = """
from hubbub import EventStream, Hub, Request, Response, WebSocket

hub = Hub()

@hub.on_connection
async def connected(ws: WebSocket) -> None: ...

@hub.on_message
def text(ws: WebSocket, data: str) -> int:
    return 1

@hub.on_message(concurrency=2)
async def both(ws: WebSocket, data: str | bytes) -> None: ...

@hub.on_close
def gone(ws: WebSocket, code: int, reason: str) -> None: ...

@hub.on_request
async def decide(request: Request) -> Response | None:
    request.response_headers["X-A"] = "b"
    return Response(200, "x", {"X-A": "b"})

@hub.on_request
def nothing(request: Request) -> None: ...

@hub.on_broadcast
def spoken(room: str, data: str | bytes, sender: WebSocket | None) -> None: ...

@hub.websocket("/{room}")
async def serve(ws: WebSocket, more: int = 1) -> None: ...

@hub.eventsource("/")
def stream(es: EventStream) -> None: ...

hub.on_message(lambda ws, data: ws.send(data))
"""


def test_wrong_handlers_do_not_pass_mypy(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "right.py").write_text(RIGHT)
    done = subprocess.run(
        # The cache outlives the test: what mypy knows of hubbub and the standard library takes it long to find out.
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".cache/mypy"), "wrong.py", "right.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    found = {int(line) for line in re.findall(r"^wrong\.py:(\d+): error", done.stdout, re.MULTILINE)}
    decorators = {number for number, line in enumerate(WRONG.splitlines(), 1) if line.startswith("@")}
    assert found == decorators, done.stdout
    assert "right.py" not in done.stdout
