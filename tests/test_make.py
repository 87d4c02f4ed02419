"""The Makefile: what is built for which Python."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from support.program import ROOT

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / "Makefile").exists(), reason="make is not here"
)


def planned(*arguments: str) -> str:
    """What make would do."""
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("python", ["python3.99", "/opt/python/bin/python3.99"])
def test_a_wheel_for_another_python_is_built_in_an_environment_of_its_own(python: str) -> None:
    commands = planned("wheel", f"PYTHON={python}")
    place = f".venv-{python.strip('/').replace('/', '_')}"
    assert f"{python} -m venv --clear {place}\n" in commands
    assert f"{place}/bin/maturin build" in commands
    assert f"cp -rp {place}/wheel dist" in commands
    assert " .venv/" not in commands


def test_the_default_python_has_the_environment_that_the_documents_name() -> None:
    assert "cp -rp .venv/wheel dist" in planned("wheel", "PYTHON=python3")
