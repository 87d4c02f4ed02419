"""A chat with rooms: people have names, enter and leave rooms, see who is there, and talk.

    python app.py [--host HOST] [--port PORT] [--io-threads N]

The page is the four files beside this one. It and the server talk in JSON, one object a message; `said`, below, is
what everyone in a room gets when somebody speaks.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hubbub import Hub, Limits, Request, Response, Session, WebSocket

MAX_NAME = 40
MAX_TEXT = 2000
MAX_ROOMS = 20

hub = Hub(limits=Limits(max_message_bytes=16 << 10))


# ---- people


@hub.on_connection
def connected(ws: WebSocket) -> None:
    ws.state.name = "Somebody"
    ws.send(encode("you", id=ws.id))
    ws.send(rooms())


@hub.on_message
def message(ws: WebSocket, data: str | bytes) -> None:
    try:
        command = json.loads(data)
    except (ValueError, RecursionError):
        command = None
    match command:
        case {"type": "name", "name": str(name)} if shortened(name):
            ws.state.name = shortened(name)
            for room in ws.rooms:
                hub.room(room).broadcast(people(room))
        case {"type": "enter", "room": str(name)} if shortened(name):
            enter(ws, shortened(name))
        case {"type": "leave", "room": str(room)} if room in ws.rooms:
            ws.leave(room)
            gone(ws, room)
        case {"type": "say", "room": str(room), "text": str(text)} if room in ws.rooms and text.strip():
            said = encode("said", room=room, by=person(ws), text=text.strip()[:MAX_TEXT], at=time.time())
            ws.room(room).broadcast(said)
        case _:
            ws.send(encode("error", text="That was not understood."))


@hub.on_close
def closed(ws: WebSocket, code: int, reason: str) -> None:
    for room in ws.rooms:
        gone(ws, room)


def enter(ws: WebSocket, room: str) -> None:
    if room in ws.rooms:
        return
    if len(ws.rooms) >= MAX_ROOMS:
        ws.send(encode("error", text=f"Nobody can be in more than {MAX_ROOMS} rooms."))
        return
    ws.join(room)
    hub.room(room).broadcast(people(room, came=person(ws)))
    hub.broadcast(rooms())


def gone(ws: WebSocket, room: str) -> None:
    hub.room(room).broadcast(people(room, went=person(ws)))
    hub.broadcast(rooms())


# ---- what they are told


def people(room: str, **news: dict[str, str]) -> str:
    """Who is in a room, and who came or went just now."""
    return encode("people", room=room, people=[person(ws) for ws in hub.room(room)], **news)


def rooms() -> str:
    """The rooms that somebody is in, the fullest first."""
    sizes = sorted(((len(room), name) for name, room in hub.rooms.items()), key=lambda room: (-room[0], room[1]))
    return encode("rooms", rooms=[{"name": name, "people": size} for size, name in sizes[:50]])


def person(ws: Session) -> dict[str, str]:
    return {"id": ws.id, "name": ws.state.name}


def encode(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def shortened(name: str) -> str:
    return " ".join(name.split())[:MAX_NAME].strip()


# ---- the page

HERE = Path(__file__).parent
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {"/": "index.html", "/style.css": "style.css", "/page.js": "page.js", "/icon.svg": "icon.svg"}
HEADERS = {
    # Nothing from elsewhere, nothing inline: what somebody writes cannot become a script, whatever the page does.
    "Content-Security-Policy": "default-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@hub.on_request
def request(request: Request) -> Response | None:
    if request.is_websocket:
        if request.path != "/ws":
            return Response(404, "There is nothing here.\n")
        # Only our own page may connect; programs that are no browsers send no Origin.
        if request.origin and urlsplit(request.origin).netloc != request.headers["host"]:
            return Response(403, "This page may not connect.\n")
        return None
    file = FILES.get(request.path)
    if file is None:
        return Response(404, "There is nothing here.\n")
    path = HERE / file
    return Response(200, path.read_bytes(), {"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8", **HEADERS})


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat with rooms.")
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
    parser.add_argument("--io-threads", type=int, default=int(os.environ.get("IO_THREADS", "1")))
    options = parser.parse_args()
    print(f"Open http://{options.host}:{options.port}/ in two tabs.", flush=True)
    hub.run(options.host, options.port, io_threads=options.io_threads)


if __name__ == "__main__":
    main()
