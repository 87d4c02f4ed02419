"""The Engine.IO side of a server: what can be said about connections, before there is a socket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hubbub._callables import must_wait
from hubbub._engineio import EngineIo
from hubbub._handlers import in_turn
from hubbub.request import Request, Response
from hubbub.socketio.cors import Cors
from hubbub.socketio.emitter import Emitter, Handler, fitting

if TYPE_CHECKING:
    from hubbub.socketio.server import Server

__all__ = ["ConnectionRefusal", "Engine"]

EVENTS = ("connection", "connection_error", "initial_headers")

#: What Engine.IO calls it when the server's user does not want a client.
FORBIDDEN = 4


@dataclass(frozen=True)
class ConnectionRefusal:
    """A request that was refused.

    Attributes:
        request: what the client has asked.
        code: 0 unknown transport, 1 unknown session id, 2 wrong method for opening, 3 a request that is no good,
            4 forbidden, 5 unknown version of the protocol.
        message: that in words, which the client is told as well.
    """

    request: Request
    code: int
    message: str


class Engine(Emitter):
    """``io.engine``: connections, whatever namespaces they are in.

    Handlers, by `on`:

    - ``connection`` ``(ws)``: a connection is open; `ws` is the hub's session, ``socket.conn``.
    - ``initial_headers`` ``(headers, request)``: what is put into the dict are fields of the response that opens a
      connection. Added before the hub runs; may be a coroutine function.
    - ``connection_error`` ``(refusal)``: a request was refused, a `ConnectionRefusal`. Added before the hub runs. What
      `Hub.on_request` answers, what is no HTTP, and what is refused for its size or for want of room (413, 417, 503) is
      not told.
    """

    __slots__ = ("_allow_request", "_cors", "_settings", "server")

    def __init__(
        self, server: Server, settings: EngineIo, cors: Cors, allow_request: Callable[[Request], Any] | None
    ) -> None:
        super().__init__()
        self.server = server
        self._settings = settings
        self._cors = cors
        self._allow_request = allow_request

    @property
    def clients_count(self) -> int:
        """Connections."""
        return self.server.clients_count

    def _add(self, event: str, listener: Handler, handler: Handler) -> None:
        if event == "headers":
            raise ValueError(
                "headers are not asked for at each poll: Server(headers={...}) are those of every response, and "
                "initial_headers is told of the first one"
            )
        if event not in EVENTS:
            raise ValueError(f"the engine tells of {', '.join(EVENTS)}, not of {event!r}")
        if event != "connection" and self.server.hub._running.server is not None:
            raise RuntimeError(f"handlers of {event} are added before the hub runs")
        super()._add(event, listener, handler)

    def _as_it_is(self) -> tuple[EngineIo, Handler | None]:
        """The settings, and who decides about requests: of the network's requests, it hears those that it asks for."""
        refused = self._refused if self._heard("connection_error") else None
        asks = self._cors.rule is not None or self._allow_request is not None or self._heard("initial_headers")
        decide = in_turn(in_turn(self._judge, self._allow), self._head) if asks else None
        return replace(self._settings, refused=refused), decide

    # ---- how: deciding about a request

    def _judge(self, request: Request) -> Any:
        admitted: Any = self._cors.admits(request)
        return self._judge_later(request, admitted) if must_wait(admitted) else self._judged(request, admitted)

    async def _judge_later(self, request: Request, admitted: Awaitable[Any]) -> Response | None:
        return self._judged(request, await admitted)

    def _judged(self, request: Request, admitted: Any) -> Response | None:
        """A rule lets in by nothing but ``True``: one that finds nothing often says ``None``."""
        if admitted is not True and admitted is not False and admitted is not None:
            raise TypeError(f"the origin of cors is a function that returns True or False, not {admitted!r}")
        answer: Response | None = self._answer(request, admitted is True, "This origin may not connect.")
        return answer

    def _allow(self, request: Request) -> Any:
        if self._allow_request is None:
            return None
        return self._answer(request, self._allow_request(request), "Forbidden")

    def _answer(self, request: Request, said: Any, message: str) -> Any:
        """The answer to who is not to be let in; or what is to be awaited for it."""
        if must_wait(said):
            return self._answer_later(request, said, message)
        if isinstance(said, tuple) and len(said) == 2 and said[0] is False:
            said, message = said
        if said is None or said is True:
            return None
        if isinstance(said, Response):
            self._tell_refusal(request, message)
            return said
        if said is not False or not isinstance(message, str):
            raise TypeError(f"allow_request returns True or None, False, (False, message) or a Response, not {said!r}")
        self._tell_refusal(request, message)
        if request.is_websocket:
            return Response(403, message)
        body = json.dumps({"code": FORBIDDEN, "message": message}, separators=(",", ":"), ensure_ascii=False)
        return Response(403, body, {"Content-Type": "application/json"})

    async def _answer_later(self, request: Request, said: Awaitable[Any], message: str) -> Response | None:
        answer: Response | None = self._answer(request, await said, message)
        return answer

    def _head(self, request: Request) -> Awaitable[None] | None:
        return self._add_fields(request, iter(self._heard("initial_headers")))

    def _add_fields(self, request: Request, handlers: Iterator[Handler]) -> Awaitable[None] | None:
        for handler in handlers:
            result = handler(*fitting(handler, request.response_headers, request))
            if must_wait(result):
                return self._add_later(request, result, handlers)
        return None

    async def _add_later(self, request: Request, result: Awaitable[Any], others: Iterator[Handler]) -> None:
        await result
        rest = self._add_fields(request, others)
        if rest is not None:
            await rest

    # ---- how: telling

    def _heard(self, event: str) -> tuple[Handler, ...]:
        return self._listeners.get(event, ())

    def _refused(self, opening: Any, code: int, message: str) -> None:
        refusal = ConnectionRefusal(Request(opening), code, message)
        self.server.scheduler.notify(self._heard("connection_error"), "connection_error", refusal)

    def _tell_refusal(self, request: Request, message: str) -> None:
        if self._heard("connection_error"):
            refusal = ConnectionRefusal(request, FORBIDDEN, message)
            self.server.scheduler.notify(self._heard("connection_error"), "connection_error", refusal)

    def __repr__(self) -> str:
        return f"<Engine of {self.server!r}>"
