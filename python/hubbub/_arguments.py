"""Arguments that `Hub.run` does not have, told by what other servers and people call them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["unknown"]

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


def unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises `TypeError` for the first of the names."""
    for name in names:
        close = get_close_matches(name, known, 1)
        instead = _INSTEAD.get(name) or (f"did you mean {close[0]}=?" if close else "help(hubbub.Hub.run) has them all")
        raise TypeError(f"there is no argument {name}=: {instead}")
