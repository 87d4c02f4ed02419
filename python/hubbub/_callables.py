"""Function or coroutine: what a handler is before it is called, and what it has returned."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from functools import partial
from types import CoroutineType, MethodType
from typing import Any, TypeGuard, TypeVar

from hubbub import _core

__all__ = ["IGNORED", "check_callable", "is_awaitable", "is_coroutine_function", "must_wait"]

H = TypeVar("H")

#: What sending gives may be ignored: a function that returns it has returned nothing.
IGNORED = (_core.Done, _core.Wait, _core.Delivery)


def is_coroutine_function(handler: object, *, follow_wrapped: bool = True) -> bool:
    """Say whether calling the handler gives a coroutine.

    It looks into `functools.partial` objects, bound methods and objects whose ``__call__`` is ``async def``.

    Args:
        handler: the function, method or object.
        follow_wrapped: a decorated function that is no coroutine function counts as what it wraps (``__wrapped__``).
    """
    seen: set[int] = set()
    while id(handler) not in seen:
        seen.add(id(handler))
        if inspect.iscoroutinefunction(handler):
            return True
        if isinstance(handler, partial):
            handler = handler.func
        elif isinstance(handler, MethodType):
            handler = handler.__func__
        elif follow_wrapped and hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__
        else:
            # Of a function, it is the interpreter's own, which has no other.
            handler = type(handler).__call__
    return False


def is_awaitable(result: object) -> TypeGuard[Awaitable[Any]]:
    """Say whether what a handler has returned can be awaited."""
    return result is not None and (type(result) is CoroutineType or inspect.isawaitable(result))


def must_wait(result: object) -> TypeGuard[Awaitable[Any]]:
    """Say whether what a handler has returned is there to be awaited: not what sending gives."""
    return is_awaitable(result) and not isinstance(result, IGNORED)


def check_callable(what: str, handler: H) -> H:
    """Give the handler. Raises for a value that cannot be called as a handler.

    Raises:
        TypeError: it is not callable, or a generator function.
    """
    if not callable(handler):
        raise TypeError(f"{what} takes a function or coroutine function, not {handler!r}")
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        name = getattr(handler, "__qualname__", None) or handler
        raise TypeError(f"{what} takes a function or coroutine function; {name!r} is a generator function")
    return handler
