"""The server that is attacked: one program with handlers of every kind, run by ``Hub.run`` as a user would.

At ``/`` functions serve: a text that begins with ``!`` is a command (see COMMANDS), everything else is echoed. The
other paths have coroutines. With ``--ask`` an ``on_request`` handler looks at every request first, and counts what gets
to it. With ``--socketio`` there is a Socket.IO server as well, see io_program.py.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import gc
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from io_program import add_socketio

from hubbub import EventStream, Hub, Limits, Request, Response, WebSocket, _logs
from hubbub.compression import CompressionMode

CERTIFICATES = Path(__file__).parents[1] / "certificates"

#: How often what happened, by name.
seen: Counter[str] = Counter()
#: What on_close was told, by "code reason".
ends: Counter[str] = Counter()
tasks: set[asyncio.Task[None]] = set()
#: The messages of sessions at ``/?record=name``, whether they were text and what they said.
recorded: dict[str, list[tuple[bool, str]]] = {}
#: What further parts of the program know, for the report.
parts: dict[str, Callable[[], dict[str, Any]]] = {}


def make_hub(
    limits: Limits, ask: bool, coroutines: bool, origins: list[str] | None, compression: CompressionMode | None
) -> Hub:
    hub = Hub(limits=limits, origins=origins, subprotocols=["chat"], compression=compression)

    @hub.on_connection
    def connected(ws: WebSocket) -> None:
        seen["connected"] += 1
        if "raise" in ws.request.query:
            raise ValueError(ws.request.query["raise"])

    def message(ws: WebSocket, data: str | bytes) -> None:
        seen["messages"] += 1
        if name := ws.request.query.get("record"):
            recorded.setdefault(name, []).append((isinstance(data, str), data if isinstance(data, str) else data.hex()))
        elif isinstance(data, str) and data.startswith("!"):
            command, *arguments = data[1:].split(" ")
            COMMANDS[command](hub, ws, *arguments)
        else:
            ws.send(data)

    if coroutines:

        @hub.on_message
        async def message_later(ws: WebSocket, data: str | bytes) -> None:
            if data == "forever":
                await asyncio.Event().wait()
            if data == "cancelled":
                raise asyncio.CancelledError
            message(ws, data)

    else:
        hub.on_message(message)

    @hub.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        ends[f"{code} {reason}".strip()] += 1
        seen["closed"] += 1
        if "raise_at_end" in ws.request.query:
            raise ValueError("at the end")

    @hub.websocket("/recv")
    async def echo(ws: WebSocket) -> None:
        async for data in ws:
            await ws.send(data)

    @hub.websocket("/slow/{seconds}")
    async def slow(ws: WebSocket) -> None:
        """Answers each message after some time."""
        async for data in ws:
            seen["slow"] += 1
            await asyncio.sleep(float(ws.path_params["seconds"]))
            await ws.send(data)

    @hub.websocket("/forever")
    async def forever(ws: WebSocket) -> None:
        seen["waiting"] += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen["cancelled"] += 1
            raise

    @hub.websocket("/talk")
    async def talk(ws: WebSocket) -> None:
        """Sends without an end, as fast as the client takes it."""
        while True:
            await ws.send(b"t" * 1000)

    @hub.websocket("/farewell")
    async def farewell(ws: WebSocket) -> None:
        """Says more than the kernel takes, then goodbye; counts when that is over."""
        for _ in range(9):
            ws.send(b"f" * 100_000)
        seen["farewells begun"] += 1
        await ws.close(1000, "enough")
        seen["farewells"] += 1

    # Sessions that any transport carries, with the handlers above; and streams in a room.
    hub.comet("/push")

    @hub.eventsource("/stream")
    def stream(es: EventStream) -> None:
        es.join("streams")
        es.send("hello")

    @hub.websocket("/pings")
    async def pings(ws: WebSocket) -> None:
        """A hundred pings at once."""
        latencies = await asyncio.gather(*(ws.ping() for _ in range(100)))
        await ws.send(str(sum(latency >= 0 for latency in latencies)))

    @hub.websocket("/raise/{name}")
    async def fail(ws: WebSocket) -> None:
        async for _ in ws:
            raise EXCEPTIONS[ws.path_params["name"]]("from a coroutine")

    if ask:
        hub.on_request(decide)
    return hub


def decide(request: Request) -> Response | None:
    seen["requests"] += 1
    seen["query parameters"] += len(request.query)
    path, query = request.path, request.query
    if path == "/canary":
        seen["canary"] += 1
        return Response(200, "canary")
    if path == "/page":
        return Response(200, "a page\n")
    if path == "/inject-field":
        return Response(200, "x", {"X-Name": query["value"]})
    if path == "/inject-name":
        return Response(200, "x", {query["value"]: "x"})
    if path == "/inject-101":
        request.response_headers["X-Name"] = query["value"]
    if path == "/inject-subprotocol":
        request.subprotocol = query["value"]
    return None


# ---- commands


def report(hub: Hub, ws: WebSocket) -> None:
    gc.collect()
    state = {
        "stats": hub.stats(),
        "sessions": len(hub.sessions),
        "rooms": len(hub.rooms),
        "objects": len(gc.get_objects()),
        "tasks": len(asyncio.all_tasks()),
        "seen": seen,
        "ends": ends,
        **{name: part() for name, part in parts.items()},
    }
    ws.send(json.dumps(state))


def say(hub: Hub, ws: WebSocket, room: str, *words: str) -> None:
    delivery = hub.room(room).broadcast(" ".join(words), skip=ws)
    seen["said"] += 1
    del delivery


def flood(hub: Hub, ws: WebSocket, room: str, count: str, size: str, pause: str = "0") -> None:
    """Broadcasts numbered messages, a hundred per turn of the loop; tells the sender when it is done."""

    async def run() -> None:
        filler = "x" * int(size)
        for number in range(int(count)):
            hub.room(room).broadcast(f"{number} {time.monotonic_ns()} {filler}", skip=ws)
            if number % 100 == 99:
                await asyncio.sleep(float(pause))
        ws.send("flooded")

    task = asyncio.get_running_loop().create_task(run())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def many_rooms(hub: Hub, ws: WebSocket, count: str) -> None:
    for number in range(int(count)):
        name = f"room {seen['rooms made'] + number}"
        ws.join(name)
        hub.room(name).broadcast("hello", skip=ws)
        ws.leave(name)
    seen["rooms made"] += int(count)
    ws.send("done")


def block(hub: Hub, ws: WebSocket, seconds: str) -> None:
    seen["blocked"] += 1
    ws.send("blocking")
    print(f"blocking for {seconds}", file=sys.stderr, flush=True)
    time.sleep(float(seconds))
    ws.send("unblocked")


def crash(hub: Hub, ws: WebSocket, name: str) -> None:
    raise EXCEPTIONS[name]("from a function")


def attempt(hub: Hub, ws: WebSocket, name: str) -> None:
    """Tries something that is wrong, and says what came of it."""
    try:
        ATTEMPTS[name](ws)
    except Exception as error:
        ws.send(f"{type(error).__name__}: {error}")
    else:
        ws.send("nothing was raised")


ATTEMPTS = {
    "send int": lambda ws: ws.send(5),
    "send None": lambda ws: ws.send(None),
    "send list": lambda ws: ws.send([1, 2]),
    "send doubles": lambda ws: ws.send(array.array("d", [1.0, 2.0])),
    "send strided": lambda ws: ws.send(memoryview(b"abcdef")[::2]),
    "send surrogate": lambda ws: ws.send("\ud800"),
    "ping int": lambda ws: ws.ping(5),
    "ping doubles": lambda ws: ws.ping(array.array("d", [1.0])),
    "ping long": lambda ws: ws.ping(b"x" * 126),
    "ping long in bytes": lambda ws: ws.ping("ä" * 63),
    "reason long": lambda ws: ws.close(1000, "x" * 124),
    "reason long in bytes": lambda ws: ws.close(1000, "ä" * 62),
    "reason bytes": lambda ws: ws.close(1000, b"reason"),
    "reason doubles": lambda ws: ws.close(1000, array.array("f", [1.0])),
    "code 1005": lambda ws: ws.close(1005),
    "code 1006": lambda ws: ws.close(1006),
    "code 0": lambda ws: ws.close(0),
    "code 65536": lambda ws: ws.close(65536),
    "code text": lambda ws: ws.close("1000"),
    "room int": lambda ws: ws.join(5),
}
ATTEMPTS = {name.replace(" ", "_"): what for name, what in ATTEMPTS.items()}


class Beyond(BaseException):
    """What ``except Exception`` does not catch."""


EXCEPTIONS: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "CancelledError": asyncio.CancelledError,
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "Beyond": Beyond,
}

COMMANDS = {
    "report": report,
    "recorded": lambda hub, ws, name: ws.send(json.dumps(recorded.pop(name, []))),
    "join": lambda hub, ws, room: (ws.join(room), ws.send("joined")),
    "say": say,
    "flood": flood,
    "rooms": many_rooms,
    "block": block,
    "raise": crash,
    "try": attempt,
    "size": lambda hub, ws, size: ws.send(b"s" * int(size)),
    "close": lambda hub, ws, code="1000": ws.close(int(code)),
    "close_talking": lambda hub, ws: ([ws.send(b"c" * 1000) for _ in range(100)], ws.close(1000, "enough")),
    "queue": lambda hub, ws, count, size: [ws.send(b"q" * int(size)) for _ in range(int(count))],
}


if __name__ == "__main__":
    # Tests look for each failure in the log.
    _logs.MAX_FAILURES = sys.maxsize
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--io-threads", type=int, required=True)
    parser.add_argument("--limits", type=json.loads, default={})
    parser.add_argument("--ask", action="store_true")
    parser.add_argument("--coroutines", action="store_true", help="the handler of messages at / is a coroutine")
    parser.add_argument("--origin", action="append")
    parser.add_argument("--access-log", action="store_true")
    parser.add_argument("--trusted-proxy", action="append", default=[])
    parser.add_argument("--proxy-protocol", action="store_true")
    parser.add_argument("--drain", type=float, default=5.0)
    parser.add_argument("--compression", choices=["shared", "per-session"])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--socketio", type=json.loads, help="options of a Socket.IO server, which is added")
    parser.add_argument("--static", help="a folder, to be served at /static")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    limits, name = Limits(**arguments.limits), arguments.compression
    hub = make_hub(limits, arguments.ask, arguments.coroutines, arguments.origin, name)
    if arguments.socketio is not None:
        parts["socketio"] = add_socketio(hub, arguments.socketio, seen)
    if arguments.static:
        hub.static("/static", arguments.static, cache_bytes=1 << 20)
    hub.run(
        port=0,
        io_threads=arguments.io_threads,
        shutdown_timeout=arguments.drain,
        access_log=arguments.access_log,
        trusted_proxies=arguments.trusted_proxy,
        proxy_protocol=arguments.proxy_protocol,
        ssl_certfile=CERTIFICATES / "localhost.pem" if arguments.tls else None,
        ssl_keyfile=CERTIFICATES / "localhost.key" if arguments.tls else None,
        loop="asyncio",
    )
