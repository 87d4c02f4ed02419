"""Which pages may connect, and what their browsers are told (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hubbub._origins import origins_list
from hubbub.request import Request
from hubbub.socketio.emitter import fitting

__all__ = ["Cors", "OriginRule"]

#: Whether a page may connect: a function ``(origin)`` or ``(origin, request)``, which may be a coroutine function.
OriginRule = Callable[..., bool | Awaitable[bool]]


@dataclass(frozen=True)
class Cors:
    """Which pages may connect, and what their browsers are told. It holds for polls and WebSockets alike.

    Attributes:
        origin: ``"https://example.org"``, or a list of such; ``"same-origin"`` in it stands for the pages that come
            from the host that they connect to. ``"*"``: every page. A compiled pattern, which must match the whole
            origin. A function ``(origin)`` or ``(origin, request)``, which may be a coroutine function. Pattern and
            function are asked about each page that opens a connection, those of the same host included.
        credentials: browsers may send cookies. Not with ``"*"``.
        allowed_headers: the header fields that requests may have; ``None`` is all.
        exposed_headers: the header fields of answers that scripts may read.
        max_age: seconds for which a browser need not ask again whether it may ask.
    """

    origin: str | Sequence[str] | re.Pattern[str] | OriginRule
    credentials: bool = False
    allowed_headers: Sequence[str] | None = None
    exposed_headers: Sequence[str] = ()
    max_age: int = 600

    def __post_init__(self) -> None:
        origin = self.origin
        if not isinstance(origin, (str, re.Pattern)) and not callable(origin):
            if not isinstance(origin, Sequence) or not all(isinstance(each, str) and each for each in origin):
                raise TypeError(f"origin is str, a list of str, a pattern or a function, not {origin!r}")
            if "*" in origin:
                raise ValueError('"*" stands alone: origin="*"')
            origins_list(origin)
        elif isinstance(origin, str) and origin != "*":
            origins_list([origin])
        if not isinstance(self.credentials, bool):
            raise TypeError(f"credentials is True or False, not {self.credentials!r}")
        if origin == "*" and self.credentials:
            raise ValueError('credentials are for pages that are known: "*" is every page')
        for name, fields in (("allowed_headers", self.allowed_headers), ("exposed_headers", self.exposed_headers)):
            if isinstance(fields, str) or not all(isinstance(each, str) and each for each in fields or ()):
                raise TypeError(f"{name} is a list of str, not {fields!r}")
        if isinstance(self.max_age, bool) or not isinstance(self.max_age, int) or not 0 <= self.max_age < 2**31:
            raise ValueError(f"max_age is whole seconds, not {self.max_age!r}")

    @staticmethod
    def read(cors: Cors | dict[str, Any] | None, origins: Sequence[str] | None, hub: Sequence[str] | None) -> Cors:
        """What the arguments of a server say; `hub` are the origins of its hub."""
        if cors is not None and origins is not None:
            raise ValueError("origins are part of cors: give one of them")
        if isinstance(cors, dict):
            if "origin" not in cors:
                raise ValueError('cors says which pages: {"origin": "https://example.org"}')
            return Cors(**cors)
        if cors is not None:
            if not isinstance(cors, Cors):
                raise TypeError(f"cors is a Cors or a dict, not {cors!r}")
            return cors
        if origins is not None:
            origins = origins_list(origins)
        # Whoever says nothing gets what no page of another site can abuse.
        return Cors(origins if origins is not None else hub if hub is not None else ["same-origin"], credentials=True)

    @property
    def listed(self) -> tuple[str, ...] | None:
        """The origins that the network lets in by itself; ``None``: all."""
        origin = self.origin
        if isinstance(origin, str):
            return None if origin == "*" else (origin,)
        return None if isinstance(origin, re.Pattern) or callable(origin) else tuple(origin)

    @property
    def rule(self) -> OriginRule | None:
        """What is to be asked about the others."""
        origin = self.origin
        if isinstance(origin, re.Pattern):
            return lambda name: origin.fullmatch(name) is not None
        return origin if callable(origin) else None

    def spoken(self) -> tuple[str | None, bool, str | None, str | None, int]:
        """As `hubbub._engineio.EngineIo` has it."""
        open = "*" if self.origin == "*" else "each" if self.rule is not None else None
        allowed = None if self.allowed_headers is None else ", ".join(self.allowed_headers)
        return open, self.credentials, ", ".join(self.exposed_headers) or None, allowed, self.max_age

    def admits(self, request: Request) -> bool | Awaitable[bool]:
        """Asks the rule about a request. Who sends no Origin is no page."""
        rule, origin = self.rule, request.origin
        if rule is None or origin is None:
            return True
        return rule(*fitting(rule, origin, request))
