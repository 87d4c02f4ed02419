"""The curves of a report, drawn with matplotlib.

matplotlib because it writes SVG with real text, whose colours can be replaced: the page follows the reader's light or
dark theme. Libraries that draw in the browser would bring megabytes of JavaScript into each report.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from hubbub.bench.summary import called
from hubbub.bench.units import number

__all__ = ["DRAWINGS", "drawings", "inline", "save"]


@dataclass(frozen=True)
class Colours:
    """What the parts of a drawing are drawn in."""

    ink: str
    grid: str
    one: str
    two: str
    three: str


# For the page each of these is replaced by a colour that the style sheet names.
_PLACEHOLDERS = Colours("#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f")
_VARIABLES = Colours("currentColor", "var(--line)", "var(--one)", "var(--two)", "var(--three)")
_ON_WHITE = Colours("#1f2328", "#d8dee4", "#0969da", "#bc4c00", "#8250df")


def _style(colours: Colours, salt: str) -> Any:
    # matplotlib's type for this names each of its settings; older versions have none.
    return {
        "axes.edgecolor": colours.grid,
        "axes.labelcolor": colours.ink,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": colours.ink,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.grid": True,
        "axes.axisbelow": True,
        "font.family": "sans-serif",
        "font.size": 9,
        "grid.color": colours.grid,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "text.color": colours.ink,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
    }


_QUANTILES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)


def _percentiles(axes: Axes, report: dict[str, Any], colours: Colours) -> None:
    """Latency by percentile, with each nine as wide as the one before."""
    # The last point is 1, which would be infinitely far to the right.
    points = [point for point in report["percentiles"] if point["quantile"] < 1.0]
    axes.plot([1 / (1 - p["quantile"]) for p in points], [p["us"] for p in points], color=colours.one)
    axes.set_title("Latency by percentile")
    axes.set_xscale("log")
    last = max((1 / (1 - p["quantile"]) for p in points), default=10.0)
    shown = [quantile for quantile in _QUANTILES if 1 / (1 - quantile) <= last * 1.01]
    axes.xaxis.set_major_locator(FixedLocator([1 / (1 - quantile) for quantile in shown]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 - 100 / x:.6g} %"))
    axes.xaxis.set_minor_locator(NullLocator())
    _times(axes)
    axes.set_xlabel("part of the messages that took no longer")


def _histogram(axes: Axes, report: dict[str, Any], colours: Colours) -> None:
    bars = report["histogram"]
    total = sum(bar["count"] for bar in bars)
    axes.bar(
        [bar["from_us"] for bar in bars],
        [100 * bar["count"] / max(total, 1) for bar in bars],
        width=[(bar["to_us"] - bar["from_us"]) * 0.92 for bar in bars],
        align="edge",
        color=colours.one,
    )
    axes.set_title("Latency")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    if bars and bars[-1]["to_us"] / bars[0]["from_us"] > 30:
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_minor_formatter(FuncFormatter(_tick))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g} %"))
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("part of the messages")


def _throughput(axes: Axes, report: dict[str, Any], colours: Colours) -> None:
    times, points = _series(report)
    if report["mode"] == "echo" and report["rate"] is not None:
        axes.plot(times, [p["sent_per_second"] for p in points], color=colours.two, label="sent")
    axes.plot(times, [p["received_per_second"] for p in points], color=colours.one, label="received")
    axes.set_title("Throughput" if report["mode"] != "idle" else "Messages")
    _time_axis(axes, times, colours)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: number(y)))
    axes.set_ylabel("each second")
    _legend(axes)


def _latencies(axes: Axes, report: dict[str, Any], colours: Colours) -> None:
    times, points = _series(report)
    for key, name, colour in (("max", "max", colours.three), ("p99", "p99", colours.two), ("p50", "p50", colours.one)):
        shown = [(t, p["latency_us"][key]) for t, p in zip(times, points, strict=True) if p["latency_us"]]
        axes.plot([t for t, _ in shown], [us for _, us in shown], color=colour, label=name)
    axes.set_title("Latency over time")
    _time_axis(axes, times, colours)
    _times(axes)
    _legend(axes)


def _processors(axes: Axes, report: dict[str, Any], colours: Colours) -> None:
    times, points = _series(report)
    if any(p["server_cpu_share"] is not None for p in points):
        shares = [100 * (p["server_cpu_share"] or 0.0) for p in points]
        axes.plot(times, shares, color=colours.one, label="server")
    axes.plot(times, [100 * p["generator_cpu_share"] for p in points], color=colours.two, label="generator")
    axes.set_title("Processor")
    _time_axis(axes, times, colours)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g} %"))
    axes.set_ylabel("of a core")
    _legend(axes)


Drawing = Callable[[Axes, dict[str, Any], Colours], None]

#: The drawings by name.
DRAWINGS: dict[str, Drawing] = {
    "percentiles": _percentiles,
    "histogram": _histogram,
    "throughput": _throughput,
    "latencies": _latencies,
    "processors": _processors,
}


def drawings(report: dict[str, Any]) -> list[str]:
    """The names of those that have something to show."""
    timed = ["throughput", "latencies", "processors"] if len(_series(report)[0]) > 1 else []
    # Where all latencies are one, to three digits, there is no curve.
    curve = ["percentiles"] if any(point["quantile"] < 1.0 for point in report["percentiles"]) else []
    names = [*curve, "histogram", *timed] if report["latency_us"] is not None else timed
    return [name for name in names if name != "latencies" or report["latency_us"] is not None]


def inline(report: dict[str, Any], name: str) -> str:
    """One drawing as an SVG element for a page, which sets its colours."""
    with matplotlib.rc_context(_style(_PLACEHOLDERS, name)):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        DRAWINGS[name](figure.subplots(), report, _PLACEHOLDERS)
        svg = _svg(figure)
    for placeholder, variable in zip(astuple(_PLACEHOLDERS), astuple(_VARIABLES), strict=True):
        svg = svg.replace(placeholder, variable)
    # Names within a page are unique, and a page needs no name spaces and no sizes in points.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{name}"', svg, count=1)
    return svg[svg.index("<svg") :]


def save(report: dict[str, Any], path: Path) -> None:
    """All drawings as one picture, PNG or SVG by its name.

    Raises:
        OSError: it cannot be written.
    """
    names = drawings(report)
    with matplotlib.rc_context(_style(_ON_WHITE, "hubbub")):
        rows = max((len(names) + 1) // 2, 1)
        figure = Figure(figsize=(13, 3.4 * rows + 0.5), layout="constrained", facecolor="white")
        figure.suptitle(f"hubbub bench {called(report)}  {report['url']}", x=0.01, ha="left", fontsize=12)
        grid = figure.subplots(rows, 2, squeeze=False).flatten()
        for axes, name in zip(grid, names, strict=False):
            DRAWINGS[name](axes, report, _ON_WHITE)
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        if path.suffix.lower() == ".svg":
            path.write_text(_svg(figure))
        else:
            figure.savefig(path, dpi=140)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
    figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return out.getvalue()


def _series(report: dict[str, Any]) -> tuple[list[float], list[dict[str, Any]]]:
    """The intervals under load, and their middles in seconds since the window began."""
    points = [p for p in report["series"] if p["stage"] in ("warming_up", "measuring")]
    began = next((p["at"] - p["seconds"] for p in points if p["stage"] == "measuring"), 0.0)
    return [p["at"] - p["seconds"] / 2 - began for p in points], points


def _time_axis(axes: Axes, times: list[float], colours: Colours) -> None:
    axes.set_xlabel("seconds")
    if times and times[0] < 0:
        axes.axvspan(times[0], 0, color=colours.grid, alpha=0.45, linewidth=0, label="warm-up")
    if times:
        axes.set_xlim(times[0], max(times[-1], times[0] + 1e-3))


def _legend(axes: Axes) -> None:
    """In the line of the title, where no curve can be."""
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=4, borderaxespad=0.0, handlelength=1.4)


def _tick(value: float, _: int) -> str:
    for limit, name in ((1e6, "s"), (1e3, "ms")):
        if value >= limit:
            return f"{value / limit:g} {name}"
    return f"{value:g} us"


def _times(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    low, high = axes.get_ylim()
    if high / low < 30:
        axes.yaxis.set_minor_formatter(FuncFormatter(_tick))
    else:
        axes.yaxis.set_minor_formatter(NullFormatter())
