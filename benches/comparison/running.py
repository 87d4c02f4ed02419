"""One server process, and one measurement of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparison import blocked
from comparison.checks import Wrong, check
from comparison.client import Client, ProtocolError
from comparison.kits import Ready, Unavailable, last_line
from comparison.machine import Cores
from comparison.scenarios import Scenario
from comparison.servers import Server

Report = dict[str, Any]

START_SECONDS = 20
LOAD_SECONDS = 60
"""What the generator may take beside the time that it measures."""


@dataclass(frozen=True)
class Track:
    """Where and how long everything is run."""

    load: str
    """The load generator."""
    cores: Cores
    duration: float
    warmup: float
    places: Path
    """Each server has a folder below, in which it is installed and runs."""

    def prepare(self, server: Server, modes: set[str]) -> tuple[Ready, dict[str, str]]:
        """Installs a server and checks it in each mode: how to start it, and why modes are left out.

        Raises `Unavailable` if there is nothing left of it.
        """
        ready = server.kit.ready(self.places / server.name)
        wrong = {}
        for mode in sorted(modes):
            try:
                with self.started(server, ready, mode) as (_, port):
                    check(mode, port)
            except (Wrong, Unavailable) as why:
                wrong[mode] = str(why)
        if len(wrong) == len(modes):
            raise Unavailable("; ".join(dict.fromkeys(wrong.values())))
        return ready, wrong

    def measure(self, server: Server, ready: Ready, scenario: Scenario) -> Report:
        """One report, or {"failed": why}."""
        mode = scenario.mode_of(server)
        assert mode is not None
        try:
            with self.started(server, ready, mode) as (process, port):
                if not scenario.arguments:
                    return blocked.measure(port)
                return self.generate(scenario, mode, process.pid, port)
        except subprocess.TimeoutExpired:
            return {"failed": f"the load generator did not end within {LOAD_SECONDS} s"}
        except (Unavailable, ProtocolError, OSError) as error:
            return {"failed": str(error)}

    def generate(self, scenario: Scenario, mode: str, pid: int, port: int) -> Report:
        arguments = [*scenario.arguments, "--url", f"ws://127.0.0.1:{port}/", "--server-pid", str(pid), "--json"]
        if scenario.command == "idle":
            arguments += ["--hold", str(self.duration)]
        else:
            arguments += ["--duration", str(self.duration), "--warmup", str(self.warmup)]
        if mode == "raw":
            arguments.append("--raw")
        load = subprocess.run(
            ["taskset", "-c", str(self.cores.load), self.load, *arguments],
            capture_output=True,
            text=True,
            timeout=LOAD_SECONDS + self.duration + self.warmup,
        )
        if not load.stdout:
            return {"failed": last_line(load.stderr)}
        report: Report = json.loads(load.stdout)
        return report

    @contextlib.contextmanager
    def started(self, server: Server, ready: Ready, mode: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """A server that answers, and its port. It is killed at the end, with all that it started."""
        port = free_port()
        cores = ",".join(str(core) for core in self.cores.server[: server.cores])
        arguments = [str(port)] if mode == "raw" else [str(port), "--mode", mode, *server.options]
        place = self.places / server.name
        with open(place / "output", "wb") as output:
            process = subprocess.Popen(
                ["taskset", "-c", cores, *ready.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=place,
                start_new_session=True,
            )
            try:
                wait_until_it_answers(process, port, mode, place / "output")
                yield process, port
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_until_it_answers(process: subprocess.Popen[bytes], port: int, mode: str, output: Path) -> None:
    """A port that takes connections is not enough: a parent may listen before its worker is there."""
    deadline = time.monotonic() + START_SECONDS
    problem = "no port"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = last_line(output.read_text(errors="replace"))
            raise Unavailable(f"it ended with status {process.returncode}: {said}")
        try:
            if mode == "raw":
                socket.create_connection(("127.0.0.1", port), 1).close()
            else:
                Client(port, 1).socket.close()
            return
        except (OSError, ProtocolError) as error:
            problem = str(error)
            time.sleep(0.02)
    raise Unavailable(f"it did not answer within {START_SECONDS} s: {problem}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
