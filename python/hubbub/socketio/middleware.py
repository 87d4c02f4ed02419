"""Middleware: functions that are asked before a client is let in, or an event is handled."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any

from hubbub._callables import check_callable, must_wait
from hubbub.socketio.emitter import Handler, arity
from hubbub.socketio.errors import ConnectError

if TYPE_CHECKING:
    from hubbub._bridge import Bridge

__all__ = ["WrongAnswer", "ask", "check_middleware", "told_to_client"]


class WrongAnswer(TypeError):
    """A handler has returned ``False``, which looks like a refusal and is none that can be told to the client."""


def check_middleware(middleware: Handler) -> None:
    """Raises `TypeError` for what cannot be asked."""
    needs, takes, _ = arity(check_callable("use(middleware)", middleware))
    if needs > 2 or takes == 0:
        raise TypeError("a middleware is called with one argument, or with (argument, next)")


def ask(middleware: Handler, subject: Any, bridge: Bridge) -> Generator[Awaitable[Any], Any, None]:
    """Steps that ask one middleware; they raise what it raises, or gives to ``next``.

    One that takes a second argument is given ``next``, to be called without an argument, or with an error.
    """
    needs, takes, _ = arity(middleware)
    if max(needs, takes or 0) < 2:
        result = middleware(subject)
        if must_wait(result):
            result = yield result
        check_answer(result)
        return
    called = Next(bridge)
    result = middleware(subject, called)
    if must_wait(result):
        result = yield result
    check_answer(result)
    if not called.flag.is_set():
        yield wait(called)
    if called.error is not None:
        raise called.error


def check_answer(result: object) -> None:
    if result is False:
        raise WrongAnswer("a middleware returns None or raises ConnectError; it has returned False")


class Next:
    """``next``: the middleware is content, or is not."""

    __slots__ = ("error", "flag")

    def __init__(self, bridge: Bridge) -> None:
        self.flag = bridge.flag()
        self.error: Exception | None = None

    def __call__(self, error: Exception | str | None = None) -> None:
        if self.flag.is_set():
            return
        if error is not None:
            # Unlike what it raises, this was meant for the client.
            self.error = error if isinstance(error, ConnectError) else _refusal(error)
        self.flag.set()


async def wait(called: Next) -> None:
    await called.flag.wait()


def told_to_client(error: ConnectError) -> dict[str, Any]:
    """The data of CONNECT_ERROR."""
    refusal: dict[str, Any] = {"message": error.message}
    if error.data is not None:
        refusal["data"] = error.data
    return refusal


def _refusal(error: Exception | str) -> ConnectError:
    refusal = ConnectError(str(error), getattr(error, "data", None))
    if isinstance(error, Exception):
        refusal.__cause__ = error
    return refusal
