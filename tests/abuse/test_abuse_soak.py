"""Everything at once, for some seconds; `make soak` does the same for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[1] / "soak" / "soak.py"


def test_soak_leaves_nothing_behind() -> None:
    command = [sys.executable, str(SOAK), "--seconds", "12"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stderr[-5000:]
    assert ended.stdout.count("nothing is left") == 4, "both modes, plain and over TLS"
