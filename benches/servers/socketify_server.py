"""Echo and broadcast on socketify: uWebSockets under Python, topics for broadcasts, without compression.

python socketify_server.py PORT [--mode echo|broadcast|block]
"""

import time
from typing import Any

import arguments
from socketify import App, AppListenOptions, CompressOptions, OpCode

app = App()


def echo(ws: Any, message: str | bytes, opcode: OpCode) -> None:
    ws.send(message, opcode)


def broadcast(ws: Any, message: str | bytes, opcode: OpCode) -> None:
    app.publish("all", message, opcode)


def block(ws: Any, message: str | bytes, opcode: OpCode) -> None:
    time.sleep(float(message))
    ws.send(message, opcode)


def subscribe(ws: Any) -> None:
    ws.subscribe("all")


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    behavior = {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": arguments.MAX_MESSAGE_BYTES,
        "max_backpressure": 4 * arguments.MAX_MESSAGE_BYTES,
        "idle_timeout": 120,
        "message": {"echo": echo, "broadcast": broadcast, "block": block}[options.mode],
    }
    if options.mode == "broadcast":
        behavior["open"] = subscribe
    app.ws("/*", behavior)
    app.listen(AppListenOptions(port=options.port, host="127.0.0.1"))
    app.run()
