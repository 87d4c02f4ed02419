"""How long others wait while a handler blocks: for a pong, and for the answer to a handshake.

A server can be fast and yet freeze for everyone as soon as one handler computes. One client sends a message whose
handler sleeps; meanwhile ten others send pings in turn and new ones connect, one after the other.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from comparison.client import PING, PONG, TEXT, Client, ProtocolError

BLOCKS_SECONDS = 2.0
OTHERS = 10
PAUSE_SECONDS = 0.01


def measure(port: int) -> dict[str, Any]:
    """A report like the load generator's: milliseconds, and what went wrong."""
    others = [Client(port) for _ in range(OTHERS)]
    with Client(port) as one:
        one.send(TEXT, b"0")
        one.receive()
        done = threading.Event()
        errors: dict[str, int] = {}
        waits: dict[str, list[float]] = {"pong": [], "handshake": []}
        turns = cycle(others)
        ways: dict[str, Callable[[], None]] = {"pong": lambda: ping(next(turns)), "handshake": lambda: connect(port)}
        threads = [threading.Thread(target=repeat, args=(way, done, waits[name], errors)) for name, way in ways.items()]
        one.send(TEXT, str(BLOCKS_SECONDS).encode())
        # The handler is to be at it.
        time.sleep(0.05)
        for thread in threads:
            thread.start()
        try:
            one.receive()
        finally:
            done.set()
            for thread in threads:
                thread.join()
    for other in others:
        other.socket.close()
    report: dict[str, Any] = {f"{name}_ms": summary(values) for name, values in waits.items()}
    report["worst_ms"] = max(report[f"{name}_ms"]["max"] for name in waits)
    report["errors"] = errors
    return report


def repeat(way: Callable[[], None], done: threading.Event, waits: list[float], errors: dict[str, int]) -> None:
    for _ in until(done):
        began = time.monotonic()
        try:
            way()
        except (ProtocolError, OSError) as error:
            errors[str(error)] = errors.get(str(error), 0) + 1
            done.set()
        waits.append((time.monotonic() - began) * 1000)


def until(done: threading.Event) -> Iterator[None]:
    """At least once, then every `PAUSE_SECONDS`."""
    yield
    while not done.wait(PAUSE_SECONDS):
        yield


def ping(client: Client) -> None:
    client.send(PING, b"?")
    answer = client.receive()
    if answer != (PONG, b"?"):
        raise ProtocolError(f"a ping is answered with {answer!r}")


def connect(port: int) -> None:
    Client(port).socket.close()


def summary(waits: list[float]) -> dict[str, float]:
    return {"p50": statistics.median(waits), "max": max(waits), "count": len(waits)}
