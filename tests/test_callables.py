"""What counts as a coroutine function among handlers, and what handlers of each form do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from hubbub import Hub, WebSocket
from hubbub._callables import is_awaitable, is_coroutine_function, must_wait
from support.server import Serve

pytestmark = pytest.mark.anyio


async def coroutine(ws: WebSocket, data: str | bytes) -> None:
    await ws.send(data)


def function(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)


async def with_more(more: object, ws: WebSocket, data: str | bytes) -> None:
    await ws.send(data)


class Coroutines:
    async def __call__(self, ws: WebSocket, data: str | bytes) -> None:
        await ws.send(data)

    async def method(self, ws: WebSocket, data: str | bytes) -> None:
        await ws.send(data)

    @classmethod
    async def of_class(cls, ws: WebSocket, data: str | bytes) -> None:
        await ws.send(data)

    @staticmethod
    async def static(ws: WebSocket, data: str | bytes) -> None:
        await ws.send(data)

    partial = functools.partialmethod(with_more)


class Functions:
    def __call__(self, ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    def method(self, ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)


def decorated(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def wrapper(*args: Any) -> Any:
        return handler(*args)

    return wrapper


def waiting(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def wrapper(*args: Any) -> Any:
        result = handler(*args)
        return await result if is_awaitable(result) else result

    return wrapper


COROUTINES: dict[str, Callable[..., Any]] = {
    "async def": coroutine,
    "bound method": Coroutines().method,
    "class method": Coroutines.of_class,
    "static method": Coroutines.static,
    "object": Coroutines(),
    "partial": functools.partial(with_more, 1),
    "partial of a partial": functools.partial(functools.partial(with_more, 1)),
    "partial of a method": functools.partial(Coroutines().method),
    "partial of an object": functools.partial(Coroutines()),
    "partialmethod": Coroutines().partial,
    "decorated": decorated(coroutine),
    "decorated twice": decorated(decorated(coroutine)),
    "decorated object": decorated(Coroutines()),
    "decorated partial": decorated(functools.partial(with_more, 1)),
    "async decorator": waiting(function),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "def": function,
    "lambda": lambda ws, data: function(ws, data),
    "bound method": Functions().method,
    "object": Functions(),
    "partial": functools.partial(function),
    "partial of an object": functools.partial(Functions()),
    "decorated": decorated(function),
}


@pytest.mark.parametrize("handler", COROUTINES.values(), ids=list(COROUTINES))
async def test_coroutine_functions_of_every_form_serve(serve: Serve, handler: Callable[..., Any]) -> None:
    assert is_coroutine_function(handler)
    await echoes(serve, handler)


@pytest.mark.parametrize("handler", FUNCTIONS.values(), ids=list(FUNCTIONS))
async def test_functions_of_every_form_serve(serve: Serve, handler: Callable[..., Any]) -> None:
    assert not is_coroutine_function(handler)
    await echoes(serve, handler)


async def echoes(serve: Serve, handler: Callable[..., Any]) -> None:
    hub = Hub()
    hub.on_message(handler)
    async with serve(hub) as server, server.connect() as client:
        await client.send("hello")
        assert await client.recv() == "hello"


async def test_a_decorated_coroutine_function_serves_websockets(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    @decorated
    async def greet(ws: WebSocket) -> None:
        await ws.send("hello")

    async with serve(hub) as server, server.connect() as client:
        assert await client.recv() == "hello"


def test_what_a_decorator_wraps_counts_only_where_that_is_asked() -> None:
    assert not is_coroutine_function(decorated(coroutine), follow_wrapped=False)
    assert is_coroutine_function(waiting(function), follow_wrapped=False)
    # It may run the coroutine itself.
    Hub().on_broadcast(decorated(coroutine_for_broadcasts))


async def coroutine_for_broadcasts(room: str, data: object, sender: object) -> None: ...


@pytest.mark.parametrize("thing", [int, print, len, None, 7, type], ids=repr)
def test_builtins_and_other_things_are_no_coroutine_functions(thing: object) -> None:
    assert not is_coroutine_function(thing)


def test_a_function_that_wraps_itself_is_asked_once() -> None:
    handler = decorated(function)
    handler.__wrapped__ = handler  # type: ignore[attr-defined]
    assert not is_coroutine_function(handler)


async def test_what_sending_gives_need_not_be_awaited(serve: Serve) -> None:
    hub = Hub()
    given: list[object] = []
    hub.on_message(lambda ws, data: given.extend([ws.send(data), hub.broadcast("x")]))
    async with serve(hub) as server, server.connect() as client:
        await client.send("hello")
        await client.recv()
    assert [(is_awaitable(one), must_wait(one)) for one in given] == [(True, False)] * 2
    later = coroutine_for_broadcasts("", "", None)
    assert (is_awaitable(later), must_wait(later)) == (True, True)
    later.close()
    assert not must_wait(None)
