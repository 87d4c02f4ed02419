"""on_request: accept, reject, choose, attach; and what happens when it goes wrong."""

from __future__ import annotations

import anyio
import pytest

from hubbub import Headers, Hub, Limits, Request, Response, WebSocket
from support.client import Client, Refused, dial
from support.handlers import KINDS
from support.http import visiting
from support.server import Serve, Server, until

pytestmark = pytest.mark.anyio


async def refusal(server: Server, path: str = "/", **options: object) -> Refused:
    with pytest.raises(Refused) as refused:
        async with server.connect(path, **options):
            pass
    return refused.value


async def get(server: Server, path: str = "/", head: str = "Host: test\r\n") -> tuple[int, str, bytes]:
    """A plain HTTP request: status, head and body of the answer."""
    with dial(server.address) as sock:
        client = Client(sock, None)
        await client.write(f"GET {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        answer = b""
        while piece := await client.read():
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1").lower(), body


@pytest.mark.parametrize("kind", KINDS)
async def test_none_accepts(serve: Serve, kind) -> None:
    hub, seen = Hub(), []

    def decide(request: Request) -> None:
        seen.append((request.method, request.target, request.path, request.query, request.is_websocket))

    hub.on_request(kind(decide))
    async with serve(hub) as server, server.connect("/p%20q?a=1"):
        pass
    assert seen == [("GET", "/p%20q?a=1", "/p q", {"a": "1"}, True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 429, 500, 503])
async def test_a_response_rejects_with_status_headers_and_body(serve: Serve, kind, status: int) -> None:
    hub, connected = Hub(), []

    def decide(request: Request) -> Response:
        return Response(status, "grün", {"X-Why": "because", "Location": "/there"})

    hub.on_request(kind(decide))
    hub.on_connection(lambda ws: connected.append(ws))
    async with serve(hub) as server:
        refused = await refusal(server)
        assert refused.status == status
        assert refused.headers["X-Why"] == "because"
        assert refused.headers["Location"] == "/there"
        assert refused.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert refused.headers["Content-Length"] == "5"
        assert refused.body == "grün".encode()
        assert hub.stats()["opened"] == 0
    assert connected == []


async def test_a_body_of_bytes_has_the_type_that_it_is_given(serve: Serve) -> None:
    hub = Hub()

    @hub.on_request
    def decide(request: Request) -> Response:
        return Response(403, b"\x00\xff", {"content-type": "application/x-test"})

    async with serve(hub) as server:
        refused = await refusal(server)
    assert refused.body == b"\x00\xff"
    assert refused.headers.get_all("Content-Type") == ["application/x-test"]


@pytest.mark.parametrize("kind", KINDS)
async def test_on_request_shapes_the_session(serve: Serve, kind) -> None:
    hub, requests, sessions = Hub(), [], []

    def decide(request: Request) -> None:
        requests.append(request)
        request.state.user = request.query["user"]
        request.response_headers["X-Hello"] = request.query["user"]
        request.subprotocol = request.subprotocols[-1]

    hub.on_request(kind(decide))

    @hub.websocket("/{room}", subprotocols=["a", "b"])
    async def endpoint(ws: WebSocket) -> None:
        sessions.append(ws)
        assert ws.request is requests[0]
        assert ws.subprotocol == "b"
        assert ws.path_params == ws.request.path_params == {"room": "blue"}
        ws.send(f"{ws.state.user}")

    async with serve(hub) as server, server.connect("/blue?user=ann", subprotocols=["a", "b"]) as client:
        assert await client.recv() == "ann"
        assert client.subprotocol == "b"
        assert client.response is not None
        assert client.response.headers["X-Hello"] == "ann"
    assert sessions[0].state is requests[0].state


async def test_the_state_may_be_any_object(serve: Serve) -> None:
    hub, state, seen = Hub(), {"any": "thing"}, []

    @hub.on_request
    def decide(request: Request) -> None:
        request.state = state

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        seen.append(ws.state is state and ws.request.state is state)
        ws.state = None
        seen.append(ws.state)
        ws.send("done")

    async with serve(hub) as server, server.connect() as client:
        await client.recv()
    assert seen == [True, None]


async def test_without_on_request_the_state_is_an_empty_namespace_of_its_own(serve: Serve) -> None:
    hub, sessions = Hub(), []

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        assert vars(ws.state) == {}
        ws.state.n = len(sessions)
        sessions.append(ws)
        assert ws.request.state is ws.state

    async with serve(hub) as server, server.connect(), server.connect():
        await until(lambda: len(sessions) == 2)
        assert [ws.state.n for ws in sessions] == [0, 1]
        with pytest.raises(AttributeError):
            del sessions[0].state


async def test_a_client_waits_for_a_coroutine_to_decide_and_others_do_not(serve: Serve) -> None:
    hub, release = Hub(), anyio.Event()

    @hub.on_request
    async def decide(request: Request) -> None:
        if request.path == "/slow":
            await release.wait()

    async with serve(hub) as server, anyio.create_task_group() as tasks:
        opened = []

        async def slow() -> None:
            async with server.connect("/slow"):
                opened.append("slow")

        tasks.start_soon(slow)
        async with server.connect("/fast"):
            opened.append("fast")
        release.set()
    assert opened == ["fast", "slow"]


@pytest.mark.parametrize("releases", [True, False], ids=["decided", "cancelled"])
async def test_a_client_that_goes_while_it_is_decided_leaves_nothing(serve: Serve, releases: bool) -> None:
    hub, asked, release, decided = Hub(), anyio.Event(), anyio.Event(), anyio.Event()

    @hub.on_request
    async def decide(request: Request) -> None:
        asked.set()
        try:
            await release.wait()
        finally:
            decided.set()

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        raise AssertionError("nobody is there")

    async with serve(hub) as server:
        sock = dial(server.address)
        head = "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        sock.send((head + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
        await asked.wait()
        Client(sock, None).abort()
        await until(lambda: hub.stats()["connections"] == 0)
        if releases:
            release.set()
        # Otherwise it is cancelled: nobody waits for what it decides.
        await decided.wait()
        await anyio.sleep(0.01)
        assert len(hub.sessions) == 0


# ---- how long it may take


UPGRADE = (
    "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize("asks", ["websocket", "page", "poll"])
async def test_a_handler_that_takes_too_long_is_cancelled_and_logged(serve: Serve, failures, asks: str) -> None:
    hub, told = Hub(limits=Limits(request_timeout=0.05)), []

    @hub.on_request
    async def decide(request: Request) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            told.append("cancelled")

    hub.comet("/comet")
    async with serve(hub) as server, visiting(server) as visitor:
        if asks == "websocket":
            await visitor.write(UPGRADE.encode())
            answer = await visitor.response()
        else:
            answer = await visitor.get("/" if asks == "page" else "/comet?transport=polling")
        assert (answer.status, answer.body) == (503, b"The server could not decide in time.\n")
        await until(lambda: told == ["cancelled"])
    (record,) = failures
    assert "Limits.request_timeout" in record.getMessage()
    assert "0.05 s" in record.getMessage()


@pytest.mark.parametrize("path", ["/page", "/websocket"])
async def test_a_handler_that_takes_too_long_over_a_request_for_an_application(
    serve: Serve, failures, path: str
) -> None:
    async def app(scope, receive, send) -> None:
        raise AssertionError("it is never asked")

    hub, told = Hub(app=app, limits=Limits(request_timeout=0.05)), []

    @hub.on_request
    async def decide(request: Request) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            told.append("cancelled")

    async with serve(hub) as server, visiting(server) as visitor:
        await visitor.write((UPGRADE if path == "/websocket" else f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").encode())
        assert (await visitor.response()).status == 503
        await until(lambda: told == ["cancelled"])
    (record,) = failures
    assert "Limits.request_timeout" in record.getMessage()


async def test_an_application_that_takes_too_long_to_accept_a_websocket_is_told_and_logged(
    serve: Serve, failures
) -> None:
    told: list[str] = []

    async def app(scope, receive, send) -> None:
        assert scope["type"] == "websocket"
        told.append((await receive())["type"])
        told.append((await receive())["type"])

    async with serve(Hub(app=app, limits=Limits(request_timeout=0.05))) as server, visiting(server) as visitor:
        await visitor.write(UPGRADE.encode())
        assert (await visitor.response()).status == 503
        await until(lambda: len(told) == 2)
    assert told == ["websocket.connect", "websocket.disconnect"]
    (record,) = failures
    assert "a WebSocket at '/'" in record.getMessage()


@pytest.mark.parametrize("limit", [0, None])
async def test_a_long_poll_may_take_as_long_as_it_likes(serve: Serve, limit: float | None) -> None:
    hub, news = Hub(limits=Limits(request_timeout=limit, handshake_timeout=1.0)), []
    asked = anyio.Event()

    @hub.on_request
    async def decide(request: Request) -> Response:
        asked.set()
        await until(lambda: news != [])
        return Response(200, news[0])

    async with serve(hub) as server, visiting(server) as visitor:
        await visitor.write(b"GET /news HTTP/1.1\r\nHost: t\r\n\r\n")
        await asked.wait()
        # A head that does not come says that the time for heads is over.
        async with visiting(server) as late:
            await late.write(b"GET / HTTP/1.1\r\n")
            assert (await late.response()).status == 408
        news.append("it rains")
        assert (await visitor.response()).body == b"it rains"


async def test_the_handlers_order_is_request_then_connection_then_message(serve: Serve) -> None:
    hub, told = Hub(), []
    hub.on_request(lambda request: told.append("request"))
    hub.on_connection(lambda ws: told.append("connection"))

    @hub.on_message
    def message(ws: WebSocket, data: str) -> None:
        told.append(data)
        ws.send(data)

    async with serve(hub) as server, server.connect() as client:
        await client.send("message")
        await client.recv()
    assert told == ["request", "connection", "message"]


# ---- plain HTTP


async def test_a_plain_request_is_answered_426_at_a_websocket_endpoint(serve: Serve) -> None:
    async with serve(Hub()) as server:
        status, head, _ = await get(server)
    assert status == 426
    assert "upgrade: websocket" in head


async def test_on_request_may_answer_plain_requests(serve: Serve) -> None:
    hub = Hub()

    @hub.on_request
    def decide(request: Request) -> Response | None:
        if request.path == "/page" and not request.is_websocket:
            return Response(200, "<p>hello", {"Content-Type": "text/html"})
        return None

    @hub.websocket("/ws")
    async def endpoint(ws: WebSocket) -> None:
        await ws.send("hello")

    async with serve(hub) as server:
        status, head, body = await get(server, "/page")
        assert (status, body) == (200, b"<p>hello")
        assert "content-type: text/html" in head
        assert (await get(server, "/elsewhere"))[0] == 404
        assert (await get(server, "/ws"))[0] == 426
        assert (await refusal(server, "/elsewhere")).status == 404
        async with server.connect("/ws") as client:
            assert await client.recv() == "hello"


# ---- what goes wrong


@pytest.mark.parametrize("kind", KINDS)
async def test_an_exception_is_500_and_logged_and_the_next_request_is_served(serve: Serve, kind, failures) -> None:
    hub = Hub()

    def decide(request: Request) -> None:
        if request.path == "/bad":
            raise RuntimeError("a secret that no client sees")

    hub.on_request(kind(decide))
    async with serve(hub) as server:
        refused = await refusal(server, "/bad")
        assert refused.status == 500
        assert b"secret" not in refused.body
        async with server.connect("/good"):
            pass
    (record,) = failures
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])
    assert "/bad" in record.getMessage()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [True, False, 403, "no", b"no", (403, "no"), {}])
async def test_a_wrong_answer_is_500_and_the_log_says_what_is_allowed(serve: Serve, kind, answer, failures) -> None:
    hub = Hub()

    def decide(request: Request) -> object:
        return answer

    hub.on_request(kind(decide))
    async with serve(hub) as server:
        assert (await refusal(server)).status == 500
    (record,) = failures
    assert f"returns None or a Response, not {answer!r}" in str(record.exc_info[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "one\r\nX-B: two"},
        {"X-A": "one\ntwo"},
        {"X-A": "one\rtwo"},
        {"X-A": "nul\x00"},
        {"X-A": "esc\x1b[31m"},
        {"X-A\r\nX-B": "one"},
        {"X A": "one"},
        {"": "one"},
        {"X-A:": "one"},
        {"X-Ä": "one"},
        {"X-A": 7},
        {7: "one"},
    ],
    ids=repr,
)
async def test_header_fields_that_break_the_answer_are_500_and_logged(serve: Serve, kind, headers, failures) -> None:
    hub = Hub()

    def decide(request: Request) -> Response | None:
        if request.path == "/reject":
            return Response(403, "no", headers)
        request.response_headers.update(headers)
        return None

    hub.on_request(kind(decide))
    async with serve(hub) as server:
        for path in ("/reject", "/accept"):
            refused = await refusal(server, path)
            assert refused.status == 500
            assert "X-B" not in refused.headers
    assert len(failures) == 2


@pytest.mark.parametrize("name", ["a b", "a\r\nX-B: c", "", "ü", "a,b", 7])
async def test_a_subprotocol_that_is_no_token_is_500_and_logged(serve: Serve, name: object, failures) -> None:
    hub = Hub()

    @hub.on_request
    def decide(request: Request) -> None:
        request.subprotocol = name

    async with serve(hub) as server:
        assert (await refusal(server, subprotocols=["a"])).status == 500
    assert len(failures) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((99,), ValueError, "200 to 599, not 99"),
        ((101,), ValueError, "not 101"),
        ((600,), ValueError, "not 600"),
        (("200",), ValueError, "not '200'"),
        ((200, 7), TypeError, "str or bytes, not int"),
        ((200, None), TypeError, "not NoneType"),
        ((200, bytearray(b"x")), TypeError, "not bytearray"),
    ],
)
def test_a_wrong_response_cannot_be_made(arguments: tuple, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        Response(*arguments)


# ---- headers


def test_headers_compare_without_regard_to_case_and_join_what_is_repeated() -> None:
    headers = Headers([("Host", "a"), ("X-Many", "1"), ("x-many", "2")])
    assert headers["HOST"] == "a"
    assert headers["X-Many"] == "1, 2"
    assert headers.getlist("x-MANY") == ["1", "2"]
    assert headers.raw() == [("Host", "a"), ("X-Many", "1"), ("x-many", "2")]
    assert list(headers) == ["host", "x-many"]
    assert len(headers) == 2
    assert "Host" in headers
    assert "nope" not in headers
    assert headers.get("nope") is None
    with pytest.raises(KeyError):
        headers["nope"]


@pytest.mark.parametrize("shape", ["n{}", "same", "n{}-{}"])
def test_row_12_twice_as_many_headers_are_twice_the_work(shape: str) -> None:
    looks = 0

    class Name(str):
        def lower(self) -> str:
            nonlocal looks
            looks += 1
            return super().lower()

    def work(count: int) -> int:
        """How often a name is looked at by a handler that asks for everything."""
        nonlocal looks
        looks = 0
        headers = Headers([(Name(shape.format(number, number)), "value") for number in range(count)])
        everything = dict(headers)
        assert {name: headers.getlist(name) for name in headers}.keys() == everything.keys()
        assert sum(len(headers.getlist(name)) for name in headers) == count
        assert len(headers) == len(everything)
        return looks

    # A field takes four bytes at least, a head 16 KiB at most.
    assert work(4096) <= 2.5 * work(2048)
    assert work(4096) <= 10 * 4096


async def test_a_handler_reads_the_headers_of_the_request(serve: Serve) -> None:
    hub, seen = Hub(), []

    @hub.on_request
    def decide(request: Request) -> None:
        seen.append((request.headers["x-test"], request.origin, request.remote_address))

    async with serve(hub) as server, server.connect(headers={"X-Test": "v"}, origin="https://o.example") as client:
        assert seen == [("v", "https://o.example", client.address)]
