"""The mark ``unstable``: the test that has it is run again once, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import sys
sys.path.insert(0, {support!r})
from support.unstable import AGAIN, Unstable

def pytest_addoption(parser):
    parser.addoption(AGAIN, action="store_true")

def pytest_configure(config):
    config.addinivalue_line("markers", "unstable(reason): run again")
    config.pluginmanager.register(Unstable(config.rootpath))
"""
#: Each fails the first so many times.
FAILS = """
import pathlib, pytest

def fails(name, times):
    runs = pathlib.Path(name)
    done = len(runs.read_text()) if runs.exists() else 0
    runs.write_text("x" * (done + 1))
    assert done >= times, f"run {done} of {name}"

"""
MARK = '@pytest.mark.unstable(reason="the weather")\n'


def run(folder: Path, tests: str, *options: str) -> tuple[int, str, dict[str, int]]:
    """The exit status and output of pytest for these tests, and how often each was run."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(CONFTEST.format(support=str(Path(__file__).parent)))
    (folder / "test_weather.py").write_text(FAILS + tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *options]
    # Other plugins take longer to import than the tests to run.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    runs = {file.name: len(file.read_text()) for file in folder.iterdir() if not file.suffix and file.is_file()}
    return ran.returncode, ran.stdout + ran.stderr, runs


@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n", "2"]], ids=["one-process", "xdist"])
def test_a_marked_test_that_passes_the_second_time_is_named_and_fails_nothing(
    tmp_path: Path, options: list[str]
) -> None:
    tests = MARK + "def test_rain(): fails('rain', 1)\ndef test_sun(): fails('sun', 0)\n"
    status, output, runs = run(tmp_path, tests, *options)
    assert status == 0, output
    assert runs == {"rain": 2, "sun": 1}
    assert "run 0 of rain" in output, "what failed the first time is shown"
    assert (tmp_path / ".cache/unstable").read_text() == "test_weather.py::test_rain: the weather\n"
    assert "test_weather.py::test_rain: the weather\n" in output


def test_a_marked_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    status, output, runs = run(tmp_path, MARK + "def test_rain(): fails('rain', 2)\n")
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert runs == {"rain": 2}


def test_a_test_without_the_mark_is_run_once(tmp_path: Path) -> None:
    tests = MARK + "def test_rain(): fails('rain', 1)\ndef test_sun(): fails('sun', 1)\n"
    status, output, runs = run(tmp_path, tests)
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert runs == {"rain": 2, "sun": 1}


def test_the_mark_needs_a_reason(tmp_path: Path) -> None:
    status, output, _ = run(tmp_path, "@pytest.mark.unstable\ndef test_rain(): pass\n")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "test_weather.py::test_rain: the mark unstable needs reason=..." in output
