"""The Socket.IO client for browsers that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.hub import Hub

__all__ = ["client_folder", "serve_client"]

_MISSING = (
    b"The Socket.IO client is not part of this build of hubbub. `make wheel` puts it in, where npm is installed;\n"
    b"`maturin build` and `pip install` from a clone do not, unless make has built hubbub there before.\n"
    b"Or take it from the npm package socket.io-client (its folder dist).\n"
)

#: Put here by python/client/build.mjs when the wheel is built.
_FOLDER = Path(__file__).parent / "client-dist"


def client_folder() -> Path | None:
    """Where the files are that socket.io serves below ``/socket.io/``, each with its ``.br`` and ``.gz`` beside it.

    ``socket.io.js``, ``socket.io.min.js``, ``socket.io.esm.min.js``, ``socket.io.msgpack.min.js``, each with its
    ``.map``; ``LICENSE`` is theirs.

    Returns:
        ``None``: this wheel was built without them; only ``make wheel`` puts them in, where npm is installed.
    """
    return _FOLDER if (_FOLDER / "socket.io.js").is_file() else None


def serve_client(hub: Hub, path: str) -> None:
    """Serves the files below the path of a server; without them, everything there is a 404 that says why."""
    folder, prefix = client_folder(), path.rstrip("/")
    if folder is not None:
        # Clients ask each time whether it is still the same, as they do with the JavaScript server.
        # They are the same for everyone, so any page may have them as a module, or with their hash.
        hub.static(prefix or "/", folder, index=None, max_age=0, headers={"Access-Control-Allow-Origin": "*"})
    else:
        hub.mount(prefix, _missing)


async def _missing(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_MISSING))]
    await send({"type": "http.response.start", "status": 404, "headers": fields})
    await send({"type": "http.response.body", "body": _MISSING})
