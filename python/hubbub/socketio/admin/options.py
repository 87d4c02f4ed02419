"""What `Server.instrument` is given."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

__all__ = ["AdminOptions", "Auth", "Mode"]

Mode = Literal["development", "production"]

#: One pair of ``username`` and ``password``, several, a function that is asked, or ``False`` for nobody is asked.
Auth = (
    Mapping[str, str]
    | Sequence[Mapping[str, str]]
    | Callable[[dict[str, Any]], "bool | Awaitable[bool]"]
    | Literal[False]
)

ALLOWED = (
    'auth is {"username": ..., "password": ...}, a list of such dicts, a function or coroutine function that is called '
    "with what the page sends and returns True for who is let in, or False: everyone is let in"
)

#: What bcrypt makes of a password.
BCRYPT = re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True)
class AdminOptions:
    """Checked when they are made: `ValueError` and `TypeError` say what is allowed."""

    auth: Auth | None = field(repr=False)
    namespace_name: str = "/admin"
    mode: Mode = "development"
    read_only: bool = False
    server_id: str | None = None
    #: Seconds from one ``server_stats`` to the next.
    stats_interval: float = 2.0

    def __post_init__(self) -> None:
        if self.auth is None:
            raise ValueError(f"instrument() needs auth: {ALLOWED}")
        if self.auth is not False and not callable(self.auth):
            for one in self.credentials:
                _check(one)
        if self.mode not in get_args(Mode):
            raise ValueError(f'the mode is "development" or "production", not {self.mode!r}')
        if not isinstance(self.read_only, bool):
            raise TypeError(f"read_only is a bool, not {self.read_only!r}")
        if self.server_id is not None and (not isinstance(self.server_id, str) or not self.server_id):
            raise ValueError(f"server_id is a str, or None for the name of this machine, not {self.server_id!r}")
        if not isinstance(self.stats_interval, (int, float)) or not 0.1 <= self.stats_interval <= 3600:
            raise ValueError(f"the interval is seconds from 0.1 to 3600, not {self.stats_interval!r}")

    @property
    def credentials(self) -> list[Mapping[str, str]]:
        """The pairs, if `auth` is such."""
        if isinstance(self.auth, Mapping):
            return [self.auth]
        if isinstance(self.auth, (list, tuple)) and self.auth:
            return list(self.auth)
        # Not what it is: there may be a password in it.
        raise ValueError(f"{ALLOWED}; not {type(self.auth).__name__}")


def _check(one: object) -> None:
    if not isinstance(one, Mapping) or {*one} - {"type"} != {"username", "password"}:
        keys = f"a dict with {sorted(map(str, one))}" if isinstance(one, Mapping) else type(one).__name__
        raise ValueError(f"{ALLOWED}; not {keys}")
    if one.get("type", "basic") != "basic":
        raise ValueError(f'the only type of auth is "basic", not {one["type"]!r}')
    if not all(isinstance(one[name], str) and one[name] for name in ("username", "password")):
        raise ValueError("username and password are str, and not empty")
    if BCRYPT.fullmatch(one["password"]):
        raise ValueError(
            "the password is a bcrypt hash, as for socket.io in JavaScript, and Python has no bcrypt: give the "
            "password itself, or a function that checks it with a library of your choice"
        )
