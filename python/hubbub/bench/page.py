"""The report as one HTML file: nothing is fetched, and it follows the reader's light or dark theme."""

from __future__ import annotations

from html import escape
from typing import Any

from hubbub.bench import plot
from hubbub.bench.summary import called, facts, fault, headline, unit
from hubbub.bench.units import bytes_of, count, duration, number

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --card: #f6f8fa; --ink: #1f2328; --soft: #59636e; --line: #d8dee4;
  --one: #0969da; --two: #bc4c00; --three: #8250df; --bad: #cf222e; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --card: #161b22; --ink: #e6edf3; --soft: #9198a1;
  --line: #30363d; --one: #58a6ff; --two: #ffa657; --three: #bc8cff; --bad: #ff7b72; --warn: #d29922; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .8rem; }
.soft { color: var(--soft); margin: .2rem 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; margin-top: 1.4rem; }
.card, figure, .note { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; }
.card b { display: block; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.card span { color: var(--soft); }
.note { margin-top: .8rem; } .bad { border-left: 4px solid var(--bad); } .warn { border-left: 4px solid var(--warn); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: .8rem;
  margin-top: 1.4rem; }
figure { margin: 0; } svg { width: 100%; height: auto; display: block; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 0 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  font-weight: 400; overflow-wrap: anywhere; }
th { color: var(--soft); white-space: nowrap; width: 1%; } td { font-variant-numeric: tabular-nums; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def page(report: dict[str, Any]) -> str:
    """The whole file."""
    title = f"{called(report)} {report['url']}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(headline(report))}</p>',
        _notes(report),
        _cards(report),
        _plots(report),
        '<div class="tables">',
        _table("Figures", facts(report)),
        _table("Latency", _times(report["latency_us"], report["service_us"])),
        _table("From one message to the next", _times(report["gap_us"])),
        _table("Errors", _errors(report)),
        _table("Counted over the whole run", _totals(report)),
        _table("Settings", _settings(report)),
        _table("Machine", list(report["machine"].items())),
        "</div>",
        f"<h2>Command</h2><pre>{escape(report['command'])}</pre>",
        f'<p class="soft">Ended {escape(report["ended"])}. Made by hubbub bench.</p>',
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _notes(report: dict[str, Any]) -> str:
    notes = [("bad", f"It ended before its time: {report['failed']}")] if "failed" in report else []
    notes += [("bad", "It was stopped before its time.")] if report["stopped"] else []
    errors = sum(report["errors"].values())
    notes += [("bad", f"{count(errors)} errors were counted, see below.")] if errors else []
    notes += [("warn", warning[:1].upper() + warning[1:] + ".") for warning in report["warnings"]]
    return "".join(f'<p class="note {kind}">{escape(text)}</p>' for kind, text in notes)


def _cards(report: dict[str, Any]) -> str:
    cards: list[tuple[str, str]] = []
    latency = report["latency_us"]
    if report["mode"] != "idle":
        cards.append((number(report["messages_per_second"]), f"{unit(report)} a second"))
    if report["storms"]:
        cards.append((f"{max(report['storms']):.2f} s", "until all were back, at worst"))
    if latency is not None:
        cards += [(duration(latency[key]), name) for name, key in (("p50", "p50"), ("p99", "p99"), ("max", "max"))]
    if report["mode"] == "idle" and report["memory"] is not None:
        cards.append((bytes_of(report["memory"]["bytes_per_connection"]), "of the server's memory for each connection"))
    if report["server_cpu_us_per_message"] is not None:
        cards.append((duration(report["server_cpu_us_per_message"]), "of the server's CPU time for each"))
    elif report["server_cpu_share"] is not None:
        cards.append((f"{report['server_cpu_share'] * 100:.1f} %", "of a core used by the server"))
    cards.append((count(report["connected"]), "connections"))
    shown = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in cards
    )
    return f'<div class="cards">{shown}</div>'


def _plots(report: dict[str, Any]) -> str:
    shown = "".join(f"<figure>{plot.inline(report, name)}</figure>" for name in plot.drawings(report))
    return f'<div class="plots">{shown}</div>' if shown else ""


def _times(latency: dict[str, float] | None, service: dict[str, float] | None = None) -> list[tuple[str, str]]:
    names = ("min", "mean", "p50", "p90", "p99", "p999", "p9999", "max")
    if latency is None:
        return []
    shown = {"p999": "p99.9", "p9999": "p99.99"}
    rows = []
    for name in names:
        text = duration(latency[name])
        if service is not None:
            text += f" (service time {duration(service[name])})"
        rows.append((shown.get(name, name), text))
    return rows


def _errors(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(fault(kind), count(amount)) for kind, amount in report["errors"].items()] or [("none", "")]


def _totals(report: dict[str, Any]) -> list[tuple[str, str]]:
    totals = report["totals"]
    rows = [("sent", count(totals["sent"])), ("received", count(totals["received"]))]
    if totals["calls_sent"]:
        rows.append(("roll calls", f"{count(totals['calls_sent'])} sent, {count(totals['calls_received'])} received"))
    rows += [("bytes in", count(totals["bytes_in"])), ("bytes out", count(totals["bytes_out"]))]
    return rows


def _settings(report: dict[str, Any]) -> list[tuple[str, str]]:
    names = (
        "mode",
        "protocol",
        "transport",
        "url",
        "connections",
        "threads",
        "size",
        "binary",
        "in_flight",
        "rate",
        "senders",
        "deflate",
    )
    rows = [(name.replace("_", " "), _value(report[name])) for name in names if report[name] is not None]
    return [*rows, ("warm-up", f"{report['warmup_seconds']:g} s"), ("measured", f"{report['seconds']:.2f} s")]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else count(value) if isinstance(value, int) else str(value)


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    shown = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<section><h2>{title}</h2><table>{shown}</table></section>"
