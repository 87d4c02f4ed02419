"""Where and when the handlers of a Socket.IO server run: in the event loop's thread, in the order of the calls."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hubbub._callables import must_wait
from hubbub.socketio.emitter import Handler, fitting
from hubbub.socketio.errors import report
from hubbub.socketio.steps import Steps, begin, finish

if TYPE_CHECKING:
    from hubbub._bridge import Bridge
    from hubbub._running import Running

__all__ = ["Scheduler"]


class Scheduler:
    """Runs handlers, and takes over what other threads have sent."""

    def __init__(self, running: Running, name: str) -> None:
        self._running = running
        self._name = name
        self._thread: int | None = None
        #: What other threads send, until the event loop's does it.
        self._handed_over: deque[Callable[[], object]] = deque()
        self._taking_over = False

    @property
    def bridge(self) -> Bridge:
        """The event loop of the hub's run.

        Raises:
            NotRunning: the hub does not run.
        """
        self._running.required()
        assert self._running.run is not None
        return self._running.run.bridge

    # ---- handlers

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]], whom: object) -> None:
        """Run a handler in a task of its own."""
        self.bridge.spawn(work, "a handler", whom)

    def notify_steps(self, handlers: Sequence[Handler], event: str, *args: Any) -> Steps:
        """Steps that call each of the handlers with as many of the arguments as it takes."""
        for handler in handlers:
            try:
                result = handler(*fitting(handler, *args))
                if must_wait(result):
                    yield result
            except Exception as error:
                report(event, error, args[0] if args else None)

    def notify(self, handlers: Sequence[Handler], event: str, *args: Any) -> None:
        """Call each of the handlers; nothing waits for those that are coroutines."""
        if handlers:
            steps = self.notify_steps(handlers, event, *args)
            awaitable = begin(steps)
            if awaitable is not None:
                self.spawn(lambda: finish(steps, awaitable), self)

    def await_result(self, result: Any, event: str) -> None:
        """Await what a handler has returned, in a task of its own."""

        def steps() -> Steps:
            try:
                yield result
            except Exception as error:
                report(event, error)

        waiting = steps()
        self.spawn(lambda: finish(waiting, begin(waiting)), self)

    # ---- threads

    def enter(self) -> None:
        """Remember that this is the event loop's thread."""
        self._thread = threading.get_ident()

    def is_elsewhere(self) -> bool:
        """Say whether this is another thread than the event loop's."""
        return self._thread is not None and threading.get_ident() != self._thread

    def hand_over(self, work: Callable[[], object]) -> None:
        """Do it in the event loop's thread, before anything that is called there from now on."""
        self._handed_over.append(work)
        self.bridge.call_soon_threadsafe(self.take_over)

    def take_over(self) -> None:
        """Do what other threads have handed over.

        Everything that sends, or changes who is in which room, calls this first: the order of the calls counts.
        """
        if self._taking_over or self.is_elsewhere():
            return
        self._taking_over = True
        try:
            while self._handed_over:
                try:
                    self._handed_over.popleft()()
                except Exception as error:
                    report("emit", error)
        finally:
            self._taking_over = False

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Do what other threads have handed over so far; what they hand over in the block waits for its end."""
        self.take_over()
        before, self._taking_over = self._taking_over, True
        try:
            yield
        finally:
            self._taking_over = before

    def __repr__(self) -> str:
        return self._name
