"""Choosing and running an event loop, for `Hub.run`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["LOOPS", "run"]

LOOPS = ("auto", "asyncio", "uvloop", "trio")


def run(loop: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main`` in a new event loop of this kind."""
    if loop == "trio":
        import trio

        trio.run(main)
    elif loop == "asyncio" or (loop == "auto" and not _has_uvloop()):
        asyncio.run(main())
    elif loop in ("auto", "uvloop"):
        import uvloop

        uvloop.run(main())
    else:
        raise ValueError(f"loop is one of {', '.join(LOOPS)}, not {loop!r}")


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True
