"""Which measurements a run consists of, and in which order."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from comparison.scenarios import BLOCKED, Scenario
from comparison.servers import Server

# Seconds beside those that are measured: a start, an end, 10,000 connections, a blocked handler. For the estimate only.
AROUND = 0.8
IDLE = 3.0
BLOCK = 2.5


@dataclass(frozen=True)
class Step:
    round: int
    """From 0."""
    scenario: Scenario
    server: Server

    @property
    def key(self) -> tuple[str, str, int]:
        return self.scenario.name, self.server.name, self.round


def takes_part(server: Server, scenario: Scenario, only: list[str]) -> bool:
    """Whether the options want it (none: everything), and it can."""
    if scenario.mode_of(server) is None:
        return False
    patterns = [pattern.partition("/")[::2] for pattern in only or ["*"]]
    return any(
        fnmatch.fnmatch(scenario.name, of_scenario or "*") and fnmatch.fnmatch(server.name, of_server or "*")
        for of_scenario, of_server in patterns
    )


def steps(pairs: list[tuple[Scenario, Server]], rounds: int) -> Iterator[Step]:
    """Servers take turns within each scenario and round, so that a slow minute of the machine meets all of them."""
    for number in range(rounds):
        for scenario in dict.fromkeys(scenario for scenario, _ in pairs):
            if scenario.most_rounds is not None and number >= scenario.most_rounds:
                continue
            servers = [server for other, server in pairs if other is scenario]
            # Nobody is always the first, or always after the same one.
            turn = number * len(servers) // rounds
            for server in servers[turn:] + servers[:turn]:
                yield Step(number, scenario, server)


def estimate(planned: list[Step], duration: float, warmup: float) -> float:
    """Seconds that the steps will take, roughly."""
    total = 0.0
    for step in planned:
        total += AROUND
        if step.scenario.name == BLOCKED:
            total += BLOCK
        elif step.scenario.command == "idle":
            total += duration + IDLE
        else:
            total += duration + warmup
    return total
