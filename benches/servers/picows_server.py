"""Echo and broadcast on picows: listener callbacks on uvloop.

python picows_server.py PORT [--mode echo|broadcast|block]
"""

import time

import arguments
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in DATA:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


members: set[WSTransport] = set()


class Broadcast(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        members.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        members.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in DATA:
            message_type = frame.msg_type
            payload = frame.get_payload_as_bytes()
            for member in members:
                member.send(message_type, payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


class Block(Echo):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in DATA:
            time.sleep(float(frame.get_payload_as_ascii_text()))
        super().on_ws_frame(transport, frame)


async def main(port: int, listener: type[WSListener]) -> None:
    server = await ws_create_server(lambda request: listener(), "127.0.0.1", port, backlog=arguments.BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    options = arguments.parser().parse_args()
    uvloop.run(main(options.port, {"echo": Echo, "broadcast": Broadcast, "block": Block}[options.mode]))
