"""Header fields that a program gives, checked where they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["TOKEN", "header_fields"]

#: RFC 9110 §5.6.2.
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


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
