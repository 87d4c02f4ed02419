"""A WSGI application (PEP 3333) in threads, as an ASGI application."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, MutableMapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.socketio.compat.workers import Workers

__all__ = ["WSGIBridge"]


class WSGIBridge:
    """Each request is read whole, within the hub's limits, and answered in a thread, piece by piece."""

    def __init__(self, app: Callable[..., Iterable[bytes]], workers: Workers) -> None:
        self._app = app
        self._workers = workers

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close"})
            return
        body = BytesIO()
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body.write(event.get("body", b""))
            if not event.get("more_body", False):
                break
        body.seek(0)
        loop = asyncio.get_running_loop()

        async def sending(event: dict[str, Any]) -> None:
            await send(event)

        def tell(event: dict[str, Any]) -> None:
            # Waiting for it is what keeps an application from being faster than its client.
            asyncio.run_coroutine_threadsafe(sending(event), loop).result()

        environ = make_environ(scope, body)
        await asyncio.wrap_future(self._workers.run(lambda: self._answer(environ, tell)))

    def _answer(self, environ: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        response = Response(tell)
        pieces = self._app(environ, response.start)
        try:
            for piece in pieces:
                if piece:
                    response.write(piece)
            response.end()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()


class Response:
    """``start_response``, and what follows it. The status is sent with the first piece, as until then it may change."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._start: dict[str, Any] | None = None
        self._started = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None and self._started:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._start is not None:
            raise RuntimeError("start_response was called twice")
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._start = {"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": fields}
        return self.write

    def write(self, piece: bytes) -> None:
        self._begin()
        self._tell({"type": "http.response.body", "body": piece, "more_body": True})

    def end(self) -> None:
        self._begin()
        self._tell({"type": "http.response.body", "body": b""})

    def _begin(self) -> None:
        if not self._started:
            if self._start is None:
                raise RuntimeError("the application has not called start_response")
            self._started = True
            self._tell(self._start)


def make_environ(scope: MutableMapping[str, Any], body: BytesIO) -> dict[str, Any]:
    """The request as WSGI has it."""
    host, port = scope.get("server") or ("", None)
    client = scope.get("client") or ("", 0)
    root = scope.get("root_path", "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": native(root),
        "PATH_INFO": native(scope["path"].removeprefix(root)),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue  # it would pass for another field, one that a proxy has set perhaps
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        text = value.decode("latin-1")
        # RFC 9113 §8.2.3: what HTTP/2 has split is put together with "; ".
        between = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{between}{text}" if key in environ else text
    environ.setdefault("CONTENT_LENGTH", str(body.getbuffer().nbytes))
    return environ


def native(text: str) -> str:
    """UTF-8 in the clothes of ISO-8859-1, as PEP 3333 wants it."""
    return text.encode("utf-8").decode("latin-1")
