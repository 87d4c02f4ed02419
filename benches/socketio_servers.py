#!/usr/bin/env python3
"""Socket.IO servers beside each other: hubbub, socket.io on Node with its default ws, python-socketio on uvicorn.

    cargo build --release -p hubbub-load
    python benches/socketio_servers.py [--only echo-1 broadcast-16] [--rounds 5] [--duration 1.5]
    python benches/socketio_servers.py --render reports/socketio-....jsonl

Each server has one core, and the load generator (rust/load, a raw client that parses no more of a packet than it must)
another. Servers take turns within each round, so that whatever else the machine does meets all alike; ratios are
medians of the rounds' ratios, figures are medians. CPU time is user and system, of all threads of the server. Before
the first round each server has to echo and to broadcast without an error. The rivals are installed below .venv/rivals.
Each measurement is a line in reports/socketio-DATE.jsonl at once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparison.kits import Here, Kit, Npm, Ready, Unavailable, Venv
from tracks import CLIENT_CORE, RIVALS, free_port, running

ROOT = Path(__file__).resolve().parent.parent
LOAD = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "hubbub-load"
NODE, PYTHON = "socket.io, Node", "python-socketio"
OURS = ("hubbub 0", "hubbub 1")


@dataclass(frozen=True)
class Case:
    title: str
    arguments: tuple[str, ...]
    """For the load generator."""
    figure: tuple[str, ...] = ("server_cpu_us_per_message",)
    unit: str = "us CPU"
    aims: tuple[float | None, float | None] = (None, None)
    """What of Node and of python-socketio was aimed at."""
    mode: str = "talk"
    """Of the server."""


CASES = {
    "echo-1": Case("an event echoed, 1 in flight", ("echo", "--connections", "100"), aims=(0.40, 0.08)),
    "echo-16": Case("the same, 16 in flight", ("echo", "--connections", "100", "--in-flight", "16"), aims=(0.20, 0.03)),
    "broadcast-1": Case(
        "a delivery to one of a room of 1,000, 1 outstanding", ("broadcast", "--connections", "1000"), aims=(0.55, None)
    ),
    "broadcast-16": Case(
        "the same, 16 outstanding", ("broadcast", "--connections", "1000", "--outstanding", "16"), aims=(0.07, 0.009)
    ),
    "idle": Case(
        "an idle session",
        ("idle", "--connections", "4000"),
        figure=("memory", "bytes_per_connection"),
        unit="bytes",
        mode="idle",
    ),
    "idle-talk": Case(
        "the same, in a room and with two handlers",
        ("idle", "--connections", "4000"),
        figure=("memory", "bytes_per_connection"),
        unit="bytes",
    ),
    "polling-1": Case(
        "events echoed over long polling, 1 in flight",
        ("echo", "--connections", "100", "--socketio", "polling"),
        figure=("messages_per_second",),
        unit="per second",
        aims=(None, 5.0),
    ),
    "polling-16": Case(
        "the same, 16 in flight",
        ("echo", "--connections", "100", "--in-flight", "16", "--socketio", "polling"),
        figure=("messages_per_second",),
        unit="per second",
        aims=(None, 5.0),
    ),
}

Report = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="these cases")
    parser.add_argument("--servers", nargs="*", help="these servers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=1.5, help="seconds of each measurement")
    parser.add_argument("--warmup", type=float, default=0.5, help="seconds of load before")
    parser.add_argument("--render", type=Path, metavar="FILE", help="show what was measured before")
    options = parser.parse_args()
    if options.render:
        lines = [json.loads(line) for line in options.render.read_text().splitlines()]
        show([Measured(**line) for line in lines])
        return 0
    if not LOAD.exists():
        parser.error("there is no load generator: cargo build --release -p hubbub-load")
    ready = prepare(options.servers)
    os.sched_setaffinity(0, {CLIENT_CORE})
    file = ROOT / "reports" / time.strftime("socketio-%Y%m%d-%H%M%S.jsonl")
    file.parent.mkdir(exist_ok=True)
    done = []
    for number in range(options.rounds):
        for case in options.only:
            for server, one in ready.items():
                try:
                    with started(server, one, CASES[case].mode) as (pid, port):
                        report = generate(CASES[case], pid, port, options.duration, options.warmup)
                except Failed as why:
                    print(f"  {number + 1} {case:13} {server:16} failed: {why}", flush=True)
                    continue
                measured = Measured(case, server, number, os.getloadavg()[0], report)
                done.append(measured)
                with open(file, "a") as out:
                    out.write(json.dumps(vars(measured)) + "\n")
                print(f"  {number + 1} {case:13} {server:16} {told(measured)}", flush=True)
    show(done)
    return 0


@dataclass
class Measured:
    case: str
    server: str
    round: int
    load_average: float
    report: Report

    @property
    def value(self) -> float:
        value: Any = self.report
        for key in CASES[self.case].figure:
            value = value[key]
        return float(value)


# ---- the servers


def kits() -> dict[str, tuple[Kit, Sequence[str]]]:
    ours = Here("socketio_hubbub.py", sys.executable, ("hubbub",))
    python = ("python-socketio", "uvicorn", "uvloop", "httptools", "websockets")
    return {
        "hubbub 0": (ours, ("--io-threads", "0")),
        "hubbub 1": (ours, ("--io-threads", "1")),
        # Node comes from npm, too, so that it is the newest.
        NODE: (Npm("socketio_node.mjs", ("socket.io", "node")), ()),
        PYTHON: (Venv("python_socketio_server.py", python), ()),
    }


def prepare(only: list[str] | None) -> dict[str, Ready]:
    """Installs, and checks that each echoes and broadcasts over both transports."""
    able = {}
    for name, (kit, options) in kits().items():
        if only and name not in only:
            continue
        try:
            ready = kit.ready(place(name))
        except Unavailable as why:
            print(f"{name} takes no part: {why}")
            continue
        able[name] = Ready([*ready.command, "{port}", "--mode", "{mode}", *options], ready.versions)
        with started(name, able[name], "talk") as (pid, port):
            for mode in ("echo", "broadcast"):
                for transport in ("websocket", "polling"):
                    case = Case("", (mode, "--connections", "5", "--socketio", transport))
                    generate(case, pid, port, 0.2, 0.1)
        print(f"{name}: {ready.versions}")
    return able


def place(server: str) -> Path:
    return RIVALS / f"socketio-{server.split()[0].rstrip(',')}"


@contextmanager
def started(server: str, ready: Ready, mode: str) -> Iterator[tuple[int, int]]:
    """The server on its core: process id and port."""
    port = free_port()
    command = [part.format(port=port, mode=mode) for part in ready.command]
    with running(command, port, cwd=place(server), stderr=subprocess.DEVNULL) as pid:
        yield pid, port


# ---- what is measured


class Failed(Exception):
    """A run without figures that count; says why."""


def generate(case: Case, pid: int, port: int, duration: float, warmup: float) -> Report:
    arguments = [*case.arguments, "--url", f"http://127.0.0.1:{port}/", "--server-pid", str(pid), "--json"]
    arguments += ["--timeout", "30"]
    if "--socketio" not in arguments:
        arguments += ["--socketio", "websocket"]
    if case.arguments[0] == "idle":
        arguments += ["--hold", str(duration)]
    else:
        arguments += ["--duration", str(duration), "--warmup", str(warmup)]
    command = ["taskset", "-c", str(CLIENT_CORE), str(LOAD), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if not done.stdout:
        raise Failed(done.stderr.strip()[-500:] or "nothing was measured")
    report: Report = json.loads(done.stdout)
    if done.returncode != 0:
        raise Failed(str(report.get("failed") or report["errors"]))
    for long in ("series", "histogram", "percentiles"):
        del report[long]
    return report


# ---- what is told


def told(one: Measured) -> str:
    report = one.report
    return (
        f"{one.value:12,.2f} {CASES[one.case].unit:10} {report['messages_per_second']:12,.0f}/s "
        f"server {report['server_cpu_share']:.2f} generator {report['generator_cpu_share']:.2f} "
        f"load average {one.load_average:.1f}"
    )


def show(done: list[Measured]) -> None:
    """A table: medians, and medians of what the rounds' figures were of the rivals'."""
    servers = list(dict.fromkeys(one.server for one in done))
    ratios = [(ours, rival) for ours in OURS if ours in servers for rival in (NODE, PYTHON) if rival in servers]
    heads = [f"{ours.removeprefix('hubbub ')} of {rival.split(',')[0]}" for ours, rival in ratios]
    print(f"\n| | {' | '.join([*servers, *heads, 'aims'])} |\n|{'---|' * (len(servers) + len(ratios) + 2)}")
    for name, case in CASES.items():
        rounds: dict[int, dict[str, float]] = {}
        for one in done:
            if one.case == name:
                rounds.setdefault(one.round, {})[one.server] = one.value
        if not rounds:
            continue
        cells = [median([each[server] for each in rounds.values() if server in each], ",.4g") for server in servers]
        for ours, rival in ratios:
            both = [each for each in rounds.values() if ours in each and rival in each]
            cells.append(median([each[ours] / each[rival] for each in both], ".2g"))
        aims = ", ".join(f"{aim:g}" for aim in case.aims if aim is not None)
        print(f"| {case.title}, {case.unit} | {' | '.join(cells)} | {aims} |")
    loads = [one.load_average for one in done]
    print(f"\n{1 + max(one.round for one in done)} rounds; load average {min(loads):.1f} to {max(loads):.1f}")


def median(values: list[float], form: str) -> str:
    return format(statistics.median(values), form) if values else "failed"


if __name__ == "__main__":
    sys.exit(main())
