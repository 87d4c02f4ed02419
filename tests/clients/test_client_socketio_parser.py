"""The reference's parsers, `socket.io-parser` and `engine.io-parser`: what they make of a table of packets.

rust/proto/tests/socketio.rs and engineio.rs compare our parsers with it, without Node. Here is shown that the committed
table is still what node/parser-transcripts.js gets from the packages, which says how it is made anew.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"
COMMITTED = FOLDER.parents[2] / "rust" / "proto" / "tests" / "data" / "socketio.json"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_committed_transcripts_are_what_the_reference_says(packages: None) -> None:
    command = ["node", "parser-transcripts.js"]
    fresh = subprocess.run(command, cwd=FOLDER, capture_output=True, encoding="utf-8", timeout=120, check=True).stdout
    committed = COMMITTED.read_text(encoding="utf-8")
    assert json.loads(fresh) == json.loads(committed)
    assert fresh == committed
