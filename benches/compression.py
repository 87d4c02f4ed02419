#!/usr/bin/env python3
"""What permessage-deflate costs: CPU time of a broadcast, and memory of idle sessions, each beside a plain server.

    python benches/compression.py broadcast [--members 1000] [--rounds 3]
    python benches/compression.py idle [--sessions 10000] [--rounds 3]

The server is a process of its own and reports its CPU time and resident memory; the client here only drains its
sockets. The ways are measured in turn, round by round, so that whatever else the machine does meets all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
import zlib
from typing import Any

OFFERS = {"plain": "", "shared": "permessage-deflate", "per-session": "permessage-deflate"}
SECONDS_BETWEEN = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["broadcast", "idle", "serve"])
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--broadcasts", type=int, default=200)
    parser.add_argument("--bytes", type=int, default=1024, help="of the text that is broadcast")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--io-threads", type=int, default=1)
    parser.add_argument("--level", type=int, default=None)
    parser.add_argument("--ways", nargs="*", default=["plain", "shared"], choices=list(OFFERS))
    parser.add_argument("--way", default="plain", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if arguments.what == "serve":
        asyncio.run(serve(arguments))
    elif arguments.what == "broadcast":
        compare(arguments, broadcast, "us of CPU per broadcast")
    else:
        compare(arguments, idle, "bytes per idle session")


def compare(arguments: argparse.Namespace, measure: Any, unit: str) -> None:
    figures: dict[str, list[float]] = {way: [] for way in arguments.ways}
    for _ in range(arguments.rounds):
        for way in arguments.ways:
            figures[way].append(measure(arguments, way))
            print(f"  {way:12} {figures[way][-1]:12.1f} {unit}", flush=True)
    base = statistics.median(figures[arguments.ways[0]])
    for way, values in figures.items():
        middle = statistics.median(values)
        print(f"{way:12} median {middle:12.1f} {unit}   {middle / base:.2f}x  {middle - base:+.1f}")


# ---- the server


async def serve(arguments: argparse.Namespace) -> None:
    from hubbub import Compression, Hub, WebSocket

    how: Any = None if arguments.way == "plain" else arguments.way
    if how is not None and arguments.level is not None:
        how = Compression(how, level=arguments.level)
    hub = Hub(compression=how)
    texts = [text(number, arguments.bytes) for number in range(arguments.broadcasts)]

    @hub.on_message
    def echo(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    async def quiet() -> None:
        """Until nothing is written any more."""
        before = -1
        while before != (before := hub.stats()["bytes_out"]):
            await asyncio.sleep(0.1)

    async with hub.listening("127.0.0.1", 0, io_threads=arguments.io_threads, access_log=False) as listening:
        print(listening.port, flush=True)
        lines: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def listen() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line.strip())

        threading.Thread(target=listen, daemon=True).start()
        while (line := await lines.get()) != "stop":
            if line == "memory":
                gc.collect()
                with open("/proc/self/statm") as statm:
                    print(int(statm.read().split()[1]) * resource.getpagesize(), flush=True)
            else:
                await hub.broadcast(texts[0])
                await quiet()
                before, stats = time.process_time(), hub.stats()
                for one in texts:
                    await hub.broadcast(one)
                    await asyncio.sleep(SECONDS_BETWEEN)
                await quiet()
                spent, now = time.process_time() - before, hub.stats()
                counted = {name: value - stats[name] for name, value in now.items() if isinstance(value, int)}
                assert counted["deliveries"] == len(texts) * arguments.members, counted
                print(json.dumps([spent / len(texts) * 1e6, counted["bytes_out"], counted["deflations"]]), flush=True)


def text(number: int, length: int) -> str:
    """JSON as chats and tickers send it."""
    rng = random.Random(number)
    names = ["ana", "bilal", "chen", "dora", "emeka"]
    words = [
        "the",
        "a",
        "of",
        "to",
        "market",
        "price",
        "is",
        "now",
        "up",
        "down",
        "hello",
        "everyone",
        "see",
        "you",
        "room",
        "later",
    ]
    items: list[Any] = []
    while len(json.dumps(items)) < length:
        said = " ".join(rng.choices(words, k=8))
        items.append({"id": rng.randrange(10**9), "from": rng.choice(names), "at": rng.random(), "text": said})
    return json.dumps(items)[:length]


# ---- the client


class Server:
    def __init__(self, arguments: argparse.Namespace, way: str) -> None:
        command = [sys.executable, __file__, "serve", "--way", way, "--io-threads", str(arguments.io_threads)]
        command += ["--broadcasts", str(arguments.broadcasts), "--bytes", str(arguments.bytes)]
        command += ["--members", str(arguments.members)]
        if arguments.level is not None:
            command += ["--level", str(arguments.level)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.answer())
        self.offer = OFFERS[way]

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ask(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port))
        extension = f"Sec-WebSocket-Extensions: {self.offer}\r\n" if self.offer else ""
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extension}\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        assert (b"permessage-deflate" in head) == bool(self.offer), head
        return sock

    def stop(self) -> None:
        self.ask("stop")
        assert self.process.wait(20) == 0


def broadcast(arguments: argparse.Namespace, way: str) -> float:
    server = Server(arguments, way)
    selector = selectors.DefaultSelector()
    members = [server.connect() for _ in range(arguments.members)]
    for member in members:
        member.setblocking(False)
        selector.register(member, selectors.EVENT_READ)
    assert server.process.stdout is not None
    selector.register(server.process.stdout, selectors.EVENT_READ)
    server.ask("broadcast")
    answer = ""
    while not answer:
        for key, _ in selector.select():
            if key.fileobj is server.process.stdout:
                answer = server.answer()
            else:
                key.fileobj.recv(65536)  # type: ignore[union-attr]
    spent, sent, deflations = json.loads(answer)
    print(f"  {way:12} {sent / arguments.members / arguments.broadcasts:.0f} bytes each, {deflations} compressions")
    for member in members:
        member.close()
    server.stop()
    return float(spent)


def idle(arguments: argparse.Namespace, way: str) -> float:
    server = Server(arguments, way)

    def memory() -> int:
        server.ask("memory")
        return int(server.answer())

    message = frame(text(0, 1024).encode(), bool(server.offer))
    warm = [talked(server, message) for _ in range(200)]
    before = memory()
    members = [talked(server, message) for _ in range(arguments.sessions)]
    time.sleep(0.5)
    after = memory()
    for member in warm + members:
        member.close()
    server.stop()
    return (after - before) / arguments.sessions


def talked(server: Server, message: bytes) -> socket.socket:
    """A session whose messages have gone both ways, compressed if that was agreed on."""
    sock = server.connect()
    sock.sendall(message)
    (first, length) = sock.recv(2)
    assert first == (0xC1 if server.offer else 0x81), hex(first)
    missing = int.from_bytes(sock.recv(2), "big") if length == 126 else length
    while missing:
        missing -= len(sock.recv(missing))
    return sock


def frame(payload: bytes, compressed: bool) -> bytes:
    if compressed:
        stream = zlib.compressobj(wbits=-15)
        payload = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    first = 0xC1 if compressed else 0x81
    return bytes([first, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


if __name__ == "__main__":
    main()
