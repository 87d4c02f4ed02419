"""Functions and coroutines in one order: work that waits only where a handler does.

Steps are a generator. It calls handlers; what a coroutine handler returns it yields, and gets the result. As long as
nothing is yielded no task is needed: `begin` runs the steps straight from the batch. From the first thing that must be
awaited, `finish` goes on with them in a task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any

from hubbub._failures import as_exception, ends_task

__all__ = ["Steps", "begin", "finish"]

Steps = Generator[Awaitable[Any], Any, None]


def begin(steps: Steps) -> Awaitable[Any] | None:
    """Takes the steps up to the first that must be awaited, and gives that; ``None``: they are done."""
    return next(steps, None)


async def finish(steps: Steps, awaitable: Awaitable[Any] | None) -> None:
    """Awaits, and takes the steps that are left."""
    while awaitable is not None:
        try:
            result = await awaitable
        except BaseException as error:
            # That a part of the handler was cancelled is its failure; that the task was, ends the steps.
            thrown = error if ends_task(error) else as_exception(error)
            try:
                # Here it is handled as if the handler had raised it at once.
                awaitable = steps.throw(thrown)
            except StopIteration:
                return
        else:
            try:
                awaitable = steps.send(result)
            except StopIteration:
                return
