"""Header fields that a program gives, checked where they are written."""

from __future__ import annotations

import re
from collections import UserDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

__all__ = ["TOKEN", "ResponseHeaders", "header_fields", "pairs"]

#: RFC 9110 §5.6.2.
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


#: What a value may not have: it would make further fields of it (RFC 9110 §5.5).
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$")

#: What the network says by itself when a session opens.
_OPENING = re.compile(r"connection|content-length|transfer-encoding|upgrade|sec-websocket-.*", re.IGNORECASE)

if TYPE_CHECKING:
    _Fields = UserDict[str, str | list[str]]
else:
    _Fields = UserDict


def pairs(headers: Mapping[str, str | list[str] | tuple[str, ...]]) -> list[tuple[str, str]]:
    """Names and values; a list of values is as many fields. Raises for what is no field."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers is a dict of names and values, not {headers!r}")
    fields = []
    for name, given in headers.items():
        if not isinstance(name, str):
            raise TypeError(f"a header's name is str, not {name!r}")
        if not TOKEN.fullmatch(name):
            raise ValueError(f"a header's name is a token, not {name!r}")
        values = given if isinstance(given, (list, tuple)) else [given]
        for value in values:
            if not isinstance(value, str):
                raise TypeError(f"the value of {name} is str, or a list of str for several fields, not {given!r}")
            if _CONTROL.search(value):
                raise ValueError(f"the value of {name} has control characters, or white space around it: {value!r}")
            fields.append((name, value))
    return fields


class ResponseHeaders(_Fields):
    """Fields to add to the response that opens a session: a dict that takes what may be sent, and nothing else.

    A list of values is as many fields. ValueError is raised for what the network says by itself: Connection, Upgrade,
    Content-Length, Transfer-Encoding, Sec-WebSocket-*.
    """

    def __setitem__(self, name: str, value: str | list[str]) -> None:
        pairs({name: value})
        if _OPENING.fullmatch(name):
            raise ValueError(f"{name} is said by the network itself")
        super().__setitem__(name, value)


def header_fields(headers: Mapping[str, str], ours: re.Pattern[str]) -> list[tuple[str, str]]:
    """The fields in a list; `ours` are those that the network says by itself."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers is a dict of names and values, not {headers!r}")
    for name, value in headers.items():
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise ValueError(f"a header's name is a token, not {name!r}")
        if ours.fullmatch(name):
            raise ValueError(f"{name} is said by the network itself")
        if not isinstance(value, str) or not value.isascii() or not value.replace("\t", " ").isprintable():
            raise ValueError(f"a header's value is printable ASCII, not {value!r}")
    return list(headers.items())
