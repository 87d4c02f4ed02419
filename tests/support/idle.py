"""That nothing goes on: a loop that spins looks, to its clients, like one that waits."""

from __future__ import annotations

import time

import anyio

__all__ = ["assert_idle"]

#: The part of the time for which a process that has nothing to do may compute. A loop that spins takes all of it.
BUSY = 0.5
#: Somebody else's work may still be under way when a look begins: one quiet look is enough.
LOOKS = 5


async def assert_idle(seconds: float = 0.3) -> None:
    """The process, clients and all, hardly computes while it waits for so long. Its own time counts, nobody else's."""
    shares = []
    for _ in range(LOOKS):
        wall, own = time.monotonic(), time.process_time()
        await anyio.sleep(seconds)
        shares.append((time.process_time() - own) / (time.monotonic() - wall))
        if shares[-1] < BUSY:
            return
    raise AssertionError(f"the process is busy while nothing happens: {', '.join(f'{share:.0%}' for share in shares)}")
