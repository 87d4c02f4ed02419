"""Handlers as functions and as coroutines, from one definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["KINDS", "as_coroutine", "as_function"]

Handler = Callable[..., Any]


def as_function(handler: Handler) -> Handler:
    return handler


def as_coroutine(handler: Handler) -> Handler:
    """The same, `async def`, with the same parameters."""
    import anyio

    names = handler.__code__.co_varnames[: handler.__code__.co_argcount]

    async def coroutine(*args: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return handler(*args)

    assert len(names) <= 3
    return coroutine


KINDS = (as_function, as_coroutine)
