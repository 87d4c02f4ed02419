"""Drives real servers with everything at once, and shows that nothing is left of it.

    soak.py [--seconds 600] [--io-threads 0|1 [--tls] [--only ACTOR]...]

Without a mode, all four run side by side: the network in the loop's thread and in one of its own, plain and over TLS.
Each warms up, is left alone until it is quiet, and its memory, descriptors, threads, tasks and objects are noted; then
come two equal halves, each until it is quiet again. In the end all of that has to be where it was, and memory must not
have grown from the middle to the end.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "abuse")]

from actors import ACTORS, Actor  # noqa: E402
from process import Server, eventually  # noqa: E402

MEBIBYTE = 1 << 20
#: Each deadline is reached during a scene.
LIMITS = {
    "handshake_timeout": 4.0,
    "message_timeout": 3.0,
    "ping_interval": 2.0,
    "ping_timeout": 3.0,
    "close_timeout": 2.0,
}
#: Seconds between two lines.
TELL = 5.0
#: Seconds until a server that is left alone has to be quiet.
QUIET = 20.0
#: What memory may grow from the middle to the end: the allocator's own ups and downs. A deflate stream is a third of a
#: mebibyte, and how many had to be there at once is chance.
GROWTH = 4 * MEBIBYTE


@dataclass(frozen=True)
class State:
    """The server when it is quiet."""

    memory: int
    descriptors: int
    threads: int
    tasks: int
    objects: int
    stats: dict[str, int]


class Soak:
    """One server, and all actors on it."""

    def __init__(self, server: Server, name: str, actors: dict[str, Actor]) -> None:
        self.server, self.name, self.actors = server, name, actors
        self.scenes: Counter[str] = Counter()
        self.error: str | None = None
        self._started = time.monotonic()

    def play(self, seconds: float) -> None:
        """All actors at once, each again and again for so long; the scene that has begun is played to its end."""
        until = time.monotonic() + seconds
        cast = [threading.Thread(target=self._act, args=(*each, until)) for each in self.actors.items()]
        for thread in cast:
            thread.start()
        told = time.monotonic()
        for thread in cast:
            while thread.is_alive():
                thread.join(0.5)
                if time.monotonic() - told >= TELL:
                    told = time.monotonic()
                    self.tell()
        if self.error is not None:
            raise SystemExit(f"{self.server.text()[-3000:]}\n{self.name}: {self.error}")

    def _act(self, name: str, actor: Actor, until: float) -> None:
        rng = random.Random(name)
        try:
            while time.monotonic() < until and self.error is None:
                actor(self.server, rng)
                self.scenes[name] += 1
                time.sleep(rng.random() * 0.02)
        except BaseException:
            self.error = f"{name}: {traceback.format_exc()}"

    def tell(self) -> None:
        server = self.server
        scenes = ", ".join(f"{count} {name}" for name, count in sorted(self.scenes.items()))
        print(
            f"{self.name} {time.monotonic() - self._started:4.0f} s: {server.memory() / MEBIBYTE:.1f} MiB, "
            f"{server.descriptors()} descriptors, {server.threads()} threads; {scenes}",
            flush=True,
        )

    def quiet(self, before: State | None) -> State:
        """Waits until everyone has gone, and looks at what is left."""
        report: dict[str, Any] = {}

        def alone() -> bool:
            report.update(self.server.report())
            stats = report["stats"]
            return (
                (report["sessions"], report["rooms"]) == (1, 0)
                and stats["opened"] - stats["closed"] == 1
                and (before is None or report["tasks"] <= before.tasks)
                and (before is None or self.server.descriptors() <= before.descriptors)
            )

        if not eventually(alone, QUIET):
            raise SystemExit(
                f"{self.name}: not quiet after {QUIET} s: {report}; {self.server.descriptors()} descriptors"
            )
        # The last report's own session is among these.
        assert eventually(lambda: before is None or self.server.descriptors() <= before.descriptors)
        state = State(
            memory=self.server.memory(),
            descriptors=self.server.descriptors(),
            threads=self.server.threads(),
            tasks=report["tasks"],
            objects=report["objects"],
            stats=report["stats"],
        )
        print(
            f"{self.name} quiet: {state.memory / MEBIBYTE:.2f} MiB, {state.descriptors} descriptors, {state.threads} "
            f"threads, {state.tasks} tasks, {state.objects} objects, {state.stats['opened']} sessions so far",
            flush=True,
        )
        return state


def complaints(begin: State, middle: State, end: State, text: str, expected: list[str]) -> Iterator[str]:
    """What is not as it should be."""
    if end.memory - middle.memory > GROWTH:
        yield f"memory has grown by {(end.memory - middle.memory) / MEBIBYTE:.2f} MiB from the middle to the end"
    for what in ("descriptors", "threads", "tasks"):
        if getattr(end, what) > getattr(begin, what):
            yield f"{getattr(end, what)} {what}, and {getattr(begin, what)} at the beginning"
    if end.objects - begin.objects > 200:
        yield f"{end.objects - begin.objects} Python objects more than at the beginning"
    if end.stats["panics"] or "panicked" in text:
        yield "there were panics"
    for never in ("exception was never retrieved", "was never awaited", "Task was destroyed", "Exception ignored"):
        if never in text:
            yield f"the log says {never!r}"
    for count in expected:
        if end.stats[count] == 0:
            yield f"{count} is 0: a scene does not do what it is there for"


#: What the scenes are there for.
EXPECTED = [
    "slow_closed",
    "violations",
    "handshake_timeouts",
    "ping_timeouts",
    "message_timeouts",
    "close_timeouts",
    "inbox_pauses",
    "compressed_in",
    "compressed_out",
    "refused",
]


def soak(io_threads: int, tls: bool, seconds: float, only: list[str] | None) -> None:
    name = f"io_threads={io_threads}{' TLS' if tls else ''}"
    compression = "per-session" if tls else "shared"
    options = ("--compression", compression, *(["--tls"] if tls else []))
    with Server(io_threads, LIMITS, options) as server:
        run = Soak(server, name, {each: ACTORS[each] for each in only or ACTORS})
        run.play(seconds * 0.2)
        begin = run.quiet(None)
        run.play(seconds * 0.4)
        middle = run.quiet(begin)
        run.play(seconds * 0.4)
        end = run.quiet(begin)
        run.tell()
        wrong = list(complaints(begin, middle, end, server.text(), [] if only else EXPECTED))
        server.is_well()
    if wrong:
        raise SystemExit("\n".join(f"{name}: {what}" for what in wrong))
    print(f"{name}: nothing is left; {(end.memory - middle.memory) / 1024:+.0f} KiB from the middle to the end")


def all_at_once(seconds: float) -> int:
    """Each mode in a process of its own; the worst exit status."""
    modes = [["--io-threads", str(threads), *tls] for threads in (0, 1) for tls in ([], ["--tls"])]
    command = [sys.executable, __file__, "--seconds", str(seconds)]
    running = [subprocess.Popen([*command, *mode]) for mode in modes]
    with contextlib.ExitStack() as stack:
        for process in running:
            stack.callback(process.kill)
        return max(abs(process.wait()) for process in running)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--io-threads", type=int)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--only", action="append", choices=ACTORS, help="this actor; may be given several times")
    arguments = parser.parse_args()
    if arguments.io_threads is None:
        sys.exit(all_at_once(arguments.seconds))
    soak(arguments.io_threads, arguments.tls, arguments.seconds, arguments.only)
