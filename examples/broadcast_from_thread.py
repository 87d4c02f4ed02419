"""A thread measures something and tells everyone: `broadcast` and `send` may be called from any thread."""

import json
import os
import threading
import time

from hubbub import Hub, NotRunning, WebSocket

INTERVAL = 1.0

hub = Hub()


@hub.on_connection
def connected(ws: WebSocket) -> None:
    ws.send(measured())


def measured() -> str:
    return json.dumps({"load": os.getloadavg()[0], "listeners": len(hub.sessions)})


def measure() -> None:
    while True:
        time.sleep(INTERVAL)
        try:
            hub.broadcast(measured())
        except NotRunning:  # not yet, or not any more
            continue


if __name__ == "__main__":
    threading.Thread(target=measure, daemon=True).start()
    hub.run(port=int(os.environ.get("PORT", "8000")))
