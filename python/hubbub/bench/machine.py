"""What a run was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from hubbub import __version__

__all__ = ["about"]


def load_average() -> float:
    """Processes that want a processor, on average over the last minute."""
    return os.getloadavg()[0]


def about(load: float) -> dict[str, str]:
    """Processor, cores, memory, kernel and versions, by name; and what the load average was before the run."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load average before": f"{load:.1f}",
        "python": platform.python_version(),
        "hubbub": __version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
