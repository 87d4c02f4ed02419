"""`hubbub.socketio.compat` beyond events: the server with threads, applications, arguments."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import hubbub.socketio.compat as socketio
import socketio as original
from support.http import visiting
from support.program import hubbub_command, running
from support.server import Serve, until
from support.socketio import connecting, joining

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[{"use_uvloop": False}, {"use_uvloop": True}], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return "asyncio", request.param


# ---- Server


async def test_handlers_of_a_server_are_called_in_threads(serve: Serve) -> None:
    sio = socketio.Server()
    gate = threading.Event()
    threads = set()

    @sio.event
    def connect(sid: str, environ: Any, auth: Any) -> None:
        threads.add(threading.current_thread())
        sio.enter_room(sid, "all")
        with sio.session(sid) as session:
            session["auth"] = auth
        sio.emit("welcome", to=sid)

    @sio.event
    def wait(sid: str) -> str:
        threads.add(threading.current_thread())
        assert gate.wait(5)
        return "waited"

    @sio.event
    def go(sid: str) -> None:
        # While the other is blocked.
        gate.set()

    @sio.event
    def tell(sid: str, text: str) -> Any:
        sio.emit("told", text, room="all", skip_sid=sid)
        return sorted(sio.rooms(sid)) == sorted([sid, "all"]), sio.get_session(sid)

    @sio.event
    def fail(sid: str) -> None:
        sio.emit("event", object(), to=sid)

    async with (
        serve(socketio.WSGIApp(sio).hub) as server,
        joining(server, auth={"t": 1}) as one,
        joining(server) as two,
    ):
        assert await one.event() == ["welcome"]
        assert await two.event() == ["welcome"]
        await one.emit("wait", ack=1)
        await two.emit("go", ack=1)
        assert await two.recv() == "31[]"
        assert await one.recv() == '31["waited"]'
        await one.emit("tell", "x", ack=2)
        assert await one.recv() == '32[true,{"auth":{"t":1}}]'
        assert await two.event() == ["told", "x"]
    assert threading.main_thread() not in threads


async def test_a_server_asks_clients_and_waits_in_its_thread(serve: Serve) -> None:
    sio = socketio.Server()
    heard: list[Any] = []

    @sio.event
    def ask(sid: str, timeout: float) -> Any:
        try:
            return sio.call("question", to=sid, timeout=timeout)
        except socketio.exceptions.TimeoutError:
            return "timeout"

    @sio.event
    def tell(sid: str) -> None:
        sio.emit("question", to=sid, callback=lambda *args: heard.append((args, threading.current_thread())))

    @sio.event
    def settled(sid: str) -> None:
        while not heard:
            time.sleep(0.001)

    async with serve(socketio.WSGIApp(sio).hub) as server, joining(server) as peer:
        await peer.emit("ask", 5, ack=1)
        await peer.send(_answer(await peer.recv(), "[1,2]"))
        assert await peer.recv() == "31[1,2]"
        await peer.emit("ask", 0.01, ack=2)
        await peer.recv()
        assert await peer.recv() == '32["timeout"]'
        await peer.emit("tell")
        await peer.send(_answer(await peer.recv(), '["yes"]'))
        await peer.emit("settled", ack=3)
        assert await peer.recv() == "33[]"
    ((args, thread),) = heard
    assert args == ("yes",)
    assert thread is not threading.main_thread()


def _answer(question: str | bytes, data: str) -> str:
    assert isinstance(question, str)
    return f"3{question[1 : question.index('[')]}{data}"


async def test_the_methods_of_a_server_raise_where_they_are_called(serve: Serve, failures: list[Any]) -> None:
    sio = socketio.Server(namespaces="*", async_handlers=False)
    raised: list[Exception] = []

    @sio.event
    def event(sid: str) -> None:
        for call in (
            lambda: sio.emit("event", object(), to=sid),
            lambda: sio.enter_room("nobody", "a"),
            lambda: sio.get_session("nobody"),
            lambda: sio.enter_room(sid, 1.5),
        ):
            try:
                call()
            except Exception as error:
                raised.append(error)
        raise RuntimeError("the handler's own")

    async with serve(socketio.WSGIApp(sio).hub) as server, joining(server) as peer:
        await peer.emit("event", ack=1)
        sio.on("settle", lambda sid: None)
        await peer.settled()
    assert [type(error) for error in raised] == [TypeError, ValueError, KeyError, TypeError]
    assert [str(record.exc_info[1]) for record in failures] == ["the handler's own"]


async def test_namespaces_of_a_server_may_be_classes(serve: Serve) -> None:
    sio = socketio.Server()
    gone = threading.Event()

    class Chat(socketio.Namespace):
        def on_connect(self, sid: str, environ: Any) -> None:
            self.save_session(sid, [])
            self.enter_room(sid, "r")

        def on_say(self, sid: str, text: str) -> Any:
            with self.session(sid) as session:
                session.append(text)
            self.send(text, room="r")
            return len(self.get_session(sid)), len(self.rooms(sid))

        def on_leave(self, sid: str) -> None:
            self.leave_room(sid, "r")
            self.close_room("r")
            self.disconnect(sid)

        def on_disconnect(self, sid: str, reason: str) -> None:
            assert reason == "server disconnect"
            gone.set()

    sio.register_namespace(Chat("/chat"))
    with pytest.raises(ValueError, match="a namespace is a Namespace"):
        sio.register_namespace(socketio.AsyncNamespace("/async"))  # type: ignore[arg-type]
    async with serve(socketio.WSGIApp(sio).hub) as server, joining(server, "/chat") as peer:
        await peer.emit("say", "hi", nsp="/chat", ack=1)
        assert await peer.event("/chat") == ["message", "hi"]
        assert await peer.recv() == "3/chat,1[1,2]"
        await peer.emit("leave", nsp="/chat")
        assert await peer.recv() == "1/chat,"
        await until(gone.is_set)


async def test_a_background_task_of_a_server_is_a_thread(serve: Serve) -> None:
    sio = socketio.Server()

    def count(sid: str, to: int) -> None:
        for number in range(to):
            sio.emit("number", number, to=sid)
            sio.sleep(0)

    @sio.event
    def start(sid: str) -> None:
        thread = sio.start_background_task(count, sid, to=3)
        assert thread.daemon

    async with serve(socketio.WSGIApp(sio).hub) as server, joining(server) as peer:
        await peer.emit("start")
        assert [await peer.event() for _ in range(3)] == [["number", 0], ["number", 1], ["number", 2]]


async def test_one_client_at_a_time_without_async_handlers(serve: Serve) -> None:
    sio = socketio.Server(async_handlers=False)
    running = []

    @sio.event
    def work(sid: str, number: int) -> None:
        running.append(number)
        assert running == [number]
        time.sleep(0.002)
        running.remove(number)

    async with serve(socketio.WSGIApp(sio).hub) as server, joining(server) as peer:
        for number in range(5):
            await peer.emit("work", number, ack=number)
        assert [await peer.recv() for _ in range(5)] == [f"3{number}[]" for number in range(5)]


async def test_a_server_and_its_manager_can_be_asked_in_threads(serve: Serve) -> None:
    manager = socketio.Manager()
    sio = socketio.Server(client_manager=manager)
    assert sio.manager is manager
    assert list(manager.get_participants("/", None)) == manager.get_namespaces() == []

    @sio.event
    def look(sid: str) -> Any:
        sio.enter_room(sid, 7)
        assert manager.is_connected(sid, "/")
        return [sid for sid, _ in manager.get_participants("/", 7)] == [sid], 7 in manager.rooms["/"]

    async with serve(socketio.WSGIApp(sio).hub) as server, joining(server) as peer:
        await peer.emit("look", ack=1)
        assert await peer.recv() == "31[true,true]"


# ---- applications


async def test_an_application_serves_files_and_another_application(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>index")
    (tmp_path / "secret").write_text("secret")
    public = tmp_path / "public"
    public.mkdir()
    (public / "a.css").write_text("a{}")
    (public / "index.html").write_text("<p>public")
    (public / "out").symlink_to(tmp_path / "secret")
    lived: list[str] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                lived.append(kind)
                await send({"type": f"lifespan.{kind}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"other " + scope["path"].encode()})

    files = {
        "/": str(tmp_path / "index.html"),
        "/static": str(public),
        "/odd": {"filename": tmp_path / "secret", "content_type": "x/y"},
    }
    sio = socketio.AsyncServer()
    app = socketio.ASGIApp(sio, other, static_files=files, socketio_path="/ws/")
    async with serve(app.hub) as server, visiting(server) as visitor, connecting(server, "/ws/") as peer:
        await peer.join()
        for path, kind, body in (
            ("/", "text/html", b"<p>index"),
            ("/static/a.css", "text/css", b"a{}"),
            ("/static/", "text/html", b"<p>public"),
            ("/odd", "x/y", b"secret"),
            ("/static/none", None, b"other /static/none"),
            ("/static/out", None, b"other /static/out"),
            ("/static/..%2Fsecret", None, b"other /static/../secret"),
            ("/api", None, b"other /api"),
        ):
            answer = await visitor.get(path)
            assert (answer.status, answer.headers.get("content-type"), answer.body) == (200, kind, body)
        assert lived == ["startup"]
    assert lived == ["startup", "shutdown"]


async def test_an_application_tells_when_it_starts_and_stops(serve: Serve) -> None:
    told: list[str] = []

    async def stopping() -> None:
        told.append("stopping")

    app = socketio.ASGIApp(socketio.AsyncServer(), on_startup=lambda: told.append("starting"), on_shutdown=stopping)
    async with serve(app.hub) as server, visiting(server) as visitor:
        assert told == ["starting"]
        answer = await visitor.get("/nothing")
        assert (answer.status, answer.body) == (404, b"Not Found")
    assert told == ["starting", "stopping"]


async def test_a_wsgi_application_is_served_beside_a_server(serve: Serve) -> None:
    closed: list[bool] = []

    class Pieces:
        def __init__(self, pieces: list[bytes]) -> None:
            self._pieces = iter(pieces)

        def __iter__(self) -> Any:
            return self._pieces

        def close(self) -> None:
            closed.append(True)

    def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        body = environ["wsgi.input"].read()
        start_response("201 Created", [("X-Path", environ["PATH_INFO"]), ("X-Query", environ["QUERY_STRING"])])
        return Pieces([environ["REQUEST_METHOD"].encode(), b" ", body, environ["HTTP_X_ONE"].encode()])

    app = socketio.WSGIApp(socketio.Server(), wsgi)
    async with serve(app.hub) as server, visiting(server) as visitor:
        answer = await visitor.post("/a?b=c", b"body ", "X-One: 1\r\n")
        assert (answer.status, answer.body) == (201, b"POST body 1")
        assert (answer.headers["x-path"], answer.headers["x-query"]) == ("/a", "b=c")
    assert closed == [True]
    with pytest.raises(RuntimeError, match="no WSGI server can"):
        app({}, None)


async def test_a_wsgi_application_that_fails_is_a_500(serve: Serve, failures: list[Any]) -> None:
    def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
        raise RuntimeError("of the application")

    async with serve(socketio.WSGIApp(socketio.Server(), wsgi).hub) as server, visiting(server) as visitor:
        assert (await visitor.get("/")).status == 500
    assert len(failures) == 1


def test_an_application_is_run_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import hubbub.socketio.compat as socketio\nsio = socketio.AsyncServer()\napp = socketio.ASGIApp(sio)\n"
    )
    with running([*hubbub_command(), "run", "--app-dir", str(tmp_path), "--port", "0", "program:app"]) as program:
        program.wait_for_port()
        assert program.stop() == 0


HOSTED = """
import uvicorn
from fastapi import FastAPI
import hubbub.socketio.compat as socketio

sio = socketio.AsyncServer(async_mode="asgi")

@sio.event
async def echo(sid, *args):
    await sio.emit("echo", args, to=sid)

{app}
uvicorn.run(app, host="127.0.0.1", port=0)
"""


@pytest.mark.parametrize(
    ("app", "path"),
    [
        ("app = socketio.ASGIApp(sio)", "socket.io"),
        ("app = FastAPI()\napp.mount('/', socketio.ASGIApp(sio))", "socket.io"),
        ("app = FastAPI()\napp.mount('/sub', socketio.ASGIApp(sio, socketio_path='/sub/ws'))", "sub/ws"),
        ("app = FastAPI()\napp.mount('/sub', socketio.ASGIApp(sio))", "sub/socket.io"),
    ],
    ids=["alone", "mounted", "below", "below-by-its-own-path"],
)
def test_another_server_can_host_an_application(app: str, path: str, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    (tmp_path / "program.py").write_text(HOSTED.format(app=app))

    async def visit(port: int) -> None:
        for transports in (["polling"], ["websocket"], None):
            client = original.AsyncClient(reconnection=False)
            heard: asyncio.Queue[Any] = asyncio.Queue()
            client.on("echo", lambda *args, heard=heard: heard.put_nowait(args))
            await client.connect(f"http://127.0.0.1:{port}", transports=transports, socketio_path=path)
            await client.emit("echo", ("text", b"bytes"))
            assert await heard.get() == ("text", b"bytes")
            await client.disconnect()

    with running([sys.executable, "program.py"], cwd=tmp_path) as program:
        port = int(program.wait_for(r"running on http://127\.0\.0\.1:(\d+)")[1])
        asyncio.run(asyncio.wait_for(visit(port), 20))


# ---- arguments


def test_arguments_that_mean_something_else_here_are_refused() -> None:
    for options, words in (
        ({"client_manager": object()}, "an AsyncManager or a Manager here"),
        ({"serializer": "pickle"}, "the serializer is"),
        ({"json": sys}, "no json module to choose"),
        ({"cookie": {"name": "io", "Partitioned": True}}, "no 'Partitioned'"),
    ):
        for kind in (socketio.AsyncServer, socketio.Server):
            with pytest.raises(ValueError, match=words):
                kind(**options)  # type: ignore[arg-type]
    for missing in ("AsyncRedisManager", "RedisManager", "KombuManager", "AsyncAioPikaManager", "PubSubManager"):
        with pytest.raises(NotImplementedError, match=f"no {missing} here.*one process"):
            getattr(socketio, missing)("redis://")
    with pytest.raises(AttributeError, match="Take it from python-socketio"):
        socketio.SimpleClient  # noqa: B018
    assert not hasattr(socketio, "Clientele")
    with pytest.raises(TypeError, match="no argument 'ping_intervall'"):
        socketio.AsyncServer(ping_intervall=5)
    with pytest.raises(NotImplementedError, match=r"socketio\.ASGIApp"):
        socketio.AsyncServer().attach(object())
    with pytest.raises(ValueError, match="socketio_path cannot be None"):
        socketio.ASGIApp(socketio.AsyncServer(), socketio_path=None)
    sio = socketio.AsyncServer()
    socketio.ASGIApp(sio)
    with pytest.raises(RuntimeError, match="another application already"):
        socketio.ASGIApp(sio)


async def test_arguments_of_the_engine_are_taken(serve: Serve) -> None:
    sio = socketio.AsyncServer(
        async_mode="asgi",
        ping_interval=(7, 1),
        ping_timeout=3,
        max_http_buffer_size=5000,
        transports=["websocket"],
        cors_allowed_origins="*",
        logger=False,
        engineio_logger=False,
        monitor_clients=True,
        http_compression=True,
        compression_threshold=1024,
        cors_credentials=True,
    )
    async with serve(socketio.ASGIApp(sio).hub) as server, connecting(server, origin="https://elsewhere.test") as peer:
        assert (peer.opened["pingInterval"], peer.opened["pingTimeout"]) == (7000, 3000)
        assert (peer.opened["maxPayload"], peer.opened["upgrades"]) == (5000, [])


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        (None, "http://test", 200),
        (None, "https://elsewhere.test", 403),
        ("*", "https://elsewhere.test", 200),
        ([], "https://elsewhere.test", 200),
        (["https://a.test"], "https://a.test", 200),
        (["https://a.test/"], "https://a.test", 200),
        ("https://a.test", "https://b.test", 403),
        (lambda origin: origin == "https://a.test", "https://a.test", 200),
        (lambda origin, environ: origin == f"http://{environ['HTTP_HOST']}", "http://test", 200),
        (lambda origin, environ: False, "http://test", 403),
    ],
)
async def test_which_pages_may_connect(serve: Serve, allowed: Any, origin: str, status: int) -> None:
    app = socketio.ASGIApp(socketio.AsyncServer(cors_allowed_origins=allowed))
    async with serve(app.hub) as server, visiting(server) as visitor:
        answer = await visitor.get("/socket.io/?EIO=4&transport=polling", f"Origin: {origin}\r\n")
        assert answer.status == status


async def test_pages_of_other_origins_are_told_what_they_may(serve: Serve) -> None:
    def credentials(answer: Any) -> bool:
        return "access-control-allow-credentials" in answer.headers

    for options, allowed, with_credentials in [
        ({"cors_allowed_origins": "*"}, "*", False),
        ({"cors_allowed_origins": ["https://a.test"]}, "https://a.test", True),
        ({"cors_allowed_origins": ["https://a.test"], "cors_credentials": False}, "https://a.test", False),
        ({"cors_allowed_origins": lambda origin: True}, "https://a.test", True),
    ]:
        app = socketio.ASGIApp(socketio.AsyncServer(**options))
        async with serve(app.hub) as server, visiting(server) as visitor:
            answer = await visitor.get("/socket.io/?EIO=4&transport=polling", "Origin: https://a.test\r\n")
            assert answer.headers["access-control-allow-origin"] == allowed
            assert credentials(answer) == with_credentials


async def test_a_cookie_has_the_attributes_that_are_given(serve: Serve) -> None:
    for cookie, written in [
        ("io", "; Path=/; HttpOnly; SameSite=Lax"),
        ({"name": "io"}, ""),
        ({"name": "io", "path": "/", "SameSite": "Lax"}, "; Path=/; SameSite=Lax"),
        (
            {"name": "io", "Secure": True, "HttpOnly": True, "Max-Age": lambda: "5", "Domain": "a.test"},
            "; Domain=a.test; Max-Age=5; HttpOnly; Secure",
        ),
    ]:
        app = socketio.ASGIApp(socketio.AsyncServer(cookie=cookie))
        async with serve(app.hub) as server, visiting(server) as visitor:
            answer = await visitor.get("/socket.io/?EIO=4&transport=polling")
            sid = json.loads(answer.body[1:])["sid"]
            assert answer.headers["set-cookie"] == f"io={sid}{written}"


async def test_what_needs_a_loop_has_asyncios(serve: Serve) -> None:
    sio = socketio.AsyncServer()
    done = asyncio.Event()

    async def work(value: int) -> int:
        await sio.sleep(0)
        done.set()
        return value

    task = sio.start_background_task(work, 5)
    assert await task == 5
    assert done.is_set()
    await sio.shutdown()
