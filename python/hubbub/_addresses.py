"""The addresses that a program names, checked: where to listen, as logs have it too, and which proxies are believed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["bind", "network", "proxies", "url", "where"]

#: What fits into a sockaddr_un, with the zero at its end.
MAX_UDS_BYTES = 107


def bind(
    host: str,
    port: int,
    uds: str | os.PathLike[str] | None,
    fd: int | None,
    backlog: int,
    reuse_port: bool,
    uds_mode: int | None = None,
    uds_group: str | int | None = None,
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
        return ("unix", path, backlog, _mode(uds_mode), _group(uds_group))
    if uds_mode is not None or uds_group is not None:
        raise ValueError("uds_mode and uds_group are for a unix socket: uds=")
    if fd is not None:
        return ("fd", _duplicate(fd), fd)
    if not isinstance(host, str) or not host:
        raise TypeError(f"host is a name or an address, not {host!r}; the port is port=")
    _check_host(host)
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"port is a whole number, not {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port is 0 to 65535, not {port}")
    return ("tcp", host, port, backlog, reuse_port)


def _check_host(host: str) -> None:
    written = re.fullmatch(r"(?:\w+://)?(\[[^]]*\]|[^:/\[]*)(?::(\d+))?(?:/.*)?", host)
    if written is not None and written[0] != written[1]:
        port = f" and port={written[2]}" if written[2] else ""
        raise ValueError(
            f"host is a name or an address, not {host!r}: give host={written[1].strip('[]') or '0.0.0.0'!r}{port}"
        )


def _mode(mode: int | None) -> int | None:
    if mode is not None and (not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o777):
        raise ValueError(f"uds_mode is permissions such as 0o660, not {mode!r}")
    return mode


def _group(group: str | int | None) -> int | None:
    if group is None or (isinstance(group, int) and not isinstance(group, bool) and group >= 0):
        return group
    if not isinstance(group, str):
        raise TypeError(f"uds_group is a group's name or number, not {group!r}")
    if group.isdecimal():
        return int(group)
    from grp import getgrnam

    try:
        return getgrnam(group).gr_gid
    except KeyError:
        raise ValueError(f"uds_group: there is no group {group!r}") from None


def _duplicate(fd: int) -> int:
    try:
        return os.dup(fd)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on descriptor {fd}: {error.strerror}") from None


def proxies(trusted: Sequence[str], protocol: bool) -> tuple[list[str], bool] | None:
    """The proxies that the core is told to believe; `None` if there are none. Raises for what names nobody."""
    if isinstance(trusted, str) or not isinstance(trusted, Sequence):
        raise TypeError(f'trusted_proxies is a sequence of str, such as ["127.0.0.1"], not {trusted!r}')
    if not isinstance(protocol, bool):
        raise TypeError(f"proxy_protocol is True or False, not {protocol!r}")
    names = [name if name in ("unix", "*") else _network(name) for name in trusted]
    if protocol and not names:
        raise ValueError("proxy_protocol needs trusted_proxies: from whom PROXY headers are believed")
    return (names, protocol) if names else None


def network(name: str) -> str:
    """The address or network as the core reads it. Raises `ValueError` if it is neither."""
    from ipaddress import ip_network  # large, and most programs do without

    if "%" in name:
        raise ValueError(f"{name!r} has a zone, which belongs to a link of this machine")
    return str(ip_network(name))


def _network(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"trusted_proxies is a sequence of str, not of {name!r}")
    why = ""
    try:
        return network(name)
    except ValueError as error:
        why = f" ({error})" if "host bits" in str(error) else ""
    raise ValueError(
        f'trusted_proxies takes addresses ("127.0.0.1"), networks ("10.0.0.0/8"), "unix" and "*", not {name!r}{why}'
    )


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
