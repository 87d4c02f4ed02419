"""Echo and broadcast on wse-server in drain mode, which its documentation recommends.

python wse_drain_server.py PORT [--mode echo|broadcast|block]
"""

import time
from collections.abc import Callable

import arguments
from wse_server import RustWSEServer

# It limits how fast one client may send; here that is the load generator's business.
UNLIMITED = 1e12


def echo(server: RustWSEServer, client: str, data: str | bytes) -> None:
    if isinstance(data, str):
        server.send(client, data)
    else:
        server.send_bytes(client, data)


def broadcast(server: RustWSEServer, client: str, data: str | bytes) -> None:
    if isinstance(data, str):
        server.broadcast_all(data)
    else:
        server.broadcast_all_bytes(data)


def block(server: RustWSEServer, client: str, data: str | bytes) -> None:
    time.sleep(float(data))
    echo(server, client, data)


def main(port: int, handle: Callable[[RustWSEServer, str, str | bytes], None]) -> None:
    server = RustWSEServer(
        "127.0.0.1",
        port,
        max_connections=100_000,
        max_message_size=arguments.MAX_MESSAGE_BYTES,
        max_outbound_queue_bytes=4 * arguments.MAX_MESSAGE_BYTES,
        rate_limit_capacity=UNLIMITED,
        rate_limit_refill=UNLIMITED,
    )
    server.enable_drain_mode()
    server.start()
    while server.is_running():
        for kind, client, data in server.drain_inbound(256, 50):
            if kind in ("raw", "bin"):
                handle(server, client, data)


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    main(options.port, {"echo": echo, "broadcast": broadcast, "block": block}[options.mode])
