"""The comparison in benches/: what it plans, keeps, works out and writes, and that its checks tell right from wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from comparison import blocked, plan, table
from comparison.checks import Wrong, check
from comparison.figures import figures
from comparison.kits import Here, Kit, Ready, Unavailable, Venv, find_python
from comparison.machine import Cores, choose_cores
from comparison.running import Track
from comparison.scenarios import SCENARIOS, Scenario
from comparison.servers import Server, servers
from comparison.store import Report, Results, Store

EVERYONE = servers(sys.executable)
ECHO = next(scenario for scenario in SCENARIOS if scenario.name == "echo-1")
IDLE = next(scenario for scenario in SCENARIOS if scenario.name == "idle")


def report(cpu: float, server: float = 1.0, load: float = 0.5) -> Report:
    return {"server_cpu_us_per_message": cpu, "server_cpu_share": server, "generator_cpu_share": load, "errors": {}}


def results(reports: dict[str, list[Report]], scenario: Scenario = ECHO) -> Results:
    about = {
        "date": "today",
        "command": "python benches/compare.py",
        "machine": {"processor": "a fast one"},
        "settings": {"duration": 1.0, "warmup": 0.1},
        "cores": {"server": "core 0", "load": "core 1", "shared": True},
        "versions": {name: f"{name} 1.0" for name in reports},
        "left_out": {"granian": "there is no wheel"},
    }
    by_key = {(scenario.name, name, at): one for name, several in reports.items() for at, one in enumerate(several)}
    return Results(about, by_key)


# ---- the plan


def test_servers_take_turns_and_begin_with_another_in_each_round() -> None:
    pairs = [(ECHO, server) for server in EVERYONE if plan.takes_part(server, ECHO, [])]
    planned = list(plan.steps(pairs, 3))
    assert [step.round for step in planned] == sorted(step.round for step in planned)
    assert len({step.key for step in planned}) == 3 * len(pairs) == len(planned)
    assert len({planned[round_ * len(pairs)].server.name for round_ in range(3)}) == 3


def test_a_scenario_that_needs_few_rounds_gets_few() -> None:
    assert {step.round for step in plan.steps([(IDLE, EVERYONE[1])], 5)} == {0, 1}


def test_globs_choose_scenarios_and_servers() -> None:
    chosen = {
        (s.name, v.name) for s in SCENARIOS for v in EVERYONE if plan.takes_part(v, s, ["echo-1*/floor", "idle/b*"])
    }
    assert chosen == {
        ("echo-1", "floor"),
        ("echo-16", "floor"),
        ("echo-16KiB", "floor"),
        ("echo-1MiB", "floor"),
        ("idle", "bun"),
    }


def test_a_whole_run_takes_less_than_25_minutes() -> None:
    pairs = [(s, v) for s in SCENARIOS for v in EVERYONE if plan.takes_part(v, s, [])]
    assert plan.estimate(list(plan.steps(pairs, 3)), 1.2, 0.3) < 25 * 60


def test_cores_are_separate_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert choose_cores(None, None) == Cores((0, 1), 1)
    assert choose_cores(None, None).shared
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert choose_cores(None, None) == Cores((1, 2), 3)
    assert choose_cores([4], 6) == Cores((4, 4), 6)


# ---- what is kept


def test_a_run_that_was_killed_while_it_wrote_can_be_continued(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.jsonl")
    said = {"date": "monday", "versions": {"ws": "ws 8"}, "left_out": {"bun": "no npm"}}
    store.add_about(said)
    store.add_report(("echo-1", "ws", 0), report(1))
    with open(store.path, "a") as file:
        file.write('{"scenario": "echo-1", "ser\n')
    store.add_about({"date": "tuesday", "versions": {"bun": "bun 1"}, "left_out": {}})
    store.add_report(("echo-1", "bun", 0), report(2))
    kept = store.load()
    assert list(kept.reports) == [("echo-1", "ws", 0), ("echo-1", "bun", 0)]
    assert (kept.about["date"], kept.about["continued"]) == ("monday", "tuesday")
    assert kept.about["versions"] == {"ws": "ws 8", "bun": "bun 1"}
    assert kept.about["left_out"] == {}


# ---- what is worked out


def test_figures_are_medians_as_ratios_to_the_floor_best_first() -> None:
    found = figures(
        ECHO,
        results(
            {
                "ws": [report(9)],
                "hubbub": [report(3), report(9), report(4)],
                "floor": [report(2)],
                "picows": [report(8)],
            }
        ),
    )
    assert [one.server for one in found] == ["floor", "hubbub", "picows", "ws"]
    ours = found[1]
    assert (ours.value, ours.least, ours.most, ours.to_floor, ours.to_reference) == (4, 3, 9, 2, 0.5)


def test_a_generator_at_its_limit_is_marked_unless_the_server_is_at_its_own() -> None:
    marked = {
        (server, load): figures(ECHO, results({"ws": [report(1, server, load)]}))[0].generator_bound
        for server in (0.5, 1.0)
        for load in (0.5, 1.0)
    }
    assert marked == {(0.5, 0.5): False, (0.5, 1.0): True, (1.0, 0.5): False, (1.0, 1.0): False}
    spinning = replace(ECHO, arguments=(*ECHO.arguments, "--spin"))
    assert not figures(spinning, results({"ws": [report(1, 0.5, 1.0)]}))[0].generator_bound


def test_what_failed_is_counted_and_not_averaged() -> None:
    (one,) = figures(ECHO, results({"ws": [report(1), {"failed": "it died"}, {**report(3), "errors": {"lost": 7}}]}))
    assert one.value == 2
    assert one.problems == {"it died": 1, "lost": 1}


def test_the_page_names_the_machine_the_versions_and_who_is_missing() -> None:
    page = table.results_page(
        results({"floor": [report(2)], "hubbub": [report(3, 0.5, 1.0)]}), ["results-light.svg", "results-dark.svg"]
    )
    for wanted in [
        "a fast one",
        "hubbub 1.0",
        "granian: there is no wheel",
        "uWebSockets.js: ",
        "| hubbub | 3 (1.50) |",
        f"| hubbub {table.MARK} | 3 | 3 to 3 | 1.50 |",
        'srcset="results-dark.svg"',
    ]:
        assert wanted in page


# ---- servers


class Never(Kit):
    def make(self, place: Path) -> Ready:
        raise Unavailable("it cannot be had")


def track(tmp_path: Path) -> Track:
    core = min(os.sched_getaffinity(0))
    return Track("no generator", Cores((core, core), core), 0.1, 0.1, tmp_path)


def ours(*options: str) -> Server:
    return Server("hubbub", Here("hubbub_server.py", sys.executable, ("hubbub",)), options)


@pytest.fixture
def started(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    mode, *options = request.param
    server = ours(*options)
    ready = server.kit.ready(tmp_path / server.name)
    with track(tmp_path).started(server, ready, mode) as (_, port):
        yield port


@pytest.mark.parametrize("options", [(), ("--io-threads", "1", "--handler", "coroutine")], ids=["inline", "threaded"])
def test_our_own_server_passes_the_checks(tmp_path: Path, options: tuple[str, ...]) -> None:
    ready, wrong = track(tmp_path).prepare(ours(*options), {"echo", "broadcast", "block"})
    assert wrong == {}
    assert "hubbub " in ready.versions


@pytest.mark.parametrize("started", [("block",)], indirect=True)
def test_a_server_that_does_something_else_is_told_from_one_that_does_it(started: int) -> None:
    check("block", started)
    with pytest.raises(Wrong, match="echo: opcode 8"):
        check("echo", started)


@pytest.mark.parametrize("started", [("block", "--io-threads", "1")], indirect=True)
def test_others_are_asked_while_a_handler_blocks(started: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocked, "BLOCKS_SECONDS", 0.2)
    found = blocked.measure(started)
    assert found["errors"] == {}
    assert found["pong_ms"]["count"] >= 1
    assert found["handshake_ms"]["count"] >= 1
    assert found["worst_ms"] == max(found["pong_ms"]["max"], found["handshake_ms"]["max"])


def test_who_cannot_be_installed_is_left_out_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="it cannot be had"):
        track(tmp_path).prepare(Server("never", Never("floor.c")), {"echo"})
    with pytest.raises(Unavailable, match=r"it needs Python 3\.99 and there is none"):
        find_python((3, 99))


def test_what_was_installed_is_used_again_until_the_kit_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def make(kit: Venv, place: Path) -> Ready:
        made.append(place)
        return Ready(["python"], "1.0")

    monkeypatch.setattr(Venv, "make", make)
    for packages in [("one",), ("one",), ("two",)]:
        assert Venv("ws_server.mjs", packages).ready(tmp_path / "place") == Ready(["python"], "1.0")
    assert len(made) == 2
