"""``@pytest.mark.unstable(reason="...")``: a test that cannot be made certain is run again once, after all others.

The run passes if the test passes then. Its name and the reason are printed at the end of the run, and appended to
``.cache/unstable``, which ``make test`` prints at its own end. A failure of any other test is a failure.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

__all__ = ["AGAIN", "Unstable"]

#: What the second run is told, so that a failure in it is a failure.
AGAIN = "--unstable-again"


class Unstable:
    """The plugin, registered by conftest.py with the folder that has ``.cache``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        #: The tests that failed, and why that can happen.
        self._failed: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        mark = item.get_closest_marker("unstable")
        if mark is not None and report.failed and not item.config.getoption(AGAIN):
            # xdist sends the attribute to the process that reports.
            report.unstable = mark.kwargs["reason"]  # type: ignore[attr-defined]
            report.outcome = "unstable"  # type: ignore[assignment]
        return report

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            mark = item.get_closest_marker("unstable")
            if mark is not None and not mark.kwargs.get("reason"):
                raise pytest.UsageError(f"{item.nodeid}: the mark unstable needs reason=...")

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return ("unstable", "U", "UNSTABLE") if hasattr(report, "unstable") else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "unstable"):
            self._failed[report.nodeid] = report.unstable

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # Workers of xdist leave it to the process that started them.
        if not self._failed or hasattr(session.config, "workerinput"):
            return
        command = [sys.executable, "-m", "pytest", "-ra", AGAIN, *self._failed]
        if subprocess.call(command, cwd=session.config.invocation_params.dir) != pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        (self._root / ".cache").mkdir(exist_ok=True)
        with (self._root / ".cache/unstable").open("a") as file:
            file.writelines(f"{line}\n" for line in self._lines())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._failed:
            terminalreporter.section("unstable tests that failed and were run again")
            for report in terminalreporter.stats["unstable"]:
                terminalreporter.write_line(f"{report.nodeid}\n{report.longreprtext}")
            terminalreporter.write_line("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        return [f"{test}: {reason}" for test, reason in self._failed.items()]
