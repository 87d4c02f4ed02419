"""The hub as an ASGI 3 application, for another server to host.

There is one implementation of sessions and rooms, the network's. So a server that listens nowhere takes in the host's
clients, each by one end of a socket pair. At the other end is a `_core.EmbeddedClient`, which makes bytes of the host's
events, and events of the server's bytes. This module carries both.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hubbub import _core
from hubbub._bridge import current_bridge
from hubbub._serving import Served, Serving

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Flag, Start, Work
    from hubbub._running import Running

__all__ = ["Hosted"]

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

logger = logging.getLogger("hubbub")

#: Clients that may wait while as many as allowed are connected; further ones are refused.
_BACKLOG = 2048
#: Seconds after which a host that is told to close is taken to wait for somebody to receive.
_CLOSE_TIME = 0.25


class Hosted:
    """A hub as an ASGI 3 application; made by `Hub.asgi`.

    The host's lifespan starts and stops the hub. Where the host has none, or the application is mounted in another one,
    ``async with`` does; failing that, the first client starts it, and it ends with the process.
    """

    def __init__(
        self, running: Running, served: Callable[[], Served], shutdown_timeout: float, access_log: bool
    ) -> None:
        self._running = running
        self._served = served
        self._shutdown_timeout = shutdown_timeout
        self._access_log = access_log
        self._serving: Serving | None = None
        #: Set when it has started, or has failed to.
        self._settled: Flag | None = None
        self._ending: AbstractContextManager[None] | None = None

    async def __aenter__(self) -> Hosted:
        serving = await self._start()
        self._ending = serving.bridge.ending()
        self._ending.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        serving, ending = self._serving, self._ending
        self._serving = self._settled = self._ending = None
        try:
            if ending is not None:
                ending.__exit__(*error)
        finally:
            if serving is not None:
                await self._running.end(serving, self._shutdown_timeout)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "websocket":
            await self._converse(scope, receive, send)
        else:
            raise RuntimeError(f"the hub speaks http, websocket and lifespan, not {kind!r}")

    # ---- the run

    async def _start(self) -> Serving:
        self._running.check_over()
        bridge = current_bridge()
        serving = Serving(self._served(), bridge, ("embedded", _BACKLOG), 0, self._access_log, None)
        self._settled = settled = bridge.flag()
        try:
            await self._running.begin(serving)
        except BaseException:
            self._settled = None
            await self._running.end(serving, 0)
            raise
        finally:
            settled.set()
        self._serving = serving
        return serving

    async def _started(self) -> Serving:
        """The hub's run, which the first client begins if nobody else has."""
        while True:
            serving = self._serving
            if serving is not None and serving.bridge.is_over():
                # Without a lifespan nobody has stopped it; somebody may have begun the next run.
                self._serving = self._settled = None
            elif serving is None and self._settled is not None:
                await self._settled.wait()
            elif serving is None:
                return await self._start()
            elif serving.bridge.is_here():
                return serving
            else:
                raise RuntimeError("this hub runs in another event loop")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.__aenter__()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            await self.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})

    async def _connect(self, scope: MutableMapping[str, Any]) -> _Wire:
        serving = await self._started()
        client = scope.get("client")
        address = (str(client[0]), int(client[1] or 0)) if client else None
        secure = scope.get("scheme") in ("https", "wss")
        fd = serving.server.connect_embedded(address, secure)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)
        return _Wire(sock, serving.bridge, serving.limits.close_timeout)

    # ---- HTTP

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        body: Event = {"more_body": True}
        if not any(name.lower() == b"expect" for name, _ in scope["headers"]):
            body = await receive()
            if body["type"] == "http.disconnect":
                return
            if not body.get("body") and not _has_body(scope):
                # RFC 9112 §6.3: without these fields there is none, even if the host, httpx say, has yet to find out.
                body = {**body, "more_body": False}
        try:
            client = _client(scope, scope["method"], False)
            request = client.request(bytes(body.get("body", b"")), not body.get("more_body", False))
            wire = await self._connect(scope)
        except (ConnectionRefusedError, ValueError) as error:
            await _refuse("http.response", send, error)
            return
        async with wire:
            wire.start(partial(_upload, wire, client, wire.put(request), body, receive))
            async for data in wire:
                for event in client.feed(data):
                    await wire.tell(send, event)
                if client.complete:
                    return
                if client.continued:
                    wire.wanted.set()
        if not wire.gone:
            # What the host has sent so far must not pass for the whole.
            raise RuntimeError("the response has been cut off")

    # ---- WebSockets

    async def _converse(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        tells = "websocket.http.response" in (scope.get("extensions") or {})
        try:
            client = _client(scope, "GET", True)
            request = client.request(b"", True)
            wire = await self._connect(scope)
        except (ConnectionRefusedError, ValueError) as error:
            if tells:
                await _refuse("websocket.http.response", send, error)
            else:
                await send({"type": "websocket.close"})
            return
        async with wire:
            rest = wire.put(request)
            async with wire.listening(partial(_listen, wire, client, rest, receive)):
                farewell = await _speak(wire, client, send)
            await _part(wire, client, receive, send, farewell, tells)


async def _upload(wire: _Wire, client: _core.EmbeddedClient, rest: bytes, body: Event, receive: Receive) -> None:
    """Takes the rest of a request to the hub, and drops the connection when the client has gone."""
    await wire.send(rest)
    if "type" not in body:
        # RFC 9110 §10.1.1: the client waits to be asked for its body. The host asks when the body is received.
        await wire.wanted.wait()
    while body.get("more_body", False):
        body = await receive()
        if body["type"] == "http.disconnect":
            wire.drop()
            return
        await wire.send(client.content(bytes(body.get("body", b"")), not body.get("more_body", False)))
    while (await receive())["type"] != "http.disconnect":
        pass
    wire.drop()


async def _listen(wire: _Wire, client: _core.EmbeddedClient, rest: bytes, receive: Receive) -> None:
    """Takes to the hub the rest of the request, and what the client says."""
    await wire.send(rest)
    while True:
        event = await receive()
        if event["type"] == "websocket.receive":
            data = event.get("bytes")
            await wire.send(client.message(event["text"] if data is None else data))
            continue
        wire.gone = True
        code, reason = event.get("code") or 1005, event.get("reason")
        # uvicorn says 1005 of a client that is lost, too; of one that has sent a Close frame it names the reason.
        frame = None if code == 1005 and reason is None else client.close(code, reason or "")
        if frame is None:
            wire.drop()
        else:
            await wire.send(frame)
        return


async def _speak(wire: _Wire, client: _core.EmbeddedClient, send: Send) -> list[Event]:
    """Takes to the client what the hub says, up to its farewell, and gives that: its Close frame, or its refusal."""
    async for data in wire:
        events: list[Event] = [*client.feed(data)]
        for at, event in enumerate(events):
            if event["type"] not in ("websocket.accept", "websocket.send"):
                return events[at:]
            await wire.tell(send, event)
        if replies := client.replies():
            # Not from here: were the hub's end full, nobody would empty this one meanwhile.
            wire.start(partial(wire.send, replies))
    # The hub has dropped the connection. A host can only close it.
    return [{"type": "websocket.close", "code": 1011, "reason": ""}]


async def _part(
    wire: _Wire, client: _core.EmbeddedClient, receive: Receive, send: Send, farewell: list[Event], tells: bool
) -> None:
    event = farewell[0]
    if event["type"] == "websocket.close":
        if not wire.gone:
            await _close(wire, event, receive, send)
        # Hosts do not tell, or not truly, whether and how the client has answered. It is taken to have done as it must.
        await wire.end(client.close(event["code"], event["reason"]) or b"")
    elif not tells:
        await wire.tell(send, {"type": "websocket.close"})
    else:
        for event in farewell:
            await wire.tell(send, event)
        while not client.complete and (data := await wire.receive()):
            for event in client.feed(data):
                await wire.tell(send, event)
        # uvicorn knows in the loop's next turn only that it has answered, and would say that it has not.
        await wire.wait(wire.flag(), 0)


async def _close(wire: _Wire, event: Event, receive: Receive, send: Send) -> None:
    """Lets the host close the WebSocket, and takes what it still has of the client's."""
    told, over = wire.flag(), wire.flag()

    async def close() -> None:
        await wire.tell(send, event)
        told.set()

    async def forget() -> None:
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        except Exception as error:
            logger.debug("the host gives no end: %r", error)
        told.set()
        over.set()

    async with wire.beside() as start:
        start(close)
        # granian does not close while somebody receives, hypercorn not while nobody does.
        await wire.wait(told, _CLOSE_TIME)
        start(forget)
        await wire.wait(told, wire.close_timeout)
        await wire.wait(over, wire.close_timeout)


class _Wire:
    """The client's end of a socket pair. ``async with`` it; what it has started ends with the block."""

    def __init__(self, sock: socket.socket, bridge: Bridge, close_timeout: float) -> None:
        self.close_timeout = close_timeout
        self.flag, self.wait, self.beside = bridge.flag, bridge.wait, bridge.beside
        self._sock = sock
        self._bridge = bridge
        self._beside = bridge.beside()
        self._start: Start | None = None
        self._inlet = bridge.inlet(sock)
        self.receive = self._inlet.receive
        #: Somebody is in the middle of sending.
        self._sending = False
        self._turn = bridge.semaphore(1)
        #: The client has gone: nothing can be told it any more.
        self.gone = False
        #: The body of the request is wanted.
        self.wanted = bridge.flag()

    async def __aenter__(self) -> _Wire:
        self._start = await self._beside.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        try:
            return await self._beside.__aexit__(*error)
        finally:
            self._inlet.close()
            self._sock.close()

    def __aiter__(self) -> _Wire:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.receive():
            return data
        raise StopAsyncIteration

    def start(self, work: Work) -> None:
        """Runs something that ends with the block."""
        assert self._start is not None
        self._start(partial(self._guarded, work))

    async def _guarded(self, work: Work) -> None:
        try:
            await work()
        except Exception:
            logger.exception("a client of the host's was dropped")
            self.drop()

    async def tell(self, send: Send, event: Event) -> None:
        """Gives the host something for the client, unless that has gone."""
        if self.gone:
            return
        try:
            await send(event)
        except Exception as error:
            # It has gone in the meantime; the host tells how, to whoever receives.
            logger.debug("the host does not take %r any more: %r", event["type"], error)
            self.gone = True

    @asynccontextmanager
    async def listening(self, listen: Work) -> AsyncIterator[None]:
        """Listens to the client while the block runs. What it has begun to say to the hub is said to its end.

        After the block nobody receives from the host any more: granian closes no WebSocket while somebody does.
        """
        async with self.beside() as start:
            start(partial(self._guarded, listen))
            yield
            await self._turn.acquire()
            self._sending = True

    def put(self, data: bytes) -> bytes:
        """Sends what the hub's end takes at once, and gives the rest."""
        try:
            return data[self._sock.send(data) :]
        except BlockingIOError:
            return data
        except ConnectionError:
            return b""  # who reads hears of it

    async def send(self, data: bytes) -> None:
        """One at a time: frames do not mix."""
        if not self._sending:
            data = self.put(data)
        if not data:
            return
        # Nothing comes between what was put and this: a turn that is free is taken at once.
        async with self._turn:
            self._sending = True
            try:
                await self._write(data)
            finally:
                self._sending = False

    async def end(self, last: bytes) -> None:
        """The last that is sent, after `listening`; then the hub closes."""
        await self._write(last)
        async for _ in self:
            pass

    async def _write(self, data: bytes) -> None:
        with suppress(ConnectionError):
            await self._bridge.send(self._sock, data)

    def drop(self) -> None:
        """The client is lost: so is the connection to the hub."""
        self.gone = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


def _client(scope: MutableMapping[str, Any], method: str, upgrade: bool) -> _core.EmbeddedClient:
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    if upgrade and not any(name.lower() == b"sec-websocket-protocol" for name, _ in headers):
        # Some hosts tell it apart from the fields.
        headers += [(b"sec-websocket-protocol", name.encode("latin-1")) for name in scope.get("subprotocols") or ()]
    server = scope.get("server")
    host = f"{server[0]}:{server[1]}" if server and server[1] else "localhost"
    return _core.EmbeddedClient(
        method, _target(scope), headers, host.encode("latin-1", "replace"), _is_http1(scope), upgrade
    )


def _has_body(scope: MutableMapping[str, Any]) -> bool:
    """There may be one: the head says so, or it is not one of HTTP/1, where it had to."""
    names = {name.lower() for name, _ in scope["headers"]}
    return bool(names & {b"content-length", b"transfer-encoding"}) or not _is_http1(scope)


def _is_http1(scope: MutableMapping[str, Any]) -> bool:
    version: str = scope.get("http_version", "1.1")
    return version.startswith("1")


def _target(scope: MutableMapping[str, Any]) -> bytes:
    """The path below the host's ``root_path`` as it came, or as near to that as the host tells, and the query."""
    raw: bytes = (scope.get("raw_path") or b"").partition(b"?")[0] or _quoted(scope["path"])
    root = _quoted(scope.get("root_path") or "").rstrip(b"/")
    if root and raw.startswith(root) and raw[len(root) :][:1] in (b"", b"/"):
        raw = raw[len(root) :]
    query: bytes = scope.get("query_string") or b""
    return (raw or b"/") + (b"?" + query if query else b"")


def _quoted(path: str) -> bytes:
    # RFC 3986 §3.3: what a path may have without being encoded.
    return quote(path, safe="/:@!$&'()*+,;=~-._").encode()


async def _refuse(kind: str, send: Send, error: Exception) -> None:
    """Answers what the hub never hears of: it takes nobody more, or the host has let through what is no request."""
    busy = isinstance(error, ConnectionRefusedError)
    body = b"Service Unavailable\n" if busy else b"Bad Request\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": f"{kind}.start", "status": 503 if busy else 400, "headers": headers})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
