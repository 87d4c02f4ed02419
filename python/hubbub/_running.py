"""The run of a hub, as its rooms, sessions and protocols see it: the core's server, while there is one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from hubbub import _core
from hubbub.errors import NotRunning

if TYPE_CHECKING:
    from hubbub._bridge import Bridge, Flag
    from hubbub.limits import OutboxPolicy

__all__ = ["Run", "Running"]

logger = logging.getLogger("hubbub")


class Run(Protocol):
    """One run of a hub, from its listeners to its end: `hubbub._serving.Serving`."""

    server: _core.Server
    bridge: Bridge
    tls: tuple[Any, ...] | None
    stopping: Flag
    leaving: bool

    async def start(self) -> None: ...
    async def stop(self, timeout: float) -> None: ...


class Running:
    """What a hub shares with its parts.

    Attributes:
        run: the run; `None` while the hub does not run.
        server: the core's server in it; `None` while the hub does not run.
        room_settings: policy and history that rooms were given while the hub was not running, by the room's name.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.server: _core.Server | None = None
        self.room_settings: dict[str, tuple[OutboxPolicy | None, int | None]] = {}

    def required(self) -> _core.Server:
        """The core's server.

        Raises:
            NotRunning: the hub does not run.
        """
        if self.server is None:
            raise NotRunning("the hub is not running: nobody is connected to it")
        return self.server

    def check_over(self) -> None:
        """Raises `RuntimeError` if it runs. A run whose event loop has ended, with nobody to stop it, is over."""
        if self.run is not None and self.run.bridge.is_over():
            self.run.server.release()
            self.run = self.server = None
        if self.run is not None:
            raise RuntimeError("this hub is running already")

    async def begin(self, run: Run) -> None:
        """Starts a run."""
        self.run, self.server = run, run.server
        for name, (policy, history) in self.room_settings.items():
            run.server.set_room_policy(name, policy)
            run.server.set_room_history(name, history)
        await run.start()

    async def end(self, run: Run, timeout: float) -> None:
        """Stops a run, in at most so many seconds."""
        await run.bridge.shielded(run.stop(timeout))
        self.run = self.server = None
