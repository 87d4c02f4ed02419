"""A server with a bit of everything, for clients to try. Prints its port, then serves until SIGTERM.

``/shared`` and ``/per-session`` echo, compressed. Elsewhere a text message that begins with ``!`` is a command, and
everything else is echoed:

    !id                       the session's id
    !join ROOM, !leave ROOM   answered by "joined ROOM", "left ROOM"
    !say ROOM TEXT            broadcasts to the room, but for the sender
    !rooms                    the session's rooms, as JSON
    !close CODE [REASON]      closes the session from here
    !latency                  the session's latency, in seconds
    !ping                     pings the client; answered by "pong" when its pong has come
    !ended ID                 answered by [code, reason], as on_close is told, when that session has ended
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import defaultdict

from hubbub import Hub, Limits, WebSocket

LIMITS = Limits(max_message_bytes=32 << 20, outbox_bytes=64 << 20, ping_interval=0.5)

hub = Hub(limits=LIMITS, subprotocols=["chat.v2", "chat.v1"])
ended: dict[str, str] = {}
waiting: defaultdict[str, list[WebSocket]] = defaultdict(list)


@hub.on_message
def message(ws: WebSocket, data: str | bytes) -> None:
    if isinstance(data, str) and data.startswith("!"):
        command, _, rest = data[1:].partition(" ")
        COMMANDS[command](ws, rest)
    else:
        ws.send(data)


async def echo(ws: WebSocket) -> None:
    async for data in ws:
        await ws.send(data)


hub.websocket("/shared", compression="shared")(echo)
hub.websocket("/per-session", compression="per-session")(echo)


@hub.on_close
def closed(ws: WebSocket, code: int, reason: str) -> None:
    ended[ws.id] = json.dumps([code, reason])
    for other in waiting.pop(ws.id, ()):
        other.send(ended[ws.id])


def join(ws: WebSocket, room: str) -> None:
    ws.join(room)
    ws.send(f"joined {room}")


def leave(ws: WebSocket, room: str) -> None:
    ws.leave(room)
    ws.send(f"left {room}")


def say(ws: WebSocket, rest: str) -> None:
    room, _, text = rest.partition(" ")
    hub.room(room).broadcast(text, skip=ws)


def close(ws: WebSocket, rest: str) -> None:
    code, _, reason = rest.partition(" ")
    ws.close(int(code), reason)


def ping(ws: WebSocket, rest: str) -> None:
    async def answer() -> None:
        await ws.ping()
        ws.send("pong")

    tasks.append(asyncio.ensure_future(answer()))


def tell_end(ws: WebSocket, session: str) -> None:
    if session in ended:
        ws.send(ended[session])
    else:
        waiting[session].append(ws)


COMMANDS = {
    "id": lambda ws, rest: ws.send(ws.id),
    "latency": lambda ws, rest: ws.send(repr(ws.latency)),
    "rooms": lambda ws, rest: ws.send(json.dumps(sorted(ws.rooms))),
    "join": join,
    "leave": leave,
    "say": say,
    "close": close,
    "ping": ping,
    "ended": tell_end,
}
tasks: list[asyncio.Future[None]] = []


async def main(io_threads: int) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with hub.listening("127.0.0.1", 0, io_threads=io_threads, shutdown_timeout=1.0) as listening:
        print(listening.port, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--io-threads", type=int, required=True)
    asyncio.run(main(parser.parse_args().io_threads))
