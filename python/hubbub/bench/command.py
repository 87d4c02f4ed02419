"""One run, from its options to its exit status."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubbub._core import Load
from hubbub.bench import arguments, builtin, machine, watching
from hubbub.bench.summary import summary

__all__ = ["FAILED", "GOOD", "HAD_ERRORS", "USAGE", "work"]

GOOD = 0
#: The run could not be made, or not to its end.
FAILED = 1
USAGE = 2
#: There is a report, and errors were counted in it.
HAD_ERRORS = 3

#: The form of the JSON report: goes up when something is removed or changes its meaning.
SCHEMA = 1
#: A load average of more than this for each core is told.
_HIGH_LOAD = 0.75


def work(options: argparse.Namespace, given: list[str]) -> int:
    """Does a run; gives the exit status."""
    missing = _missing(options)
    if missing is not None:
        _say(f"error: {missing}")
        return USAGE
    for file in (options.json, options.html, options.plot):
        folder = Path(file or ".").absolute().parent
        if not folder.is_dir():
            _say(f"error: there is no folder {folder} for {Path(file).name}")
            return USAGE
    try:
        with contextlib.ExitStack() as stack:
            if options.url is None:
                hub = stack.enter_context(builtin.serving(_hub(options)))
                _say(f"no URL is given: a hub of hubbub's own is loaded, {hub.url}, process {hub.pid}")
                options.url = hub.url
                options.server_pids.append(hub.pid)
                if options.mode == "listen":
                    options.field = options.field or "at"
            load = machine.load_average()
            report = _run(options, load)
    except ValueError as error:
        _say(f"error: {error}")
        return USAGE
    except OSError as error:
        _say(f"error: {error}")
        return FAILED
    began = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    command = shlex.join(["hubbub", *map(_without_secret, given)])
    report = {"schema": SCHEMA, "command": command, "ended": began, "machine": machine.about(load), **report}
    return _tell(report, options)


def _hub(options: argparse.Namespace) -> str:
    """The built-in one for this run."""
    if options.mode == "listen":
        return "socketio_ticks" if options.protocol == "socketio" else "ticks"
    if options.protocol == "socketio":
        return "socketio"
    return "broadcast" if options.mode == "broadcast" else "echo"


def _run(options: argparse.Namespace, load: float) -> dict[str, Any]:
    settings = arguments.settings(options)
    for note in _notes(options, load):
        _say(f"warning: {note}")
    run = Load(json.dumps(settings))
    with _shown(options, settings) as show:
        return watching.watch(run, show)


@contextlib.contextmanager
def _shown(options: argparse.Namespace, settings: dict[str, Any]) -> Iterator[watching.Shown]:
    """What shows the run: a picture on a terminal, else a line for each stage."""
    if options.quiet:
        yield lambda snapshot: None
    elif sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        from hubbub.bench.screen import Screen

        with Screen(settings) as screen:
            yield screen
    else:
        if sys.stdout.isatty():
            _say("pip install 'hubbub[bench]' shows a run as it goes on: rich is not installed")
        yield watching.lines(sys.stderr)


def _missing(options: argparse.Namespace) -> str | None:
    wanted = [name for name, file in (("--html", options.html), ("--plot", options.plot)) if file is not None]
    if wanted and importlib.util.find_spec("matplotlib") is None:
        return f"{wanted[0]} needs matplotlib: pip install 'hubbub[bench]'"
    return None


def _without_secret(argument: str) -> str:
    """An argument as a report may show it: reports are passed on."""
    return re.sub(r"(?i)^((?:--header=)?(?:proxy-)?(?:authorization|cookie)\s*:).*", r"\1 (left out)", argument)


def _notes(options: argparse.Namespace, load: float) -> list[str]:
    """What will spoil the figures, known before the run."""
    notes = []
    cores = len(os.sched_getaffinity(0))
    if load > cores * _HIGH_LOAD and not options.quiet:
        notes.append(
            f"the load average is {load:.1f} on {cores} cores: others take the processors from what is measured"
        )
    if options.threads > cores:
        notes.append(f"{options.threads} threads of the generator have {cores} cores: they will wait for each other")
    if options.mode == "idle" and not options.server_pids:
        notes.append("without --server-pid nothing is known of the server's memory")
    return notes


def _tell(report: dict[str, Any], options: argparse.Namespace) -> int:
    """Writes the report in all its forms."""
    empty = not report["messages"] and not report["storms"] and not (report["mode"] == "idle" and report["seconds"])
    if options.json == "-":
        print(json.dumps(report, indent=1))
    elif not empty:
        # The prompt and what is said of the files follow.
        files = sum(file not in (None, "-") for file in (options.json, options.html, options.plot))
        rows = shutil.get_terminal_size().lines - files if sys.stdout.isatty() else None
        print(summary(report, rows), end="")
    try:
        if options.json not in (None, "-"):
            Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
            _say(f"the report is in {options.json}")
        if options.html is not None:
            from hubbub.bench.page import page

            options.html.write_text(page(report))
            _say(f"the report is in {options.html}")
        if options.plot is not None:
            from hubbub.bench.plot import save

            save(report, options.plot)
            _say(f"the curves are in {options.plot}")
    except OSError as error:
        _say(f"error: {error}")
        return FAILED
    if report["errors"].get("unexpected") and report["mode"] in ("broadcast", "idle"):
        _say("the server sends by itself: `hubbub bench listen` measures that")
    if "failed" in report:
        so_far = f" ({report['connected']} of {report['connections']} connections were open)" if empty else ""
        _say(f"error: {report['failed']}{so_far}")
        return FAILED
    if empty and report["mode"] == "listen" and not report["stopped"]:
        _say(f"error: the server has sent nothing in {report['seconds']:g} s")
        return FAILED
    if empty and report["stopped"]:
        _say("error: stopped before anything was measured")
        return FAILED
    return HAD_ERRORS if report["errors"] else GOOD


def _say(text: str) -> None:
    print(f"hubbub bench: {text}", file=sys.stderr, flush=True)
