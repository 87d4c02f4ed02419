"""Handlers that raise, block, or never return (F9, F10, F11)."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from process import Serve, Server, eventually
from websockets.sync.client import connect
from wire import BINARY, CLOSE, PING, PONG, TEXT, Wire, close_payload, frame

#: How long a handler blocks, and how long others may wait meanwhile; the real figure is printed.
BLOCKED, PATIENCE = 2.0, 0.2


@pytest.mark.parametrize("name", ["ValueError", "CancelledError"])
def test_F9_a_function_that_raises_ends_its_own_session_with_1011(serve: Serve, name: str) -> None:
    server = serve()
    with server.open() as bystander:
        for _ in range(200):
            with server.open() as wire:
                wire.text(f"!raise {name}")
                assert wire.receive().code == 1011
        assert bystander.ask("still here?") == "still here?"
    assert eventually(lambda: server.text().count(f"\n{qualified(name)}: from a function") == 200)
    assert server.text().count("Traceback (most recent call last)") == 200
    sessions = set(re.findall(r"handler of <WebSocket (\w+) ", server.text()))
    assert len(sessions) == 200, "each traceback names its session"
    server.is_well()


def qualified(name: str) -> str:
    """As a traceback names it."""
    return {"CancelledError": "asyncio.exceptions.CancelledError"}.get(name, name)


@pytest.mark.parametrize("target", ["/raise/ValueError", "/raise/CancelledError"])
def test_F9_a_coroutine_that_raises_ends_its_own_session_with_1011(serve: Serve, target: str) -> None:
    server = serve()
    with server.open("/recv") as bystander:
        for _ in range(200):
            with server.open(target) as wire:
                wire.text("go")
                assert wire.receive().code == 1011
        assert bystander.ask("still here?") == "still here?"
    assert eventually(lambda: server.report()["sessions"] == 1)
    server.is_well()


def test_F9_a_handler_that_is_cancelled_still_ends_with_on_close(serve: Serve) -> None:
    server = serve("--coroutines")
    for message in ("cancelled", "forever"):
        wires = [server.open() for _ in range(50)]
        for wire in wires:
            wire.text(message)
        for wire in wires:
            if message == "cancelled":
                assert wire.receive().code == 1011
                wire.send(frame(CLOSE, close_payload(1011)))
                wire.rest()
                wire.socket.close()
            else:
                wire.reset()
    # Each report's own session ends as well, with 1006.
    assert eventually(lambda: server.report()["ends"].get("1011", 0) == 50)
    reports = server.report()["seen"]["connected"] - 100 - 1
    assert eventually(lambda: sum(server.report()["ends"].values()) >= 100 + reports)
    server.is_well()


def test_F9_raising_in_on_connection_and_on_close_harms_nobody_else(serve: Serve) -> None:
    server = serve()
    with server.open() as bystander:
        for _ in range(100):
            with server.open("/?raise=at+the+start") as wire:
                assert wire.receive().code == 1011
            with server.open("/?raise_at_end=1") as wire:
                wire.send(frame(CLOSE, close_payload(1000)))
                assert wire.receive().code == 1000
        assert bystander.ask("still here?") == "still here?"
    assert eventually(lambda: server.text().count("ValueError: at the start") == 100)
    assert eventually(lambda: server.text().count("ValueError: at the end") == 100)
    server.is_well()


@pytest.mark.parametrize("name", ["Beyond", "GeneratorExit"])
def test_row_54_what_is_no_exception_ends_its_own_session_alone(serve: Serve, name: str) -> None:
    server = serve()
    coroutines = serve("--coroutines")
    for each, target, message in [
        (server, "/", f"!raise {name}"),
        (server, f"/raise/{name}", "go"),
        (coroutines, "/", f"!raise {name}"),
    ]:
        tasks = each.report()["tasks"]
        with each.open() as bystander:
            for _ in range(20):
                with each.open(target) as wire:
                    wire.text(message)
                    assert wire.receive().code == 1011
            assert bystander.ask("still here?") == "still here?"
        assert eventually(lambda each=each: each.report()["sessions"] == 1)
        assert eventually(lambda each=each, tasks=tasks: each.report()["tasks"] <= tasks)
        each.is_well()


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("target", ["/", "/raise/{}"], ids=["function", "coroutine"])
def test_F9_what_is_meant_to_end_the_program_ends_it(io_threads: int, name: str, target: str) -> None:
    with contextlib.ExitStack() as stack:
        server = Server(io_threads, options=("--drain", "0.3"))
        stack.callback(server.process.kill)
        wires = [stack.enter_context(server.open()) for _ in range(20)]
        wire = stack.enter_context(server.open(target.format(name)))
        wire.text(f"!raise {name}")
        status = server.process.wait(10)
        assert status != 0
        for other in wires:
            assert other.until_close().code == 1001, "the others are told"
    server.__exit__(None, None, None)


@pytest.mark.alone
def test_F10_while_a_handler_blocks_the_network_goes_on(io_threads: int) -> None:
    if io_threads == 0:
        pytest.skip("with io_threads=0 the network shares the loop's thread, as documented")
    with Server(1) as server, contextlib.ExitStack() as stack:
        members = [stack.enter_context(server.open(receive_buffer=4096)) for _ in range(10)]
        for member in members:
            assert member.ask("!join room") == "joined"
        clients = [stack.enter_context(server.open()) for _ in range(20)]
        waits: dict[str, list[float]] = {"ping": [], "101": [], "broadcast": []}

        # 600 KiB for each member: more than the kernel takes for one that does not read.
        talker = stack.enter_context(server.open())
        talker.text("!flood room 600 1000")
        assert talker.receive().payload == b"flooded"
        talker.text(f"!block {BLOCKED}")
        server.wait_for_log("blocking for")
        started = time.monotonic()

        for client in clients:
            moment = time.monotonic()
            client.send(frame(PING, b"there?"))
            assert client.receive() == (PONG, b"there?")
            waits["ping"].append(time.monotonic() - moment)
        for _ in range(20):
            moment = time.monotonic()
            stack.enter_context(server.open())
            waits["101"].append(time.monotonic() - moment)
        for member in members:
            for number in range(600):
                moment = time.monotonic()
                assert member.receive().payload.startswith(b"%d " % number)
                waits["broadcast"].append(time.monotonic() - moment)

        elapsed = time.monotonic() - started
        print({what: f"worst of {len(times)}: {max(times) * 1000:.1f} ms" for what, times in waits.items()})
        assert elapsed < BLOCKED, "all of that has to be over while the handler still blocks"
        assert max(max(times) for times in waits.values()) < PATIENCE
        assert [talker.receive().payload for _ in range(2)] == [b"blocking", b"unblocked"]


def test_F10_nobody_is_given_up_because_a_handler_blocks(serve: Serve) -> None:
    server = serve(ping_interval=0.4, ping_timeout=0.4)
    url = f"ws://127.0.0.1:{server.port}/"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(url, compression=None)) for _ in range(20)]
        clients[0].send(f"!block {BLOCKED}")
        assert clients[0].recv(10) == "blocking"
        assert clients[0].recv(10) == "unblocked"
        for number, client in enumerate(clients):
            client.send(f"still here {number}")
            assert client.recv(10) == f"still here {number}"
        assert server.report()["stats"]["ping_timeouts"] == 0


@pytest.mark.alone
def test_F11_a_handler_that_never_returns_fills_only_its_inbox(serve: Serve) -> None:
    server = serve("--drain", "1")
    count = 200
    server.is_well()
    before = server.memory()
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.open("/forever")) for _ in range(count)]

        def push(wire: Wire) -> None:
            wire.socket.settimeout(0.5)
            with contextlib.suppress(TimeoutError):  # the server stops reading; the rest stays here
                wire.send(frame(BINARY, b"m" * 1000) * 1048)

        with ThreadPoolExecutor(50) as pool:
            list(pool.map(push, wires))
        grown = server.memory() - before
        report = server.report()
        print(f"{count} clients sent a megabyte each: {grown / count / 1024:.0f} KiB more for each")
        assert report["seen"]["waiting"] == count
        assert report["stats"]["inbox_pauses"] == count
        # 64 KiB wait for the handler, and one receive call may pass that.
        assert grown < count * 160 * 1024
        for wire in wires[: count // 2]:
            wire.reset()
        started = time.monotonic()
        assert eventually(lambda: server.report()["seen"].get("cancelled", 0) == count // 2)
        assert time.monotonic() - started < 3
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - started < 4


def test_messages_before_a_violation_are_answered_before_it_is_punished(serve: Serve) -> None:
    server = serve()
    for _ in range(100):
        with server.open() as wire:
            wire.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, b"bad", rsv=4) + frame(TEXT, b"three"))
            assert [wire.receive().payload for _ in range(2)] == [b"one", b"two"]
            assert wire.receive().code == 1002


def test_a_violation_behind_a_handler_that_never_returns_is_punished_in_time(serve: Serve) -> None:
    server = serve(close_timeout=0.5)
    with server.open("/forever") as wire:
        started = time.monotonic()
        wire.send(frame(TEXT, b"never handled") + frame(TEXT, b"bad", rsv=4))
        assert wire.receive().code == 1002
        # Without the bound of close_timeout it would wait for the handler.
        assert time.monotonic() - started > 0.4
