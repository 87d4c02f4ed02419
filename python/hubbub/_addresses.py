"""Where to listen: the addresses that a program names, checked, and as it reads them in logs."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["bind", "url", "where"]

#: What fits into a sockaddr_un, with the zero at its end.
MAX_UDS_BYTES = 107


def bind(
    host: str, port: int, uds: str | os.PathLike[str] | None, fd: int | None, backlog: int, reuse_port: bool
) -> tuple[Any, ...]:
    """What the core is told to listen on. Raises for what cannot be an address."""
    if uds is not None and fd is not None:
        raise ValueError("uds and fd exclude each other")
    if not isinstance(backlog, int) or not 1 <= backlog <= 65535:
        raise ValueError(f"backlog is a whole number from 1 to 65535, not {backlog!r}")
    if uds is not None:
        path = os.fsdecode(uds)
        if len(os.fsencode(path)) > MAX_UDS_BYTES:
            raise ValueError(
                f"the path of a unix socket has at most {MAX_UDS_BYTES} bytes, this one has more: {path!r}"
            )
        return ("unix", path, backlog)
    if fd is not None:
        return ("fd", _duplicate(fd), fd)
    if not isinstance(host, str) or not host:
        raise TypeError(f"host is a name or an address, not {host!r}")
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"port is a whole number, not {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port is 0 to 65535, not {port}")
    return ("tcp", host, port, backlog, reuse_port)


def _duplicate(fd: int) -> int:
    try:
        return os.dup(fd)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on descriptor {fd}: {error.strerror}") from None


def where(bind: tuple[Any, ...]) -> str:
    """The address in words, for an error."""
    if bind[0] == "tcp":
        return f"{bind[1]} port {bind[2]}"
    return f"descriptor {bind[2]}" if bind[0] == "fd" else f"the unix socket {bind[1]}"


def url(scheme: str, address: tuple[Any, ...]) -> str:
    """The address as a client would write it."""
    if address[0] == "unix":
        return f"unix:{address[1]}"
    host = f"[{address[1]}]" if ":" in address[1] else address[1]
    return f"{scheme}://{host}:{address[2]}/"
