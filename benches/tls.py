#!/usr/bin/env python3
"""What TLS costs: CPU time of an echo beside other servers, memory of an idle session, and a storm of handshakes.

    cargo build --release -p hubbub-load
    python benches/tls.py echo [--rounds 5] [--bun PATH/TO/bun] [--socketify PATH/TO/python]
    python benches/tls.py idle [--connections 5000]
    python benches/tls.py storm [--clients 500] [--certificate rsa]

Each server has one core, and what loads it another. Servers take turns within each round, so that whatever else the
machine does meets all alike; the last lines are medians. `echo` and `idle` are driven by rust/load. In `storm`, clients
that are new send their ClientHello all at once, and one whose session is open measures how long its echo takes: what
it waits for is what the server does in one turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import selectors
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
ROOT = BENCHES.parent
CERTIFICATES = ROOT / "tests" / "certificates"
LOAD = ROOT / "target" / "release" / "hubbub-load"
SERVER_CORE, CLIENT_CORE = 0, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["echo", "idle", "storm", "serve"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--certificate", default="localhost", help="localhost (ECDSA P-256) or rsa (2048 bits)")
    parser.add_argument("--connections", type=int, help="of echo (100) and idle (5000)")
    parser.add_argument("--size", type=int, default=64, help="of echo: bytes")
    parser.add_argument("--in-flight", type=int, default=1, help="of echo: messages under way per connection")
    parser.add_argument("--duration", type=float, default=3.0, help="of echo: seconds")
    parser.add_argument("--clients", type=int, default=500, help="of storm")
    parser.add_argument("--node-modules", type=Path, default=ROOT / "tests" / "clients" / "node" / "node_modules")
    parser.add_argument("--bun", help="the program, to take part")
    parser.add_argument("--socketify", help="a Python that has it, to take part")
    parser.add_argument("--io-threads", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "serve":
        asyncio.run(serve(arguments))
        return
    measure: Callable[[argparse.Namespace, str], float]
    measure, unit = {
        "echo": (echo, "us of CPU per message"),
        "idle": (idle, "bytes per idle session"),
        "storm": (storm, "ms: the longest wait of the open session"),
    }[arguments.what]
    servers = ours(arguments) if arguments.what != "echo" else ours(arguments) | rivals(arguments)
    if arguments.what == "storm":
        servers = {name: command for name, command in servers.items() if not name.startswith("plain")}
    figures: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(arguments.rounds):
        for name in servers:
            figures[name].append(measure(arguments, name))
            print(f"  {name:12} {figures[name][-1]:10.2f} {unit}", flush=True)
    for name, values in figures.items():
        print(f"{name:12} median {statistics.median(values):10.2f} {unit}   {min(values):.2f} to {max(values):.2f}")
    print(f"load average {os.getloadavg()[0]:.1f}")


# ---- the servers


def ours(arguments: argparse.Namespace) -> dict[str, list[str]]:
    serve = [sys.executable, __file__, "serve", "--certificate", arguments.certificate]
    return {
        "plain 0": [*serve, "--plain"],
        "plain 1": [*serve, "--plain", "--io-threads", "1"],
        "hubbub 0": serve,
        "hubbub 1": [*serve, "--io-threads", "1"],
    }


def rivals(arguments: argparse.Namespace) -> dict[str, list[str]]:
    files = [str(CERTIFICATES / f"{arguments.certificate}.{kind}") for kind in ("pem", "key")]
    programs = BENCHES / "servers"
    found = {}
    if (arguments.node_modules / "ws").exists():
        found["node ws"] = ["node", str(programs / "ws_tls.mjs"), *files, str(arguments.node_modules)]
    if arguments.bun:
        found["bun"] = [arguments.bun, str(programs / "bun_tls.js"), *files]
    if arguments.socketify:
        found["socketify"] = [arguments.socketify, str(programs / "socketify_tls.py"), *files]
    return found


async def serve(arguments: argparse.Namespace) -> None:
    from hubbub import Hub, WebSocket

    hub = Hub()

    @hub.on_message
    def echo(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    files = [CERTIFICATES / f"{arguments.certificate}.{kind}" for kind in ("pem", "key")]
    tls = {} if arguments.plain else {"ssl_certfile": files[0], "ssl_keyfile": files[1]}
    threads = arguments.io_threads
    async with hub.listening("127.0.0.1", 0, io_threads=threads, access_log=False, **tls) as listening:
        print(listening.port, flush=True)
        await asyncio.Event().wait()


@contextmanager
def running(arguments: argparse.Namespace, name: str) -> Iterator[tuple[int, int]]:
    """Starts a server on its core. Gives process id and port."""
    command = (ours(arguments) | rivals(arguments))[name]
    command = ["taskset", "-c", str(SERVER_CORE), *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def load(name: str, pid: int, port: int, *options: str) -> dict[str, object]:
    scheme = "ws" if name.startswith("plain") else "wss"
    command = ["taskset", "-c", str(CLIENT_CORE), str(LOAD), *options, "--json", "--server-pid", str(pid)]
    command += ["--url", f"{scheme}://127.0.0.1:{port}/"]
    report: dict[str, object] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report


# ---- what is measured


def echo(arguments: argparse.Namespace, name: str) -> float:
    options = ["--connections", str(arguments.connections or 100), "--size", str(arguments.size)]
    options += ["--in-flight", str(arguments.in_flight), "--duration", str(arguments.duration)]
    with running(arguments, name) as (pid, port):
        return float(load(name, pid, port, "echo", *options)["server_cpu_us_per_message"])  # type: ignore[arg-type]


def idle(arguments: argparse.Namespace, name: str) -> float:
    connections = str(arguments.connections or 5000)
    with running(arguments, name) as (pid, port):
        memory = load(name, pid, port, "idle", "--connections", connections, "--hold", "2")["memory"]
        return float(memory["bytes_per_connection"])  # type: ignore[index]


def storm(arguments: argparse.Namespace, name: str) -> float:
    os.sched_setaffinity(0, {CLIENT_CORE})
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    with running(arguments, name) as (_, port):
        session = opened(context, port)
        hellos = [client_hello(context) for _ in range(arguments.clients)]
        selector = selectors.DefaultSelector()
        waits = []
        began = time.perf_counter()
        for hello in hellos:
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(hello)
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map():
            asked = time.perf_counter()
            echoed(session)
            waits.append(time.perf_counter() - asked)
            for key, _ in selector.select(0):
                selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
        took = time.perf_counter() - began
        session.close()
    middle = statistics.median(waits)
    answered = f"{arguments.clients} answered in {took * 1000:.0f} ms"
    print(f"  {name:12} {answered}; {len(waits)} echoes, p50 {middle * 1000:.2f} ms")
    return max(waits) * 1000


def client_hello(context: ssl.SSLContext) -> bytes:
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, sent, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake cannot be over yet")


def opened(context: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    """A client whose session is open."""
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session = context.wrap_socket(plain, server_hostname="localhost")
    session.sendall(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += session.recv(4096)
    for _ in range(100):
        echoed(session)
    return session


def echoed(session: ssl.SSLSocket) -> None:
    session.sendall(bytes([0x82, 0x80 | 64]) + bytes(4) + bytes(64))
    missing = 2 + 64
    while missing:
        missing -= len(session.recv(missing))


if __name__ == "__main__":
    main()
