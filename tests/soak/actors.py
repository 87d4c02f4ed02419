"""Who comes to the server during the soak: each actor plays a short scene, again and again, and leaves nothing open."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from process import Server
from websockets.asyncio.client import connect
from wire import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    DEFLATE,
    PING,
    TEXT,
    TRUSTING,
    Wire,
    close_payload,
    deflated,
    frame,
    request,
)

Actor = Callable[[Server, random.Random], None]


def come(server: Server, stack: contextlib.ExitStack, target: str = "/", **options: Any) -> Wire:
    """An open connection that answers pings, closed at the end of the scene."""
    return stack.enter_context(server.open(target, polite=True, **options))


def churn(server: Server, rng: random.Random) -> None:
    """Comes, joins a room, says something, and goes in one of the ways there are."""
    for _ in range(10):
        target = rng.choice(["/", "/recv", "/slow/0.001"])
        with server.open(target, polite=True) as wire:
            if target == "/":
                assert wire.ask(f"!join churn-{rng.randrange(5)}") == "joined"
            assert wire.ask("echo") == "echo"
            end = rng.choice(["close", "reset", "fin", "half a frame"])
            if end == "close":
                wire.send(frame(CLOSE, close_payload(1000)))
                assert wire.until_close().code == 1000
            elif end == "half a frame":
                wire.send(frame(BINARY, b"x" * 100)[:50])
            if end != "fin":
                # A connection that we close politely occupies a port of ours for a minute.
                wire.reset()


def broadcasts(server: Server, rng: random.Random) -> None:
    """A loud room: some read everything, some nothing, some leave without a word in the middle of it."""
    room, rounds, count = f"loud-{rng.randrange(1 << 30)}", 12, 500
    with contextlib.ExitStack() as stack:
        normal = [come(server, stack, fields=DEFLATE if number % 2 else None) for number in range(4)]
        slow = [come(server, stack, receive_buffer=4096) for _ in range(2)]
        fickle = [come(server, stack) for _ in range(6)]
        for wire in [*normal, *slow, *fickle]:
            assert wire.ask(f"!join {room}") == "joined"
        talker = come(server, stack)
        for _ in range(rounds):
            # Less than outbox_bytes, and the next round comes when this one is read: nobody who reads is too slow.
            readers = [Listener(wire, count) for wire in normal]
            talker.text(f"!flood {room} {count} 1000")
            while fickle:
                wire = fickle.pop()
                for _ in range(rng.randrange(40)):
                    wire.receive()
                wire.reset()
            assert talker.receive() == (TEXT, b"flooded")
            for reader in readers:
                reader.join()
        for wire in slow:
            wire.reset()


class Listener:
    """Hears numbered messages on a thread of its own; all of them, in order."""

    def __init__(self, wire: Wire, count: int) -> None:
        self._wire, self._count = wire, count
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(60)
        if self._error is not None:
            raise self._error
        assert not self._thread.is_alive(), "not everything has come"

    def _run(self) -> None:
        try:
            for number in range(self._count):
                payload = self._wire.receive().payload
                assert payload.startswith(b"%d " % number), (number, payload[:40])
        except BaseException as error:
            self._error = error


def failures(server: Server, rng: random.Random) -> None:
    """Handlers of every kind raise."""
    with server.open(polite=True) as bystander:
        for target, message in [
            ("/", "!raise ValueError"),
            ("/", "!raise CancelledError"),
            ("/raise/ValueError", "go"),
            ("/raise/CancelledError", "go"),
            ("/?raise=at+the+start", None),
        ]:
            with server.open(target, polite=True) as wire:
                if message is not None:
                    wire.text(message)
                assert wire.until_close().code == 1011, target
                wire.reset()
        with server.open("/?raise_at_end=1", polite=True) as wire:
            wire.reset()
        assert bystander.ask("still here?") == "still here?"
        bystander.reset()
    time.sleep(rng.random() * 0.1)


def deflate(server: Server, rng: random.Random) -> None:
    """Compressed sessions: what comes back is what was sent; bombs and nonsense are refused."""
    asyncio.run(converse(server, rng))
    for payload, code in [(BOMB, 1009), (b"\xff" * 50, 1007)]:
        with server.open(fields=DEFLATE) as wire:
            wire.send(frame(BINARY, payload, rsv=COMPRESSED))
            assert wire.until_close().code == code
            wire.reset()


async def converse(server: Server, rng: random.Random) -> None:
    # Not the client of websockets for threads: it reads and writes one SSLSocket at the same time, which OpenSSL does
    # not allow; a few of ten thousand connections then lose their first bytes.
    scheme, context = ("wss", TRUSTING) if server.tls else ("ws", None)
    for target in ("/", "/recv"):
        url = f"{scheme}://127.0.0.1:{server.port}{target}"
        async with connect(url, ssl=context, max_size=None, proxy=None) as client:
            assert client.response is not None
            assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
            for size in (0, 1, 200, 5000, 200_000):
                message = rng.randbytes(size // 2) + b"s" * (size - size // 2)
                await client.send(message)
                assert await asyncio.wait_for(client.recv(), 20) == message


BOMB = deflated(bytes(16 << 20))


def nonsense(server: Server, rng: random.Random) -> None:
    """What is no request, and what are no frames."""
    for raw in REQUESTS:
        with server.wire() as wire, contextlib.suppress(ConnectionError, ssl.SSLError):
            started = time.monotonic()
            wire.send(raw)
            answer = wire.rest()
            assert answer.startswith(b"HTTP/1.1 4"), (raw[:40], answer[:100], time.monotonic() - started)
            wire.reset()
    for raw, code in FRAMES:
        with server.open() as wire:
            started = time.monotonic()
            try:
                wire.send(raw)
                assert wire.until_close().code == code
            except (EOFError, OSError) as error:
                raise AssertionError(f"{raw[:40]!r} after {time.monotonic() - started:.2f} s") from error
            wire.reset()
    for _ in range(5):
        # Some bytes, and gone: on a TLS port no more than a ClientHello that never ends.
        with server.wire(tls=False) as wire, contextlib.suppress(ConnectionError):
            wire.send(rng.choice([b"\x16\x03\x01\x02\x00", rng.randbytes(300), b"", b"G"]))
            wire.reset()


REQUESTS = [
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    b"GET /" + b"l" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    request("/", {"Sec-WebSocket-Version": "8"}),
    request("/", {"Content-Length": "10"}) + b"0123456789",
    request("/", {"Upgrade": None}),
]
FRAMES = [
    (frame(TEXT, b"\xff"), 1007),
    (frame(TEXT, b"x", rsv=2), 1002),
    (frame(TEXT, b"x", mask=None), 1002),
    (frame(CONTINUATION, b"x"), 1002),
    (frame(BINARY, length=b"\x7f" + (1 << 40).to_bytes(8, "big")), 1009),
    (frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 100, 1008),
    (frame(PING, b"p" * 125) * 2000 + frame(CLOSE, close_payload(1000)), 1000),
]


def silence(server: Server, rng: random.Random) -> None:
    """Everybody for whom the server has to wait: each deadline is reached once."""
    with contextlib.ExitStack() as stack:
        mute = stack.enter_context(server.wire())
        mute.send(b"GET / HTTP/1.1\r\n")
        frozen, unfinished, rude = (stack.enter_context(server.open()) for _ in range(3))
        unfinished.send(frame(TEXT, b"to be contin", fin=False))
        rude.text("!close")
        assert rude.until_close().code == 1000
        assert rude.rest() == b""
        assert mute.rest().startswith(b"HTTP/1.1 408 ")
        assert frozen.until_close().code == 1011
        assert unfinished.until_close().code in (1008, 1011)
        for wire in (mute, frozen, unfinished, rude):
            wire.reset()


def hoarding(server: Server, rng: random.Random) -> None:
    """Inboxes and outboxes full of what nobody takes, dropped in the middle."""
    with contextlib.ExitStack() as stack:
        stuck = [come(server, stack, "/forever") for _ in range(3)]
        for wire in stuck:
            wire.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                wire.send(frame(BINARY, rng.randbytes(1000)) * 3000)
        talkers = [come(server, stack, "/talk") for _ in range(3)]
        for wire in talkers:
            for _ in range(rng.randrange(50)):
                assert wire.receive().payload == b"t" * 1000
        sleepers = [come(server, stack, "/slow/0.05") for _ in range(3)]
        for wire in sleepers:
            wire.send(frame(TEXT, b"work") * 20)
            assert wire.receive() == (TEXT, b"work")
        for wire in [*stuck, *talkers, *sleepers]:
            wire.reset()


ACTORS: dict[str, Actor] = {
    actor.__name__: actor for actor in (churn, broadcasts, failures, deflate, nonsense, silence, hoarding)
}
