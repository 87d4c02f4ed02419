"""Folders whose files the network serves: what `Hub.static` is given, checked."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hubbub._fields import header_fields

__all__ = ["Folder", "folder"]

#: Seconds: a year, beyond which RFC 9111 has no use for it.
MAX_AGE = 31_536_000

#: The network says these by itself, for each file.
_OURS = re.compile(
    "accept-ranges|allow|connection|content-(encoding|length|range|type)|date|etag|last-modified|location|"
    "transfer-encoding|upgrade|x-content-type-options",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Folder:
    """A folder, as the core reads it when it starts."""

    path: str
    index: str | None
    headers: list[tuple[str, str]]
    dotfiles: bool
    follow_symlinks: bool
    cache_bytes: int


def folder(
    path: str | os.PathLike[str],
    index: str | None,
    max_age: float | None,
    headers: Mapping[str, str] | None,
    dotfiles: bool,
    follow_symlinks: bool,
    cache_bytes: int,
) -> Folder:
    """Raises what `Hub.static` says."""
    path = os.path.abspath(path)
    if not os.path.isdir(path):
        code = errno.ENOTDIR if os.path.exists(path) else errno.ENOENT
        raise OSError(code, os.strerror(code), path)
    if index is not None and (not isinstance(index, str) or not index or "/" in index or "\0" in index):
        raise ValueError(f"an index is the name of a file, or None, not {index!r}")
    if not isinstance(cache_bytes, int) or cache_bytes < 0:
        raise ValueError(f"cache_bytes is a whole number from 0 on, not {cache_bytes!r}")
    fields = header_fields(headers or {}, _OURS)
    if max_age is not None:
        if not isinstance(max_age, (int, float)) or not 0 <= max_age <= MAX_AGE:
            raise ValueError(f"max_age is seconds from 0 to a year, or None, not {max_age!r}")
        if any(name.lower() == "cache-control" for name, _ in fields):
            raise ValueError("max_age is said by Cache-Control: give one of them")
        fields.append(("Cache-Control", f"max-age={int(max_age)}"))
    return Folder(path, index, fields, bool(dotfiles), bool(follow_symlinks), cache_bytes)
