#!/usr/bin/env python3
"""Counts instructions of work of known size under valgrind, against the counts in instructions.json.

    make instructions
    python benches/instructions.py --write      # the counts have changed for a reason

Times depend on the machine and on what else it does; instructions hardly do, so this is the gate that CI has. The cases
are in rust/net/benches/instructions.rs. A case fails when it takes more than the tolerance above what is written down.
Where valgrind cannot be had, or the processor uses another masking kernel than was counted with, that is said and
nothing fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COUNTS = Path(__file__).with_suffix(".json")
TOLERANCE = 0.05
VALGRIND = [
    "valgrind",
    "--tool=callgrind",
    "--callgrind-out-file=/dev/null",
    "--toggle-collect=*instructions*measured*",
]
# Two for each member of the broadcast, and valgrind's own.
DESCRIPTORS = 4096


class Skipped(Exception):
    """Nothing can be counted here; says why."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the counts down instead of comparing them")
    options = parser.parse_args()
    try:
        install_valgrind()
        program = build()
        kernel, *cases = under_valgrind(program, "--list").stdout.split("\n")[:-1]
        written = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
        if not options.write and kernel != written.get("kernel"):
            raise Skipped(f"masking uses {kernel} here, and was counted with {written.get('kernel')}")
    except Skipped as why:
        print(f"counting instructions is skipped: {why}")
        return 0
    counts = {case: count(program, case) for case in cases}
    if options.write:
        COUNTS.write_text(json.dumps({"kernel": kernel, "rustc": rustc(), "counts": counts}, indent=2) + "\n")
        print(COUNTS.read_text(), end="")
        return 0
    return compare(counts, written)


def compare(counts: dict[str, int], written: dict[str, Any]) -> int:
    failed = 0
    for case, now in counts.items():
        before = written["counts"].get(case)
        change = now / before - 1 if before else 0.0
        verdict = "ok"
        if before is None or change > TOLERANCE:
            verdict, failed = "not written down" if before is None else "TOO MANY", failed + 1
        elif change < -TOLERANCE:
            verdict = "fewer: write it down, or the next change may take it back unseen (--write)"
        print(f"  {case:36} {now:>12,} {change:>+7.1%}  {verdict}")
    if failed and rustc() != written["rustc"]:
        print(f"the counts were made with {written['rustc']}, this is {rustc()}: that may be the reason")
    print(f"{len(counts) - failed} passed, {failed} failed")
    return 1 if failed else 0


def install_valgrind() -> None:
    if shutil.which("valgrind"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Skipped("there is no valgrind, and no right to install it")
    print("installing valgrind")
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", "valgrind"]):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
        if done.returncode != 0:
            raise Skipped(f"valgrind cannot be installed: {done.stderr.strip()[-200:]}")


def build() -> str:
    """The program as it is released: its path."""
    command = ["cargo", "bench", "--quiet", "-p", "hubbub-net", "--bench", "instructions", "--no-run"]
    built = subprocess.run([*command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    found = [message["executable"] for message in messages if message.get("executable")]
    return str(found[-1])


def count(program: str, case: str) -> int:
    done = under_valgrind(program, case)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if not collected or collected[1] == "0":
        sys.exit(f"valgrind has counted nothing of {case!r}:\n{done.stderr}")
    return int(collected[1])


def under_valgrind(program: str, argument: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*VALGRIND, program, argument], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{argument!r} failed under valgrind:\n{done.stderr}")
    return done


def rustc() -> str:
    return subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < DESCRIPTORS else DESCRIPTORS, hard))
    sys.exit(main())
