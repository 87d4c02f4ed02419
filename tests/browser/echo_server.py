"""For test_browser_websocket.py: sends everything back, closes when told to, and prints how each session has ended."""

from hubbub import Hub, Request, Response, WebSocket

hub = Hub(subprotocols=["chat.v2", "chat.v1"])


@hub.on_request
def request(request: Request) -> Response | None:
    if request.is_websocket:
        return None
    return Response(200, "<!doctype html><title>empty</title>", {"Content-Type": "text/html; charset=utf-8"})


@hub.on_message
def message(ws: WebSocket, data: str | bytes) -> None:
    if isinstance(data, str) and data.startswith("close "):
        _, code, reason = data.split(" ", 2)
        ws.close(int(code), reason)
    else:
        ws.send(data)


@hub.on_close
def closed(ws: WebSocket, code: int, reason: str) -> None:
    print(f"closed {code} {reason!r}", flush=True)


if __name__ == "__main__":
    hub.run(port=0)
