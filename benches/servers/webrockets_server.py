"""Echo and broadcast on webrockets, with function handlers and its groups.

python webrockets_server.py PORT [--mode echo|broadcast|block]
"""

import time
from typing import Any

import arguments
from webrockets import WebsocketServer


def echo(connection: Any, data: str | bytes) -> None:
    connection.send(data)


def broadcast(connection: Any, data: str | bytes) -> None:
    connection.broadcast(["all"], data)


def block(connection: Any, data: str | bytes) -> None:
    time.sleep(float(data))
    connection.send(data)


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    server = WebsocketServer("127.0.0.1", options.port)
    route = server.create_route("/", "all")
    route.receive({"echo": echo, "broadcast": broadcast, "block": block}[options.mode])
    server.start()
