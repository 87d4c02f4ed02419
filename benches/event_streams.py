#!/usr/bin/env python3
"""What it costs to reach a thousand event streams: hubbub beside Starlette on uvicorn and on granian.

    python benches/event_streams.py [--streams 1000] [--outstanding 1] [--rounds 3] [--duration 3]

A broadcast of 64 bytes goes to all streams; the next ones are asked for when it has arrived at all of them. Each server
has one core, and the client, which only counts bytes, another. Servers take turns within each round; the last lines
are medians. CPU time is user and system, of all processes of the server, divided by the events that arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from comparison.kits import Unavailable, Venv
from tracks import CLIENT_CORE, RIVALS, cpu_seconds, free_port, running

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "servers")}
EVENT = len("data: ") + 64 + len("\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--outstanding", type=int, default=1, help="broadcasts that are asked for at a time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of each measurement")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        asyncio.run(serve(arguments))
        return
    os.sched_setaffinity(0, {CLIENT_CORE})
    commands = servers()
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            port = free_port()
            command = [part.format(port=port) for part in command]
            with running(command, port, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as pid:
                rate, cpu = measure(arguments, pid, port)
            figures[name].append((rate, cpu))
            print(f"  {name:10} {rate:12,.0f} events/s {cpu:8.2f} us of CPU for each", flush=True)
    medians = {name: tuple(map(statistics.median, zip(*all_, strict=True))) for name, all_ in figures.items()}
    rivals = [medians[name] for name in ("uvicorn", "granian") if name in medians]
    for name, (rate, cpu) in medians.items():
        ratio = ""
        if rivals:
            best, least = max(rate for rate, _ in rivals), min(cpu for _, cpu in rivals)
            ratio = f"{rate / best:6.1f} times the better rival's rate, {cpu / least:5.3f} of its CPU"
        print(f"{name:10} median {rate:12,.0f} events/s {cpu:8.2f} us {ratio}")
    print(f"{arguments.streams} streams, {arguments.outstanding} outstanding; load average {os.getloadavg()[0]:.1f}")


# ---- the servers


def servers() -> dict[str, list[str]]:
    ours = [sys.executable, __file__, "--port", "{port}", "--serve"]
    found = {"hubbub 0": [*ours, "0"], "hubbub 1": [*ours, "1"]}
    kits = {
        "uvicorn": Venv("uvicorn_events.py", ("uvicorn", "starlette", "uvloop", "httptools")),
        "granian": Venv("uvicorn_events.py", ("granian", "starlette", "uvloop")),
    }
    for name, kit in kits.items():
        try:
            ready = kit.ready(RIVALS / f"events-{name}")
        except Unavailable as why:
            print(f"{name} takes no part: {why}")
            continue
        print(f"{name}: {ready.versions}")
        found[name] = [*ready.command, "{port}", name]
    return found


async def serve(arguments: argparse.Namespace) -> None:
    from hubbub import EventStream, Hub, Request, Response

    hub = Hub()

    @hub.eventsource("/stream")
    def stream(es: EventStream) -> None:
        es.join("all")
        es.comment()

    @hub.on_request
    def say(request: Request) -> Response | None:
        if request.path != "/say":
            return None
        for _ in range(int(request.query["count"])):
            hub.room("all").broadcast("x" * 64)
        return Response(200, "ok")

    async with hub.listening("127.0.0.1", arguments.port, io_threads=arguments.serve, access_log=False):
        await asyncio.Event().wait()


# ---- what is measured


class Streams:
    """The clients: they count what they are sent."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port), 10)
            one.sendall(b"GET /stream HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n")
            greeting = b""
            while not greeting.replace(b" ", b"").endswith((b":\n\n", b":\n\n\r\n")):
                greeting += one.recv(4096)
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ)
            self.sockets.append(one)

    def receive(self, count: int) -> None:
        """Waits until so many events have come in all: the data, whatever is around it."""
        wanted = count * EVENT
        while wanted > 0:
            ready = self.selector.select(10)
            if not ready:
                raise RuntimeError("the events do not come")
            for key, _ in ready:
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                # What chunked coding adds is no event's.
                wanted -= data.count(b"data: ") * EVENT

    def close(self) -> None:
        for one in self.sockets:
            one.close()
        self.selector.close()


def measure(arguments: argparse.Namespace, pid: int, port: int) -> tuple[float, float]:
    """Events per second, and microseconds of the server's CPU time for each."""
    streams = Streams(port, arguments.streams)
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def round_() -> int:
        asking.request("GET", f"/say?count={arguments.outstanding}")
        asking.getresponse().read()
        streams.receive(arguments.streams * arguments.outstanding)
        return arguments.streams * arguments.outstanding

    for _ in range(3):
        round_()
    before, began, events = cpu_seconds(pid), time.monotonic(), 0
    while time.monotonic() - began < arguments.duration:
        events += round_()
    took, cpu = time.monotonic() - began, cpu_seconds(pid) - before
    streams.close()
    asking.close()
    return events / took, cpu / events * 1e6


if __name__ == "__main__":
    main()
