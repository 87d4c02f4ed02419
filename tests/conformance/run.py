#!/usr/bin/env python3
"""Runs the Autobahn testsuite against a Python handler and compares every case with what is committed.

    python tests/conformance/run.py            all 517 cases
    python tests/conformance/run.py --quick    those that are quick: for every commit
    python tests/conformance/run.py 6.4.* 7.*  some cases
    python tests/conformance/run.py --accept   writes what came out to expected.json

Each case is run four times: with the network in the event loop's thread (io_threads=0) and on a thread of its own, and
with compression in both modes. Groups 12 and 13 are those that compress; the others find out that a server which could
does nothing of the kind unasked. What is expected is the same for all four. A case that comes out better than expected
fails as well: then expected.json is to be changed.

Exit status: 0 as expected, 1 something differs, 2 the suite could not be run to its end.
"""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"

ALL = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*"]
#: Without group 9, whose messages are large. Each case of 12 and 13 sends a thousand messages, and the suite is slow to
#: make large ones: of these groups there is each kind of data and each offer, with messages of 1 KiB, and some others,
#: by what takes a different way: tiny ones, many frames, more than a window.
QUICK = [pattern for pattern in ALL if pattern not in ("9.*", "12.*", "13.*")]
QUICK += [f"12.{data}.4" for data in range(1, 6)] + [f"13.{offer}.4" for offer in range(1, 8)]
QUICK += ["12.1.1", "12.5.8", "13.1.11", "13.3.7", "13.6.1"]

#: What the case itself and the closing handshake after it came to.
Result = tuple[str, str]


class Mode(NamedTuple):
    """How a server is run."""

    compression: str
    io_threads: int

    def __str__(self) -> str:
        return f"compression={self.compression} io_threads={self.io_threads}"

    def folder(self) -> str:
        return f"{self.compression}-io-threads-{self.io_threads}"


MODES = [Mode(compression, io_threads) for compression in ("shared", "per-session") for io_threads in (0, 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description="The Autobahn testsuite against a Python handler.")
    parser.add_argument("cases", nargs="*", help="patterns such as 6.4.* (default: all)")
    parser.add_argument("--quick", action="store_true", help="only the cases that are quick")
    parser.add_argument("--io-threads", type=int, choices=[0, 1], help="only this mode")
    parser.add_argument("--compression", choices=["shared", "per-session"], help="only this mode")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time (default: one per core)")
    parser.add_argument("--accept", action="store_true", help="write the results to expected.json")
    parser.add_argument("--reports", type=Path, help="keep the suite's HTML reports in this folder")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds for one run (default: %(default)s)")
    arguments = parser.parse_args()
    patterns = arguments.cases or (QUICK if arguments.quick else ALL)
    modes = [
        mode
        for mode in MODES
        if arguments.io_threads in (None, mode.io_threads) and arguments.compression in (None, mode.compression)
    ]

    if subprocess.run([HERE / "autobahn.sh", "install"], check=False).returncode != 0:
        return 2
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(arguments.jobs) as pool:
        reports = (arguments.reports or Path(temporary)).resolve()
        runs = [pool.submit(run, mode, patterns, reports / mode.folder(), arguments.timeout) for mode in modes]
        results = {mode: future.result() for mode, future in zip(modes, runs, strict=True)}
        if arguments.accept:
            return accept(results)
        return max(compare(mode, patterns, results[mode], reports / mode.folder()) for mode in modes)


def run(mode: Mode, patterns: list[str], report: Path, timeout: float) -> dict[str, Result]:
    """Runs the cases against a server of this mode."""
    report.mkdir(parents=True, exist_ok=True)
    for old in report.glob("*.json"):  # the suite overwrites reports, but never removes any
        old.unlink()
    started = time.monotonic()
    command = [
        sys.executable,
        HERE / "echo.py",
        "--io-threads",
        str(mode.io_threads),
        "--compression",
        mode.compression,
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        spec = report / "spec"
        spec.write_text(specification(port, patterns, report))
        with open(report / "log.txt", "w") as log:
            suite = subprocess.Popen([HERE / "autobahn.sh", "run", spec], stdout=log, stderr=subprocess.STDOUT)
            try:
                suite.wait(timeout)
            except subprocess.TimeoutExpired:
                suite.kill()
                suite.wait()
    finally:
        server.terminate()
        status = server.wait(10)
    results = read(report)
    seconds = time.monotonic() - started
    print(f"{mode}: {len(results)} cases in {seconds:.0f} s", flush=True)
    if status != 0:
        print(f"{mode}: the server ended with status {status}")
    return results


def specification(port: int, patterns: list[str], report: Path) -> str:
    return json.dumps(
        {
            "outdir": str(report),
            "servers": [{"agent": "hubbub", "url": f"ws://127.0.0.1:{port}"}],
            "cases": patterns,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
    )


def read(report: Path) -> dict[str, Result]:
    """The results by case, in the suite's order; empty if it did not get to its end."""
    index = report / "index.json"
    if not index.exists():
        return {}
    (cases,) = json.loads(index.read_text()).values()
    return {case: (cases[case]["behavior"], cases[case]["behaviorClose"]) for case in sorted(cases, key=number)}


def compare(mode: Mode, patterns: list[str], results: dict[str, Result], report: Path) -> int:
    """Prints what is not as expected."""
    expected = {
        case: result
        for case, result in committed().items()
        if any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns)
    }
    if not expected:
        print(f"no case has such a name: {' '.join(patterns)}")
        return 2
    status = 0
    for case in sorted(expected.keys() | results.keys(), key=number):
        have, want = results.get(case), expected.get(case)
        if have == want:
            continue
        status = max(status, 2 if have is None else 1)
        print(f"{mode}: case {case}: expected {want}, is {have}{details(report, case)}")
    if status == 2:
        log = (report / "log.txt").read_text(errors="replace").splitlines()
        print("\n".join(["the suite did not run to its end:", *log[-8:]]))
    elif status == 0:
        print(f"{mode}: all {len(results)} as expected")
    return status


def details(report: Path, case: str) -> str:
    path = report / f"hubbub_case_{case.replace('.', '_')}.json"
    if not path.exists():
        return ""
    told = json.loads(path.read_text())
    return f"\n    {told['description']}\n    {told['result']}\n    {told['resultClose']}"


def accept(results: dict[Mode, dict[str, Result]]) -> int:
    """Writes expected.json; the modes have to agree."""
    first, *others = results.values()
    if not first or any(other != first for other in others):
        print("the modes differ, or the suite did not run to its end: nothing is written")
        return 2
    merged = committed() | first
    lines = []
    for (group, result), cases in itertools.groupby(
        sorted(merged, key=number), lambda case: (case.rpartition(".")[0], merged[case])
    ):
        first_number, *_, last_number = [case.rpartition(".")[2] for case in cases] * 2
        lines.append(f"  {json.dumps(f'{group}.{first_number}-{last_number}')}: {json.dumps(result)}")
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 0


def committed() -> dict[str, Result]:
    """What expected.json says: a key stands for cases in a row, by the numbers of the first and the last."""
    expected: dict[str, Result] = {}
    for key, (behavior, close) in json.loads(EXPECTED.read_text()).items():
        group, _, numbers = key.rpartition(".")
        first, _, last = numbers.partition("-")
        for case in range(int(first), int(last) + 1):
            expected[f"{group}.{case}"] = (behavior, close)
    return expected


def number(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


if __name__ == "__main__":
    sys.exit(main())
