#!/usr/bin/env python3
"""Runs the Autobahn testsuite against a Python handler and compares every case with what is committed.

    python tests/conformance/run.py            all 301 cases of groups 1-7, 9 and 10
    python tests/conformance/run.py --quick    without group 9, whose messages are large: for every commit
    python tests/conformance/run.py 6.4.* 7.*  some cases
    python tests/conformance/run.py --accept   writes what came out to expected.json

Each case is run with the network in the event loop's thread (io_threads=0) and on a thread of its own, both at the
same time. A case that comes out better than expected fails as well: then expected.json is to be changed.

Exit status: 0 as expected, 1 something differs, 2 the suite could not be run to its end.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"

#: Compression has its own groups, 12 and 13: they come with permessage-deflate.
ALL = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
QUICK = [pattern for pattern in ALL if pattern != "9.*"]

#: What the case itself and the closing handshake after it came to.
Result = tuple[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description="The Autobahn testsuite against a Python handler.")
    parser.add_argument("cases", nargs="*", help="patterns such as 6.4.* (default: groups 1-7, 9, 10)")
    parser.add_argument("--quick", action="store_true", help="leave out group 9")
    parser.add_argument("--io-threads", type=int, action="append", choices=[0, 1], help="only this mode")
    parser.add_argument("--accept", action="store_true", help="write the results to expected.json")
    parser.add_argument("--reports", type=Path, help="keep the suite's HTML reports in this folder")
    parser.add_argument("--timeout", type=float, default=1200, help="seconds for all (default: %(default)s)")
    arguments = parser.parse_args()
    patterns = arguments.cases or (QUICK if arguments.quick else ALL)
    modes = arguments.io_threads or [0, 1]

    if subprocess.run([HERE / "autobahn.sh", "install"], check=False).returncode != 0:
        return 2
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(len(modes)) as pool:
        reports = (arguments.reports or Path(temporary)).resolve()
        runs = [pool.submit(run, mode, patterns, reports / f"io-threads-{mode}", arguments.timeout) for mode in modes]
        results = {mode: future.result() for mode, future in zip(modes, runs, strict=True)}
        if arguments.accept:
            return accept(results)
        return max(compare(mode, patterns, results[mode], reports / f"io-threads-{mode}") for mode in modes)


def run(io_threads: int, patterns: list[str], report: Path, timeout: float) -> dict[str, Result]:
    """Runs the cases against a server of this mode."""
    report.mkdir(parents=True, exist_ok=True)
    for old in report.glob("*.json"):  # the suite overwrites reports, but never removes any
        old.unlink()
    started = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, HERE / "echo.py", "--io-threads", str(io_threads)], stdout=subprocess.PIPE, text=True
    )
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
    print(f"io_threads={io_threads}: {len(results)} cases in {seconds:.0f} s", flush=True)
    if status != 0:
        print(f"io_threads={io_threads}: the server ended with status {status}")
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


def compare(io_threads: int, patterns: list[str], results: dict[str, Result], report: Path) -> int:
    """Prints what is not as expected."""
    committed: dict[str, Result] = {case: tuple(result) for case, result in json.loads(EXPECTED.read_text()).items()}
    expected = {
        case: result
        for case, result in committed.items()
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
        print(f"io_threads={io_threads}: case {case}: expected {want}, is {have}{details(report, case)}")
    if status == 2:
        log = (report / "log.txt").read_text(errors="replace").splitlines()
        print("\n".join(["the suite did not run to its end:", *log[-8:]]))
    elif status == 0:
        print(f"io_threads={io_threads}: all {len(results)} as expected")
    return status


def details(report: Path, case: str) -> str:
    path = report / f"hubbub_case_{case.replace('.', '_')}.json"
    if not path.exists():
        return ""
    told = json.loads(path.read_text())
    return f"\n    {told['description']}\n    {told['result']}\n    {told['resultClose']}"


def accept(results: dict[int, dict[str, Result]]) -> int:
    """Writes expected.json; the modes have to agree."""
    first, *others = results.values()
    if not first or any(other != first for other in others):
        print("the modes differ, or the suite did not run to its end: nothing is written")
        return 2
    committed = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    merged = committed | first
    lines = [f"  {json.dumps(case)}: {json.dumps(merged[case])}" for case in sorted(merged, key=number)]
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 0


def number(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


if __name__ == "__main__":
    sys.exit(main())
