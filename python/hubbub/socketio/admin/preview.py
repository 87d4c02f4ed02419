"""What the page is shown of values: JSON, and never much of it, whatever they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = ["preview"]

#: Characters of what is shown of one value, about; each item of a list or dict counts as one more.
MAX_CHARS = 1_000

#: Lists and dicts within each other.
MAX_DEPTH = 10

#: JavaScript has no whole numbers beyond that.
MAX_SAFE_INTEGER = (1 << 53) - 1

#: Stands for what is left out.
MORE = "\u2026"


def preview(value: Any, chars: int = MAX_CHARS) -> Any:
    """The value as JSON has it, cut where it gets long. Bytes, and what JSON does not have, are named instead."""
    return _Budget(chars).show(value, 0)


class _Budget:
    __slots__ = ("left",)

    def __init__(self, chars: int) -> None:
        self.left = chars

    def show(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int):
            return int(value) if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else named(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else repr(float(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"<{len(value)} bytes>"
        try:
            if isinstance(value, dict):
                return self.pairs(value.items(), depth)
            if isinstance(value, (list, tuple, set, frozenset)):
                return self.items(value, depth)
        except Exception:  # Somebody's own kind of list, say, or one that another thread changes.
            pass
        return named(value)

    def text(self, text: str) -> str:
        room = max(self.left, 0)
        shown = text if len(text) <= room else text[:room] + MORE
        self.left -= len(shown)
        # What Python has in a text and UTF-8 does not is a lone surrogate.
        return shown if shown.isascii() else shown.encode("utf-8", "replace").decode()

    def pairs(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> Any:
        shown: dict[str, Any] = {}
        for key, value in pairs:
            if self.left <= 0 or depth >= MAX_DEPTH:
                shown[MORE] = MORE
                break
            shown[self.text(key if isinstance(key, str) else str(preview(key)))] = self.show(value, depth + 1)
        return shown

    def items(self, items: Iterable[Any], depth: int) -> list[Any]:
        shown: list[Any] = []
        for item in items:
            if self.left <= 0 or depth >= MAX_DEPTH:
                shown.append(MORE)
                break
            shown.append(self.show(item, depth + 1))
        return shown


def named(value: object) -> str:
    return f"<{type(value).__name__}>"
