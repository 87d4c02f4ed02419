"""The `websockets` library as a client: its face for threads."""

from __future__ import annotations

import json
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


def ask(ws: ClientConnection, text: str) -> str:
    ws.send(text)
    answer = ws.recv(timeout=10)
    assert isinstance(answer, str)
    return answer


def test_messages_of_all_sizes_come_back(url: str) -> None:
    with connect(url, compression=None, max_size=None) as ws:
        for size in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20):
            ws.send(b"z" * size)
            assert ws.recv(timeout=30) == b"z" * size
        assert ask(ws, "äöü") == "äöü"


def test_fragments_come_back_as_one_message(url: str) -> None:
    with connect(url, compression=None) as ws:
        ws.send(["one ", "two ", "three"])
        assert ws.recv(timeout=10) == "one two three"


def test_a_room_carries_from_thread_to_thread(url: str) -> None:
    heard: list[str | bytes] = []
    joined = threading.Event()

    def listen() -> None:
        with connect(url) as ws:
            ask(ws, "!join threads")
            joined.set()
            heard.extend(ws.recv(timeout=10) for _ in range(100))

    listener = threading.Thread(target=listen)
    listener.start()
    assert joined.wait(10)
    with connect(url) as ws:
        for number in range(100):
            ws.send(f"!say threads {number}")
        listener.join(10)
    assert heard == [str(number) for number in range(100)]


def test_close_codes_travel_both_ways(url: str) -> None:
    with connect(url) as watcher:
        with connect(url) as ws:
            session = ask(ws, "!id")
            ws.close(4000, "mine")
        assert json.loads(ask(watcher, f"!ended {session}")) == [4000, "mine"]
    with connect(url) as ws:
        ws.send("!close 4001 yours")
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "yours")


def test_a_ping_is_answered(url: str) -> None:
    with connect(url) as ws:
        assert ws.ping().wait(10)
