#!/usr/bin/env python3
"""What reading and writing a packet of Socket.IO costs, beside what its JSON alone costs in orjson and in json.

    python benches/socketio_codec.py [--rounds 15]

orjson and json are given the JSON only, cut out and put behind its header as a Python program would; hubbub checks the
whole packet as well. The three take turns, and the fastest round of each counts: what was slower was the machine's
doing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import orjson

from hubbub._core import SocketIoDecoder, socketio_encode

HEADER = "2/chat,"
RECORD = {"id": 123456789012, "text": "hello, everybody", "tags": ["a", "b"]}
EVENTS: dict[str, list[Any]] = {
    "event, 64 B": ["say", "hello everybody", {"room": "a", "id": 123456789012}],
    "64 objects, 4 KiB": ["list", [dict(RECORD) for _ in range(64)]],
    "text, 4 KiB": ["say", "a" * 4096],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print("| ns | hubbub | orjson | json | of orjson | of json |\n|---|---|---|---|---|---|")
    for name, event in EVENTS.items():
        sums = [0.0, 0.0, 0.0]
        for what, ways in (("read", readers(event)), ("write", writers(event))):
            times = measured(ways, rounds)
            sums = [total + each for total, each in zip(sums, times, strict=True)]
            show(f"{name}: {what}", times)
        show(f"{name}: both", sums)


def readers(event: list[Any]) -> list[Callable[[], object]]:
    decoder = SocketIoDecoder()
    text = HEADER + json.dumps(event, separators=(",", ":"))
    start = len(HEADER)
    return [lambda: decoder.feed(text), lambda: orjson.loads(text[start:]), lambda: json.loads(text[start:])]


def writers(event: list[Any]) -> list[Callable[[], object]]:
    encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
    return [
        lambda: socketio_encode(2, "/chat", None, event),
        lambda: HEADER + orjson.dumps(event).decode(),
        lambda: HEADER + encoder.encode(event),
    ]


def measured(ways: list[Callable[[], object]], rounds: int) -> list[float]:
    """Nanoseconds for each way."""
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for index, way in enumerate(ways):
            best[index] = min(best[index], timed(way))
    return best


def timed(way: Callable[[], object]) -> float:
    calls, begin = 0, time.perf_counter_ns()
    while (took := time.perf_counter_ns() - begin) < 5_000_000:
        for _ in range(100):
            way()
        calls += 100
    return took / calls


def show(name: str, times: list[float]) -> None:
    ours, orjson_ns, json_ns = times
    print(f"| {name} | {ours:.0f} | {orjson_ns:.0f} | {json_ns:.0f} | {ours / orjson_ns:.2f} | {ours / json_ns:.2f} |")


if __name__ == "__main__":
    main()
