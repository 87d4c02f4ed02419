"""The user's handlers: checked when they are given, called when it is time, and survived when they raise."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeGuard
from urllib.parse import parse_qs

from hubbub import _core
from hubbub._engineio import EngineIo
from hubbub._fields import pairs
from hubbub.compression import Compression
from hubbub.errors import ConnectionClosed
from hubbub.request import Request, Response
from hubbub.websocket import WebSocket

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Task
    from hubbub._folders import Folder

__all__ = ["Endpoint", "asked", "check_handler", "in_turn", "is_coroutine", "only_answers", "report"]

Handler = Callable[..., Any]

logger = logging.getLogger("hubbub")

#: Whether a client may enter the rooms that it asks for: all of them, none, or those of which the function says so.
RoomRule = bool | Callable[[WebSocket, str], bool]

#: Rooms that one client may ask for at its opening.
MAX_ROOMS = 64

#: Seconds that a handler may go on without having noticed that its client has gone; then it is cancelled.
NOTICE_TIME = 0.5


def is_coroutine(handler: Handler) -> bool:
    """The handler is `async def`, or an object whose call is."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def check_handler(what: str, handler: object, *parameters: str) -> None:
    """Raises `TypeError` now, not when the first client comes, for a handler that cannot be called as it will be."""
    if not callable(handler):
        raise TypeError(f"{what} takes a function or coroutine function, not {handler!r}")
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        raise TypeError(f"{what} takes a function or coroutine function; {_name(handler)} is a generator function")
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


def report(ws: WebSocket, error: BaseException) -> None:
    """A handler has raised: logs it with its traceback and closes the session with 1011.

    That the client has gone is no error of the handler's: `ConnectionClosed` ends it quietly.
    """
    if isinstance(error, ConnectionClosed) and (ws.closed or ws._noticed):
        return
    logger.error("handler of %r failed", ws, exc_info=error)
    ws.close(1011, "internal error")


class Endpoint:
    """One place that clients may connect to, with its handlers. The core reads the attributes when it starts.

    Functions are called straight from the batch. As soon as one handler is a coroutine, a task serves the session
    (`start`), and the functions among the handlers are called from it.
    """

    def __init__(
        self,
        path: str | None,
        subprotocols: list[str],
        origins: list[str] | None,
        *,
        serve: Handler | None = None,
        on_connection: Handler | None = None,
        on_message: Handler | None = None,
        on_close: Handler | None = None,
        on_request: Handler | None = None,
        concurrency: int = 1,
        compression: Compression | None = None,
        readers: list[str] | None = None,
        service: Literal["websocket", "events", "comet", "engineio"] = "websocket",
        transports: list[str] | None = None,
        engineio: EngineIo | None = None,
        session_type: type[WebSocket] = WebSocket,
        rooms: RoomRule = False,
        folder: Folder | None = None,
    ) -> None:
        self.readers = readers
        self.service = service
        self.transports = transports
        self.engineio = engineio
        self.session_type = session_type
        self._rooms = rooms
        self.folder = folder
        self.path = path
        self.subprotocols = subprotocols
        self.origins = origins
        self.compression = compression
        self._serve = serve
        self._handlers = (on_connection, on_message, on_close)
        self._on_request = on_request
        self._concurrency = concurrency
        self._tasks: dict[_core.Session, Task] = {}
        self._bridge: Bridge | None = None
        if rooms is not False:
            self._handlers = (self._entering(on_connection), on_message, on_close)
        in_task = serve is not None or any(h is not None and is_coroutine(h) for h in self._handlers)
        self.on_connection = None if in_task else self._handlers[0]
        # Without a handler messages are taken and forgotten: an endpoint that only broadcasts needs none.
        self.on_message = None if in_task else on_message or _ignore
        self.on_close = None if in_task else on_close
        self.start = self._start if in_task else None
        self.ended = self._ended if in_task else None
        self.decide = self._decide if on_request is not None else None

    #: It serves sessions only.
    serve = None

    def name_of(self, kind: str) -> str:
        """The name of the user's handler of this kind, for the log and the figures."""
        on_connection, on_message, on_close = self._handlers
        kinds = {"on_connection": on_connection, "on_message": on_message, "on_close": on_close}
        handler = self._serve or kinds[kind] or kind
        return str(getattr(handler, "__qualname__", None) or handler)

    def bind(self, bridge: Bridge) -> None:
        """Tells it which loop its tasks run in."""
        self._bridge = bridge

    # ---- rooms that clients ask for

    def _entering(self, on_connection: Handler | None) -> Handler:
        """The handler, after the session has entered the rooms that its client asked for and may enter."""

        def enter(ws: WebSocket) -> object:
            self._enter(ws)
            return None if on_connection is None else on_connection(ws)

        async def enter_and_wait(ws: WebSocket) -> None:
            self._enter(ws)
            assert on_connection is not None
            await on_connection(ws)

        return enter if on_connection is None or not is_coroutine(on_connection) else enter_and_wait

    def _enter(self, ws: WebSocket) -> None:
        for name in parse_qs(ws._opening.line()[3]).get("room", [])[:MAX_ROOMS]:
            if self._rooms is True or (callable(self._rooms) and self._rooms(ws, name)):
                ws.join(name)

    # ---- coroutines

    def _start(self, ws: WebSocket) -> None:
        assert self._bridge is not None
        self._tasks[ws] = self._bridge.spawn(lambda: self._run(ws))

    async def _run(self, ws: WebSocket) -> None:
        ws._arrive()
        try:
            if self._serve is None:
                await self._run_handlers(ws)
            else:
                if self._rooms is not False:
                    self._enter(ws)
                await self._serve(ws)
        except Exception as error:
            report(ws, error)
        except BaseException:
            # Cancelled, or the program ends: nobody serves this session any more.
            ws.close(1011, "internal error")
            raise
        else:
            ws.close()
        finally:
            self._tasks.pop(ws, None)

    async def _run_handlers(self, ws: WebSocket) -> None:
        on_connection, on_message, on_close = self._handlers
        try:
            if on_connection is not None:
                await _call(on_connection, ws)
            await self._run_messages(ws, on_message or _ignore)
        except Exception as error:
            report(ws, error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            # Cancelled: the session ends, and on_close is told of every end.
            ws.close(1011, "internal error")
            await self._tell_close(ws, on_close)
            raise
        await self._tell_close(ws, on_close)

    async def _tell_close(self, ws: WebSocket, on_close: Handler | None) -> None:
        if on_close is not None:
            await ws.close()
            await _call(on_close, ws, ws.close_code, ws.close_reason)

    async def _run_messages(self, ws: WebSocket, on_message: Handler) -> None:
        try:
            if self._concurrency == 1:
                async for data in ws:
                    await _call(on_message, ws, data)
            else:
                await self._run_concurrently(ws, on_message)
        except ConnectionClosed:
            if not ws.closed:
                raise

    async def _run_concurrently(self, ws: WebSocket, on_message: Handler) -> None:
        assert self._bridge is not None
        places = self._bridge.semaphore(self._concurrency)

        async def one(data: str | bytes) -> None:
            try:
                await _call(on_message, ws, data)
            except Exception as error:
                report(ws, error)
            finally:
                places.release()

        async for data in ws:
            await places.acquire()
            self._bridge.spawn(lambda data=data: one(data))  # type: ignore[misc]
        for _ in range(self._concurrency):  # all places free: all messages have been handled
            await places.acquire()

    def _ended(self, ws: WebSocket) -> None:
        task = self._tasks.get(ws)
        if task is None or task.done() or ws._noticed:
            return
        assert self._bridge is not None

        def give_up() -> None:
            # Whoever has noticed may take all the time it needs to clean up.
            if not task.done() and not ws._noticed:
                task.cancel()

        self._bridge.call_later(NOTICE_TIME, give_up)

    # ---- requests

    def _decide(self, pending: _core.Pending) -> None:
        assert self._on_request is not None
        request = Request(pending.opening)
        try:
            answer = self._on_request(request)
        except Exception as error:
            _refuse(pending, request, error)
            return
        if is_awaitable(answer):
            assert self._bridge is not None
            self._bridge.spawn(lambda: self._decide_later(pending, request, answer))
        else:
            self._answer(pending, request, answer)

    async def _decide_later(self, pending: _core.Pending, request: Request, answer: Awaitable[object]) -> None:
        try:
            decided = await answer
        except Exception as error:
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


async def asked(on_request: Handler, request: Request) -> Response | None:
    """What an ``on_request`` handler, a function or coroutine function, says to a request."""
    answer = on_request(request)
    return checked_answer(await answer if is_awaitable(answer) else answer)


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


def is_awaitable(result: object) -> TypeGuard[Awaitable[Any]]:
    """The handler was a coroutine function, or has returned something that can be awaited."""
    return isinstance(result, Awaitable)


def _ignore(ws: WebSocket, data: str | bytes) -> None:
    pass


def _refuse(pending: _core.Pending, request: Request, error: Exception) -> None:
    logger.error("on_request failed for %r", request, exc_info=error)
    pending.answer(500, [("Content-Type", "text/plain; charset=utf-8")], "Internal Server Error\n")


def _name(handler: object) -> str:
    return repr(getattr(handler, "__qualname__", None) or handler)


def only_answers(on_request: Handler) -> Handler:
    """The handler at a place where no session can open: what it lets pass is not found."""
    handler = in_turn(on_request, lambda request: Response(404, "Nothing is served here.\n"))
    assert handler is not None
    return handler
