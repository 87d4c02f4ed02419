"""The user's handlers: checked when they are given, called when it is time, and survived when they raise."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from hubbub import _core
from hubbub._callables import check_callable, is_awaitable, is_coroutine_function
from hubbub._endpoints import (
    CometEndpoint,
    Declared,
    EngineIoEndpoint,
    EventSourceEndpoint,
    FilesEndpoint,
    Handler,
    Handlers,
    MetricsEndpoint,
    RequestsEndpoint,
    RoomRule,
    WebSocketEndpoint,
)
from hubbub._engineio import EngineIo
from hubbub._failures import ends_task, failure_of, tell_hidden
from hubbub._fields import pairs
from hubbub._message_tasks import MessageTasks, noticed
from hubbub.compression import Compression
from hubbub.errors import ConnectionClosed
from hubbub.eventstream import EventStream
from hubbub.request import Request, Response
from hubbub.rooms import Session
from hubbub.websocket import WebSocket

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Task
    from hubbub._folders import Folder
    from hubbub.limits import Limits

__all__ = [
    "NOTICE_TIME",
    "Endpoint",
    "check_handler",
    "checked_answer",
    "in_turn",
    "report",
    "tell_late",
]

logger = logging.getLogger("hubbub")

#: Rooms that one client may ask for at its opening.
MAX_ROOMS = 64

#: Seconds that a handler may go on without having noticed that its client has gone; then it is cancelled.
NOTICE_TIME = 0.5


def check_handler(what: str, handler: Handler, *parameters: str) -> None:
    """Raises `TypeError` now, not when the first client comes, for a handler that cannot be called as it will be."""
    check_callable(what, handler)
    try:
        # A decorator calls its function with what it likes: what it takes itself is what counts.
        signature = inspect.signature(handler, follow_wrapped=False)
    except ValueError:  # a builtin that does not say
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        expected = ", ".join(parameters)
        raise TypeError(f"{what} is called with ({expected}); {_name(handler)} takes {signature}") from None


def report(ws: Session, error: BaseException, handler: str = "") -> None:
    """A handler has raised: logs it with its traceback and closes the session with 1011.

    That its own client has gone is no error of the handler's: `ConnectionClosed` ends it quietly. Only ``on_close`` is
    told so before it begins.
    """

    def is_gone(error: BaseException) -> bool:
        return isinstance(error, ConnectionClosed) and error._session == ws.id

    failure = error if handler == "on_close" else failure_of(error, is_gone)
    if failure is None:
        tell_hidden(error, is_gone, ws)
        return
    logger.error("handler of %r failed", ws, exc_info=failure)
    ws.close(1011, "internal error")


class Endpoint:
    """One endpoint in a run of a hub. The core reads the attributes without an underscore when it starts.

    Functions are called straight from the batch. As soon as one handler is a coroutine, a task serves the session
    (`start`), and the functions among the handlers are called from it.
    """

    def __init__(self, declared: Declared, hub: Handlers) -> None:
        handlers, on_request = Handlers(), hub.on_request
        self.path = declared.path
        self.subprotocols: tuple[str, ...] = ()
        self.origins: tuple[str, ...] | None = None
        self.compression: Compression | None = None
        self.readers: tuple[str, ...] | None = None
        self.folder: Folder | None = None
        self.service = "websocket"
        self.transports: tuple[str, ...] | None = None
        self.engineio: EngineIo | None = None
        self.session_type: type[Session] = Session
        self._rooms: RoomRule = False
        match declared:
            case WebSocketEndpoint():
                handlers = declared.handlers
                self.subprotocols, self.origins = declared.subprotocols, declared.origins
                self.compression, self.session_type = declared.compression, WebSocket
            case EventSourceEndpoint():
                handlers, self.origins = declared.handlers, declared.origins
                self.service, self.session_type = "events", EventStream
            case CometEndpoint():
                handlers = declared.handlers or hub
                self.subprotocols, self.origins = declared.subprotocols, declared.origins
                self.service, self.transports, self._rooms = "comet", declared.transports, declared.rooms
            case EngineIoEndpoint():
                handlers, self.origins, self.service = declared.handlers, declared.origins, "engineio"
                self.engineio, further = declared.engine()
                on_request = in_turn(on_request, further)
            case RequestsEndpoint():
                self.origins, on_request = declared.origins, in_turn(on_request, _not_found)
            case MetricsEndpoint():
                self.readers, on_request = declared.readers, None
            case FilesEndpoint():
                self.folder, on_request = declared.folder, None
        self._serve = serve = handlers.serve
        self._handlers = (handlers.on_connection, handlers.on_message, handlers.on_close)
        self._on_request = on_request
        self._concurrency = handlers.concurrency
        self._tasks: dict[Session, Task] = {}
        self._message_tasks: dict[Session, MessageTasks] = {}
        self._bridge: Bridge | None = None
        self._request_timeout: float | None = None
        named = serve or handlers.on_message or handlers.on_connection or handlers.on_close
        self._name = str(getattr(named, "__qualname__", None) or named)
        if self._rooms is not False:
            self._handlers = (self._entering(handlers.on_connection), handlers.on_message, handlers.on_close)
        in_task = serve is not None or any(h is not None and is_coroutine_function(h) for h in self._handlers)
        self.on_connection = None if in_task else self._handlers[0]
        # Without a handler messages are taken and forgotten: an endpoint that only broadcasts needs none.
        self.on_message = None if in_task else handlers.on_message or _ignore
        self.on_close = None if in_task else handlers.on_close
        self.start = self._start if in_task else None
        self.ended = self._ended if in_task else None
        self.noticed = noticed if handlers.concurrency > 1 else None
        self.decide = self._decide if on_request is not None else None

    #: It serves sessions only.
    serve = None

    def name_of(self, kind: str) -> str:
        """The name of the user's handler of this kind, for the log and the figures."""
        on_connection, on_message, on_close = self._handlers
        kinds = {"on_connection": on_connection, "on_message": on_message, "on_close": on_close}
        handler = self._serve or kinds[kind] or kind
        return str(getattr(handler, "__qualname__", None) or handler)

    def bind(self, bridge: Bridge, limits: Limits) -> None:
        """Tells it which loop its tasks run in."""
        self._bridge = bridge
        self._request_timeout = limits.request_timeout

    def leave(self) -> None:
        """The hub stops."""

    async def finish(self, timeout: float) -> None:
        """Waits for those that clean up after their sessions, for at most so many seconds."""
        assert self._bridge is not None
        await self._bridge.ended([task for ws, task in self._tasks.items() if ws.closed], timeout)

    # ---- rooms that clients ask for

    def _entering(self, on_connection: Handler | None) -> Handler:
        """The handler, after the session has entered the rooms that its client asked for and may enter."""

        def enter(ws: Session) -> object:
            self._enter(ws)
            return None if on_connection is None else on_connection(ws)

        async def enter_and_wait(ws: Session) -> None:
            self._enter(ws)
            assert on_connection is not None
            await on_connection(ws)

        return enter if on_connection is None or not is_coroutine_function(on_connection) else enter_and_wait

    def _enter(self, ws: Session) -> None:
        for name in parse_qs(ws._opening.line()[3]).get("room", [])[:MAX_ROOMS]:
            if self._rooms is True or (callable(self._rooms) and self._rooms(ws, name)):
                ws.join(name)

    # ---- coroutines

    def _start(self, ws: Session) -> None:
        assert self._bridge is not None
        self._tasks[ws] = self._bridge.spawn(lambda: self._run(ws), self._name, ws)

    async def _run(self, ws: Session) -> None:
        ws._arrive()
        try:
            if self._serve is None:
                await self._run_handlers(ws)
            else:
                if self._rooms is not False:
                    self._enter(ws)
                await _call(self._serve, ws)
        except BaseException as error:
            if ends_task(error):
                # Nobody serves this session any more.
                ws.close(1011, "internal error")
                raise
            report(ws, error)
        else:
            ws.close()
        finally:
            self._tasks.pop(ws, None)

    async def _run_handlers(self, ws: Session) -> None:
        on_connection, on_message, on_close = self._handlers
        try:
            if on_connection is not None:
                await _call(on_connection, ws)
            await self._run_messages(ws, on_message or _ignore)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if ends_task(error):
                # Cancelled: the session ends, and on_close is told of every end.
                ws.close(1011, "internal error")
                await self._tell_close(ws, on_close)
                raise
            report(ws, error)
        await self._tell_close(ws, on_close)

    async def _tell_close(self, ws: Session, on_close: Handler | None) -> None:
        if on_close is not None:
            await ws.close()
            try:
                await _call(on_close, ws, ws.close_code, ws.close_reason)
            except BaseException as error:
                if ends_task(error):
                    raise
                report(ws, error, "on_close")

    async def _run_messages(self, ws: Session, on_message: Handler) -> None:
        if self._concurrency > 1:
            await self._run_concurrently(ws, on_message)
            return
        async for data in ws:
            await _call(on_message, ws, data)

    async def _run_concurrently(self, ws: Session, on_message: Handler) -> None:
        assert self._bridge is not None
        tasks = self._message_tasks[ws] = MessageTasks(self._bridge, self._concurrency, self._name, ws)

        async def one(data: str | bytes) -> None:
            try:
                await _call(on_message, ws, data)
            except BaseException as error:
                if ends_task(error):
                    raise
                report(ws, error)

        try:
            async for data in ws:
                await tasks.begin(partial(one, data))
        finally:
            # on_close comes after all messages.
            try:
                await tasks.finish()
            finally:
                del self._message_tasks[ws]

    def _ended(self, ws: Session) -> None:
        if ws in self._tasks and (not ws._noticed or ws in self._message_tasks):
            assert self._bridge is not None
            self._bridge.call_later(NOTICE_TIME, lambda: self._give_up(ws))

    def _give_up(self, ws: Session) -> None:
        """Cancels who has not noticed that the session has ended; others may take their time to clean up."""
        if ws in self._message_tasks:
            self._message_tasks[ws].give_up()
        if ws in self._tasks and not ws._noticed:
            self._tasks[ws].cancel()

    # ---- requests

    def _decide(self, pending: _core.Pending) -> None:
        assert self._on_request is not None
        request = Request(pending.opening)
        try:
            answer = self._on_request(request)
        except BaseException as error:
            if ends_task(error):
                raise
            _refuse(pending, request, error)
            return
        if not is_awaitable(answer):
            self._answer(pending, request, answer)
            return
        assert self._bridge is not None
        task = self._bridge.spawn(lambda: self._decide_later(pending, request, answer), "on_request", request)

        def settled(undecided: bool) -> None:
            if task.done():
                return
            assert self._bridge is not None
            if undecided:
                tell_late(request, self._request_timeout)
            # If the client has gone, what the handler has begun may still end. If it has not begun, it does so first.
            self._bridge.call_later(0 if undecided else NOTICE_TIME, task.cancel)

        pending.on_lost(settled)

    async def _decide_later(self, pending: _core.Pending, request: Request, answer: Awaitable[object]) -> None:
        try:
            decided = await answer
        except BaseException as error:
            if ends_task(error):
                raise
            _refuse(pending, request, error)
        else:
            self._answer(pending, request, decided)

    def _answer(self, pending: _core.Pending, request: Request, answer: object) -> None:
        try:
            response = checked_answer(answer)
            if response is None:
                # What opens no session is refused by the network, which knows why.
                pending.accept(request, request.subprotocol, pairs(request.response_headers))
            else:
                pending.answer(response.status, response._fields(), response.body)
        except Exception as error:
            _refuse(pending, request, error)


def checked_answer(answer: object) -> Response | None:
    """What an ``on_request`` handler has returned."""
    if answer is None or isinstance(answer, Response):
        return answer
    raise TypeError(f"an on_request handler returns None or a Response, not {answer!r}")


def tell_late(request: Request, limit: float | None) -> None:
    """An ``on_request`` handler has taken too long: it is cancelled."""
    logger.error("on_request took more than %g s (Limits.request_timeout) for %r: cancelled, 503", limit, request)


def in_turn(first: Handler | None, second: Handler | None) -> Handler | None:
    """An ``on_request`` handler that asks the second if the first one has no answer."""
    if first is None or second is None:
        return first or second

    def decide(request: Request) -> object:
        answer = first(request)
        if is_awaitable(answer):
            return decide_later(request, answer)
        return second(request) if answer is None else answer

    async def decide_later(request: Request, answer: Awaitable[object]) -> object:
        decided = await answer
        if decided is None:
            decided = second(request)
            return await decided if is_awaitable(decided) else decided
        return decided

    return decide


async def _call(handler: Handler, *args: object) -> None:
    result = handler(*args)
    if is_awaitable(result):
        await result


def _ignore(ws: Session, data: str | bytes) -> None:
    pass


def _refuse(pending: _core.Pending, request: Request, error: BaseException) -> None:
    logger.error("on_request failed for %r", request, exc_info=error)
    pending.answer(500, [("Content-Type", "text/plain; charset=utf-8")], "Internal Server Error\n")


def _name(handler: object) -> str:
    return repr(getattr(handler, "__qualname__", None) or handler)


def _not_found(request: Request) -> Response:
    """The answer to what the hub's handler lets pass at a path where no session can open."""
    return Response(404, "Nothing is served here.\n")
