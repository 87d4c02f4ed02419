"""Functions and coroutines in one order: work that waits only where a handler does.

Steps are a generator. It calls handlers; what a coroutine handler returns it yields, and gets the result. As long as
nothing is yielded no task is needed: `begin` runs the steps straight from the batch. From the first thing that must be
awaited, `finish` goes on with them in a task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from types import CoroutineType
from typing import Any

from hubbub import _core
from hubbub._failures import as_exception, ends_task

__all__ = ["IGNORED", "Steps", "begin", "finish", "must_wait"]

Steps = Generator[Awaitable[Any], Any, None]

#: What sending gives may be ignored: a function that returns it has returned nothing.
IGNORED = (_core.Done, _core.Wait, _core.Delivery)


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


def must_wait(result: object) -> bool:
    """What a handler has returned is there to be awaited."""
    if result is None:
        return False
    return type(result) is CoroutineType or (isinstance(result, Awaitable) and not isinstance(result, IGNORED))
