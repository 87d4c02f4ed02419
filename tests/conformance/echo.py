"""The server under test: everything that comes is sent back, by a function handler.

Prints the port on one line, then serves until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

from hubbub import Compression, Hub, Limits, WebSocket
from hubbub.compression import CompressionMode

#: Group 9 sends messages of 16 MiB, and many of them before it reads; keepalive would only add frames of our own.
LIMITS = Limits(
    max_message_bytes=64 << 20,
    outbox_bytes=64 << 20,
    message_timeout=None,
    ping_interval=None,
)


async def main(port: int, io_threads: int, mode: CompressionMode | None) -> None:
    # Nothing is too short to be compressed.
    hub = Hub(limits=LIMITS, compression=Compression(mode, threshold_bytes=0) if mode else None)

    @hub.on_message
    def echo(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with hub.listening("127.0.0.1", port, io_threads=io_threads, access_log=False) as listening:
        print(listening.port, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--io-threads", type=int, default=0)
    parser.add_argument("--compression", choices=["shared", "per-session"])
    arguments = parser.parse_args()
    asyncio.run(main(arguments.port, arguments.io_threads, arguments.compression))
