#!/usr/bin/env python3
"""What files cost: hubbub's static folders beside granian's, Starlette's StaticFiles on uvicorn, and nginx.

    python benches/static_files.py [--size 1024] [--connections 64] [--rounds 5] [--duration 3]
    python benches/static_files.py --size 1048576 --connections 16

It needs `wrk`; nginx takes part if it is there. Each server has one core, and wrk another. Servers take turns within
each round, so that whatever else the machine does meets all alike; the last lines are medians. Before the first round
each server has to answer with the right bytes. The rivals are installed below .venv/rivals.

Requests per second are what the server's core can do only where its load is near 1: `busy` is the share of the time in
which it ran. CPU time for a request is user and system, of all processes of the server.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from comparison.kits import Unavailable, Venv
from tracks import CLIENT_CORE, RIVALS, cpu_seconds, free_port, running

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; types {{ text/css css; }}
    open_file_cache max=1000; open_file_cache_valid 1s;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{ listen 127.0.0.1:{port}; location /static/ {{ alias {files}/; }} }}
}}
"""


@dataclass(frozen=True)
class Figures:
    rate: float
    """Requests per second."""
    cpu: float
    """Microseconds of the server's CPU time for a request."""
    busy: float
    """The server's CPU time in a second."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="bytes of the file")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of each measurement")
    parser.add_argument("--only", nargs="*", help="names of servers")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        asyncio.run(serve(arguments))
        return
    if not shutil.which("wrk"):
        parser.error("there is no wrk (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        content = random.Random(1).randbytes(arguments.size)
        (Path(folder) / "file.css").write_bytes(content)
        # What has just been written is looked at more closely than what is as it was.
        os.utime(Path(folder) / "file.css", (1e9, 1e9))
        time.sleep(2.1)
        compare(arguments, Path(folder), content)


def compare(arguments: argparse.Namespace, folder: Path, content: bytes) -> None:
    known = servers()
    chosen = {name: known[name] for name in arguments.only or known}
    figures: dict[str, list[Figures]] = {}
    for name, command in chosen.items():
        with started(command, folder) as (_, port):
            check(port, content)
        figures[name] = []
    for _ in range(arguments.rounds):
        for name, command in chosen.items():
            with started(command, folder) as (pid, port):
                measured = measure(arguments, pid, port)
            figures[name].append(measured)
            print(f"  {name:10} {measured.rate:10,.0f}/s {measured.cpu:8.2f} us  busy {measured.busy:.2f}", flush=True)
    medians = {name: statistics.median(one.rate for one in all_) for name, all_ in figures.items()}
    rivals = [rate for name, rate in medians.items() if name in ("granian", "starlette")]
    for name, all_ in figures.items():
        rates = [one.rate for one in all_]
        cpu, busy = (statistics.median(getattr(one, what) for one in all_) for what in ("cpu", "busy"))
        ratio = f"{medians[name] / max(rivals):5.2f} times the better rival" if rivals else ""
        print(
            f"{name:10} median {medians[name]:10,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f}) {cpu:8.2f} us of CPU, "
            f"busy {busy:.2f} {ratio}"
        )
    print(f"{arguments.size} bytes, {arguments.connections} connections; load average {os.getloadavg()[0]:.1f}")


# ---- the servers


def servers() -> dict[str, list[str]]:
    """Commands, with `{port}`, `{files}` and `{config}` to be put in."""
    ours = [sys.executable, __file__, "--port", "{port}", "--folder", "{files}", "--serve"]
    found = {"hubbub 0": [*ours, "0"], "hubbub 1": [*ours, "1"]}
    kits = {
        "granian": Venv("granian_static.py", ("granian", "uvloop")),
        "starlette": Venv("uvicorn_static.py", ("uvicorn", "starlette", "uvloop", "httptools")),
    }
    for name, kit in kits.items():
        try:
            ready = kit.ready(RIVALS / f"static-{name}")
        except Unavailable as why:
            print(f"{name} takes no part: {why}")
            continue
        print(f"{name}: {ready.versions}")
        found[name] = [*ready.command, "{port}", "{files}"]
    if nginx := shutil.which("nginx"):
        found["nginx"] = [nginx, "-c", "{config}"]
    return found


async def serve(arguments: argparse.Namespace) -> None:
    from hubbub import Hub

    hub = Hub()
    hub.static("/static", arguments.folder)
    async with hub.listening("127.0.0.1", arguments.port, io_threads=arguments.serve, access_log=False):
        await asyncio.Event().wait()


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[tuple[int, int]]:
    """Starts a server on its core. Gives process id and port, once it answers."""
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "nginx.conf"
        config.write_text(NGINX.format(folder=scratch, files=folder, port=port))
        command = [part.format(port=port, files=folder, config=config) for part in command]
        with running(command, port) as pid:
            yield pid, port


def check(port: int, content: bytes) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(2):
        client.request("GET", "/static/file.css")
        response = client.getresponse()
        assert (response.status, response.read() == content) == (200, True), response.status
    client.close()


# ---- what is measured


def measure(arguments: argparse.Namespace, pid: int, port: int) -> Figures:
    load(arguments, port, 0.5)
    before, began = cpu_seconds(pid), time.monotonic()
    requests, rate = load(arguments, port, arguments.duration)
    took, cpu = time.monotonic() - began, cpu_seconds(pid) - before
    return Figures(rate, cpu / requests * 1e6, cpu / took)


def load(arguments: argparse.Namespace, port: int, duration: float) -> tuple[int, float]:
    """Gives how many requests were answered, and how many in a second."""
    wrk = ["wrk", "-t1", f"-c{arguments.connections}", f"-d{max(1, round(duration))}s"]
    command = ["taskset", "-c", str(CLIENT_CORE), *wrk, f"http://127.0.0.1:{port}/static/file.css"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert not re.search("Non-2xx|Socket errors", text), text
    found = re.search(r"(\d+) requests in.*Requests/sec:\s+([\d.]+)", text, re.DOTALL)
    assert found is not None, text
    return int(found[1]), float(found[2])


if __name__ == "__main__":
    main()
