"""Static folders: what is outside, ranges without end, who does not read (rows 45, 46; F4, F7, F13, F15-F17, F25)."""

from __future__ import annotations

import contextlib
import itertools
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process import Serve, Server, expect_no_growth, percentile
from wire import Wire

MEBIBYTE = 1 << 20
SMALL = b"small " * 100
LARGE = bytes(range(256)) * (20 << 12)

OUTSIDE = [
    "/static/../static_secret/x",
    "/static/../../static_secret/x",
    "/static/sub/../../static_secret/x",
    "/static/sub/..//../static_secret/x",
    "/static/%2e%2e/static_secret/x",
    "/static/%2E%2E/static_secret/x",
    "/static/.%2e/static_secret/x",
    "/static/%2e%2e%2fstatic_secret%2fx",
    "/static/..%2fstatic_secret/x",
    "/static/%252e%252e/static_secret/x",
    "/static/%252e%252e%252fstatic_secret%252fx",
    "/static/%25252e%25252e/static_secret/x",
    "/static/..\\static_secret\\x",
    "/static/..%5cstatic_secret%5cx",
    "/static/%5c%5chost%5cshare%5cx",
    "/static/\\\\host\\share\\x",
    "/static/c:/windows/win.ini",
    "/static/c:%5cwindows%5cwin.ini",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/.//etc/passwd",
    "/static/%00",
    "/static/small.txt%00",
    "/static/small.txt%00.html",
    "/static/%c0%ae%c0%ae/static_secret/x",
    "/static/%e0%80%ae%e0%80%ae/static_secret/x",
    "/static/%uff0e%uff0e/static_secret/x",
    "/static_secret/x",
    "/staticsecret",
    "/static/.env",
    "/static/%2eenv",
    "/static/sub/.env",
    "/static/file-link",
    "/static/folder-link/x",
    "/static/absolute-link",
    "/static/zipped.txt.gz",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("abuse")
    folder, beside = place / "static", place / "static_secret"
    (folder / "sub").mkdir(parents=True)
    beside.mkdir()
    (beside / "x").write_text("secret")
    for name in (".env", "sub/.env"):
        (folder / name).write_text("secret")
    (folder / "small.txt").write_bytes(SMALL)
    (folder / "zipped.txt").write_bytes(SMALL)
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "file-link").symlink_to("../static_secret/x")
    (folder / "folder-link").symlink_to("../static_secret")
    (folder / "absolute-link").symlink_to(beside / "x")
    (folder / "zipped.txt.gz").symlink_to(beside / "x")
    return folder


@pytest.fixture(scope="module")
def server(io_threads: int, folder: Path) -> Iterator[Server]:
    with Server(io_threads, {}, ("--ask", "--static", str(folder))) as server:
        yield server
        server.is_well()


def get(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


def response(wire: Wire) -> tuple[int, bytes, bytes]:
    """Status, head, content."""
    head = wire.head()
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    size = int(length[1]) if length else 0
    wire._need(size)
    content = bytes(wire._buffer[:size])
    del wire._buffer[:size]
    return int(head.split(b" ", 2)[1]), head, content


@pytest.mark.parametrize("target", OUTSIDE)
def test_row_45_nothing_outside_is_served(server: Server, target: str) -> None:
    with server.wire() as wire:
        wire.send(get(target, "Connection: close\r\n"))
        everything = wire.rest()
    # What is not even below the prefix is the other endpoint's, which is for WebSockets.
    status = 404 if target.startswith("/static/") else 426
    assert everything.startswith(b"HTTP/1.1 %d " % status), everything
    assert not everything.endswith(b"secret")
    assert b"root:" not in everything


def test_row_45_a_compressed_neighbour_that_leads_outside_is_not_one(server: Server) -> None:
    with server.wire() as wire:
        wire.send(get("/static/zipped.txt", "Accept-Encoding: gzip\r\n"))
        status, head, content = response(wire)
    assert (status, content, b"Content-Encoding" in head) == (200, SMALL, False)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("0-," * 2700, 200),
        ("0-0," * 2000, 200),
        (",".join(f"{number}-{number}" for number in range(900)), 200),
        (",".join(f"{2 * number}-{2 * number}" for number in range(900)), 200),
        ("5-3", 200),
        ("18446744073709551616-", 416),
        ("0-18446744073709551616", 206),
        ("-18446744073709551616", 206),
        ("-0", 416),
        ("9" * 8000 + "-", 416),
    ],
)
def test_row_46_ranges_cost_what_one_costs(server: Server, value: str, status: int) -> None:
    requests = 40
    raw = get("/static/small.txt", f"Range: bytes={value}\r\n")
    before = server.cpu()
    with server.wire() as wire:
        for _ in range(requests):
            wire.send(raw)
            found, _, content = response(wire)
            assert found == status
            assert content == SMALL or status == 416
    spent = (server.cpu() - before) / requests
    print(f"{spent * 1000:.2f} ms of processor time for each request")
    assert spent < 0.005


@pytest.mark.parametrize("path", ["/static/small.txt", "/static/large.bin", "/static/none", "/static/sub"])
def test_F13_a_request_byte_by_byte_is_the_same_request(server: Server, path: str) -> None:
    raw = get(path, "Range: bytes=5-9\r\nAccept-Encoding: br;q=0.5, gzip\r\n")
    answers = []
    for size in (1, 7, len(raw)):
        with server.wire() as wire:
            for at in range(0, len(raw), size):
                wire.send(raw[at : at + size])
            status, head, content = response(wire)
            answers.append((status, re.sub(rb"\r\nDate: [^\r]*", b"", head), content))
    assert len(set(answers)) == 1
    assert answers[0][0] == (404 if path in ("/static/none", "/static/sub") else 206)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get("/static/small.txt", "Content-Length: 44\r\n"), 413),
        (get("/static/small.txt", "Transfer-Encoding: chunked\r\n") + b"2c\r\n", 413),
        (get("/static/small.txt", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400),
        (get("/static/small.txt", "Content-Length: +0\r\n"), 400),
        (get("/static/small.txt", " folded\r\n"), 400),
        (get("/static/small.txt\x00"), 400),
        (get("/static/small.txt").replace(b"\r\n", b"\n"), 400),
        (get("/static/small.txt").replace(b"Host", b"host : x\r\nHost"), 400),
        (b"POST /static/small.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\n\r\n", 413),
        (get("/static/small.txt", "a: b\r\n" * 101), 431),
        (get("/static/small.txt", f"a: {'b' * (16 << 10)}\r\n"), 431),
        (get("/static/" + "a" * (64 << 10)), 414),
    ],
)
def test_F17_what_follows_a_doubtful_request_is_not_read_as_one(server: Server, raw: bytes, status: int) -> None:
    with server.wire() as wire:
        with contextlib.suppress(ConnectionError):
            wire.send(raw + b"GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n")
        everything = wire.rest()
    assert everything.startswith(b"HTTP/1.1 %d " % status), everything
    assert len(re.findall(rb"HTTP/1\.1 \d", everything)) == 1
    assert server.report()["seen"].get("canary", 0) == 0


@pytest.mark.alone
def test_F4_readers_that_do_not_read_hold_no_memory_and_nobody_up(serve: Serve, folder: Path) -> None:
    readers = 50
    for options in (), ("--tls",):
        server = serve("--static", str(folder), *options, message_timeout=3.0)
        with server.open() as wire, contextlib.ExitStack() as stack:
            assert wire.ask("hello") == "hello"
            before = server.memory()
            server.forget_peak()
            slow = [stack.enter_context(server.wire(receive_buffer=4096)) for _ in range(readers)]
            for reader in slow:
                reader.send(get("/static/large.bin"))
            trips, started = [], time.monotonic()
            while server.report()["stats"]["connections"] > 2:
                moment = time.monotonic()
                assert wire.ask("still here?") == "still here?"
                trips.append(time.monotonic() - moment)
                assert time.monotonic() - started < 15, "they are given up after three seconds"
            grown = server.peak_memory() - before
        print(f"{options}: {grown / readers / 1024:.0f} KiB for each; p99 {percentile(trips, 0.99) * 1000:.1f} ms")
        assert grown < readers * (512 << 10) + 8 * MEBIBYTE
        assert percentile(trips, 0.99) < 0.3
        server.is_well()


def test_F7_without_descriptors_files_are_refused_and_then_served_again(serve: Serve, folder: Path) -> None:
    server = serve("--static", str(folder))
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(server.open())
        wires = [stack.enter_context(server.wire()) for _ in range(5)]
        for wire in wires:
            wire.send(get("/static/small.txt"))
            assert response(wire)[0] == 200
        # Not one more than there are.
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.descriptors(), limits[1]))
        for wire in wires:
            for path in ("/static/small.txt", "/static/large.bin"):
                wire.send(get(path))
                assert response(wire)[0] == 503
        assert old.ask("still here?") == "still here?"
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        for wire in wires:
            wire.send(get("/static/small.txt"))
            assert response(wire)[2] == SMALL
    server.is_well()


def test_F25_names_of_files_are_not_remembered(serve: Serve, folder: Path, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    for number in range(3000):
        (public / f"{number}.txt").write_bytes(b"x" * 2000)
    server = serve("--static", str(public))
    # What has changed just now is not kept anyway.
    time.sleep(2.1)

    def visit(first: int, count: int) -> None:
        with server.wire() as wire:
            for number in range(first, first + count):
                wire.send(get(f"/static/{number % 3000}.txt?q={number}") + get(f"/static/{number}/{'p' * 200}"))
                assert response(wire)[0] == 200
                assert response(wire)[0] == 404

    firsts = itertools.count(0, 3000)
    visit(next(firsts), 3000)
    expect_no_growth(server, lambda: visit(next(firsts), 3000), 3000 * 100)
    server.is_well()
