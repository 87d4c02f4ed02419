"""What was measured, one JSON object a line: a run can be broken off and continued, and later runs can add rounds.

A line is either {"about": {...}}, what is true of the measurements after it, or {"scenario", "server", "round",
"report"}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Report = dict[str, Any]


@dataclass
class Results:
    """What a file says."""

    about: dict[str, Any] = field(default_factory=dict)
    """What was said first. `versions` and `left_out` hold what was said at any time, `continued` the last date."""
    reports: dict[tuple[str, str, int], Report] = field(default_factory=dict)
    """By scenario, server and round; of several the last."""

    def of(self, scenario: str, server: str) -> list[Report]:
        return [report for (one, other, _), report in self.reports.items() if (one, other) == (scenario, server)]


class Store:
    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Results:
        results = Results()
        if not self.path.exists():
            return results
        for line in self.path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                # The last line of a run that was killed while it wrote.
                continue
            if "about" in entry:
                results.about = merge(results.about, entry["about"])
            else:
                results.reports[entry["scenario"], entry["server"], entry["round"]] = entry["report"]
        return results

    def add_about(self, about: dict[str, Any]) -> None:
        self.add({"about": about})

    def add_report(self, key: tuple[str, str, int], report: Report) -> None:
        scenario, server, number = key
        self.add({"scenario": scenario, "server": server, "round": number, "report": report})

    def add(self, entry: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a") as file:
            file.write(json.dumps(entry) + "\n")


def merge(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    if not before:
        return now
    versions = before["versions"] | now["versions"]
    left_out = before["left_out"] | now["left_out"]
    # Who could not be installed at first and can be now is no longer left out.
    left_out = {name: why for name, why in left_out.items() if name not in versions}
    return before | {"versions": versions, "left_out": left_out, "continued": now["date"]}
