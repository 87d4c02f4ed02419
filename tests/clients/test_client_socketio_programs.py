"""The programs of examples/socketio with the official client: node/socketio-programs.test.js."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import ROOT, Program, running

FOLDER = Path(__file__).parent / "node"


@pytest.fixture(scope="module", params=[0, 1], ids=["io_threads=0", "io_threads=1"])
def programs(request: pytest.FixtureRequest) -> Iterator[tuple[Program, int]]:
    """examples/socketio and its port."""
    command = [sys.executable, str(ROOT / "examples/socketio/app.py"), "--port", "0"]
    with running([*command, "--io-threads", str(request.param)]) as program:
        yield program, program.wait_for_port()
        assert program.stop() == 0, program.output


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("transports", ["polling", "websocket", "polling,websocket"])
def test_the_programs_do_what_they_say(packages: None, programs: tuple[Program, int], transports: str) -> None:
    program, port = programs
    ran = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "socketio-programs.test.js"],
        cwd=FOLDER,
        env={**os.environ, "PORT": str(port), "TRANSPORTS": transports},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# pass 11\n" in ran.stdout, ran.stdout
    # What the server says of those who have come and gone.
    came = program.wait_for(r"^(\S+) has come$")[1]
    program.wait_for(rf"^{came} has gone: client namespace disconnect$")
    program.wait_for(r"^\S+ has gone: transport close$")
    # Three handlers could not do with what one client has sent: shout, shout and add.
    failed = [line for line in program.lines if "the handler of" in line]
    assert len(failed) % 3 == 0
    assert failed
    assert all("'shout'" in line or "'add'" in line for line in failed)
