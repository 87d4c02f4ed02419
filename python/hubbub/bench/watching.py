"""Looks at a run while it goes on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

from hubbub._core import Load

__all__ = ["STAGES", "Shown", "lines", "watch"]

#: What a look at a run is given to.
Shown = Callable[[dict[str, Any]], None]

STAGES = {
    "connecting": "connecting",
    "gathering": "waiting until a broadcast reaches all",
    "warming_up": "warming up",
    "measuring": "measuring",
    "draining": "waiting for the last replies",
    "over": "over",
}

#: Seconds between two looks.
INTERVAL = 0.1


def watch(load: Load, show: Shown) -> dict[str, Any]:
    """Shows a run until it is over; the first Ctrl-C or SIGTERM ends it before its time. Gives the report."""
    with _signals(load):
        while not load.over:
            snapshot = load.snapshot()
            if snapshot is not None:
                show(json.loads(snapshot))
            time.sleep(INTERVAL)
        text = load.report()
    assert text is not None, "nobody else takes the report"
    report: dict[str, Any] = json.loads(text)
    return report


@contextmanager
def _signals(load: Load) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        load.stop()
        # A second one ends the program in the system's own way.
        for number in numbers:
            signal.signal(number, before[number])

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def lines(out: TextIO) -> Shown:
    """One line for each stage: for what is no terminal."""
    last = ""

    def show(snapshot: dict[str, Any]) -> None:
        nonlocal last
        stage = snapshot["stage"]
        if stage == last or stage == "over":
            return
        last = stage
        planned = snapshot["planned_seconds"]
        how_long = f" for {planned:g} s" if planned is not None and stage != "draining" else ""
        text = f"{STAGES[stage]}{how_long}"
        if stage == "connecting":
            text = f"{text}: {snapshot['connections']} connections"
        print(f"hubbub bench: {text}", file=out, flush=True)

    return show
