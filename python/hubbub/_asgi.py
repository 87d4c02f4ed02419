"""ASGI 3 applications: HTTP, WebSockets and lifespan (https://asgi.readthedocs.io/en/latest/specs/)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from hubbub import _core
from hubbub._callables import is_awaitable
from hubbub._failures import ends_task, failure_of, tell_hidden
from hubbub._handlers import NOTICE_TIME, checked_answer, tell_late
from hubbub.errors import ClientDisconnected, ConnectionClosed
from hubbub.request import Request, Response
from hubbub.websocket import WebSocket

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Flag, Task
    from hubbub.compression import Compression
    from hubbub.limits import Limits
    from hubbub.rooms import Session

__all__ = ["Application", "ApplicationFailed", "check_app"]

Event = MutableMapping[str, Any]
App = Callable[[dict[str, Any], Callable[[], Awaitable[Event]], Callable[[Event], Awaitable[None]]], Awaitable[None]]

logger = logging.getLogger("hubbub")

_ASGI = {"version": "3.0", "spec_version": "2.4"}
#: From 2.4 on frameworks wait for `send` to raise when a client has gone, and notice nothing while there is nothing to
#: send: Starlette would leave the generator of a silent stream waiting for ever.
_ASGI_HTTP = {"version": "3.0", "spec_version": "2.3"}


class ApplicationFailed(RuntimeError):
    """The application has said that it cannot start."""


def check_app(app: object) -> None:
    """Raises `TypeError` for what cannot be an application."""
    if not callable(app):
        from hubbub.hub import Hub

        hub = "; a hub becomes one by hub.asgi()" if isinstance(app, Hub) else ""
        raise TypeError(f"an ASGI application is called with (scope, receive, send); {app!r} cannot be called{hub}")
    try:
        # What a decorator's wrapper takes itself, not what it wraps.
        signature = inspect.signature(app, follow_wrapped=False)
        signature.bind("scope", "receive", "send")
    except ValueError:  # a builtin that does not say
        return
    except TypeError:
        wsgi = len(signature.parameters) == 2
        how = ". A WSGI application (Flask, Django's wsgi.py) becomes one by a2wsgi.WSGIMiddleware(app)" if wsgi else ""
        raise TypeError(
            f"an ASGI application is called with (scope, receive, send); {app!r} takes {signature}{how}"
        ) from None


class Application:
    """One application and where it is mounted: an endpoint, as the core reads it, for one run of the hub."""

    on_connection = on_message = on_close = noticed = readers = transports = engineio = folder = None
    service = "websocket"
    session_type = WebSocket
    #: The application chooses among what the client offers.
    subprotocols: tuple[str, ...] = ()

    def __init__(
        self,
        hub: object,
        app: App,
        prefix: str,
        origins: tuple[str, ...] | None,
        compression: Compression | None,
        on_request: Callable[..., Any] | None,
    ) -> None:
        self.path = prefix or None
        self.origins = origins
        self.compression = compression
        self.start = self._opened
        self.ended = _ignore
        self.decide = self._converse
        self.serve = self._serve
        self._hub = hub
        self._app = app
        self._prefix = prefix
        self._on_request = on_request
        self._bridge: Bridge | None = None
        self._http: dict[str, Any] = {}
        self._websocket: dict[str, Any] = {}
        self._conversations: dict[Request, _Conversation] = {}
        #: What is being answered: exchanges and conversations.
        self._at_work: dict[object, Task] = {}
        self._name = f"the application {getattr(app, '__qualname__', None) or app!r}"
        self._lifespan: _Lifespan | None = None

    def name_of(self, kind: str) -> str:
        return repr(getattr(self._app, "__qualname__", None) or self._app)

    def bind(self, bridge: Bridge, limits: Limits) -> None:
        self._bridge = bridge
        self._request_timeout = limits.request_timeout

    # ---- the run

    async def start_up(self, addresses: list[tuple[Any, ...]]) -> None:
        """Runs the application's start-up.

        Raises:
            ApplicationFailed: it has failed.
        """
        assert self._bridge is not None
        self._lifespan = _Lifespan(self._app, self._bridge)
        await self._lifespan.start_up()
        shared = {
            "asgi": _ASGI,
            "server": _server(addresses),
            "root_path": self._prefix,
            "state": self._lifespan.state,
        }
        ours = {"hubbub": {"hub": self._hub}}
        self._http = {
            "type": "http",
            **shared,
            "asgi": _ASGI_HTTP,
            "extensions": {"http.response.pathsend": {}, **ours},
        }
        self._websocket = {"type": "websocket", **shared, "extensions": {"websocket.http.response": {}, **ours}}

    async def shut_down(self, timeout: float) -> None:
        """Runs the application's shutdown, for at most so many seconds."""
        if self._lifespan is not None:
            await self._lifespan.shut_down(timeout)

    def leave(self) -> None:
        """The hub stops: what has no end by itself ends now."""
        assert self._bridge is not None
        for work, task in [*self._at_work.items()]:
            if isinstance(work, _core.Exchange) and work.leave():
                # It is told so when it receives or sends; until then it may be asleep.
                self._bridge.call_later(NOTICE_TIME, task.cancel)

    async def finish(self, timeout: float) -> None:
        """Waits until nothing is being answered, for at most so many seconds."""
        assert self._bridge is not None
        await self._bridge.ended([*self._at_work.values()], timeout)

    def _failed(self, error: BaseException, has_client: bool) -> None:
        """The application has raised. That its client has gone is no failure of its own."""
        failure = error if has_client else failure_of(error, _is_disconnect)
        if failure is None:
            tell_hidden(error, _is_disconnect, self._app)
        else:
            logger.error("%s failed", self._name, exc_info=failure)

    async def _asked(self, request: Request, late: Callable[[], object] | None) -> Response | None:
        """What the hub's ``on_request`` says to a request; `late` is called if it takes too long."""
        assert self._on_request is not None
        assert self._bridge is not None
        answer = self._on_request(request)
        if is_awaitable(answer):
            limit = self._request_timeout
            timer = self._bridge.call_later(limit, late) if limit and late is not None else None
            try:
                answer = await answer
            finally:
                if timer is not None:
                    timer.cancel()
        return checked_answer(answer)

    # ---- HTTP

    def _serve(self, exchange: _core.Exchange) -> None:
        assert self._bridge is not None
        self._at_work[exchange] = self._bridge.spawn(lambda: self._run(exchange), self._name, exchange)

    async def _run(self, exchange: _core.Exchange) -> None:
        try:
            if self._on_request is not None and await self._is_answered(exchange):
                return
            await self._app(exchange.scope(self._http), exchange.receive, exchange.send)
            if exchange.give_up() and not exchange.disconnected:
                logger.error("%s returned without a complete response", self._name)
        except BaseException as error:
            exchange.give_up()
            if ends_task(error):
                raise
            self._failed(error, has_client=not exchange.disconnected)
        finally:
            self._at_work.pop(exchange, None)
            exchange.give_up()

    async def _is_answered(self, exchange: _core.Exchange) -> bool:
        request = Request(exchange.opening)

        def late() -> None:
            tell_late(request, self._request_timeout)
            if not exchange.disconnected:
                self._answer(exchange, Response(503, "The server could not decide in time.\n"))
            self._at_work[exchange].cancel()

        answer = await self._asked(request, late)
        if answer is not None:
            self._answer(exchange, answer)
        return answer is not None

    def _answer(self, exchange: _core.Exchange, answer: Response) -> None:
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer._fields()]
        # The length is that of the body, as for every other answer of on_request.
        fields = [field for field in fields if field[0].lower() != b"content-length"]
        exchange.send({"type": "http.response.start", "status": answer.status, "headers": fields})
        exchange.send({"type": "http.response.body", "body": body})

    # ---- WebSockets

    def _converse(self, pending: _core.Pending) -> None:
        assert self._bridge is not None
        conversation = _Conversation(pending, self._bridge, self._conversations)
        task = self._bridge.spawn(lambda: self._run_websocket(conversation), self._name, conversation)
        self._at_work[conversation] = task

        def settled(undecided: bool) -> None:
            conversation.lost()
            if undecided and conversation.is_asked:
                tell_late(conversation.request, self._request_timeout)
            elif undecided:
                text = "%s took more than %g s (Limits.request_timeout) to accept or refuse %s: 503"
                logger.error(text, self._name, self._request_timeout, conversation)
            if conversation.is_asked:
                task.cancel()

        pending.on_lost(settled)

    def _opened(self, ws: Session) -> None:
        ws._arrive()
        conversation = self._conversations.pop(ws.request)
        conversation.opened(ws)

    async def _run_websocket(self, conversation: _Conversation) -> None:
        try:
            if self._on_request is not None:
                conversation.is_asked = True
                answer = await self._asked(conversation.request, None)
                conversation.is_asked = False
                if answer is not None:
                    conversation.refuse(answer)
                    return
            await self._app(conversation.scope(self._websocket), conversation.receive, conversation.send)
        except BaseException as error:
            conversation.end(1011)
            if ends_task(error):
                raise
            self._failed(error, has_client=not conversation.is_lost)
        else:
            if not conversation.end(1000):
                logger.error("%s neither accepted nor refused a WebSocket", self._name)
        finally:
            self._at_work.pop(conversation, None)
            conversation.end(1011)


class _Conversation:
    """One WebSocket, as an application has it."""

    def __init__(self, pending: _core.Pending, bridge: Bridge, conversations: dict[Request, _Conversation]) -> None:
        self._pending: _core.Pending | None = pending
        self._bridge = bridge
        self._conversations = conversations
        self.request = Request(pending.opening)
        #: It is the hub's ``on_request`` that decides, not the application yet.
        self.is_asked = False
        self._scope: dict[str, Any] = {}
        self._told_connect = False
        self._told_disconnect = False
        self._ws: Session | None = None
        self._settled: Flag = bridge.flag()
        self._denial: tuple[int, list[tuple[str, str]], bytearray] | None = None
        self.is_lost = False

    def __str__(self) -> str:
        return f"a WebSocket at {self.request.path!r}"

    def scope(self, base: dict[str, Any]) -> dict[str, Any]:
        assert self._pending is not None
        self._scope = self._pending.scope(base)
        self._scope["extensions"]["hubbub"] = dict(self._scope["extensions"]["hubbub"])
        return self._scope

    # ---- what the core tells

    def opened(self, ws: Session) -> None:
        self._ws = ws
        self._scope["extensions"]["hubbub"]["websocket"] = ws
        self._settled.set()

    def lost(self) -> None:
        self.is_lost = True
        self._conversations.pop(self.request, None)
        self._settled.set()

    # ---- what the application is given

    async def receive(self) -> Event:
        if not self._told_connect:
            self._told_connect = True
            return {"type": "websocket.connect"}
        if self._ws is None:
            # Before the handshake, or instead of it, only the end can come.
            await self._settled.wait()
        if self._told_disconnect:
            # Again and again the same event would keep the loop busy with who does not look at it.
            raise ClientDisconnected("the client has disconnected, and nothing more comes of it")
        if self._ws is None:
            return self._disconnect(1006, "")
        try:
            data = await self._ws._recv()
        except ConnectionClosed as closed:
            return self._disconnect(closed.code, closed.reason)
        if isinstance(data, str):
            return {"type": "websocket.receive", "text": data}
        return {"type": "websocket.receive", "bytes": data}

    def _disconnect(self, code: int, reason: str) -> Event:
        self._told_disconnect = self.is_lost = True
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def send(self, event: Event) -> None:
        kind = event["type"]
        ws = self._ws
        if ws is not None:
            if kind == "websocket.send":
                data = event.get("bytes")
                try:
                    await ws.send(event["text"] if data is None else data)
                except ConnectionClosed as closed:
                    self.is_lost = True
                    raise ClientDisconnected(str(closed)) from closed
            elif kind == "websocket.close":
                ws.close(event.get("code") or 1000, event.get("reason") or "")
            else:
                raise RuntimeError(f"{kind!r} cannot be sent once the WebSocket is open")
            return
        if self.is_lost:
            raise ClientDisconnected("the client has disconnected")
        if self._pending is None:
            raise RuntimeError(f"{kind!r} cannot be sent: the WebSocket has been refused")
        if kind == "websocket.accept" and self._denial is None:
            await self._accept(event)
        elif kind == "websocket.close" and self._denial is None:
            self._refuse(403, [], b"")
        elif kind == "websocket.http.response.start" and self._denial is None:
            self._denial = (event["status"], _text(event.get("headers", ())), bytearray())
        elif kind == "websocket.http.response.body" and self._denial is not None:
            status, fields, body = self._denial
            body += event.get("body", b"")
            if not event.get("more_body", False):
                self._refuse(status, fields, bytes(body))
        else:
            raise RuntimeError(f"{kind!r} cannot be sent now")

    async def _accept(self, event: Event) -> None:
        assert self._pending is not None
        self.request.subprotocol = event.get("subprotocol")
        fields = _text(event.get("headers") or ())
        self._conversations[self.request] = self
        try:
            self._pending.accept(self.request, self.request.subprotocol, fields)
        except BaseException:
            del self._conversations[self.request]
            raise
        self._pending = None
        await self._settled.wait()
        if self._ws is None:
            raise ClientDisconnected("the client has disconnected")

    def _refuse(self, status: int, fields: list[tuple[str, str]], body: str | bytes) -> None:
        assert self._pending is not None
        self._pending.answer(status, fields, body)
        self._pending = None
        self._settled.set()

    def refuse(self, answer: Response) -> None:
        """Answers with HTTP instead."""
        if not self.is_lost:
            self._refuse(answer.status, answer._fields(), answer.body)

    def end(self, code: int) -> bool:
        """The application has returned. ``False``: it has not decided about the request."""
        if self._ws is not None:
            self._ws.close(code, "" if code == 1000 else "internal error")
        elif self._pending is not None and not self.is_lost:
            plain = [("Content-Type", "text/plain; charset=utf-8")]
            self._refuse(500, plain, "Internal Server Error\n")
            return False
        return True


class _Lifespan:
    """The task in which an application starts up and shuts down."""

    def __init__(self, app: App, bridge: Bridge) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._bridge = bridge
        self._started: Flag = bridge.flag()
        self._stopping: Flag = bridge.flag()
        self._stopped: Flag = bridge.flag()
        self._told_startup = False
        self._supported = False
        self._failure: str | None = None

    async def start_up(self) -> None:
        self._bridge.spawn(self._run)
        await self._started.wait()
        if self._failure is not None:
            raise ApplicationFailed(f"the application failed to start: {self._failure or 'it did not say why'}")

    async def shut_down(self, timeout: float) -> None:
        if not self._supported or self._stopped.is_set():
            return
        self._stopping.set()
        if not await self._bridge.wait(self._stopped, timeout):
            logger.error("the application did not shut down within %g s", timeout)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": dict(_ASGI), "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except BaseException as error:
            if ends_task(error):
                raise
            # An application that does not know of lifespan raises; it is served all the same.
            if self._supported:
                logger.error("the application failed in its lifespan", exc_info=error)
            elif self._failure is None:
                logger.debug("the application does not support lifespan: %r", error)
        finally:
            self._started.set()
            self._stopped.set()

    async def _receive(self) -> Event:
        if not self._told_startup:
            self._told_startup = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        if kind == "lifespan.startup.complete":
            self._supported = True
            self._started.set()
        elif kind == "lifespan.startup.failed":
            self._failure = event.get("message", "")
            self._started.set()
        elif kind == "lifespan.shutdown.complete":
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed":
            # Where nobody has asked for it, the event loop has ended under the application.
            if self._stopping.is_set():
                logger.error("the application failed to shut down: %s", event.get("message", ""))
            self._stopped.set()
        else:
            raise RuntimeError(f"{kind!r} cannot be sent in a lifespan")


def _server(addresses: list[tuple[Any, ...]]) -> tuple[str, int | None] | None:
    """The first address, as ASGI has it; a hub that another server hosts has none."""
    if not addresses:
        return None
    first = addresses[0]
    return (first[1], first[2]) if first[0] == "tcp" else (first[1], None)


def _text(fields: Any) -> list[tuple[str, str]]:
    return [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in fields]


def _is_disconnect(error: BaseException | None) -> bool:
    """The error, or what it comes from, is that the client has gone: no failure of the application's."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ClientDisconnected):
            return True
        members = getattr(error, "exceptions", None)
        if isinstance(members, tuple):
            return all(_is_disconnect(member) for member in members)
        # Frameworks have an exception of their own for it.
        if type(error).__name__ in ("ClientDisconnect", "WebSocketDisconnect"):
            return True
        # What was raised while a disconnect was being dealt with is the application's own; what comes of it is not.
        error = error.__cause__
    return False


def _ignore(ws: Session) -> None:
    pass
