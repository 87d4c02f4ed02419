"""Echo and broadcast on aiohttp, with uvloop, without compression.

python aiohttp_server.py PORT [--mode echo|broadcast|block]
"""

import asyncio
import time

import arguments
import uvloop
from aiohttp import WSMsgType, web

members: set[web.WebSocketResponse] = set()


async def opened(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False, max_msg_size=arguments.MAX_MESSAGE_BYTES)
    await ws.prepare(request)
    return ws


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = await opened(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


async def broadcast(request: web.Request) -> web.WebSocketResponse:
    ws = await opened(request)
    members.add(ws)
    try:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                for member in list(members):
                    await member.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                for member in list(members):
                    await member.send_bytes(message.data)
    finally:
        members.discard(ws)
    return ws


async def block(request: web.Request) -> web.WebSocketResponse:
    ws = await opened(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            time.sleep(float(message.data))
            await ws.send_str(message.data)
    return ws


async def main(port: int, mode: str) -> None:
    app = web.Application()
    app.router.add_get("/", {"echo": echo, "broadcast": broadcast, "block": block}[mode])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=arguments.BACKLOG).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    uvloop.run(main(options.port, options.mode))
