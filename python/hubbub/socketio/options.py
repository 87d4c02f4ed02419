"""The options of a server, checked where they are written: what is wrong would else be met by the first client."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from dataclasses import replace

from hubbub.limits import Limits

__all__ = [
    "DEFAULT_BUFFER_SIZE",
    "OUR_FIELDS",
    "check_choice",
    "check_flag",
    "check_number",
    "check_room",
    "check_seconds",
    "limits_for",
]

#: Bytes of one message: that of the JavaScript server.
DEFAULT_BUFFER_SIZE = 1_000_000

#: Fields that are said by the network: those of the protocols, and what `cors` is for.
OUR_FIELDS = re.compile(
    "access-control-.*|connection|content-(length|type)|sec-websocket-.*|transfer-encoding|upgrade", re.IGNORECASE
)

MAX_SECONDS = 86_400.0 * 365

#: Longer times are milliseconds, most likely: those are what the JavaScript server has.
SUSPICIOUS_SECONDS = 3600.0


def check_seconds(name: str, value: object, *, optional: bool = False) -> None:
    """A time above 0, up to a year; ``None`` if it is optional."""
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is seconds{' or None' if optional else ''}, not {value!r}")
    if not 0 < value <= MAX_SECONDS:
        raise ValueError(f"{name} is seconds, more than 0 and at most a year, not {value!r}")
    if value > SUSPICIOUS_SECONDS:
        warnings.warn(f"{name}={value!r} is seconds here, not milliseconds: {value / 3600:.1f} hours", stacklevel=3)


def check_number(name: str, value: object, least: int, most: int = (1 << 32) - 1) -> None:
    """A whole number within these bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is a whole number from {least} on, not {value!r}")
    if value > most:
        raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")


def check_flag(name: str, value: object) -> None:
    """``True`` or ``False``."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, not {value!r}")


def check_choice(name: str, given: object, choices: Collection[str]) -> None:
    """One or several of the choices."""
    if isinstance(given, str) or not isinstance(given, Collection) or not given or any(x not in choices for x in given):
        raise ValueError(f"{name} is a list of some of {', '.join(map(repr, choices))}, not {given!r}")


def check_room(size: int, limits: Limits) -> None:
    """A size that was asked for gets through the limits of the hub. If it is no more than the default, they hold."""
    for name in ("max_message_bytes", "max_body_bytes"):
        limit = getattr(limits, name)
        if limit is not None and size > max(limit, DEFAULT_BUFFER_SIZE):
            raise ValueError(f"max_http_buffer_size is {size}, but the hub has Limits({name}={limit}), which is less")


def limits_for(size: int) -> Limits:
    """The limits of a hub for messages of this size."""
    most, body = Limits.max_message_bytes or 0, Limits.max_body_bytes or 0
    return replace(Limits(), max_message_bytes=max(size, most), max_body_bytes=max(size, body))
