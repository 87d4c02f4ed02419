"""What the extension gives to the package. Users meet `Session`, as the base of `hubbub.Session`, and `Delivery`."""

from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping, Sequence
from typing import Any, ClassVar, Literal, NoReturn, Protocol, final

from typing_extensions import Self, disjoint_base

from hubbub import rooms as _rooms
from hubbub._access import AccessLog
from hubbub._engineio import EngineIo
from hubbub.compression import Compression
from hubbub.hub import Hub
from hubbub.limits import Limits, OutboxPolicy
from hubbub.request import Request
from hubbub.stats import Stats

__all__ = [
    "Delivery",
    "Done",
    "Draining",
    "EmbeddedClient",
    "Exchange",
    "Load",
    "MsgpackDecoder",
    "Opening",
    "Pending",
    "Receiving",
    "Recv",
    "Server",
    "Session",
    "SocketIoDecoder",
    "SocketIoPacket",
    "Wait",
    "Waiter",
    "mask_kernel",
    "socketio_encode",
    "socketio_encode_msgpack",
    "socketio_send",
]

_Data = str | bytes | bytearray | memoryview

@disjoint_base
class Session:
    """One client's session: the base of `hubbub.Session`. Made by the server only."""

    def __new__(cls, seed: _Seed) -> Self: ...

    # ---- out

    def send(self, data: str | bytes | bytearray | memoryview, *, compress: bool = True) -> Awaitable[None]:
        """Sends a message, at once; await the result to wait while the peer is slow.

        It may be called from any thread; awaiting belongs to the event loop that runs the hub.

        Args:
            data: ``str`` is sent as a text message, ``bytes``, ``bytearray`` and contiguous ``memoryview`` as a
                binary one. What can change is copied before the call returns.
            compress: ``False`` sends it as it is even if compression was agreed on: for what is compressed already, and
                for secrets beside text that others choose.

        Returns:
            An awaitable, which may be ignored. It is done as soon as no more than ``Limits.high_water_bytes`` bytes
            (64 KiB) wait to be written; beyond that it waits until half of them are, or the session has ended.

        Raises:
            ConnectionClosed: the session is closing or closed.
            TypeError: the data is of another type, or a memoryview that is not contiguous bytes.
            UnicodeEncodeError: the text has lone surrogates, which UTF-8 cannot carry (RFC 6455 §5.6).
        """

    def close(self, code: int = 1000, reason: str = "") -> Awaitable[None]:
        """Closes the session; await the result to wait until it has ended.

        What was sent before is still delivered; messages that come from now on are not. Closing again changes
        nothing. From any thread.

        Args:
            code: 1000 (the default) to 1003, 1007 to 1014, or 3000 to 4999.
            reason: at most 123 bytes in UTF-8.

        Returns:
            An awaitable, which may be ignored. The peer has ``Limits.close_timeout`` seconds (5) to answer; then the
            connection is dropped.

        Raises:
            ValueError: the code may not be sent, or the reason is too long (RFC 6455 §5.5.1, §7.4).
        """

    def abort(self) -> None:
        """Drops the connection at once, without a Close frame; both ends see 1006 (RFC 6455 §7.1.7)."""

    def ping(self, data: str | bytes | bytearray | memoryview | None = None) -> Awaitable[float]:
        """Sends a ping; await the result for the round trip in seconds.

        Args:
            data: at most 125 bytes. Without it the payload is one that no other ping of this process has.

        Returns:
            An awaitable, which may be ignored. A pong that answers a later ping answers the earlier ones too.

        Raises:
            ConnectionClosed: the session is closing or closed, or, when awaited, it has ended without a pong.
            RuntimeError: the session is carried by something else than a WebSocket with plain messages.
            TypeError: the data is of another type.
            ValueError: the data is longer (RFC 6455 §5.5).
        """

    # ---- in

    def _recv(self) -> Recv: ...
    def __aiter__(self) -> Self:
        """``async for data in ws``: the messages, until an orderly end. Any other end is `ConnectionClosedError`."""

    def __anext__(self) -> Recv: ...

    # ---- rooms

    def join(self, room: str) -> None:
        """Puts the session into a room: it gets what is broadcast there from now on. From any thread.

        Args:
            room: the room's name. Joining a room that the session is in already changes nothing.

        Raises:
            ConnectionClosed: the session has ended.
            TooManyRooms: it is in as many as it may be (`Limits.rooms_per_session`).
            TypeError: the name is not ``str``.
        """

    def leave(self, room: str) -> None:
        """Takes the session out of a room. From any thread. A session that ends leaves all its rooms by itself.

        Args:
            room: the room's name. Leaving a room that the session is not in changes nothing.

        Raises:
            TypeError: the name is not ``str``.
        """

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that the session is in; after its end, of those that it was in."""

    # ---- what it is

    @property
    def hub(self) -> Hub:
        """The hub that the session belongs to."""

    @property
    def id(self) -> str:
        """The session's name in this process: 16 hexadecimal digits. It is no secret and proves nothing."""

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """``(host, port)`` of the client; ``None`` on a unix socket.

        Where a trusted proxy has told it, the port is 0 unless the proxy has told that as well.
        """

    @property
    def proxy_address(self) -> tuple[str, int] | None:
        """``(host, port)`` of the trusted proxy that has told ``remote_address``.

        ``None`` if no proxy has told it, or the proxy is at a unix socket.
        """

    @property
    def state(self) -> Any:
        """Anything that the program wants to keep with the session.

        It is what ``on_request`` has attached to ``request.state``; without that, an empty namespace.
        """

    @state.setter
    def state(self, value: Any) -> None: ...
    def _send_event(
        self, data: str | bytes | bytearray | memoryview | None, event: str | None, id: str | None, retry: int | None
    ) -> Awaitable[None]: ...
    def _send_comment(self, text: str) -> Awaitable[None]: ...
    @property
    def transport(self) -> str:
        """What carries the session now: ``"websocket"``, ``"eventsource"``, ``"iframe"`` or ``"polling"``.

        A session of a `Hub.comet` endpoint may change it; between two connections it is ``"polling"``.
        """

    @property
    def _opening(self) -> Opening: ...
    @property
    def _request(self) -> Request | None: ...
    def _keep_request(self, request: Request) -> None: ...
    @property
    def _path_params(self) -> list[tuple[str, str]]: ...
    @property
    def _subprotocol(self) -> str | None: ...
    def _join(self, room: str) -> None: ...
    def _leave(self, room: str) -> None: ...
    def _send_all(self, messages: Sequence[str | bytes], compress: bool, volatile: bool) -> Awaitable[None]: ...
    def _hold(self, messages: int, bytes: int) -> None: ...
    def _release(self, messages: int, bytes: int) -> None: ...
    def _arrive(self) -> None: ...
    @property
    def _noticed(self) -> bool: ...

    # ---- how it is

    @property
    def latency(self) -> float | None:
        """Seconds that the last ping took to be answered, ours or the keepalive's; ``None`` before the first pong."""

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and that the operating system has not taken yet."""

    @property
    def closed(self) -> bool:
        """The session has ended: nothing comes any more, and nothing can be sent."""

    @property
    def close_code(self) -> int | None:
        """The peer's close code, ``None`` while the session is open.

        1005 if its Close frame had none, 1006 if no Close frame came (RFC 6455 §7.1.5).
        """

    @property
    def close_reason(self) -> str | None:
        """The peer's close reason, ``None`` while the session is open (RFC 6455 §7.1.6).

        Where no Close frame came, it says what happened.
        """

    @property
    def close_sent(self) -> tuple[int, str] | None:
        """Code and reason of our own Close frame; ``None`` while the session is open, and if none was sent.

        Where the server has ended the session (the peer broke the protocol, or did not read), ``close_code`` is 1006
        unless the peer has answered; this is what it was told.
        """

@final
class Delivery:
    """What has come of a broadcast; await it to know that every shard has handed it out.

    Awaiting gives the delivery itself, and waits for a turn of the event loop if some member is slow.
    """

    @property
    def reached(self) -> int:
        """Sessions that it was handed to, so far; final once ``done``."""

    @property
    def dropped(self) -> int:
        """Sessions that did not get it because their outboxes were full, so far; final once ``done``."""

    @property
    def done(self) -> bool:
        """Every shard has handed it out."""

    def __await__(self) -> Generator[Any, None, Self]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Waiter | None: ...

@final
class Server:
    """One running server: started, driven and stopped by `hubbub.hub`."""

    def __new__(
        cls,
        hub: Hub,
        limits: Limits,
        endpoints: Sequence[_Endpoint],
        hooks: _Hooks,
        binds: Sequence[tuple[Any, ...]],
        io_threads: int,
        tls: tuple[Any, ...] | None = None,
        proxies: tuple[list[str], bool] | None = None,
    ) -> Self: ...

    # ---- driving it

    def start(
        self,
        event_loop: object,
        call_soon: Callable[..., object],
        call_later: Callable[..., object],
        park: Callable[[Any], Generator[Any, Any, Any]] | None,
    ) -> None: ...
    def connect_embedded(self, client: tuple[str, int] | None, secure: bool) -> int: ...
    def fileno(self) -> int: ...
    def turn(self) -> None: ...
    def tick(self) -> None: ...
    def beat(self) -> None: ...
    def flush(self) -> None: ...
    def flush_now(self) -> None: ...

    # ---- the end

    def leave(self) -> None: ...
    def stop(self, grace: float) -> None: ...
    def release(self) -> None: ...
    def freeze(self) -> None: ...
    @property
    def stopped(self) -> bool: ...

    # ---- rooms and sessions

    def broadcast(
        self,
        rooms: Sequence[str] | None,
        data: _Data,
        skip: Sequence[Session],
        sender: Session | None = None,
        compress: bool = True,
        event: str | None = None,
    ) -> Delivery: ...
    def emit(
        self,
        rooms: Sequence[str],
        messages: Sequence[str | bytes],
        skip: Sequence[Session],
        except_: Sequence[str],
        compress: bool,
        volatile: bool,
    ) -> Delivery: ...
    def sessions(self) -> list[_rooms.Session]: ...
    def session_count(self) -> int: ...
    def room_history(self, room: str) -> int | None: ...
    def set_room_history(self, room: str, messages: int | None) -> None: ...
    def room_names(self) -> list[str]: ...
    def room_count(self) -> int: ...
    def room_size(self, room: str) -> int: ...
    def room_members(self, room: str) -> list[_rooms.Session]: ...
    def room_has(self, room: str, session: Session) -> bool: ...
    def room_position(self, room: str) -> tuple[int, int] | None: ...
    def room_dropped(self, room: str) -> int: ...
    def room_policy(self, room: str) -> OutboxPolicy | None: ...
    def set_room_policy(self, room: str, policy: OutboxPolicy | None) -> None: ...
    def reload_certificates(self) -> list[str]: ...

    # ---- what there is to know

    @property
    def addresses(self) -> list[tuple[Any, ...]]: ...
    def stats(self) -> Stats: ...
    def metrics_text(self, openmetrics: bool) -> str: ...

@final
class Opening:
    """A request head, as it came."""

    def line(self) -> tuple[str, str, str, str]: ...
    def fields(self) -> list[tuple[str, str]]: ...
    @property
    def path_params(self) -> list[tuple[str, str]]: ...
    @property
    def subprotocol(self) -> str | None: ...
    @property
    def upgrade(self) -> bool: ...
    @property
    def secure(self) -> bool: ...
    @property
    def client_certificate(self) -> bytes | None: ...
    @property
    def remote_address(self) -> tuple[str, int] | None: ...
    @property
    def proxy_address(self) -> tuple[str, int] | None: ...

@final
class Pending:
    """A request that waits for an answer."""

    @property
    def opening(self) -> Opening: ...
    def scope(self, base: dict[str, Any]) -> dict[str, Any]: ...
    def on_lost(self, callback: Callable[[bool], object]) -> None: ...
    def accept(self, request: Request, subprotocol: str | None, fields: Iterable[tuple[str, str]]) -> None: ...
    def answer(self, status: int, fields: Iterable[tuple[str, str]], body: str | bytes) -> None: ...

@final
class Exchange:
    """An HTTP request and its response, as an ASGI application has them."""

    def scope(self, base: dict[str, Any]) -> dict[str, Any]: ...
    def receive(self) -> Receiving: ...
    def send(self, event: MutableMapping[str, Any]) -> Awaitable[None]: ...
    def give_up(self) -> bool: ...
    def leave(self) -> bool: ...
    @property
    def disconnected(self) -> bool: ...
    @property
    def opening(self) -> Opening: ...

@final
class EmbeddedClient:
    """One connection to the hub, from its client's end: ASGI's events to bytes and back."""

    def __new__(
        cls, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], host: bytes, http1: bool, upgrade: bool
    ) -> Self: ...
    def request(self, body: bytes, last: bool) -> bytes: ...
    def content(self, body: bytes, last: bool) -> bytes: ...
    def message(self, data: str | bytes | bytearray | memoryview) -> bytes: ...
    def close(self, code: int, reason: str) -> bytes | None: ...
    def feed(self, data: bytes) -> list[dict[str, Any]]: ...
    def replies(self) -> bytes: ...
    @property
    def continued(self) -> bool: ...
    @property
    def complete(self) -> bool: ...

@final
class Receiving:
    """Awaits the next event of a request."""

    def __await__(self) -> Generator[Any, None, MutableMapping[str, Any]]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Waiter | None: ...
    def send(self, _value: Any) -> Waiter | None: ...
    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> NoReturn: ...
    def close(self) -> None: ...

@final
class Draining:
    """Awaits room in the outbox of an exchange."""

    def __await__(self) -> Generator[Any]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Waiter | None: ...

@final
class Recv:
    """Awaits the next message of a session."""

    def __await__(self) -> Generator[Any, None, str | bytes]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Waiter: ...

@final
class Wait:
    """Awaits something else of a session: room in its outbox, its end, a pong."""

    def __await__(self) -> Generator[Any, None, Any]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Waiter | None: ...

@final
class Done:
    """Awaits nothing: what is given when there is nothing to wait for."""

    def __await__(self) -> Generator[Any]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> None: ...

@final
class Waiter:
    """Stands for a future, to the task that waits."""

    _asyncio_future_blocking: bool
    def get_loop(self) -> Any: ...
    def add_done_callback(self, callback: Callable[[Any], object], *, context: Any = None) -> None: ...
    def remove_done_callback(self, callback: Callable[[Any], object]) -> int: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def forget(self) -> None: ...
    def cancelled(self) -> bool: ...
    def done(self) -> bool: ...
    def result(self) -> None: ...

@final
class Load:
    """A run of the load generator, in threads that need no GIL. It begins at once; `hubbub.bench` is its only user.

    Args:
        settings: a JSON object: ``mode``, ``url``, ``connections``, ``duration`` and more (rust/load/src/settings.rs).

    Raises:
        ValueError: the settings contradict themselves.
        OSError: the host is unknown, a process cannot be watched, or there are too few descriptors or ports.
    """

    def __new__(cls, settings: str) -> Self: ...
    @property
    def over(self) -> bool:
        """Whether the report is there."""

    def snapshot(self) -> str | None:
        """How far it has come, as JSON (rust/load/src/snapshot.rs); ``None`` once the report was taken."""

    def stop(self) -> None:
        """Ends it before its time; there is a report all the same."""

    def report(self) -> str | None:
        """Waits for the end; what was found out, as JSON (rust/load/src/report.rs). ``None`` the second time."""

def mask_kernel() -> Literal["avx512", "avx2", "sse2", "neon", "word"]:
    """The name of the masking kernel that this processor gets."""

@final
class SocketIoPacket:
    """A packet that has come, with its attachments.

    Attributes:
        type: 0 CONNECT, 1 DISCONNECT, 2 EVENT, 3 ACK, 4 CONNECT_ERROR. With attachments an event and an acknowledgement
            are 5 and 6 on the wire; here they are 2 and 3, as in the reference.
        nsp: the namespace, with its query if it has one; ``"/"`` if none is written.
        id: the number by which an event asks for an acknowledgement, or that of the event which this one acknowledges.
        data: CONNECT: dict or ``None``. DISCONNECT: ``None``. EVENT: a list, the name first (``str``, or a number).
            ACK: a list. CONNECT_ERROR: dict or ``str``. Attachments are ``bytes`` where their placeholders were.
    """

    __match_args__: ClassVar[tuple[str, str, str, str]] = ("type", "nsp", "id", "data")
    @property
    def type(self) -> Literal[0, 1, 2, 3, 4]: ...
    @property
    def nsp(self) -> str: ...
    @property
    def id(self) -> int | None: ...
    @property
    def data(self) -> Any: ...

@final
class SocketIoDecoder:
    """One connection's messages to packets of Socket.IO v5 (JSON, binary attachments).

    Args:
        max_attachments: the most of one packet; 10, as in the reference.
        max_packet_bytes: of the text and all its attachments together; 1 MiB.
        max_depth: arrays and objects in one another, the outermost counted; 64, at most 200.
        max_arguments: of an event or acknowledgement; 256.
        max_namespace_bytes: with its query; 4,096.

    Raises:
        ValueError: ``max_depth`` is not from 1 to 200.
    """

    def __new__(
        cls,
        *,
        max_attachments: int = 10,
        max_packet_bytes: int = 1_048_576,
        max_depth: int = 64,
        max_arguments: int = 256,
        max_namespace_bytes: int = 4096,
    ) -> Self: ...
    def feed(self, data: str | bytes | bytearray | memoryview) -> SocketIoPacket | None:
        """Takes a message of Engine.IO: text or bytes.

        Numbers with a point or an exponent are ``float``, all others ``int``, however large. Of keys that come twice
        the last counts.

        Returns:
            The packet; ``None`` if attachments are still to come.

        Raises:
            PacketError: it is no packet, or not one that may come now; what is wrong with it, in words. What was
                kept is freed, and the connection is to be closed.
        """

    def take(
        self, data: str | bytes | bytearray | memoryview
    ) -> tuple[Literal[0, 1, 2, 3, 4], str, int | None, Any] | None:
        """The same, as a tuple: type, nsp, id and data."""

    @property
    def pending_nsp(self) -> str | None:
        """The namespace of the packet whose attachments are due; ``None`` if none are."""

    @property
    def pending_bytes(self) -> int:
        """How many bytes of it are kept."""

    def reset(self) -> None:
        """Forgets it."""

@final
class MsgpackDecoder:
    """The same for clients with ``socket.io-msgpack-parser``: each message is a packet, and its bytes are in it.

    Args:
        max_packet_bytes: 1 MiB.
        max_depth: arrays and maps in one another, the outermost counted; 64, at most 200.
        max_arguments: of an event or acknowledgement; 256.
        max_namespace_bytes: with its query; 4,096.

    Raises:
        ValueError: ``max_depth`` is not from 1 to 200.
    """

    def __new__(
        cls,
        *,
        max_packet_bytes: int = 1_048_576,
        max_depth: int = 64,
        max_arguments: int = 256,
        max_namespace_bytes: int = 4096,
    ) -> Self: ...
    def feed(self, data: str | bytes | bytearray | memoryview) -> SocketIoPacket:
        """Takes a message of Engine.IO: bytes; text is no packet here.

        A ``Date`` is a ``datetime`` in UTC, ``undefined`` is ``None``. Other extensions of MessagePack are refused, as
        are dates outside the years 1 to 9999, and keys that are not text.

        Raises:
            PacketError: as `SocketIoDecoder.feed`.
        """

    def take(self, data: str | bytes | bytearray | memoryview) -> tuple[Literal[0, 1, 2, 3, 4], str, int | None, Any]:
        """The same, as a tuple: type, nsp, id and data."""

    @property
    def pending_nsp(self) -> None:
        """``None``: nothing is ever due."""

    @property
    def pending_bytes(self) -> int:
        """0."""

    def reset(self) -> None:
        """Does nothing."""

def socketio_send(
    session: Session,
    type: int,
    nsp: str,
    id: int | None,
    data: Any,
    compress: bool = True,
    volatile: bool = False,
) -> Awaitable[None]:
    """Sends a packet to one session: what `socketio_encode` makes of the arguments, with nothing between the messages.

    What is sent to a session that has ended is dropped, and so is what is volatile if the client takes nothing now.

    Returns:
        An awaitable, as `Session.send`.

    Raises:
        TypeError, ValueError: as `socketio_encode`.
    """

def socketio_encode(type: int, nsp: str, id: int | None, data: Any, *, max_attachments: int = 10) -> list[str | bytes]:
    """A packet as messages of Engine.IO: first its text, then its attachments.

    ``None``, ``bool``, ``int``, ``float``, ``str``, ``list``, ``tuple`` and ``dict`` become JSON; what derives from
    them counts as what it derives from. Integers are written with all their digits (a JavaScript program reads those
    beyond 2**53 as the nearest double). NaN and infinities become ``null``, as in ``JSON.stringify``. Keys of a
    ``dict`` are ``str``, or ``int``, ``float``, ``bool`` and ``None``, written as ``json.dumps`` does. ``bytes``,
    ``bytearray`` and contiguous ``memoryview`` become attachments; what can change is copied.

    Args:
        type: as `SocketIoPacket.type`; 5 and 6 mean the same as 2 and 3: whether there are attachments is seen here.
        nsp: a slash and anything but commas.
        id: only for events and acknowledgements; from 0, below 2**64.
        data: as `SocketIoPacket.data`; a tuple is as good as a list.
        max_attachments: what the receiver takes; 10, as in the reference.

    Raises:
        TypeError: the data does not fit the type, or something in it cannot be JSON; the message has the path to it.
        ValueError: no such type; not a namespace; a reserved event; too many attachments; an integer beyond what a
            double can hold; lone surrogates; nested deeper than 200, or within itself; bytes beside a dict which says
            ``"_placeholder": True``, because the receiver would put bytes in its place.
    """

def socketio_encode_msgpack(type: int, nsp: str, id: int | None, data: Any) -> list[bytes]:
    """The same for ``socket.io-msgpack-parser``: one message, with the bytes in it.

    As `socketio_encode`, but NaN and infinities stay what they are, integers have 64 bits, and a ``datetime`` with a
    time zone is JavaScript's ``Date``, in milliseconds.

    Raises:
        TypeError: as `socketio_encode`; a ``datetime`` without a time zone.
        ValueError: as `socketio_encode`; an integer beyond 64 bits.
    """

# ---- what the extension asks of its callers; these names exist for type checkers only

class _Seed(Protocol):
    """What a session is made of: only the server has one."""

class _Endpoint(Protocol):
    """`hubbub._handlers.Endpoint`: what is read of it, once."""

    @property
    def path(self) -> str | None: ...
    @property
    def subprotocols(self) -> Sequence[str]: ...
    @property
    def origins(self) -> Sequence[str] | None: ...
    @property
    def compression(self) -> Compression | None: ...
    @property
    def readers(self) -> Sequence[str] | None: ...
    @property
    def service(self) -> str: ...
    @property
    def transports(self) -> Sequence[str] | None: ...
    @property
    def engineio(self) -> EngineIo | None: ...
    @property
    def session_type(self) -> type[_rooms.Session]: ...
    @property
    def on_connection(self) -> Callable[[_rooms.Session], object] | None: ...
    @property
    def on_message(self) -> Callable[[_rooms.Session, str | bytes], object] | None: ...
    @property
    def on_close(self) -> Callable[[_rooms.Session, int, str], object] | None: ...
    @property
    def start(self) -> Callable[[_rooms.Session], object] | None: ...
    @property
    def ended(self) -> Callable[[_rooms.Session], object] | None: ...
    @property
    def noticed(self) -> Callable[[], object] | None: ...
    @property
    def decide(self) -> Callable[[Pending], object] | None: ...
    @property
    def serve(self) -> Callable[[Exchange], object] | None: ...

class _Hooks(Protocol):
    """`hubbub.hub`'s hooks: what is read of them, once."""

    @property
    def failed(self) -> Callable[[_rooms.Session, BaseException, str], object]: ...
    @property
    def slow(self) -> Callable[[int, str, float], object]: ...
    @property
    def name_of(self) -> Callable[[int, str], str]: ...
    @property
    def notice(self) -> Callable[[str, str], object]: ...
    @property
    def server_field(self) -> str | None: ...
    @property
    def emptied(self) -> Callable[[], object]: ...
    @property
    def stopped(self) -> Callable[[], object]: ...
    @property
    def access(self) -> AccessLog | None: ...
    @property
    def spoken(self) -> Callable[..., object] | None: ...
