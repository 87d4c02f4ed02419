"""One connection, and the namespaces that its client is in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hubbub.socketio.packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT
from hubbub.socketio.steps import begin, finish

if TYPE_CHECKING:
    from hubbub.rooms import Session
    from hubbub.socketio.server import Server
    from hubbub.socketio.socket import Socket

__all__ = ["Client"]

logger = logging.getLogger("hubbub")


class Client:
    """A connection. Each namespace that the client is in has a `Socket` of its own.

    Attributes:
        ws: the session of the hub that carries it.
        sockets: one for each namespace that the client is in.
        closed: nothing comes any more, and nothing is sent.
    """

    __slots__ = ("_decoder", "_dismissed", "_joining", "closed", "server", "sockets", "ws")

    def __init__(self, server: Server, ws: Session) -> None:
        self.server = server
        self.ws = ws
        # PERF: nearly all clients are in one namespace: a dict would be a tenth of an idle session.
        self.sockets: tuple[Socket, ...] = ()
        self.closed = False
        self._decoder = server.parser.decoder(server.max_attachments, server.max_packet_bytes)
        #: Namespaces that it has asked for and that have not decided yet.
        self._joining: set[str] | None = None
        #: Namespaces that we have put it out of: what it has sent before it knew is no offence.
        self._dismissed: set[str] | None = None

    # ---- what comes

    def feed(self, data: str | bytes) -> None:
        """Takes a message."""
        try:
            packet = self._decoder.take(data)
        except ValueError as error:
            self.fail(error)
            return
        if packet is None:
            self._wait_for_attachments()
            return
        kind, nsp, ack_id, content = packet
        socket = self.socket_of(nsp)
        if kind == EVENT and socket is not None:
            socket._take_event(content, ack_id, len(data))
        else:
            self._take_other(kind, nsp, ack_id, content, socket)
        if type(data) is bytes:
            self.server._unfinished.forget(self)

    def socket_of(self, nsp: str) -> Socket | None:
        """The socket in this namespace, if the client is in it."""
        for socket in self.sockets:
            if socket.nsp.name == nsp:
                return socket
        return None

    def _take_other(self, kind: int, nsp: str, ack_id: int | None, data: Any, socket: Socket | None) -> None:
        if socket is None and kind == CONNECT and nsp not in (self._joining or ()):
            self._connect(nsp, data if data is not None else {})
        elif socket is not None and kind == ACK:
            socket._take_ack(ack_id, data)
        elif socket is not None and kind == DISCONNECT:
            socket._end("client namespace disconnect", None)
        elif kind in (EVENT, ACK, DISCONNECT) and nsp in (self._dismissed or ()):
            pass
        else:
            # A packet for a namespace that it is not in, a second CONNECT, or CONNECT_ERROR.
            self.close("forced server close", "protocol violation")

    def _wait_for_attachments(self) -> None:
        # Bytes are kept for those who are in the namespace only, and not for long.
        nsp = self._decoder.pending_nsp
        if nsp is not None and (self.socket_of(nsp) is not None or nsp in (self._dismissed or ())):
            self.server._unfinished.watch(self, self.server.scheduler.bridge)
        else:
            self.close("forced server close", "protocol violation")

    def fail(self, error: Exception) -> None:
        """What it has sent is no packet."""
        logger.debug("%r has sent something that is no packet: %s", self, error)
        for socket in self.sockets:
            socket._tell_error(error)
        self.close("forced close", "parse error")

    # ---- into a namespace

    def _connect(self, name: str, auth: dict[str, Any]) -> None:
        if self._dismissed is not None:
            self._dismissed.discard(name)
        if self._joining is None:
            self._joining = set()
        # Those that it was put out of are remembered for as long as it is connected, so they count as well.
        if len(self.sockets) + len(self._joining) + len(self._dismissed or ()) >= self.server.max_namespaces:
            self.refuse(name, {"message": "too many namespaces"})
            return
        self._joining.add(name)
        steps = self.server._admit(self, name, auth)
        awaitable = begin(steps)
        if awaitable is not None:
            self.server.scheduler.spawn(lambda: finish(steps, awaitable), self)

    def joined(self, name: str, socket: Socket | None) -> None:
        """The namespace has decided; ``None``: it does not want the client."""
        if self._joining is not None:
            self._joining.discard(name)
            if not self._joining:
                self._joining = None
        if socket is not None:
            self.sockets = (*self.sockets, socket)
            self.server._unjoined.forget(self)

    def refuse(self, name: str, refusal: dict[str, Any]) -> None:
        """Tells the client that it is not let into a namespace."""
        self.send(self.server.parser.encode(CONNECT_ERROR, name, None, refusal))

    def left(self, name: str, *, dismissed: bool) -> None:
        """A socket has ended while the connection goes on."""
        self.sockets = tuple(socket for socket in self.sockets if socket.nsp.name != name)
        if self.closed:
            return
        if dismissed:
            self._dismissed = {*(self._dismissed or ()), name}
        if not self.sockets:
            self.server._unjoined.watch(self, self.server.scheduler.bridge)

    # ---- what goes

    def send(self, messages: Sequence[str | bytes], *, compress: bool = True, volatile: bool = False) -> Any:
        """Sends a packet. What is sent to a client that has gone is dropped, as in JavaScript."""
        return self.ws._send_all(messages, compress, volatile)

    # ---- the end

    def close(self, reason: str, text: str = "") -> None:
        """Closes the connection; all its sockets end for this reason."""
        if not self.closed:
            self.ws.close(1008 if text else 1000, text)
            self.end(reason, None)

    def end(self, reason: str, description: Any) -> None:
        """The connection has ended."""
        if self.closed:
            return
        self.closed = True
        self.server._unjoined.forget(self)
        self.server._unfinished.forget(self)
        self._decoder.reset()
        for socket in self.sockets:
            socket._end(reason, description)

    def __repr__(self) -> str:
        return f"<Client {self.ws.id}>"


class Nothing:
    """Awaits nothing."""

    __slots__ = ()

    def __await__(self) -> Any:
        return iter(())


NOTHING = Nothing()
