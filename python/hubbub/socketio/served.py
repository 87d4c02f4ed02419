"""The Socket.IO client for browsers that comes with the package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["client_folder"]

#: Put here by python/client/build.mjs when the wheel is built.
_FOLDER = Path(__file__).parent / "client-dist"


def client_folder() -> Path | None:
    """Where the files are that socket.io serves below ``/socket.io/``, each with its ``.br`` and ``.gz`` beside it.

    ``socket.io.js``, ``socket.io.min.js``, ``socket.io.esm.min.js``, ``socket.io.msgpack.min.js``, each with its
    ``.map``; ``LICENSE`` is theirs.

    Returns:
        ``None``: this wheel was built without npm and does not have them.
    """
    return _FOLDER if (_FOLDER / "socket.io.js").is_file() else None
