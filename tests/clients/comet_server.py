"""For hubbub.js, in Node and in the browser. Prints its port, then serves until SIGTERM.

``/push`` takes every transport, ``/polls`` only polls, ``/closed`` nobody; ``/`` is an empty page. A text message that
begins with ``!`` is a command, and everything else is said back:

    !id                  the session's id
    !rooms, !query       the session's rooms, the parameters of its address, as JSON
    !count N             sends the numbers from 0 to N - 1, one by one
    !say ROOM TEXT       broadcasts to the room; !shout as well, as an event of the type "shout"
    !close CODE REASON   closes the session from here
    !kick ID CODE REASON closes another session; answered by "kicked"
    !ended ID            answered by [code, reason, number of messages], when that session has ended

Its times are short, so that silence and expiry can be waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import defaultdict
from contextlib import suppress

from hubbub import ConnectionClosed, Hub, Limits, Request, Response, WebSocket

LIMITS = Limits(ping_interval=0.3, ping_timeout=0.3, session_timeout=1.5)

hub = Hub(limits=LIMITS)
hub.script()
ends: defaultdict[str, asyncio.Future[str]] = defaultdict(lambda: asyncio.get_running_loop().create_future())


@hub.on_request
def request(request: Request) -> Response | None:
    if request.path == "/":
        return Response(200, "<!doctype html><title>empty</title>", {"Content-Type": "text/html; charset=utf-8"})
    if request.path == "/closed":
        return Response(403, "Nobody may come here.\n")
    return None


@hub.comet("/push", rooms=True)
async def push(ws: WebSocket) -> None:
    said = 0
    try:
        async for data in ws:
            if isinstance(data, str) and data.startswith("!"):
                command, _, rest = data[1:].partition(" ")
                await obey(ws, command, rest)
            else:
                said += 1
                with suppress(ConnectionClosed):  # it may have said so, and closed
                    ws.send(data)
    finally:
        await ws.close()
        ends[ws.id].set_result(json.dumps([ws.close_code, ws.close_reason, said]))


hub.comet("/polls", transports=["polling"])(push)
hub.comet("/closed")(push)


async def obey(ws: WebSocket, command: str, rest: str) -> None:
    match command:
        case "id":
            ws.send(ws.id)
        case "rooms":
            ws.send(json.dumps(sorted(ws.rooms)))
        case "query":
            ws.send(json.dumps(dict(ws.request.query)))
        case "count":
            for number in range(int(rest)):
                ws.send(str(number))
                await asyncio.sleep(0.002)  # a stream, not one piece
        case "say" | "shout":
            room, _, text = rest.partition(" ")
            hub.room(room).broadcast(text, event=command if command == "shout" else None)
        case "close":
            code, _, reason = rest.partition(" ")
            ws.close(int(code), reason)
        case "kick":
            session, code, reason = rest.split(" ", 2)
            next(other for other in hub.sessions if other.id == session).close(int(code), reason)
            ws.send("kicked")
        case "ended":
            ws.send(await ends[rest])


async def main(io_threads: int) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with hub.listening("127.0.0.1", 0, io_threads=io_threads, shutdown_timeout=1.0) as listening:
        print(listening.port, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--io-threads", type=int, default=1)
    asyncio.run(main(parser.parse_args().io_threads))
