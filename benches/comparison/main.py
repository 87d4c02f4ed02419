"""The command line of the comparison, and the order of things."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from comparison import plan, plot, table
from comparison.kits import Ready, Unavailable
from comparison.machine import Cores, allow_many_connections, choose_cores, describe
from comparison.running import Track
from comparison.scenarios import SCENARIOS, Scenario
from comparison.servers import REFERENCE, Server, servers
from comparison.store import Results, Store

BENCHES = Path(__file__).resolve().parent.parent
ROOT = BENCHES.parent
RIVALS = ROOT / ".venv" / "rivals"

Pair = tuple[Scenario, Server]


def main(description: str) -> int:
    options = parse_options(description)
    if options.render:
        write(Store(options.render / "results.jsonl").load(), servers(options.python), options.render, options.publish)
        return 0
    if options.resume:
        settings = Store(options.resume / "results.jsonl").load().about["settings"]
        options.duration, options.warmup = settings["duration"], settings["warmup"]
    allow_many_connections()
    cores = choose_cores(options.server_cores, options.load_core)
    pairs = wanted_pairs(servers(options.python), options.only)
    track = Track(options.load, cores, options.duration, options.warmup, RIVALS)
    able, ready, left_out = prepare(track, pairs)
    if not able:
        print("nothing to run", file=sys.stderr)
        return 1
    folder = options.resume or ROOT / "reports" / time.strftime("compare-%Y%m%d-%H%M%S")
    store = Store(folder / "results.jsonl")
    store.add_about(
        {
            "date": time.strftime("%Y-%m-%d %H:%M %Z"),
            "command": " ".join(["python benches/compare.py", *shown_arguments(sys.argv[1:])]),
            "machine": describe(options.python, options.load),
            "settings": {name: getattr(options, name) for name in ("duration", "warmup")},
            "cores": name_cores(cores),
            "versions": {name: one.versions for name, one in ready.items()},
            "left_out": left_out,
        }
    )
    # What this program does itself while it measures is load, too.
    os.sched_setaffinity(0, {cores.load})
    try:
        play(track, able, ready, store, options.rounds)
    except KeyboardInterrupt:
        print(f"\nbroken off; go on with --resume {folder.relative_to(ROOT)}", file=sys.stderr)
    results = store.load()
    write(results, servers(options.python), folder, options.publish)
    # A rival that breaks down is a result, and stands in the page.
    ours = {server.name for _, server in pairs if server.home}
    failed = [key for key, report in results.reports.items() if "failed" in report and key[1] in ours]
    for scenario, server, number in failed:
        why = results.reports[scenario, server, number]["failed"]
        print(f"failed: {scenario}, {server}, round {number + 1}: {why}", file=sys.stderr)
    return 1 if failed or ours & left_out.keys() else 0


def wanted_pairs(everyone: list[Server], only: list[str]) -> list[Pair]:
    return [
        (scenario, server) for scenario in SCENARIOS for server in everyone if plan.takes_part(server, scenario, only)
    ]


def prepare(track: Track, pairs: list[Pair]) -> tuple[list[Pair], dict[str, Ready], dict[str, str]]:
    """Installs and checks: the pairs that can be measured, how their servers start, and who is left out why."""
    modes: dict[Server, set[str]] = {}
    for scenario, server in pairs:
        modes.setdefault(server, set()).add(scenario.mode_of(server) or "")
    ready: dict[str, Ready] = {}
    left_out: dict[str, str] = {}
    wrong: dict[str, dict[str, str]] = {}
    for server in modes:
        progress(f"preparing {server.name}")
        try:
            ready[server.name], wrong[server.name] = track.prepare(server, modes[server])
        except Unavailable as why:
            left_out[server.name] = str(why)
    progress("")
    for name, one in ready.items():
        print(f"{name}: {one.versions}")
        left_out |= {f"{name}, mode {mode}": problem for mode, problem in wrong[name].items()}
    for name, problem in left_out.items():
        print(f"{name}: left out, {problem}")
    able = [
        (scenario, server)
        for scenario, server in pairs
        if server.name in ready and scenario.mode_of(server) not in wrong[server.name]
    ]
    return able, ready, left_out


def play(track: Track, pairs: list[Pair], ready: dict[str, Ready], store: Store, rounds: int) -> None:
    """Measures what the store does not have yet."""
    reports = store.load().reports
    done = {key for key, report in reports.items() if "failed" not in report}
    steps = [step for step in plan.steps(pairs, rounds) if step.key not in done]
    minutes = plan.estimate(steps, track.duration, track.warmup) / 60
    print(f"{len(steps)} measurements, about {minutes:.0f} minutes", flush=True)
    for number, step in enumerate(steps, 1):
        progress(f"{number}/{len(steps)}  round {step.round + 1}  {step.scenario.name}  {step.server.name}")
        store.add_report(step.key, track.measure(step.server, ready[step.server.name], step.scenario))
    progress("")


def write(results: Results, everyone: list[Server], folder: Path, publish: bool) -> None:
    """The page and the drawings, into the folder of the results, or into benches if they are to be published."""
    place = BENCHES if publish else folder
    try:
        drawings = plot.draw(results, everyone, place)
    except ImportError as error:
        print(f"no drawings: {error}", file=sys.stderr)
        drawings = []
    page = table.results_page(results, drawings)
    (place / "RESULTS.md").write_text(page)
    print(f"\n{page}")
    for name in ["RESULTS.md", *drawings]:
        print(place / name)


def name_cores(cores: Cores) -> dict[str, Any]:
    load = f"core {cores.load}"
    return {"server": f"core {cores.server[0]}", "load": load, "shared": cores.shared}


def shown_arguments(arguments: list[str]) -> list[str]:
    """Without the paths of this machine."""
    shown = []
    skip = False
    for argument in arguments:
        if skip or argument.split("=")[0] in ("--python", "--load", "--resume"):
            skip = not skip and "=" not in argument
            continue
        shown.append(f"'{argument}'" if "*" in argument else argument)
    return shown


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def default_load() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "hubbub-load"


def parse_options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--duration", type=float, default=1.2, help="seconds that are measured, each time (default: 1.2)"
    )
    parser.add_argument("--warmup", type=float, default=0.3, help="seconds of load before (default: 0.3)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="SCENARIO/SERVER",
        help="globs, such as 'echo-*/picows', 'idle' or '*/hubbub*'; may be repeated; "
        f"the floor and {REFERENCE} are left out, too, if they do not match",
    )
    parser.add_argument(
        "--resume",
        type=folder,
        metavar="FOLDER",
        help="measure what is missing in a folder of reports/, with its durations",
    )
    parser.add_argument(
        "--render", type=folder, metavar="FOLDER", help="measure nothing: write the page of a folder anew"
    )
    parser.add_argument("--publish", action="store_true", help="write RESULTS.md and the drawings into benches/")
    # Not resolved: the link in a virtual environment is what makes it one.
    path = os.path.abspath
    parser.add_argument("--python", type=path, default=sys.executable, help="the Python that has hubbub")
    parser.add_argument(
        "--load", type=path, default=str(default_load()), help="the load generator (default: %(default)s)"
    )
    parser.add_argument("--server-cores", type=core_list, metavar="CORE[,CORE]", help="the second is for two shards")
    parser.add_argument("--load-core", type=int)
    options = parser.parse_args()
    if not options.render and not os.access(options.load, os.X_OK):
        parser.error(f"there is no load generator at {options.load}: run cargo build --release -p hubbub-load")
    if options.rounds < 1 or options.duration <= 0 or options.warmup < 0:
        parser.error("rounds and duration must be positive")
    return options


def folder(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / "results.jsonl").exists():
        raise argparse.ArgumentTypeError(f"there is no results.jsonl in {text}")
    return path


def core_list(text: str) -> list[int]:
    cores = [int(core) for core in text.split(",")]
    if len(cores) > 2:
        raise argparse.ArgumentTypeError("one core or two")
    return cores
