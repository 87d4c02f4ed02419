"""The end of the process while a hub runs in a daemon thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: A hub in a daemon thread, and a client that keeps it busy. It ends when its main thread does.
HUB = """
import asyncio, base64, os, socket, sys, threading, time
from hubbub import Hub, Limits

# A machine that does something else is slow, too, and what is logged would be a difference.
hub, busy = Hub(limits=Limits(slow_handler=None)), threading.Event()
io_threads, loop = int(sys.argv[1]), sys.argv[2]

async def serve():
    options = {"io_threads": io_threads, "access_log": False, "shutdown_timeout": 1.0}
    async with hub.listening(port=0, **options) as listening:
        await work(listening.port)

def talk(port):
    client = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        f"GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Key: {key}"
        "\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n".encode()
    )
    while not client.recv(65536):
        pass
    client.sendall(b"\\x81\\x81\\0\\0\\0\\0x" * 5000)
    return client

def run():
    if loop == "trio":
        import trio
        trio.run(serve)
    elif loop == "uvloop":
        import uvloop
        uvloop.run(serve())
    else:
        asyncio.run(serve())
"""

BUSY_HANDLER = """
ports = []

@hub.on_message
def message(ws, data):
    time.sleep(0.001)
    ws.send(data)
    busy.set()

async def work(port):
    ports.append(port)
    listens.set()
    await hub._running.run.stopping.wait()

listens = threading.Event()
threading.Thread(target=run, daemon=True).start()
listens.wait()
client = talk(ports[0])
busy.wait()
"""

BROADCASTS = """
import anyio

@hub.on_broadcast
def told(room, data, sender):
    time.sleep(0.001)
    busy.set()

async def work(port):
    while True:
        hub.room("room").broadcast("x")
        await anyio.sleep(0)

threading.Thread(target=run, daemon=True).start()
busy.wait()
"""

ENDLESS_HANDLER = BUSY_HANDLER.replace("time.sleep(0.001)", "busy.set()\n    while True:\n        time.sleep(0.001)")

JOIN = """
import atexit

def end():
    hub.stop()
    thread.join()
    print("joined")

atexit.register(end)
thread = threading.Thread(target=run, daemon=True)
thread.start()
"""


def ends(tmp_path: Path, program: str, io_threads: int, loop: str, times: int) -> list[tuple[int, str]]:
    path = tmp_path / "program.py"
    path.write_text(HUB + program)
    command = [sys.executable, str(path), str(io_threads), loop]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(times)
    ]
    return [(output, process.returncode) for process in running for output in [process.communicate(timeout=50)[0]]]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("io_threads", [0, 1])
def test_a_daemon_thread_may_be_in_a_handler_when_the_process_ends(tmp_path: Path, io_threads: int, loop: str) -> None:
    assert ends(tmp_path, BUSY_HANDLER, io_threads, loop, 2) == [("", 0)] * 2


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("io_threads", [0, 1])
def test_a_daemon_thread_may_be_in_on_broadcast_when_the_process_ends(
    tmp_path: Path, io_threads: int, loop: str
) -> None:
    assert ends(tmp_path, BROADCASTS, io_threads, loop, 2) == [("", 0)] * 2


@pytest.mark.parametrize("io_threads", [0, 1])
def test_a_handler_that_does_not_return_is_left_when_the_process_ends(tmp_path: Path, io_threads: int) -> None:
    (output, status) = ends(tmp_path, ENDLESS_HANDLER, io_threads, "asyncio", 1)[0]
    assert status == 0, output
    assert "FATAL" not in output


@pytest.mark.parametrize("io_threads", [0, 1])
def test_a_program_may_stop_and_join_such_a_thread_at_its_exit(tmp_path: Path, io_threads: int) -> None:
    program = BUSY_HANDLER.replace("threading.Thread(target=run, daemon=True).start()", JOIN)
    (output, status) = ends(tmp_path, program, io_threads, "asyncio", 1)[0]
    assert (output[-7:], status) == ("joined\n", 0), output
    assert "FATAL" not in output
