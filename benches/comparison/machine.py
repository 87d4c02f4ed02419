"""The machine: which cores do what, and what it is called in the results."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

from comparison.kits import python_version


@dataclass(frozen=True)
class Cores:
    """The server's first core is the one that it gets where it gets one."""

    server: tuple[int, int]
    load: int

    @property
    def shared(self) -> bool:
        """Whether the generator runs on a core of a server that has two."""
        return self.load in self.server


def choose_cores(server: list[int] | None, load: int | None) -> Cores:
    """Cores of their own as far as there are any; the first of many is left to the rest of the machine."""
    free = sorted(os.sched_getaffinity(0))
    if len(free) > 3:
        free = free[1:]
    chosen = server or [free[0], free[1 % len(free)]]
    others = [core for core in free if core not in chosen] or [core for core in free if core != chosen[0]] or free
    return Cores((chosen[0], chosen[-1]), others[0] if load is None else load)


def allow_many_connections() -> int:
    """Raises the limit of open files, which servers inherit, to what is allowed. Returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe(python: str, load: str) -> dict[str, str]:
    cpu = platform.processor()
    with contextlib.suppress(OSError):
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    generator = subprocess.run([load, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{memory / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": python_version(python),
        "generator": generator,
    }
