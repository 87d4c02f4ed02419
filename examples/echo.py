"""Sends every message back. Try it: python -m websockets ws://127.0.0.1:8000/"""

import os

from hubbub import Hub, WebSocket

hub = Hub()


@hub.on_message
def echo(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)


if __name__ == "__main__":
    hub.run(port=int(os.environ.get("PORT", "8000")))
