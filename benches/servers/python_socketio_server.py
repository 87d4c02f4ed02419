"""Socket.IO on python-socketio and uvicorn, with uvloop and httptools.

python python_socketio_server.py PORT [--mode talk|idle]

"idle": sockets are in no room but their own. Handlers are the server's here, not each socket's.
"""

import arguments
import uvicorn

import socketio

io = socketio.AsyncServer(async_mode="asgi", logger=False, engineio_logger=False)


async def connect(sid: str, environ: dict, auth: object) -> None:
    await io.enter_room(sid, "all")


@io.event
async def echo(sid: str, text: str) -> None:
    await io.emit("echo", text, to=sid)


@io.event
async def broadcast(sid: str, text: str) -> None:
    await io.emit("broadcast", text, room="all")


if __name__ == "__main__":
    options = arguments.parser("talk", "idle").parse_args()
    if options.mode == "talk":
        io.on("connect", connect)
    uvicorn.run(
        socketio.ASGIApp(io),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws_per_message_deflate=False,
        backlog=arguments.BACKLOG,
        access_log=False,
        log_level="warning",
        lifespan="off",
    )
