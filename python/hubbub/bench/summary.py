"""The result of a run as text."""

from __future__ import annotations

import math
from typing import Any

from hubbub.bench.units import bytes_of, count, duration, number, percent

__all__ = ["bars", "called", "facts", "fault", "headline", "summary", "unit"]

_UNITS = {
    "echo": "messages",
    "broadcast": "deliveries",
    "connect": "handshakes",
    "idle": "messages",
    "listen": "messages",
}
_WIDTH = 40
#: Lines of the distribution; with fewer it says nothing.
_MOST_BARS, _LEAST_BARS = 20, 4
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def called(run: dict[str, Any]) -> str:
    """What a run, its report or its settings, is called on the command line."""
    if run.get("protocol") != "socketio":
        return str(run["mode"])
    return "socketio polling" if run.get("transport") == "polling" else f"socketio {run['mode']}"


def unit(report: dict[str, Any]) -> str:
    """What is counted in this mode."""
    name = _UNITS[report["mode"]]
    return "events" if name == "messages" and report["protocol"] == "socketio" else name


def headline(report: dict[str, Any]) -> str:
    """What was done, in one line."""
    parts = [f"{count(report['connections'])} connections"]
    if report["size"] is not None:
        parts.append(f"{count(report['size'])} B {'binary' if report['binary'] else 'text'}")
    if report["senders"] is not None:
        parts.append(f"{count(report['senders'])} sender{'s' if report['senders'] > 1 else ''}")
    if report["in_flight"] is not None:
        parts.append(f"closed loop, {count(report['in_flight'])} in flight")
    if report["rate"] is not None:
        parts.append(f"open loop, {number(report['rate'])}/s")
    if report["deflate"]:
        parts.append("deflated")
    parts.append(f"{report['seconds']:.1f} s")
    return ", ".join(parts)


def facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of the main figures, those that there are."""
    rows: list[tuple[str, str]] = []
    if report["mode"] != "idle":
        rows.append(("received", f"{number(report['messages_per_second'])} {unit(report)}/s"))
    if report["size"] is not None:
        sent = "events" if report["protocol"] == "socketio" else "messages"
        rows.append(("sent", f"{number(report['sent_per_second'])} {sent}/s"))
        seconds = max(report["seconds"], 1e-9)
        rows.append(("bytes in", f"{bytes_of(report['bytes_in'] / seconds)}/s"))
        rows.append(("bytes out", f"{bytes_of(report['bytes_out'] / seconds)}/s"))
    if report["connecting_seconds"] and report["connected"]:
        rate = report["connected"] / report["connecting_seconds"]
        if report["mode"] != "connect" or report["storms"]:
            rows.append(("opening", f"{number(rate)} connections/s"))
    rows += [(f"storm {n}", f"all back after {s:.3f} s") for n, s in enumerate(report["storms"], 1)]
    if report["server_cpu_share"] is not None:
        text = f"{percent(report['server_cpu_share'])} of a core"
        if report["server_cpu_us_per_message"] is not None:
            text += f", {report['server_cpu_us_per_message']:.3g} us for each of the {unit(report)}"
        rows.append(("server CPU", text))
    if report["memory"] is not None:
        memory = report["memory"]
        text = bytes_of(memory["resident_after"])
        if report["mode"] == "idle":
            text += f", {count(round(memory['bytes_per_connection']))} B for each connection"
        rows.append(("server memory", text))
    busiest = f", busiest thread {percent(report['generator_busiest_share'])}" if report["threads"] > 1 else ""
    rows.append(("generator CPU", f"{percent(report['generator_cpu_share'])} of a core{busiest}"))
    return rows


def summary(report: dict[str, Any], rows: int | None = None) -> str:
    """A table of the figures, the distribution of the latencies, the errors.

    Args:
        rows: of the terminal; the distribution takes what the rest leaves of them, so that the figures stay in sight.
            ``None``: as many as it likes.
    """
    lines = [f"{called(report)} {report['url']}", f"  {headline(report)}", ""]
    lines += [f"  {name:<14} {value}" for name, value in facts(report)]
    names = (("latency", "latency_us"), ("service time", "service_us"), ("gap", "gap_us"))
    times = [(name, report[key]) for name, key in names]
    lines += _latencies([(name, latency) for name, latency in times if latency is not None])
    end = ["", *_errors(report)]
    if report["latency_us"] is not None:
        # Beside it stand a blank line, and after all of it the prompt.
        room = _MOST_BARS if rows is None else min(rows - len(lines) - len(end) - 2, _MOST_BARS)
        if room >= _LEAST_BARS:
            lines += ["", *_histogram(report["histogram"], report["latency_us"]["count"], room)]
    return "\n".join(lines + end) + "\n"


def _latencies(times: list[tuple[str, dict[str, float]]]) -> list[str]:
    names = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
    lines = ["  " + " " * 14 + "".join(f"{shown:>10}" for shown, _ in names)] if times else []
    for name, latency in times:
        lines.append(f"  {name:<14}" + "".join(f"{duration(latency[key]):>10}" for _, key in names))
    return lines


def _histogram(histogram: list[dict[str, float]], total: int, most_rows: int) -> list[str]:
    # Several bars of the report in one line, so that it fits on a screen.
    each = math.ceil(len(histogram) / most_rows)
    groups = [histogram[at : at + each] for at in range(0, len(histogram), each)]
    rows = [(group[-1]["to_us"], int(sum(bar["count"] for bar in group))) for group in groups]
    most = max(amount for _, amount in rows)
    lines = []
    for upper, amount in rows:
        share = f"{amount / total * 100:6.2f} %"
        bar = bars(amount / most)
        lines.append(f"  up to {duration(upper):>8}  {share}  {bar}" if amount else f"  up to {duration(upper):>8}")
    while lines and "%" not in lines[-1]:
        lines.pop()
    return lines


def bars(share: float, width: int = _WIDTH) -> str:
    """A bar for a share of 1; something that is not nothing is seen."""
    eighths = max(round(share * width * 8), 1)
    whole, rest = divmod(eighths, 8)
    return _EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")


def fault(kind: str) -> str:
    """A kind of error in words."""
    return "messages that nobody asked for" if kind == "unexpected" else kind.replace("_", " ")


def _errors(report: dict[str, Any]) -> list[str]:
    lines = [f"  error: {count(amount)} x {fault(kind)}" for kind, amount in report["errors"].items()]
    lines += [f"  warning: {warning}" for warning in report["warnings"]]
    if report["stopped"]:
        lines.append("  stopped before its time")
    if "failed" in report:
        lines.append(f"  ended before its time: {report['failed']}")
    return lines or ["  no errors"]
