"""What an exception that comes out of a handler means: its failure, the end of its client, or that of its task."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["HandlerCancelled", "as_exception", "ends_task", "failure_of", "tell_hidden"]

logger = logging.getLogger("hubbub")

#: What programs deal with as a matter of course: it hides nothing that a client goes meanwhile.
_COURSE = (TimeoutError, asyncio.TimeoutError, asyncio.CancelledError, StopAsyncIteration)


class HandlerCancelled(RuntimeError):
    """A handler has raised what is no `Exception`: what it awaited was cancelled, most often. The cause is that."""


def ends_task(error: BaseException) -> bool:
    """The task was cancelled from outside, or the program ends: nobody may keep that.

    Everything else is the handler's own, a ``CancelledError`` of something that it has awaited included.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        return True
    if isinstance(error, asyncio.CancelledError):
        return _is_cancelled()
    members = members_of(error)
    if members:
        return any(map(ends_task, members))
    trio = sys.modules.get("trio")
    return trio is not None and isinstance(error, trio.Cancelled)


def _is_cancelled() -> bool:
    """Somebody has cancelled the task that runs this."""
    try:
        task: Any = asyncio.current_task()
    except RuntimeError:
        return False
    # Before Python 3.11 only the tasks of `hubbub._bridge` count it.
    return task is not None and hasattr(task, "cancelling") and task.cancelling() > 0


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions in a group."""
    # Before Python 3.11 groups are those of the package exceptiongroup.
    members = getattr(error, "exceptions", ())
    return members if isinstance(members, tuple) and hasattr(error, "split") else ()


def as_exception(error: BaseException) -> Exception:
    """A handler's own failure as what ``except Exception`` catches."""
    if isinstance(error, Exception):
        return error
    failure = HandlerCancelled("the handler was not cancelled, but what it awaited was")
    if not isinstance(error, asyncio.CancelledError):
        failure = HandlerCancelled(f"the handler has raised {type(error).__name__}, which is no Exception")
    failure.__cause__ = error
    return failure


def failure_of(error: BaseException, is_gone: Callable[[BaseException], bool]) -> BaseException | None:
    """What of it is the handler's failure; ``None``: all it says is that its client has gone.

    Of a group that is what is left without the members that say so.
    """
    if not members_of(error):
        return None if is_gone(error) else error
    _, rest = error.split(is_gone)  # type: ignore[attr-defined]
    failure: BaseException | None = rest
    return failure


def tell_hidden(error: BaseException, is_gone: Callable[[BaseException], bool], *whose: Any) -> None:
    """Logs what was raised before a client was found to have gone, in a ``finally`` that sends, say."""
    for member in members_of(error):
        tell_hidden(member, is_gone, *whose)
    hidden, seen = error.__context__, {id(error)}
    while hidden is not None and id(hidden) not in seen:
        seen.add(id(hidden))
        if isinstance(hidden, Exception) and not isinstance(hidden, _COURSE) and failure_of(hidden, is_gone):
            logger.warning("the client of %r has gone while this was being dealt with", *whose, exc_info=hidden)
            return
        hidden = hidden.__context__
