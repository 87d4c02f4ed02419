"""What a terminal shows while a run goes on."""

from __future__ import annotations

import sys
import termios
from contextlib import suppress
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hubbub.bench.summary import called, fault
from hubbub.bench.units import bytes_of, count, duration, number, percent
from hubbub.bench.watching import STAGES

__all__ = ["Screen", "picture", "sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKS = 60
#: Width of the first column.
_NAMES = 16
#: A thread of the generator that is busier is about to be what is measured.
_BUSY = 0.9
_ORDER = ("connecting", "gathering", "warming_up", "measuring", "draining")


class Screen:
    """A live picture of a run, for the length of a block; call it with each snapshot."""

    def __init__(self, settings: dict[str, Any], console: Console | None = None) -> None:
        self.settings = settings
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._before: list[Any] | None = None

    def __enter__(self) -> Screen:
        # The ^C that a terminal writes would move the cursor, and a line of the picture would stay.
        with suppress(OSError, ValueError, termios.error):
            self._before = termios.tcgetattr(sys.stdin)
            self._set_flags(self._before[3] & ~termios.ECHOCTL)
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._live.__exit__(*error)
        finally:
            if self._before is not None:
                self._set_flags(self._before[3])

    def _set_flags(self, flags: int) -> None:
        with suppress(OSError, ValueError, termios.error):
            settings = termios.tcgetattr(sys.stdin)
            settings[3] = flags
            termios.tcsetattr(sys.stdin, termios.TCSANOW, settings)

    def __call__(self, snapshot: dict[str, Any]) -> None:
        self._live.update(picture(self.settings, snapshot), refresh=True)


def picture(settings: dict[str, Any], snapshot: dict[str, Any]) -> RenderableType:
    """A run as a panel."""
    point = snapshot["point"]
    parts: list[RenderableType] = [_stages(settings, snapshot)]
    if point is not None and snapshot["stage"] not in ("connecting", "gathering"):
        parts += [Text(), _rates(settings, snapshot, point), Text(), _latencies(snapshot, point)]
    parts += [Text(), _processors(settings, point), Text(), *_errors(snapshot)]
    title = f"[bold]hubbub bench {called(settings)}[/] {settings['url']}"
    hint = "[dim]Ctrl-C ends it and reports[/]"
    return Panel(Group(*parts), title=title, title_align="left", subtitle=hint, subtitle_align="right", padding=(0, 2))


def _stages(settings: dict[str, Any], snapshot: dict[str, Any]) -> RenderableType:
    skipped = {"gathering"} if settings["mode"] != "broadcast" else set()
    if settings["mode"] == "idle" or settings.get("storm") or not settings.get("warmup"):
        skipped.add("warming_up")
    if settings["mode"] == "connect":
        skipped |= set() if settings.get("storm") else {"connecting"}
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=_NAMES)
    grid.add_column(max_width=40)
    grid.add_column(min_width=15, no_wrap=True)
    stages = [stage for stage in _ORDER if stage not in skipped]
    current = stages.index(snapshot["stage"]) if snapshot["stage"] in stages else len(stages)
    for at, stage in enumerate(stages):
        name = "broadcast to all" if stage == "gathering" else "last replies" if stage == "draining" else STAGES[stage]
        if at < current:
            grid.add_row(Text(name, "dim"), _bar(1, 1), Text("done", "dim"))
        elif at > current:
            grid.add_row(Text(name, "dim"), _bar(1, 0), "")
        else:
            total, done, said = _progress(stage, snapshot)
            grid.add_row(Text(name, "bold"), _bar(total or 1, min(done, total)), said)
    return grid


def _bar(total: float, done: float) -> ProgressBar:
    return ProgressBar(total, done, complete_style="cyan", finished_style="green")


def _progress(stage: str, snapshot: dict[str, Any]) -> tuple[float, float, str]:
    wanted = snapshot["connections"]
    if stage == "connecting":
        return wanted, snapshot["open"], f"{count(snapshot['open'])} of {count(wanted)}"
    if stage == "gathering":
        return wanted, snapshot["gathered"], f"{count(snapshot['gathered'])} of {count(wanted)}"
    seconds, planned = snapshot["stage_seconds"], snapshot["planned_seconds"] or 0.0
    return planned, seconds, f"{min(seconds, planned):.1f} of {planned:g} s"


def _rates(settings: dict[str, Any], snapshot: dict[str, Any], point: dict[str, Any]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=_NAMES)
    grid.add_column(justify="right", min_width=10)
    grid.add_column(justify="right", min_width=12)
    grid.add_column()
    name = {"connect": "handshakes", "broadcast": "delivered", "idle": "received"}.get(settings["mode"], "received")
    spark = _Spark(snapshot["recent"])
    received = f"[bold]{number(point['received_per_second'])}/s[/]"
    grid.add_row(name, received, f"{bytes_of(point['bytes_in_per_second'])}/s", spark)
    if settings["mode"] in ("echo", "broadcast"):
        sent = f"{number(point['sent_per_second'])}/s"
        grid.add_row("sent", sent, f"{bytes_of(point['bytes_out_per_second'])}/s", "")
    grid.add_row("connections", count(snapshot["open"]), "", "")
    return grid


def _latencies(snapshot: dict[str, Any], point: dict[str, Any]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=_NAMES)
    names = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
    for _ in names:
        grid.add_column(justify="right", min_width=9)
    if point["latency_us"] is None and snapshot["latency_us"] is None:
        return grid
    grid.add_row(Text("latency", "dim"), *(Text(shown, "dim") for shown, _ in names))
    for name, latency, style in (("now", point["latency_us"], ""), ("measured", snapshot["latency_us"], "bold")):
        if latency is not None:
            grid.add_row(name, *(Text(duration(latency[key]), style) for _, key in names))
    return grid


def _processors(settings: dict[str, Any], point: dict[str, Any] | None) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=_NAMES)
    grid.add_column()
    if point is None:
        return grid
    text = Text(f"{percent(point['generator_cpu_share'])} of a core")
    if point["generator_busiest_share"] > _BUSY and not settings.get("spin"):
        text.append("  a thread is at its limit: so are the figures (--threads)", "bold yellow")
    grid.add_row("generator", text)
    if point["server_cpu_share"] is not None:
        text = Text(f"{percent(point['server_cpu_share'])} of a core")
        if point["server_resident"] is not None:
            text.append(f", {bytes_of(point['server_resident'])}")
        grid.add_row("server", text)
    return grid


def _errors(snapshot: dict[str, Any]) -> list[RenderableType]:
    if not snapshot["errors"]:
        return [Text("no errors", "dim green")]
    said = ", ".join(f"{count(amount)} x {fault(kind)}" for kind, amount in snapshot["errors"].items())
    return [Text(f"errors: {said}", "bold red")]


class _Spark:
    """The newest values, as many as there is room for."""

    def __init__(self, values: list[float]) -> None:
        self._values = values

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(sparkline(self._values, min(options.max_width, _SPARKS)), "cyan", no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(min(len(self._values), options.max_width, _SPARKS), 1))


def sparkline(values: list[float], width: int = _SPARKS) -> str:
    """The last values, as heights from nothing to the highest of them."""
    shown = values[-width:]
    most = max(shown, default=0.0)
    if most <= 0:
        return _BLOCKS[0] * len(shown)
    return "".join(_BLOCKS[min(int(value / most * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in shown)
