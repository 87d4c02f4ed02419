"""Choosing and running an event loop, for `Hub.run`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal, get_args

from hubbub._bridge import end_others

__all__ = ["LOOPS", "ImportRuns", "Loop", "check_free", "importing", "run"]

#: Seconds for the program's own tasks, which are cancelled at the end, to end.
GRACE = 0.5

Loop = Literal["auto", "asyncio", "uvloop", "trio"]

LOOPS: tuple[Loop, ...] = get_args(Loop)

#: The module that the command line imports, to find a hub in it.
importing: ContextVar[str | None] = ContextVar("importing", default=None)


class ImportRuns(RuntimeError):
    """The module that a hub is looked for in runs one itself."""


def check_free() -> None:
    """Raises `RuntimeError` where a loop runs already, and in a module that is only to be imported."""
    module = importing.get()
    if module is not None:
        raise ImportRuns(
            f'"{module}" runs the hub itself, with its own arguments: put hub.run(...) below '
            '`if __name__ == "__main__":`, or start it with python'
        )
    if _loop_is_running():
        raise RuntimeError(
            "hub.run starts an event loop, and one is running here already: `await hub.serve(...)` serves in it until "
            "hub.stop(), `async with hub.listening(...)` for the length of a block"
        )


def _loop_is_running() -> bool:
    if "trio" in sys.modules:
        import trio

        with suppress(RuntimeError):
            trio.lowlevel.current_trio_token()
            return True
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False


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
