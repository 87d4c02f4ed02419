"""Whole programs as people write them for python-socketio, in processes of their own, with python-socketio's client.

Each is run as it is, and with its import changed: what the client sees is the same.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

import socketio
from support.program import hubbub_command, running

# python-engineio drops the answer to a poll unread if the session has ended meanwhile, and aiohttp complains.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")

ASGI = """
import asyncio
import sys

import MODULE as socketio
import uvicorn
from fastapi import FastAPI

api = FastAPI()
sio = socketio.AsyncServer(async_mode="asgi", logger=False, engineio_logger=False, cors_allowed_origins="*")
app = socketio.ASGIApp(sio, api, static_files={"/": "index.html", "/public": "public", "": "start.html"})
ticking = None
users = {}


@api.get("/users")
async def get_users():
    return sorted(users.values())


async def tick():
    number = 0
    while True:
        await sio.sleep(0.02)
        number += 1
        await sio.emit("tick", {"number": number}, room="ticking")


@sio.event
async def connect(sid, environ, auth):
    global ticking
    if not auth or "name" not in auth:
        raise socketio.exceptions.ConnectionRefusedError("who are you?", {"code": 401})
    if auth["name"] == "nobody":
        return False
    if ticking is None:
        ticking = sio.start_background_task(tick)
    users[sid] = auth["name"]
    await sio.save_session(sid, {"name": auth["name"], "agent": environ.get("HTTP_X_AGENT")})
    await sio.enter_room(sid, "lobby")
    await sio.emit("joined", auth["name"], room="lobby", skip_sid=sid)


@sio.event
async def say(sid, room, text):
    async with sio.session(sid) as session:
        session["said"] = session.get("said", 0) + 1
    await sio.emit("said", (session["name"], text), room=room)
    return "ok", session["said"]


@sio.on("enter a room")
async def enter(sid, message):
    await sio.enter_room(sid, message["room"])
    return sorted(room for room in sio.rooms(sid) if room != sid)


@sio.event
async def close_room(sid, room):
    await sio.emit("closing", room, room=room)
    await sio.close_room(room)


@sio.event
async def whoami(sid):
    return await sio.get_session(sid), sio.transport(sid)


@sio.event
async def question(sid):
    return await sio.call("what is it?", {"of": b"\\x00"}, to=sid, timeout=5)


@sio.event
async def ask_back(sid):
    told = asyncio.get_running_loop().create_future()
    await sio.emit("what is it?", 1, to=sid, callback=lambda *values: told.set_result(values))
    return {"callback": await told}


@sio.event
async def fail(sid):
    raise RuntimeError("on purpose")


@sio.on("*")
async def anything(event, sid, *data):
    return [event, *data]


@sio.event
async def leave(sid):
    await sio.disconnect(sid)


@sio.event
async def disconnect(sid, reason):
    name = users.pop(sid)
    await sio.emit("left", (name, reason), room="lobby")


class News(socketio.AsyncNamespace):
    def on_connect(self, sid, environ, auth):
        print("news", sid is not None)

    async def on_publish(self, sid, text):
        await self.emit("published", text, skip_sid=sid)
        return len(text)


sio.register_namespace(News("/news"))

if __name__ == "__main__":
    if sys.argv[1] == "itself":
        app.run(host="127.0.0.1", port=0)
    else:
        uvicorn.run(app, host="127.0.0.1", port=0)
"""

WSGI = """
import sys
from threading import Event

import MODULE as socketio
from flask import Flask, render_template_string

sio = socketio.Server(async_mode="threading", cors_allowed_origins=None)
app = Flask(__name__)
app.wsgi_app = socketio.WSGIApp(sio, app.wsgi_app, static_files={"/public": "public"})
ticking = None


@app.route("/")
def index():
    return render_template_string("<p>{{ 1 + 1 }}")


def tick():
    number = 0
    while True:
        sio.sleep(0.02)
        number += 1
        sio.emit("tick", {"number": number}, room="ticking")


@sio.event
def connect(sid, environ, auth):
    global ticking
    if not auth:
        raise socketio.exceptions.ConnectionRefusedError("who are you?", {"code": 401})
    if ticking is None:
        ticking = sio.start_background_task(tick)
    with sio.session(sid) as session:
        session["name"] = auth["name"]
    sio.enter_room(sid, "lobby")
    sio.emit("joined", auth["name"], room="lobby", skip_sid=sid)


@sio.event
def say(sid, room, text):
    with sio.session(sid) as session:
        session["said"] = session.get("said", 0) + 1
    sio.emit("said", (session["name"], text), room=room)
    return "ok", session["said"]


@sio.on("enter a room")
def enter(sid, message):
    sio.enter_room(sid, message["room"])
    return sorted(room for room in sio.rooms(sid) if room != sid)


@sio.event
def question(sid):
    return sio.call("what is it?", {"of": b"\\x00"}, to=sid, timeout=5)


@sio.event
def ask_back(sid):
    told, values = Event(), []
    sio.emit("what is it?", 1, to=sid, callback=lambda *given: (values.extend(given), told.set()))
    told.wait(5)
    return {"callback": values}


@sio.event
def leave(sid):
    sio.disconnect(sid)


@sio.event
def disconnect(sid, reason):
    sio.emit("left", (sio.get_session(sid)["name"], reason), room="lobby")


if __name__ == "__main__":
    if sys.argv[1] == "itself":
        app.wsgi_app.run(port=0)
    else:
        app.run(threaded=True, port=0)
"""


class Someone:
    """python-socketio's client, and what it has heard."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = socketio.AsyncClient(reconnection=False)
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        for nsp in ("/", "/news"):
            self.client.on("*", self._heard, namespace=nsp)
        self.client.on("what is it?", lambda value: ("it is", value))

    def _heard(self, event: str, *args: Any) -> None:
        if event != "tick":
            self.heard.put_nowait((event, *args))

    async def come(self, name: str, namespaces: list[str] | None = None, **options: Any) -> Someone:
        await self.client.connect(
            f"http://127.0.0.1:{self.port}",
            auth={"name": name},
            namespaces=namespaces or ["/"],
            wait_timeout=10,
            **options,
        )
        return self

    async def call(self, event: str, *args: Any, **options: Any) -> Any:
        return await self.client.call(event, args, timeout=10, **options)

    async def go(self) -> None:
        # Its last poll is not waited for: the original does not always answer it.
        await self.client.eio.disconnect(abort=True)

    async def refusal(self, auth: Any) -> Any:
        told: asyncio.Queue[Any] = asyncio.Queue()
        self.client.on("connect_error", told.put_nowait)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await self.client.connect(f"http://127.0.0.1:{self.port}", auth=auth, namespaces=["/"], wait_timeout=10)
        return await told.get()


async def get(port: int, path: str) -> tuple[int, bytes, str]:
    def ask() -> tuple[int, bytes, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read(), answer.headers.get_content_type()
        except HTTPError as error:
            return error.code, b"", ""

    return await asyncio.to_thread(ask)


def run(folder: Path, program: str, module: str, server: str, visit: Callable[[int], Awaitable[None]]) -> str:
    """Runs the program, lets somebody visit it, and gives what it has printed."""
    (folder / "program.py").write_text(program.replace("MODULE", module))
    (folder / "index.html").write_text("<p>index")
    (folder / "public").mkdir()
    (folder / "public" / "start.html").write_text("<p>start")
    (folder / "public" / "a.js").write_text("a()")
    command = [sys.executable, "program.py", server]
    if server.startswith("program:"):
        command = hubbub_command("run", server, "--port", "0")
    with running(command, cwd=folder) as process:
        port = int(process.wait_for(r"(?:listening|[Rr]unning) on \w+://127.0.0.1:(\d+)")[1])
        asyncio.run(asyncio.wait_for(visit(port), 30))
    return process.output


@pytest.mark.parametrize(
    ("module", "server"),
    [("socketio", "uvicorn"), ("hubbub.socketio.compat", "uvicorn"), ("hubbub.socketio.compat", "itself")],
    ids=["original", "changed import", "changed import and start"],
)
@pytest.mark.unstable(reason="failed once on a machine with a load of 10, original or changed; the cause is not known")
def test_a_chat_with_fastapi(tmp_path: Path, module: str, server: str) -> None:
    async def visit(port: int) -> None:
        assert await get(port, "/") == (200, b"<p>index", "text/html")
        assert await get(port, "/public/") == (200, b"<p>start", "text/html")
        assert (await get(port, "/public/a.js"))[:2] == (200, b"a()")
        assert (await get(port, "/public/none"))[0] == 404

        assert await Someone(port).refusal(None) == {"message": "who are you?", "data": {"code": 401}}
        ann = await Someone(port).come("ann", ["/", "/news"], headers={"X-Agent": "test"})
        bob = await Someone(port).come("bob", ["/", "/news"], transports=["polling"])
        assert await ann.heard.get() == ("joined", "bob")
        assert await get(port, "/users") == (200, b'["ann","bob"]', "application/json")
        assert await ann.call("enter a room", {"room": "r"}) == ["lobby", "r"]
        assert await bob.call("enter a room", {"room": "r"}) == ["lobby", "r"]
        assert await ann.call("say", "r", "hello") == ("ok", 1)
        assert await ann.call("say", "r", "hello again") == ("ok", 2)
        for one in (ann, bob):
            assert [await one.heard.get() for _ in range(2)] == [
                ("said", "ann", "hello"),
                ("said", "ann", "hello again"),
            ]
        session, transport = await ann.call("whoami")
        assert (session, transport) == ({"name": "ann", "agent": "test", "said": 2}, "websocket")
        assert (await bob.call("whoami"))[1] == "polling"
        assert await ann.call("question") == ("it is", {"of": b"\x00"})
        assert await bob.call("ask_back") == {"callback": ["it is", 1]}
        assert await ann.call("no such event", 1, b"x") == ["no such event", 1, b"x"]
        await ann.client.emit("fail")
        assert await ann.call("publish", "news!", namespace="/news") == 5
        assert await bob.heard.get() == ("published", "news!")
        ticks: asyncio.Queue[int] = asyncio.Queue()
        ann.client.on("tick", lambda tick: ticks.put_nowait(tick["number"]))
        await ann.call("enter a room", {"room": "ticking"})
        first = await ticks.get()
        assert await ticks.get() == first + 1
        await bob.client.emit("close_room", "r")
        for one in (ann, bob):
            assert await one.heard.get() == ("closing", "r")
        assert await ann.call("say", "r", "is anybody there?") == ("ok", 3)
        await bob.client.emit("leave")
        assert await ann.heard.get() == ("left", "bob", "server disconnect")
        assert (await get(port, "/users"))[1] == b'["ann"]'
        await ann.go()
        await bob.go()

    output = run(tmp_path, ASGI, module, server, visit)
    # What fails is told with its traceback, and nothing else is.
    assert output.count("Traceback") == output.count("RuntimeError: on purpose") == 1, output
    assert output.count("news True") == 2


@pytest.mark.parametrize(
    ("module", "server"),
    [
        ("socketio", "werkzeug"),
        ("hubbub.socketio.compat", "itself"),
        ("hubbub.socketio.compat", "program:app.wsgi_app"),
    ],
    ids=["original", "changed import and start", "changed import, by the command"],
)
@pytest.mark.unstable(reason="failed once on a machine with a load of 10, original or changed; the cause is not known")
def test_a_chat_with_flask(tmp_path: Path, module: str, server: str) -> None:
    async def visit(port: int) -> None:
        assert await get(port, "/") == (200, b"<p>2", "text/html")
        assert (await get(port, "/public/a.js"))[:2] == (200, b"a()")
        assert (await get(port, "/none"))[0] == 404
        assert await Someone(port).refusal(None) == {"message": "who are you?", "data": {"code": 401}}
        ann = await Someone(port).come("ann", transports=["polling"])
        bob = await Someone(port).come("bob", transports=["polling"])
        assert await ann.heard.get() == ("joined", "bob")
        assert await ann.call("enter a room", {"room": "r"}) == ["lobby", "r"]
        assert await ann.call("say", "r", "hello") == ("ok", 1)
        assert await ann.heard.get() == ("said", "ann", "hello")
        assert await bob.call("question") == ("it is", {"of": b"\x00"})
        assert await bob.call("ask_back") == {"callback": ["it is", 1]}
        ticks: asyncio.Queue[int] = asyncio.Queue()
        ann.client.on("tick", lambda tick: ticks.put_nowait(tick["number"]))
        await ann.call("enter a room", {"room": "ticking"})
        first = await ticks.get()
        assert await ticks.get() == first + 1
        await bob.client.emit("leave")
        assert await ann.heard.get() == ("left", "bob", "server disconnect")
        await ann.go()
        await bob.go()

    output = run(tmp_path, WSGI, module, server, visit)
    assert "Traceback" not in output, output
