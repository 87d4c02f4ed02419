"""One clock, one broadcast a second, carried by polls, long polls, an iframe, an event stream and a WebSocket.

    python app.py [--host HOST] [--port PORT] [--io-threads N]

The pages are in ``public``, with a module for each way. All their sessions are in the room "clock"; what one of them
says is told to all.
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path

from hubbub import Hub, Limits, NotRunning, WebSocket

hub = Hub(limits=Limits(max_message_bytes=1 << 10), origins=["same-origin"])
room = hub.room("clock")


@hub.comet("/clock")
async def clock(ws: WebSocket) -> None:
    ws.join(room.name)
    async for line in ws:
        room.broadcast(json.dumps({"line": str(line).strip()[:200]}))


def tick() -> None:
    """Every second once, even if a sleep ends early or late."""
    second = int(time.time())
    while True:
        second = max(second + 1, int(time.time()))
        while (left := second - time.time()) > 0:
            time.sleep(left)
        try:
            room.broadcast(json.dumps({"time": time.strftime("%H:%M:%S", time.localtime(second))}))
        except NotRunning:  # not yet, or not any more
            continue


hub.script()
hub.static(
    "/",
    Path(__file__).parent / "public",
    headers={
        # Nothing from elsewhere, nothing inline: what somebody says cannot become a script, whatever the page does.
        "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'self'",
        "Referrer-Policy": "no-referrer",
    },
)


def main() -> None:
    parser = argparse.ArgumentParser(description="One clock, carried in six ways.")
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
    parser.add_argument("--io-threads", type=int, default=int(os.environ.get("IO_THREADS", "1")))
    options = parser.parse_args()
    threading.Thread(target=tick, daemon=True).start()
    print(f"Open http://{options.host}:{options.port}/", flush=True)
    hub.run(options.host, options.port, io_threads=options.io_threads)


if __name__ == "__main__":
    main()
