"""Arguments and handlers that a hub does not have, told by what other servers and people call them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["HANDLERS", "unknown"]

_INSTEAD = {
    "debug": 'the log says more with logging.getLogger("hubbub").setLevel("DEBUG")',
    "log_level": 'logging.getLogger("hubbub").setLevel("DEBUG") sets it, or `hubbub run --log-level`',
    "reload": "the command line restarts a program when it changes: `hubbub run module:hub --reload`",
    "workers": "a hub is one process; io_threads=N has the network in N threads. Further processes may listen on the "
    "same port with reuse_port=True, each with rooms of its own",
    "threads": "io_threads= is the number of threads for the network",
    "unix": "a unix socket is uds=",
    "path": "a unix socket is uds=; endpoints have paths: @hub.websocket(path)",
    "address": "host= and port=",
    "ssl": "certificates are files: ssl_certfile= and ssl_keyfile=",
    "ssl_context": "certificates are files: ssl_certfile= and ssl_keyfile=",
    "timeout_graceful_shutdown": "shutdown_timeout=",
    "proxy_headers": "trusted_proxies= says whose X-Forwarded-For counts",
    "forwarded_allow_ips": "trusted_proxies= says whose X-Forwarded-For counts",
    "limits": "limits are the hub's: Hub(limits=Limits(...))",
    "origins": "origins are the hub's, Hub(origins=[...]), or an endpoint's",
}

#: What there is instead of attributes that a hub does not have.
HANDLERS = {
    "on_open": "The handler of a client that has connected is @hub.on_connection",
    "on_connect": "The handler of a client that has connected is @hub.on_connection",
    "on_disconnect": "The handler of a session that has ended is @hub.on_close",
    "on_error": "What a handler raises is logged, and ends its session with 1011; @hub.on_close is told of every end",
    "on_data": "The handler of messages is @hub.on_message",
    "on_receive": "The handler of messages is @hub.on_message",
    "message": "The handler of messages is @hub.on_message",
    "on": "The handlers are @hub.on_connection, @hub.on_message and @hub.on_close; events by name are Socket.IO's: "
    "hubbub.socketio.Server",
    "event": "Events by name are Socket.IO's: hubbub.socketio.Server",
    "emit": "To everybody: hub.broadcast(data); events by name are Socket.IO's: hubbub.socketio.Server",
    "send": "To everybody: hub.broadcast(data); to one client: ws.send(data)",
    "route": "WebSockets are served by @hub.websocket(path), pages by an ASGI application, Hub(app=...)",
    "get": "Pages are served by an ASGI application, Hub(app=...), or @hub.on_request",
    "post": "Forms are taken by an ASGI application, Hub(app=...)",
    "clients": "The open sessions are hub.sessions",
    "connections": "The open sessions are hub.sessions",
    "start": "hub.run() serves; inside of a running event loop, await hub.serve()",
    "listen": "hub.run() serves; inside of a running event loop, async with hub.listening()",
    "close": "hub.stop() ends serving",
    "shutdown": "hub.stop() ends serving",
}


def unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises `TypeError` for the first of the names."""
    for name in names:
        close = get_close_matches(name, known, 1)
        instead = _INSTEAD.get(name) or (f"did you mean {close[0]}=?" if close else "help(hubbub.Hub.run) has them all")
        raise TypeError(f"there is no argument {name}=: {instead}")
