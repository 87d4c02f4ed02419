"""The reference's parsers: what they make of a table of packets, and of packets that were written here.

rust/proto/tests/all/socketio.rs and engineio.rs compare our parsers with it, without Node. Here is shown that the
committed table is still what node/parser-transcripts.js gets from the packages, which says how it is made anew.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from hubbub._core import socketio_encode, socketio_encode_msgpack

FOLDER = Path(__file__).parent / "node"
COMMITTED = FOLDER.parents[2] / "rust" / "proto" / "tests" / "all" / "data" / "socketio.json"


pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def test_the_committed_transcripts_are_what_the_reference_says(packages: None) -> None:
    command = ["node", "parser-transcripts.js"]
    fresh = subprocess.run(command, cwd=FOLDER, capture_output=True, encoding="utf-8", timeout=120, check=True).stdout
    committed = COMMITTED.read_text(encoding="utf-8")
    assert json.loads(fresh) == json.loads(committed)
    assert fresh == committed


PACKETS: list[tuple[int, str, int | None, Any]] = [
    (0, "/", None, None),
    (0, "/admin?x=1", None, {"sid": "wZX3oN0bSVIhsaknAAAI"}),
    (1, "/admin", None, None),
    (2, "/", None, ["text", "gr\u00fc\u00dfe \U0001f600", '"\\/\b\f\n\r\t\0\x1e\x7f\u2028', "x" * 300, "x" * 70_000]),
    (
        2,
        "/n",
        2**53 - 1,
        ["numbers", 0, -1, 127, 128, -128, 65536, -(2**31), 2**32, 2**53 - 1, 0.1, -2.5, 5e-324, 1e300],
    ),
    (2, "/", 0, ["nested", None, True, [[], {}, [1, {"a": [None]}]], {"": 0, "k": {"\u00fc": []}}, list(range(100))]),
    (2, "/", None, ["bytes", b"", {"deep": [b"\x00\xff"]}, bytes(300)]),
    (3, "/n", 7, []),
    (3, "/", 8, [b"abc", {"ok": True}]),
    (4, "/", None, {"message": "no", "data": {"code": 1}}),
    (4, "/", None, "no"),
]


def plain(value: Any) -> Any:
    """As parser-read.js writes it."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return {key: plain(each) for key, each in value.items()} if isinstance(value, dict) else value


def read_by_the_reference(parser: str, packets: list[list[Any]]) -> list[Any]:
    lines = "".join(json.dumps([parser, plain(messages)]) + "\n" for messages in packets)
    command = ["node", "parser-read.js"]
    done = subprocess.run(
        command, cwd=FOLDER, input=lines, capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def expected(packet: tuple[int, str, int | None, Any]) -> dict[str, Any]:
    fields = zip(("type", "nsp", "id", "data"), packet, strict=True)
    return {name: plain(value) for name, value in fields if value is not None}


def test_the_reference_reads_what_is_written_here(packages: None) -> None:
    read = read_by_the_reference("json", [socketio_encode(*packet) for packet in PACKETS])
    # Without bytes the reference has a field for their number, which is gone once they are in their places.
    assert [{k: v for k, v in each.items() if k != "attachments"} for each in read] == list(map(expected, PACKETS))


def test_the_references_msgpack_parser_reads_what_is_written_here(packages: None) -> None:
    read = read_by_the_reference("msgpack", [socketio_encode_msgpack(*packet) for packet in PACKETS])
    assert read == list(map(expected, PACKETS))
    date = socketio_encode_msgpack(3, "/", 1, [datetime(2000, 1, 1, tzinfo=timezone.utc)])
    assert read_by_the_reference("msgpack", [date])[0]["data"] == [{"$date": 946684800000}]
