"""A chat with one coroutine for each client: connect to ws://127.0.0.1:8000/chat/lobby, or any other room."""

import os

from hubbub import Hub, WebSocket

hub = Hub()


@hub.websocket("/chat/{room}", subprotocols=["chat.v1"])
async def chat(ws: WebSocket) -> None:
    room = ws.room(ws.path_params["room"])
    ws.join(room.name)
    await ws.send(f"{len(room)} in {room.name}")
    async for data in ws:
        # Awaiting waits while members are slow, instead of reading on.
        await room.broadcast(data)


if __name__ == "__main__":
    hub.run(port=int(os.environ.get("PORT", "8000")))
