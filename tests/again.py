"""Runs a test command; the few tests that fail are run once more, alone, and those that pass only then are named.

    python tests/again.py pytest -ra tests
    python tests/again.py cargo test --quiet
    python tests/again.py --report      # what passed only when it was run again, since the last --forget
    python tests/again.py --forget

A test that passes only the second time is a fault of the test or of the product, and has to be mended. It does not
hide the results of thousands of others, and it is printed at the end of ``make test``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Where pytest notes what failed, and where this program notes what passed later.
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
UNSTABLE = ROOT / ".cache" / "unstable"
#: More failures than this are no accident, and are not run again.
ACCIDENTS = 10
#: pytest's exit status for "some tests failed".
TESTS_FAILED = 1


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--forget"]:
            UNSTABLE.unlink(missing_ok=True)
            return 0
        case ["--report"]:
            if UNSTABLE.exists():
                print("Failed once, and passed when run again alone (each of them is to be mended):")
                print(UNSTABLE.read_text(), end="")
            return 0
        case ["pytest", *options]:
            return pytest(options)
        case ["cargo", *options]:
            return cargo(["cargo", *options])
        case _:
            print(__doc__, file=sys.stderr)
            return 2


def pytest(options: list[str]) -> int:
    FAILED.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *options]
    status = subprocess.call(command, cwd=ROOT)
    if status != TESTS_FAILED or not FAILED.exists():
        return status
    failed = sorted(json.loads(FAILED.read_text()))
    if len(failed) > ACCIDENTS:
        return status
    print(f"\nonce more, alone: {', '.join(failed)}", flush=True)
    status = subprocess.call([sys.executable, "-m", "pytest", "-ra", *failed], cwd=ROOT)
    if status == 0:
        note(failed)
    return status


def cargo(command: list[str]) -> int:
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(run.stdout, end="")
    failed = [line.removeprefix("test ").split(" ")[0] for line in run.stdout.splitlines() if line.endswith("FAILED")]
    failed += [line.strip() for line in run.stdout.splitlines() if line.startswith("    ") and "::" in line.strip()]
    failed = sorted({name for name in failed if name.count("::") and " " not in name})
    if run.returncode == 0 or not 0 < len(failed) <= ACCIDENTS:
        return run.returncode
    print(f"\nonce more, one by one: {', '.join(failed)}", flush=True)
    for name in failed:
        if status := subprocess.call([*command, name, "--", "--test-threads=1"], cwd=ROOT):
            return status
    note(failed)
    return 0


def note(names: list[str]) -> None:
    UNSTABLE.parent.mkdir(exist_ok=True)
    with UNSTABLE.open("a") as file:
        file.writelines(f"  {name}\n" for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
