"""A WebSocket to Socket.IO that answers pings whether somebody reads it or not."""

from __future__ import annotations

from typing import Any

from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from support.program import PATIENCE

__all__ = ["talking_to"]


class Talking(ClientConnection):
    """A test may be busy elsewhere for longer than the server waits. The thread that receives answers."""

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.TEXT and event.data == b"2":
            with self.protocol_mutex:
                self.protocol.send_text(b"3")
                self.send_data()
            return
        super().process_event(event)


def talking_to(port: int) -> ClientConnection:
    """A connection to the Engine.IO of this port. What comes is kept until it is read, however much it is."""
    way = connect(
        f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket",
        create_connection=Talking,
        proxy=None,
        open_timeout=PATIENCE,
        close_timeout=0.5,
        ping_interval=None,
        max_size=None,
        max_queue=None,
    )
    return way.__enter__()  # whoever has it closes it
