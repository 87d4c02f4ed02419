"""Lists of the pages that may connect."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["origins_list"]

#: RFC 6454 §6.2, as browsers write it.
ORIGIN = re.compile(r"[A-Za-z][\w+.-]*://[^/?#@*\s]+")


def origins_list(origins: Sequence[str]) -> tuple[str, ...]:
    """Raises for what no browser would send: such an entry would let nobody in."""
    if isinstance(origins, str) or not all(isinstance(origin, str) and origin for origin in origins):
        raise TypeError(f"origins is a sequence of non-empty str, not {origins!r}")
    for origin in origins:
        if origin not in ("same-origin", "null") and not ORIGIN.fullmatch(origin):
            all_pages = "; every page may: Hub(origins=None), Socket.IO's Server(cors={'origin': '*'})"
            raise ValueError(
                f"an origin is written as in 'https://example.org', or is 'same-origin', not {origin!r}"
                f"{all_pages if origin == '*' else ''}"
            )
    return tuple(origins)
