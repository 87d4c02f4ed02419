"""From reports to figures: medians, spread, ratios, and whether the generator was the bottleneck."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from comparison.scenarios import Scenario
from comparison.servers import FLOOR, REFERENCE
from comparison.store import Report, Results

FULL = 0.95
"""The share of a core from which on it counts as fully used."""


@dataclass(frozen=True)
class Figures:
    """What one server did in one scenario; medians of the rounds that did not fail."""

    server: str
    value: float | None
    least: float | None
    most: float | None
    to_floor: float | None
    """How many times the floor; none if the floor does not take part."""
    to_reference: float | None
    rate: float | None
    p50_us: float | None
    p99_us: float | None
    server_share: float | None
    load_share: float | None
    generator_bound: bool
    problems: dict[str, int]
    """What went wrong, and in how many rounds."""
    rounds: int


def figures(scenario: Scenario, results: Results) -> list[Figures]:
    """The servers that were measured: the floor, then from the best to the worst."""
    names = dict.fromkeys(server for one, server, _ in results.reports if one == scenario.name)
    bases = [median(results.of(scenario.name, name), scenario.figure) for name in (FLOOR, REFERENCE)]
    found = [of_server(scenario, name, results.of(scenario.name, name), *bases) for name in names]
    sign = -1 if scenario.more_is_better else 1

    def rank(one: Figures) -> tuple[bool, bool, float]:
        return one.server != FLOOR, one.value is None, sign * (one.value or 0)

    return sorted(found, key=rank)


def of_server(
    scenario: Scenario, name: str, reports: list[Report], floor: float | None, reference: float | None
) -> Figures:
    values = [value for report in reports if (value := look_up(report, scenario.figure)) is not None]
    value = statistics.median(values) if values else None
    server_share = median(reports, ("server_cpu_share",))
    load_share = median(reports, ("generator_cpu_share",))
    bound = load_share is not None and load_share >= FULL and not scenario.spins
    return Figures(
        server=name,
        value=value,
        least=min(values, default=None),
        most=max(values, default=None),
        to_floor=value / floor if value is not None and floor else None,
        to_reference=value / reference if value is not None and reference else None,
        rate=median(reports, ("messages_per_second",)) or None,
        p50_us=median(reports, ("latency_us", "p50")),
        p99_us=median(reports, ("latency_us", "p99")),
        server_share=server_share,
        load_share=load_share,
        generator_bound=bound and (server_share is None or server_share < FULL),
        problems=problems(reports),
        rounds=len(reports),
    )


def problems(reports: list[Report]) -> dict[str, int]:
    found: dict[str, int] = {}
    for report in reports:
        kinds = [report["failed"]] if "failed" in report else report.get("errors", {})
        for kind in kinds:
            found[kind] = found.get(kind, 0) + 1
    return found


def look_up(report: Report, path: tuple[str, ...]) -> float | None:
    value: object = report
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def median(reports: list[Report], path: tuple[str, ...]) -> float | None:
    values = [value for report in reports if (value := look_up(report, path)) is not None]
    return statistics.median(values) if values else None
