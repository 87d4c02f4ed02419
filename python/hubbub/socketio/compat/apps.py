"""`ASGIApp` and `WSGIApp`: a server, and what else is served beside it."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub._callables import is_awaitable
from hubbub._listen import ListenArguments, ListenOptions, shows_options
from hubbub._loops import Loop
from hubbub.hub import Hub
from hubbub.socketio.compat.async_server import AsyncServer
from hubbub.socketio.compat.base import BaseServer
from hubbub.socketio.compat.sync_server import Server
from hubbub.socketio.compat.wsgi import WSGIBridge
from hubbub.socketio.options import DEFAULT_BUFFER_SIZE, limits_for

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ASGIApp", "WSGIApp"]

Hook = Callable[[], Any]


class App:
    """A hub with a Socket.IO server, files, and an application for the rest."""

    def __init__(
        self,
        server: BaseServer,
        other: Any,
        static_files: dict[str, Any] | None,
        socketio_path: str | None,
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        if socketio_path is None:
            raise ValueError("a server has a path of its own: socketio_path cannot be None here")
        #: What serves it all: `run`, or ``hubbub run module:app``.
        self.hub = Hub(limits=limits_for(server._options.get("max_http_buffer_size", DEFAULT_BUFFER_SIZE)))
        self._other = other
        self._files = static_files or {}
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        self._path = f"/{socketio_path.strip('/')}/"
        server._bind(self.hub, self._path)
        self.hub.mount("", self._rest)

    @shows_options
    def run(
        self,
        host: str = ListenOptions.host,
        port: int = ListenOptions.port,
        *,
        loop: Loop = "auto",
        **options: Unpack[ListenArguments],
    ) -> None:
        """Serves until Ctrl-C, SIGTERM or the hub's `stop`.

        Args:
            host: host name or address. Every address that it resolves to is served, IPv4 and IPv6.
            port: TCP port; 0 lets the system choose. The log says which.
            loop: event loop to run; `"auto"` is uvloop if it is installed, else asyncio.
            options: those of `ListenOptions`.

        Raises:
            OSError, RuntimeError, TypeError, ValueError: as `hubbub.Hub.run`.
        """
        self.hub.run(host, port, loop=loop, **options)

    # ---- what is not Socket.IO

    async def _rest(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        found = find_file(scope["path"], self._files) if scope["type"] == "http" else None
        if found is not None:
            await send_file(*found, send)
        elif self._other is not None:
            await self._other(scope, receive, send)
        elif scope["type"] == "http":
            await answer(send, 404, "text/plain", b"Not Found")
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def _live(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if self._other is not None and self._on_startup is None and self._on_shutdown is None:
            await self._other(scope, receive, send)
            return
        for kind, hook in (("startup", self._on_startup), ("shutdown", self._on_shutdown)):
            await receive()
            try:
                result = hook() if hook is not None else None
                if is_awaitable(result):
                    await result
            except Exception as error:
                await send({"type": f"lifespan.{kind}.failed", "message": repr(error)})
                raise
            await send({"type": f"lifespan.{kind}.complete"})


class ASGIApp(App):
    """python-socketio's ``ASGIApp``. It is served by `run` or ``hubbub run module:app``.

    Other ASGI servers can host it, as they can every hub (see `hubbub.Hub.asgi`), and are slower.

    Args:
        socketio_server: the `AsyncServer`.
        other_asgi_app: gets everything that is neither Socket.IO nor a file.
        static_files: files and folders by path: ``{"/": "index.html", "/static": "public"}``. A value may also be a
            dict with ``filename`` and ``content_type``. A folder gives ``index.html``, or what ``""`` says.
        socketio_path: where clients connect.
        on_startup: called when the server starts; may be a coroutine function.
        on_shutdown: called when it stops.
    """

    def __init__(
        self,
        socketio_server: AsyncServer,
        other_asgi_app: Any = None,
        static_files: dict[str, Any] | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        super().__init__(socketio_server, other_asgi_app, static_files, socketio_path, on_startup, on_shutdown)
        self._hosted = self.hub.asgi()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Is called by the server that hosts it, or by the application that it is mounted in."""
        if scope.get("path", "").startswith(self._path):
            # Below a mount, python-socketio's path is the whole one, with that of the mount.
            scope = {**scope, "root_path": ""}
        await self._hosted(scope, receive, send)


class WSGIApp(App):
    """python-socketio's ``WSGIApp``. It is served by `run` or ``hubbub run module:app``, not by a WSGI server.

    Args:
        socketio_app: the `Server`.
        wsgi_app: gets everything that is neither Socket.IO nor a file, in threads: a Flask or Django application.
        static_files: as for `ASGIApp`.
        socketio_path: where clients connect.
    """

    def __init__(
        self,
        socketio_app: Server,
        wsgi_app: Any = None,
        static_files: dict[str, Any] | None = None,
        socketio_path: str | None = "socket.io",
    ) -> None:
        bridge = None if wsgi_app is None else WSGIBridge(wsgi_app, socketio_app._workers)
        super().__init__(socketio_app, bridge, static_files, socketio_path)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Raises: a WSGI server calls it."""
        raise RuntimeError(
            "hubbub serves this application, no WSGI server can: call its run() (app.wsgi_app.run() if a Flask "
            "application has it), or hubbub run"
        )


# ---- files


def find_file(path: str, files: dict[str, Any]) -> tuple[Path, str] | None:
    """The file for a path, and its content type; ``None``: there is none. ``files[""]`` stands for its folder."""
    rest = ""
    entry = files.get(path) if path else None
    while entry is None and path:
        path, _, last = path.rpartition("/")
        rest = f"/{last}{rest}"
        entry = files.get(path) if path else None
        entry = entry or files.get(f"{path}/")
    if entry is None:
        return None
    named = described(entry)
    root = Path(named["filename"])
    file = root / rest.lstrip("/") if rest.strip("/") else root
    if file.is_dir():
        index = described(files.get("", "index.html"))
        file /= index["filename"]
        named = {**named, **index}
    # Whatever dots there are in the path: nothing outside of what was named.
    if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        return None
    kind = named.get("content_type") or mimetypes.guess_type(file.name)[0]
    return file, str(kind or "application/octet-stream")


def described(entry: Any) -> dict[str, Any]:
    return {"filename": entry} if isinstance(entry, (str, os.PathLike)) else entry


async def send_file(file: Path, content_type: str, send: Any) -> None:
    await answer(send, 200, content_type, file.read_bytes())


async def answer(send: Any, status: int, content_type: str, body: bytes) -> None:
    fields = [(b"content-type", content_type.encode("latin-1")), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
