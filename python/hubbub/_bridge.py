"""The only module that knows event loops: asyncio (and uvloop, which is asyncio to us) and trio.

The core is driven by one descriptor that must be watched, and three callbacks: soon, later, and (on trio) a way to
park a task. Sessions that are served by coroutines run in tasks that this module starts and cancels.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Generator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

from hubbub import _core
from hubbub._failures import ends_task

if TYPE_CHECKING:
    import trio

__all__ = [
    "AsyncioBridge",
    "Bridge",
    "Flag",
    "Inlet",
    "Start",
    "Task",
    "Timer",
    "TrioBridge",
    "Work",
    "current_bridge",
    "end_others",
]

logger = logging.getLogger("hubbub")

#: Bytes received at a time.
_RECEIVE_BYTES = 65536

Work = Callable[[], Coroutine[Any, Any, None]]
#: Runs something as a task.
Start = Callable[[Work], object]


class Flag(Protocol):
    """An event that can be set from anywhere in the loop's thread."""

    def set(self) -> object: ...
    def is_set(self) -> bool: ...
    async def wait(self) -> object: ...


class Task(Protocol):
    """A session's task."""

    def cancel(self) -> object: ...
    def done(self) -> bool: ...


class Timer(Protocol):
    """Something that will be called later."""

    def cancel(self) -> object: ...


class Inlet(Protocol):
    """What comes by a socket that does not block; one task at a time receives."""

    async def receive(self) -> bytes:
        """Waits for bytes; none at the end, however it came."""
        ...

    def close(self) -> None:
        """Ends the watching."""


class Bridge(Protocol):
    """What the hub needs of an event loop."""

    def start(self, server: _core.Server) -> None:
        """Starts the server in this loop and watches its descriptor."""

    def stop_watching(self) -> None:
        """Ends the watching."""

    def spawn(self, work: Work, *about: object) -> Task:
        """Runs a coroutine as a task of the loop. ``about`` names it: what it is, and for whom."""
        ...

    def tasks(self) -> list[str]:
        """The names of the tasks that were spawned, have one, and have not ended."""
        ...

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        """Calls back in the loop, from any thread."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Calls back after `delay` seconds."""
        ...

    def flag(self) -> Flag:
        """A new event."""
        ...

    def semaphore(self, value: int) -> Any:
        """A new semaphore of the loop's own kind."""

    async def wait(self, flag: Flag, timeout: float | None) -> bool:
        """Waits for the flag; false if the time is over."""
        ...

    async def shielded(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs to its end, whatever is cancelled meanwhile."""

    async def ended(self, tasks: Collection[Any], timeout: float | None) -> None:
        """Waits for the ends of tasks that were spawned, for at most so many seconds."""

    async def drain(self, grace: float) -> None:
        """Cancels all tasks that were spawned, and waits for their ends, for at most so many seconds.

        Those that do not end by then are left alone; nothing waits for them any more.
        """

    def ending(self) -> AbstractContextManager[None]:
        """Ends the block with what a handler raises to end the program: KeyboardInterrupt, SystemExit."""
        ...

    def is_here(self) -> bool:
        """The loop that runs this is the bridge's."""
        ...

    def is_over(self) -> bool:
        """The loop will not run any more."""
        ...

    def beside(self) -> AbstractAsyncContextManager[Start]:
        """Runs tasks while the block runs; they are cancelled at its end, which waits for them."""
        ...

    def inlet(self, sock: socket.socket) -> Inlet:
        """What comes by the socket."""
        ...

    async def send(self, sock: socket.socket, data: bytes) -> None:
        """Waits until a socket that does not block has taken all of it."""


def current_bridge() -> Bridge:
    """The bridge to the event loop that is running."""
    if "trio" in sys.modules:
        import trio

        with suppress(RuntimeError):
            return TrioBridge(trio.lowlevel.current_trio_token())
    return AsyncioBridge(asyncio.get_running_loop())


class AsyncioBridge:
    """asyncio, and what is built on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fd = -1
        #: And what they are about.
        self._tasks: dict[asyncio.Task[None], tuple[object, ...]] = {}

    def start(self, server: _core.Server) -> None:
        server.start(self._loop, self._loop.call_soon, self._loop.call_later, None)
        self._fd = server.fileno()
        self._loop.add_reader(self._fd, server.turn)
        server.turn()

    def stop_watching(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1

    def spawn(self, work: Work, *about: object) -> asyncio.Task[None]:
        task = _create_task(self._loop, work())
        self._tasks[task] = about
        task.add_done_callback(self._tasks.pop)
        return task

    def tasks(self) -> list[str]:
        return [_named(about) for about in self._tasks.values() if about]

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(callback)

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay, callback)

    def flag(self) -> asyncio.Event:
        return asyncio.Event()

    def semaphore(self, value: int) -> asyncio.Semaphore:
        return asyncio.Semaphore(value)

    async def wait(self, flag: Flag, timeout: float | None) -> bool:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(flag.wait(), timeout)
        return flag.is_set()

    async def shielded(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(task)
        task.result()

    async def ended(self, tasks: Collection[asyncio.Task[None]], timeout: float | None) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    async def drain(self, grace: float) -> None:
        for task in self._tasks:
            task.cancel()
        await self.ended([*self._tasks], grace)
        for task in self._tasks:
            _disown(task)

    def ending(self) -> AbstractContextManager[None]:
        return nullcontext()  # asyncio lets it out of the loop by itself

    def is_here(self) -> bool:
        return asyncio.get_running_loop() is self._loop

    def is_over(self) -> bool:
        return self._loop.is_closed()

    def beside(self) -> _AsyncioBeside:
        return _AsyncioBeside(self._loop)

    def inlet(self, sock: socket.socket) -> _AsyncioInlet:
        return _AsyncioInlet(self._loop, sock)

    async def send(self, sock: socket.socket, data: bytes) -> None:
        await self._loop.sock_sendall(sock, data)


if hasattr(asyncio.Task, "cancelling"):

    def _create_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return loop.create_task(coroutine)

else:  # Python 3.10

    class _CountingTask(asyncio.Task[None]):
        """Knows whether it was cancelled, as tasks do from Python 3.11 on."""

        _cancellations = 0

        def cancel(self, msg: Any | None = None) -> bool:
            self._cancellations += not self.done()
            return super().cancel(msg)

        def cancelling(self) -> int:
            return self._cancellations

    def _create_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return _CountingTask(coroutine, loop=loop)


def _disown(task: asyncio.Task[Any]) -> None:
    """Lets the loop end without a task that goes on although it was cancelled: ``asyncio.run`` would wait for it."""
    # Python documents it for those who bring tasks of their own ("Extending").
    asyncio.tasks._unregister_task(task)
    # At the end it is destroyed as it is; that has been said.
    task._log_destroy_pending = False  # type: ignore[attr-defined]


async def end_others(grace: float) -> None:
    """Cancels all tasks of this loop but the one that runs, and waits for so many seconds for their ends."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        _, left = await asyncio.wait(others, timeout=grace)
        for task in left:
            logger.error("given up, as it goes on although it was cancelled: %r", task)
            _disown(task)


def _named(about: tuple[object, ...]) -> str:
    return " for ".join(map(str, about)) or "a task"


class _AsyncioBeside:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Start:
        return self._begin

    def _begin(self, work: Work) -> None:
        task = self._loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class _AsyncioInlet:
    """Stays registered from one wait to the next: no system call but the receiving itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._watched = False
        self._waiter: asyncio.Future[bytes] | None = None

    async def receive(self) -> bytes:
        if not self._watched:
            self._loop.add_reader(self._sock, self._readable)
            self._watched = True
        self._waiter = self._loop.create_future()
        return await self._waiter

    def _readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            # Nobody wants it for now: it waits in the kernel, and who sends it waits in the end.
            self.close()
            return
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._waiter = None
        waiter.set_result(data)

    def close(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._sock)


class TrioBridge:
    """trio."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        #: And what they are about.
        self._tasks: dict[_TrioTask, tuple[object, ...]] = {}
        self._watch: trio.CancelScope | None = None
        self._block: trio.CancelScope | None = None
        self._fatal: BaseException | None = None

    def start(self, server: _core.Server) -> None:
        import trio

        server.start(self._token, self._call_soon, self._later, park)
        self._watch = trio.CancelScope()
        self._system_task(self._watch_descriptor, server, self._watch)
        server.turn()

    def stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def spawn(self, work: Work, *about: object) -> _TrioTask:
        import trio

        task = _TrioTask(trio.CancelScope(), trio.Event())
        self._tasks[task] = about
        self._system_task(self._run, task, work)
        return task

    def tasks(self) -> list[str]:
        return [_named(about) for about in self._tasks.values() if about]

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        self._token.run_sync_soon(callback)

    def call_later(self, delay: float, callback: Callable[[], object]) -> trio.CancelScope:
        return self._later(delay, callback)

    def flag(self) -> trio.Event:
        import trio

        return trio.Event()

    def semaphore(self, value: int) -> trio.Semaphore:
        import trio

        return trio.Semaphore(value)

    async def wait(self, flag: Flag, timeout: float | None) -> bool:
        import trio

        with trio.move_on_after(float("inf") if timeout is None else timeout):
            await flag.wait()
        return flag.is_set()

    async def shielded(self, work: Coroutine[Any, Any, None]) -> None:
        import trio

        with trio.CancelScope(shield=True):
            await work

    async def ended(self, tasks: Collection[_TrioTask], timeout: float | None) -> None:
        import trio

        with trio.move_on_after(float("inf") if timeout is None else timeout):
            for task in tasks:
                await task.over.wait()

    async def drain(self, grace: float) -> None:
        for task in self._tasks:
            task.cancel()
        await self.ended([*self._tasks], grace)

    @contextmanager
    def ending(self) -> Iterator[None]:
        import trio

        with trio.CancelScope() as self._block:
            yield
        if self._fatal is not None:
            raise self._fatal

    def is_here(self) -> bool:
        import trio

        return trio.lowlevel.current_trio_token() is self._token

    def is_over(self) -> bool:
        import trio

        try:
            self._token.run_sync_soon(lambda: None)
        except trio.RunFinishedError:
            return True
        return False

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Start]:
        import trio

        async with trio.open_nursery() as nursery:
            yield nursery.start_soon
            nursery.cancel_scope.cancel()

    def inlet(self, sock: socket.socket) -> _TrioInlet:
        return _TrioInlet(sock)

    async def send(self, sock: socket.socket, data: bytes) -> None:
        import trio

        view = memoryview(data)
        while view:
            try:
                view = view[sock.send(view) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(sock)

    # ---- how

    def _system_task(self, work: Callable[..., Awaitable[object]], *args: Any) -> None:
        import trio

        # A system task belongs to no nursery of the user's, so that a session can outlive who started the server.
        # As a task of asyncio's does, it begins with a copy of the context that it is started in.
        trio.lowlevel.spawn_system_task(work, *args, context=copy_context())

    async def _watch_descriptor(self, server: _core.Server, watch: trio.CancelScope) -> None:
        import trio

        fd = server.fileno()
        with watch:
            # It may have been woken and cancelled in the same turn; then the descriptor is closed by now.
            while not watch.cancel_called:
                await trio.lowlevel.wait_readable(fd)
                if not watch.cancel_called:
                    self._call(server.turn)

    async def _run(self, task: _TrioTask, work: Work) -> None:
        import trio

        try:
            with task.scope:
                await work()
        except (trio.Cancelled, GeneratorExit):
            raise
        except BaseException as error:
            if ends_task(error):
                self._fail(error)
            else:
                # A system task of trio's may raise nothing: it would take the loop with it.
                logger.error("%s has failed", _named(self._tasks[task]), exc_info=error)
        finally:
            del self._tasks[task]
            task.over.set()

    def _call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self._token.run_sync_soon(self._call, callback, *args)

    def _call(self, callback: Callable[..., object], *args: object) -> None:
        try:
            callback(*args)
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        # Out of a system task it would be an internal error of trio's: the block that serves raises it instead.
        self._fatal = self._fatal or error
        if self._block is not None:
            self._block.cancel()

    def _later(self, delay: float, callback: Callable[[], object]) -> trio.CancelScope:
        import trio

        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep(delay)
                self._call(callback)

        trio.lowlevel.spawn_system_task(wait)
        return scope


class _TrioInlet:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def receive(self) -> bytes:
        import trio

        while True:
            try:
                return self._sock.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
            except OSError:
                return b""

    def close(self) -> None:
        pass


class _TrioTask:
    __slots__ = ("over", "scope")

    def __init__(self, scope: trio.CancelScope, over: trio.Event) -> None:
        self.scope = scope
        self.over = over

    def cancel(self) -> None:
        self.scope.cancel()

    def done(self) -> bool:
        return self.over.is_set()


def park(awaitable: Any) -> Generator[Any, Any, Any]:
    """Awaits one of the core's awaitables on trio: what an asyncio task does with the waiters it yields."""
    import trio

    while True:
        try:
            waiter = next(awaitable)
        except StopIteration as done:
            return done.value
        parked = _Parked(trio.lowlevel.current_task(), waiter)
        waiter.add_done_callback(parked.wake)
        yield from trio.lowlevel.wait_task_rescheduled(parked.abort).__await__()


class _Parked:
    """A task of trio's that waits here: woken once, or cancelled once, and never both."""

    __slots__ = ("_task", "_waiter")

    def __init__(self, task: trio.lowlevel.Task, waiter: _core.Waiter) -> None:
        self._task: trio.lowlevel.Task | None = task
        self._waiter = waiter

    def wake(self, _: object) -> None:
        import trio

        # It may have been cancelled after the waking was put in the loop's queue.
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def abort(self, _: object) -> trio.lowlevel.Abort:
        import trio

        self._task = None
        self._waiter.forget()
        return trio.lowlevel.Abort.SUCCEEDED
