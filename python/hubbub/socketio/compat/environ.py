"""What a client has asked with, as WSGI has it: python-socketio gives it to ``connect`` handlers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.request import Request

__all__ = ["make_environ"]


def make_environ(request: Request) -> dict[str, Any]:
    """The request that opened the connection. ``asgi.scope`` has it as ASGI does."""
    host, port = request.remote_address or ("", 0)
    scheme = "https" if request.secure else "http"
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": "hubbub",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "RAW_URI": request.target,
        "REMOTE_ADDR": host,
        "REMOTE_PORT": str(port),
    }
    fields = request.headers.raw()
    for name, value in fields:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    host = environ.get("HTTP_HOST", "")
    name, colon, number = host.rpartition(":")
    if not colon or (number and not number.isdecimal()):
        name, number = host, ""
    environ["SERVER_NAME"], environ["SERVER_PORT"] = name, number or ("443" if request.secure else "80")
    websocket = request.is_websocket
    environ["asgi.scope"] = {
        "type": "websocket" if websocket else "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": {"http": "ws", "https": "wss"}[scheme] if websocket else scheme,
        "path": request.path,
        "raw_path": request._opening.line()[2].encode("latin-1"),
        "query_string": request.query_string.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields],
        "client": request.remote_address,
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])) if number.isdigit() or not number else None,
    }
    return environ
