"""The drawing for README and RESULTS.md: bars, once for light pages and once for dark ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comparison.figures import Figures, figures
from comparison.scenarios import SCENARIOS, Scenario
from comparison.servers import FLOOR, Server
from comparison.store import Results
from comparison.table import number

# Readable on GitHub's pages, whose backgrounds are #ffffff and #0d1117; the drawings' own are transparent.
THEMES = {
    "light": {"text": "#1f2328", "faint": "#59636e", "ours": "#0969da", "others": "#b6bec8"},
    "dark": {"text": "#e6edf3", "faint": "#9198a1", "ours": "#4493f8", "others": "#545d68"},
}
COLUMNS = 2
PANEL_INCHES = (5.2, 3.4)


def draw(results: Results, servers: list[Server], folder: Path) -> list[str]:
    """Writes results-light.svg and results-dark.svg; returns their names, none if there is nothing to draw."""
    wanted = {server.name: server for server in servers if server.drawn}
    panels = []
    for scenario in SCENARIOS:
        found = figures(scenario, results)
        bars = [one for one in found if one.server in wanted and one.value is not None]
        if scenario.drawn and bars:
            panels.append((scenario, bars, next((one.value for one in found if one.server == FLOOR), None)))
    if not panels:
        return []
    ours = {server.name for server in servers if server.home}
    names = []
    for theme, colors in THEMES.items():
        names.append(f"results-{theme}.svg")
        draw_theme(panels, ours, colors, folder / names[-1])
    return names


def draw_theme(
    panels: list[tuple[Scenario, list[Figures], float | None]], ours: set[str], colors: dict[str, str], path: Path
) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    # Text stays text, and the same figures give the same file.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "hubbub", "font.family": "sans-serif", "font.size": 9}
    rows = -(-len(panels) // COLUMNS)
    with pyplot.rc_context(settings):
        figure, axes = pyplot.subplots(
            rows,
            COLUMNS,
            figsize=(PANEL_INCHES[0] * COLUMNS, PANEL_INCHES[1] * rows),
            squeeze=False,
            layout="constrained",
        )
        flat = [one for line in axes for one in line]
        for axis, (scenario, bars, floor) in zip(flat, panels, strict=False):
            draw_panel(axis, scenario, bars, floor, ours, colors)
        for axis in flat[len(panels) :]:
            axis.set_visible(False)
        figure.savefig(path, transparent=True, metadata={"Date": None})
        pyplot.close(figure)


def draw_panel(
    axis: Any, scenario: Scenario, bars: list[Figures], floor: float | None, ours: set[str], colors: dict[str, str]
) -> None:
    values = [one.value or 0.0 for one in bars]
    names = [one.server for one in bars]
    axis.barh(names, values, color=[colors["ours"] if name in ours else colors["others"] for name in names], height=0.7)
    axis.invert_yaxis()
    for place, value in enumerate(values):
        axis.annotate(
            number(value),
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colors["text"],
        )
    if floor is not None:
        axis.axvline(floor, color=colors["faint"], linestyle="--", linewidth=1, zorder=0)
        axis.annotate(
            "floor",
            (floor, 0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3),
            textcoords="offset points",
            color=colors["faint"],
        )
    better = "higher" if scenario.more_is_better else "lower"
    axis.set_title(f"{scenario.title}\n{scenario.unit}, {better} is better", color=colors["text"], fontsize=9.5)
    axis.set_xlim(0, max(values) * 1.18)
    axis.tick_params(axis="y", colors=colors["text"], length=0)
    # Every bar has its number.
    axis.set_xticks([])
    for side in ("top", "right", "left", "bottom"):
        axis.spines[side].set_visible(False)
