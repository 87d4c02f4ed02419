"""What is measured."""

from __future__ import annotations

from dataclasses import dataclass

from comparison.servers import FLOOR, Server

CPU = ("server_cpu_us_per_message",)
BLOCKED = "blocked"
SHARDS = "shards"


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    arguments: tuple[str, ...]
    """For the load generator; none if it takes no part."""
    mode: str = "echo"
    """Of the server."""
    figure: tuple[str, ...] = CPU
    """Where the main figure is in a report."""
    unit: str = "us CPU/message"
    more_is_better: bool = False
    note: str = ""
    most_rounds: int | None = None
    """Where more rounds would say no more."""
    drawn: bool = False
    only: tuple[str, ...] = ()
    """The servers that it is for; all if none."""

    @property
    def command(self) -> str:
        return self.arguments[0] if self.arguments else ""

    @property
    def spins(self) -> bool:
        """Whether the generator is at its core's limit by design."""
        return "--spin" in self.arguments

    def mode_of(self, server: Server) -> str | None:
        """The mode in which a server takes part. The floor speaks no protocol, it only echoes."""
        if self.only and server.name not in self.only:
            return None
        if server.cores > 1 and self.name != SHARDS:
            return None
        if server.name == FLOOR:
            return "raw" if self.command == "echo" else None
        return self.mode if self.mode in server.modes else None


def echo(name: str, title: str, connections: int, size: int, in_flight: int = 1, drawn: bool = False) -> Scenario:
    options = ("--connections", str(connections), "--size", str(size), "--in-flight", str(in_flight))
    return Scenario(name, title, ("echo", *options), drawn=drawn)


def broadcast(name: str, title: str, outstanding: int, drawn: bool = False) -> Scenario:
    options = ("broadcast", "--connections", "1000", "--outstanding", str(outstanding))
    return Scenario(name, title, options, mode="broadcast", unit="us CPU/delivery", drawn=drawn)


SCENARIOS = [
    echo("echo-1", "Echo, 64 B, 100 connections, 1 message in flight", 100, 64, drawn=True),
    echo("echo-16", "Echo, 64 B, 100 connections, 16 messages in flight", 100, 64, 16, drawn=True),
    echo("echo-16KiB", "Echo, 16 KiB, 32 connections", 32, 16 << 10),
    echo("echo-1MiB", "Echo, 1 MiB, 4 connections", 4, 1 << 20),
    broadcast("broadcast-1", "Broadcast of 64 B to 1,000 members, 1 outstanding", 1),
    broadcast("broadcast-16", "Broadcast of 64 B to 1,000 members, 16 outstanding", 16, drawn=True),
    Scenario(
        "latency",
        "Round trip on one connection, 64 B",
        ("echo", "--connections", "1", "--size", "64", "--spin"),
        figure=("latency_us", "p50"),
        unit="us p50",
        note="The generator does not sleep here, so that its own waking up is not in the figure.",
        drawn=True,
    ),
    Scenario(
        "connect",
        "Connections opened, upgraded and closed, 64 at a time",
        ("connect", "--connections", "64"),
        unit="us CPU/handshake",
        note="The rate is handshakes per second.",
        drawn=True,
    ),
    Scenario(
        "idle",
        "10,000 idle connections",
        ("idle", "--connections", "10000"),
        figure=("memory", "bytes_per_connection"),
        unit="B/connection",
        note="What the server's resident memory grows by; the kernel's socket buffers are not in it.",
        most_rounds=2,
        drawn=True,
    ),
    Scenario(
        BLOCKED,
        "A handler blocks for 2 s: the longest wait of others for a pong or a handshake's answer",
        (),
        mode="block",
        figure=("worst_ms",),
        unit="ms",
        note="Ten other connections are pinged in turn, and new ones connect one after the other.",
        most_rounds=2,
    ),
    Scenario(
        SHARDS,
        "Two shards on two cores beside one: echo, 64 B, 100 connections, 16 messages in flight",
        ("echo", "--connections", "100", "--size", "64", "--in-flight", "16"),
        figure=("messages_per_second",),
        unit="messages/s",
        more_is_better=True,
        only=("hubbub-threaded", "hubbub-two-shards"),
    ),
]
