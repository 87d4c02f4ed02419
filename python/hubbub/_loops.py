"""Choosing and running an event loop, for `Hub.run`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hubbub._bridge import end_others

__all__ = ["LOOPS", "run"]

#: Seconds for the program's own tasks, which are cancelled at the end, to end.
GRACE = 0.5

LOOPS = ("auto", "asyncio", "uvloop", "trio")


def run(loop: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main`` in a new event loop of this kind."""
    if loop == "trio":
        import trio

        trio.run(main)
    elif loop == "asyncio" or (loop == "auto" and not _has_uvloop()):
        asyncio.run(_bounded(main))
    elif loop in ("auto", "uvloop"):
        import uvloop

        uvloop.run(_bounded(main))
    else:
        raise ValueError(f"loop is one of {', '.join(LOOPS)}, not {loop!r}")


async def _bounded(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main``; nothing is left for ``asyncio.run`` to wait for, tasks that go on although cancelled included."""
    try:
        await main()
    finally:
        await end_others(GRACE)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True
