"""hubbub beside other servers: the same scenarios, one machine, one run, figures as ratios.

    cargo build --release -p hubbub-load
    python benches/compare.py --python PATH/TO/VENV/bin/python --rounds 5

Every server gets one core and the load generator another, so the figure to look at is the CPU time that the server uses
for each message: rates depend on how busy it was. Servers take turns within each round, so that a slow minute of the
machine meets all of them, and the table shows medians. The virtual environment needs hubbub and the rivals: picows,
websockets, aiohttp, uvloop. A server that cannot be started there is left out, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BENCHES = Path(__file__).resolve().parent
ROOT = BENCHES.parent
FLOOR = "floor"
RIVAL = "picows"


@dataclass(frozen=True)
class Server:
    name: str
    imports: tuple[str, ...]
    """Packages whose versions are shown."""
    echo: tuple[str, ...]
    """The program and its arguments after the port."""
    broadcast: tuple[str, ...] = ()


def rival(name: str, *imports: str) -> Server:
    program = f"{name}_server.py"
    return Server(name, (name, *imports), (program, "--mode", "echo"), (program, "--mode", "broadcast"))


def hubbub(name: str, *options: str) -> Server:
    return Server(name, ("hubbub",), ("hubbub_echo.py", *options), ("hubbub_broadcast.py", *options))


SERVERS = [
    Server(FLOOR, (), ("floor",)),
    hubbub("hubbub", "--io-threads", "0"),
    hubbub("hubbub-threaded", "--io-threads", "1"),
    hubbub("hubbub-coroutine", "--io-threads", "0", "--handler", "coroutine"),
    hubbub("hubbub-threaded-coroutine", "--io-threads", "1", "--handler", "coroutine"),
    rival("picows", "uvloop"),
    rival("websockets", "uvloop"),
    rival("aiohttp", "uvloop"),
]


@dataclass(frozen=True)
class Scenario:
    name: str
    arguments: tuple[str, ...]
    """For the load generator."""
    figure: tuple[str, ...] = ("server_cpu_us_per_message",)
    """Where the main figure is in the report."""
    unit: str = "CPU us/message"

    @property
    def mode(self) -> str:
        return self.arguments[0]


def echo(name: str, connections: int, size: int, in_flight: int = 1) -> Scenario:
    options = ("--connections", str(connections), "--size", str(size), "--in-flight", str(in_flight))
    return Scenario(name, ("echo", *options))


SCENARIOS = [
    echo("echo-1", 100, 64),
    echo("echo-16", 100, 64, 16),
    # The generator does not sleep here, so that its own waking up is not in the figure.
    Scenario("latency", ("echo", "--connections", "1", "--size", "64", "--spin"), ("latency_us", "p50"), "p50 us"),
    echo("echo-16KiB", 32, 16 << 10),
    echo("echo-1MiB", 4, 1 << 20),
    Scenario("broadcast-1", ("broadcast", "--connections", "1000"), unit="CPU us/delivery"),
    Scenario("broadcast-16", ("broadcast", "--connections", "1000", "--outstanding", "16"), unit="CPU us/delivery"),
    Scenario("idle", ("idle", "--connections", "10000"), ("memory", "bytes_per_connection"), "bytes/connection"),
]


class Unavailable(Exception):
    """A server cannot take part; says why."""


class Bench:
    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options = options
        self.scratch = scratch

    def prepare(self, server: Server) -> str:
        """Makes sure that a server can be started, and returns its versions."""
        if server.name == FLOOR:
            return self.build_floor()
        code = (
            "import importlib, importlib.metadata as m, sys\n"
            "for name in sys.argv[1:]: importlib.import_module(name)\n"
            "print(', '.join(f'{name} {m.version(name)}' for name in sys.argv[1:]))"
        )
        probe = subprocess.run(
            [self.options.python, "-c", code, *server.imports], capture_output=True, text=True, cwd=self.scratch
        )
        if probe.returncode != 0:
            raise Unavailable(last_line(probe.stderr))
        return probe.stdout.strip()

    def build_floor(self) -> str:
        compiler = os.environ.get("CC", "cc")
        try:
            subprocess.run(
                [compiler, "-O2", "-o", self.scratch / "floor", BENCHES / "floor" / "floor.c"],
                check=True,
                capture_output=True,
                text=True,
            )
            version = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise Unavailable(f"no C compiler: {error}") from None
        except subprocess.CalledProcessError as error:
            raise Unavailable(last_line(error.stderr)) from None
        return version.stdout.splitlines()[0]

    def measure(self, server: Server, scenario: Scenario) -> dict[str, Any]:
        """One report of the load generator, or {"failed": why}."""
        with self.started(server, scenario.mode) as (process, port):
            arguments = [*scenario.arguments, "--url", f"ws://127.0.0.1:{port}/", "--server-pid", str(process.pid)]
            if scenario.mode == "idle":
                arguments += ["--hold", str(self.options.duration)]
            else:
                arguments += ["--duration", str(self.options.duration), "--warmup", str(self.options.warmup)]
            if server.name == FLOOR:
                arguments.append("--raw")
            load = subprocess.run(
                ["taskset", "-c", str(self.options.load_core), self.options.load, *arguments, "--json"],
                capture_output=True,
                text=True,
                timeout=120 + 2 * self.options.duration,
            )
            if not load.stdout:
                return {"failed": last_line(load.stderr)}
            report: dict[str, Any] = json.loads(load.stdout)
            return report

    @contextlib.contextmanager
    def started(self, server: Server, mode: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
        port = free_port()
        program, *options = server.broadcast if mode == "broadcast" else server.echo
        if server.name == FLOOR:
            command = [str(self.scratch / program), str(port)]
        else:
            command = [self.options.python, str(BENCHES / "servers" / program), str(port), *options]
        with open(self.scratch / "stderr", "w+") as stderr:
            process = subprocess.Popen(
                ["taskset", "-c", str(self.options.server_core), *command],
                stdout=stderr,
                stderr=stderr,
                text=True,
                cwd=self.scratch,
            )
            try:
                wait_until_it_listens(process, port, self.scratch / "stderr")
                yield process, port
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def wait_until_it_listens(process: subprocess.Popen[str], port: int, stderr: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"it ended with status {process.returncode}: {last_line(stderr.read_text())}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Unavailable("it did not listen within 20 s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def takes_part(server: Server, scenario: Scenario, only: list[str]) -> bool:
    """Whether the options want it, and it can: the floor speaks no protocol, it only echoes."""
    if server.name == FLOOR and scenario.mode != "echo":
        return False
    patterns = [pattern.partition("/")[::2] for pattern in only or ["*"]]
    return any(
        fnmatch.fnmatch(scenario.name, of_scenario or "*") and fnmatch.fnmatch(server.name, of_server or "*")
        for of_scenario, of_server in patterns
    )


def look_up(report: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = report
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else float(value)


def median(reports: list[dict[str, Any]], *path: str) -> float | None:
    values = [value for report in reports if (value := look_up(report, path)) is not None]
    return statistics.median(values) if values else None


def play(bench: Bench, servers: list[Server], scenarios: list[Scenario]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Reports by scenario and server."""
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for round_number in range(bench.options.rounds):
        for scenario in scenarios:
            # Nobody is always the first, or always after the same one.
            turn = round_number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                if not takes_part(server, scenario, bench.options.only):
                    continue
                progress(f"round {round_number + 1}/{bench.options.rounds}  {scenario.name}  {server.name}")
                try:
                    report = bench.measure(server, scenario)
                except (Unavailable, subprocess.TimeoutExpired) as error:
                    report = {"failed": str(error)}
                results.setdefault(scenario.name, {}).setdefault(server.name, []).append(report)
    progress("")
    return results


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def print_table(scenario: Scenario, servers: list[Server], results: dict[str, list[dict[str, Any]]]) -> None:
    print(f"\n{scenario.name}: hubbub-load {' '.join(scenario.arguments)}")
    heads = ("server", scenario.unit, "min..max", "/floor", f"/{RIVAL}", "rate/s", "p50 us", "p99 us", "server", "load")
    rows = [heads]
    base = {name: median(results.get(name, []), *scenario.figure) for name in (FLOOR, RIVAL)}
    for server in servers:
        reports = results.get(server.name)
        if not reports:
            continue
        figure = median(reports, *scenario.figure)
        values = [value for report in reports if (value := look_up(report, scenario.figure)) is not None]
        rows.append(
            (
                server.name,
                number(figure),
                f"{number(min(values))}..{number(max(values))}" if values else "-",
                ratio(figure, base[FLOOR]),
                ratio(figure, base[RIVAL]),
                number(median(reports, "messages_per_second") or None),
                number(median(reports, "latency_us", "p50")),
                number(median(reports, "latency_us", "p99")),
                percent(median(reports, "server_cpu_share")),
                percent(median(reports, "generator_cpu_share")),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells))
    for server in servers:
        for problem, count in problems(results.get(server.name, [])).items():
            print(f"  ! {server.name}: {problem} (in {count} of {len(results[server.name])} rounds)")


def problems(reports: list[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for report in reports:
        kinds = [report["failed"]] if "failed" in report else report.get("errors", {})
        for kind in kinds:
            found[kind] = found.get(kind, 0) + 1
    return found


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def ratio(value: float | None, base: float | None) -> str:
    return f"{value / base:.2f}" if value is not None and base else "-"


def percent(share: float | None) -> str:
    return f"{share * 100:.0f} %" if share is not None else "-"


def machine(options: argparse.Namespace) -> dict[str, str]:
    cpu = platform.processor()
    with contextlib.suppress(OSError):
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = f"{models[0].split(':', 1)[1].strip()}, {len(models)} cores" if models else cpu
    python = subprocess.run([options.python, "-VV"], capture_output=True, text=True, check=True).stdout.strip()
    load = subprocess.run([options.load, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"cpu": cpu, "kernel": platform.release(), "python": " ".join(python.split()), "load": load}


def default_load() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "hubbub-load"


def parse_options() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=3, help="seconds that are measured, each time (default: 3)")
    parser.add_argument("--warmup", type=float, default=0.5, help="seconds of load before (default: 0.5)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="SCENARIO/SERVER",
        help="globs, such as 'echo-*/picows', 'idle' or '*/hubbub*'; may be repeated; "
        f"the floor and {RIVAL} are left out, too, if they do not match",
    )
    # Not resolved: the link in a virtual environment is what makes it one.
    path = os.path.abspath
    parser.add_argument("--python", type=path, default=sys.executable, help="the Python that has hubbub and the rivals")
    parser.add_argument(
        "--load", type=path, default=str(default_load()), help="the load generator (default: %(default)s)"
    )
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    options = parser.parse_args()
    if not os.access(options.load, os.X_OK):
        parser.error(f"there is no load generator at {options.load}: run cargo build --release -p hubbub-load")
    if options.rounds < 1 or options.duration <= 0 or options.warmup < 0:
        parser.error("rounds and duration must be positive")
    return options


def main() -> int:
    options = parse_options()
    # Servers inherit the limit; ten thousand connections need it.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pairs = [(one, other) for one in SCENARIOS for other in SERVERS if takes_part(other, one, options.only)]
    scenarios = [scenario for scenario in SCENARIOS if any(scenario is one for one, _ in pairs)]
    wanted = [server for server in SERVERS if any(server is other for _, other in pairs)]
    about = machine(options)
    for key, value in about.items():
        print(f"{key}: {value}")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options, Path(scratch))
        servers, versions = [], {}
        for server in wanted:
            try:
                versions[server.name] = bench.prepare(server)
                servers.append(server)
                print(f"{server.name}: {versions[server.name]}")
            except Unavailable as why:
                print(f"{server.name}: left out, {why}")
        if not servers or not scenarios:
            print("nothing to run", file=sys.stderr)
            return 1
        results = play(bench, servers, scenarios)
    for scenario in scenarios:
        print_table(scenario, servers, results.get(scenario.name, {}))
    path = ROOT / "reports" / time.strftime("compare-%Y%m%d-%H%M%S.json")
    path.parent.mkdir(exist_ok=True)
    everything = {
        "machine": about,
        "versions": versions,
        "options": vars(options),
        "scenarios": [asdict(scenario) for scenario in scenarios],
        "results": results,
    }
    path.write_text(json.dumps(everything, indent=1))
    print(f"\n{path.relative_to(ROOT)}")
    failed = any("failed" in report for by in results.values() for reports in by.values() for report in reports)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
