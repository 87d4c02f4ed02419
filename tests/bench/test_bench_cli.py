"""`hubbub bench`, as a user meets it: as a program of its own."""

from __future__ import annotations

import argparse
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hubbub import __main__, __version__
from hubbub.bench import command
from hubbub.bench.screen import picture
from support.program import Program, hubbub_command, running

APP = """
import os
from hubbub import Hub, Response

hub = Hub()
wrong = Hub()
refusing = Hub()
mute = Hub()

@hub.on_message
def echo(ws, data):
    ws.send(data)

@wrong.on_message
def echo_wrong(ws, data):
    ws.send(data.swapcase())

@mute.on_message
def nothing(ws, data):
    pass

@refusing.on_request
def refuse(request):
    return Response(403, "Who are you?\\nSay it.\\n")
"""

SHORT = ["--duration", "0.4", "--warmup", "0.1", "--connections", "3"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@contextmanager
def serving(folder: Path, hub: str = "hub") -> Iterator[tuple[str, Program]]:
    with running(hubbub_command("run", f"app:{hub}", "--port", "0", "--no-access-log"), cwd=folder) as program:
        yield f"ws://127.0.0.1:{program.wait_for_port()}/", program


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(hubbub_command("bench", *arguments), cwd=folder, capture_output=True, text=True, timeout=45)


def measured(folder: Path, *arguments: str) -> dict[str, Any]:
    done = bench(folder, *arguments, "--json", "-")
    assert done.returncode == command.GOOD, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_run_reports_as_text_and_is_quiet_without_a_terminal(folder: Path) -> None:
    with serving(folder) as (url, _):
        done = bench(folder, "echo", url, *SHORT)
        silent = bench(folder, "echo", url, *SHORT, "--quiet")
    assert (done.returncode, silent.returncode) == (0, 0)
    assert f"echo {url}" in done.stdout
    for what in ("messages/s", "p99.9", "up to ", "no errors", "generator CPU"):
        assert what in done.stdout
    # One line for each stage at most, and nothing that moves a cursor. The machine may be busy with other things.
    told = [line for line in done.stderr.splitlines() if "the load average is" not in line]
    assert re.findall(r"hubbub bench: (\w+)", "\n".join(told))[:3] == ["connecting", "warming", "measuring"]
    assert len(told) <= 4
    assert "\x1b" not in done.stdout + done.stderr
    assert silent.stderr == ""


def test_the_json_report_says_what_was_done_where(folder: Path) -> None:
    with serving(folder) as (url, program):
        pid = str(program.process.pid)
        report = measured(folder, "echo", url, *SHORT, "--server-pid", pid, "--threads", "2", "--in-flight", "2")
    assert report["schema"] == command.SCHEMA
    assert report["command"].startswith("hubbub bench echo ws://")
    assert report["machine"]["hubbub"] == __version__
    assert (report["mode"], report["url"], report["connections"], report["connected"]) == ("echo", url, 3, 3)
    assert (report["threads"], report["in_flight"], report["rate"], report["size"]) == (2, 2, None, 64)
    assert report["seconds"] >= 0.4
    assert report["messages_per_second"] == pytest.approx(report["messages"] / report["seconds"])
    latency = report["latency_us"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]
    assert sum(bar["count"] for bar in report["histogram"]) == latency["count"] == report["messages"]
    assert report["percentiles"][-1]["us"] >= latency["p99"]
    assert {point["stage"] for point in report["series"]} >= {"measuring"}
    assert report["server_cpu_share"] > 0
    assert report["memory"]["resident_after"] > 1 << 20
    assert (report["errors"], report["stopped"]) == ({}, False)
    assert "failed" not in report


def test_a_report_does_not_pass_secrets_on(folder: Path) -> None:
    with serving(folder) as (url, _):
        report = measured(folder, "echo", url, *SHORT, "--header", "Authorization: Bearer abc", "--header=Cookie: abc")
    assert "abc" not in json.dumps(report)
    assert "--header 'Authorization: (left out)'" in report["command"]


def test_messages_come_at_the_rate_that_is_asked_for(folder: Path) -> None:
    with serving(folder) as (url, _):
        report = measured(folder, "echo", url, *SHORT, "--rate", "500", "--size", "32", "--binary")
    assert (report["rate"], report["in_flight"], report["binary"]) == (500.0, None, True)
    assert report["sent"] == pytest.approx(500 * report["seconds"], rel=0.2)
    assert report["service_us"]["p50"] <= report["latency_us"]["p50"]


def test_each_mode_can_be_tried_without_a_server(tmp_path: Path) -> None:
    broadcast = bench(tmp_path, "broadcast", *SHORT, "--senders", "2")
    assert broadcast.returncode == 0, broadcast.stderr
    assert "a hub of hubbub's own is loaded" in broadcast.stderr
    assert "deliveries/s" in broadcast.stdout
    assert "server CPU" in broadcast.stdout
    connect = bench(tmp_path, "connect", *SHORT)
    assert "handshakes/s" in connect.stdout, connect.stderr
    storm = bench(tmp_path, "connect", *SHORT, "--storm")
    assert "all back after" in storm.stdout, storm.stderr
    idle = bench(tmp_path, "idle", "--duration", "0.4", "--connections", "50")
    assert "B for each connection" in idle.stdout, idle.stderr
    assert idle.returncode == connect.returncode == storm.returncode == 0


TICKING = """
import asyncio, json, os, time
from hubbub import Hub

hub, plain = Hub(), Hub()

@hub.websocket("/")
async def tick(ws):
    while True:
        # Two at once, and one before them that has no time.
        await ws.send("hello")
        await ws.send(json.dumps({"n": 1, "at": time.time() - 5}))
        await asyncio.sleep(0.01)
"""


def test_a_server_that_sends_by_itself_is_listened_to(folder: Path) -> None:
    (folder / "app.py").write_text(TICKING)
    with serving(folder) as (url, _):
        report = measured(folder, "listen", url, *SHORT, "--field", "at", "--html", "report.html")
        without = bench(folder, "listen", url, *SHORT, "--field", "when")
    assert (report["mode"], report["errors"], report["sent"]) == ("listen", {}, 0)
    assert report["messages"] > 10
    # Each second message has a time, which is five seconds ago.
    assert 0 < report["latency_us"]["count"] < report["messages"]
    assert 5e6 <= report["latency_us"]["p50"] < 60e6
    assert report["gap_us"]["max"] >= 5e3
    assert "From one message to the next" in (folder / "report.html").read_text()
    assert without.returncode == 0
    assert 'no message had a time since 1970 under the name "when"' in without.stdout
    assert re.search(r"gap +\S+", without.stdout)


@pytest.mark.parametrize("protocol", [[], ["socketio"]])
def test_listening_can_be_tried_without_a_server(tmp_path: Path, protocol: list[str]) -> None:
    done = bench(tmp_path, *protocol, "listen", *SHORT, "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["latency_us"]["count"] == report["messages"] > 0
    assert report["latency_us"]["p50"] < 5e6


def test_a_server_that_sends_nothing_is_told(folder: Path) -> None:
    with serving(folder, "mute") as (url, _):
        done = bench(folder, "listen", url, *SHORT)
    assert done.returncode == command.FAILED
    assert "the server has sent nothing in" in done.stderr


def test_messages_that_nobody_asked_for_are_called_so(folder: Path) -> None:
    (folder / "app.py").write_text(TICKING)
    with serving(folder) as (url, _):
        idle = bench(folder, "idle", url, "--duration", "0.3", "--connections", "3")
        broadcast = bench(folder, "broadcast", url, *SHORT, "--timeout", "0.3", "--json", "-")
    assert idle.returncode == command.HAD_ERRORS
    assert re.search(r"error: [\d ]+ x messages that nobody asked for", idle.stdout)
    assert "wrong length" not in idle.stdout
    assert broadcast.returncode == command.FAILED
    assert set(json.loads(broadcast.stdout)["errors"]) == {"unexpected"}
    for done in (idle, broadcast):
        assert "`hubbub bench listen` measures that" in done.stderr


class Page(HTMLParser):
    """What a page would fetch, and the text in it."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_that_fetches_nothing(folder: Path) -> None:
    with serving(folder) as (url, _):
        done = bench(folder, "echo", f"{url}?a=<b>&c", *SHORT, "--html", "report.html", "--plot", "curves.png")
        assert done.returncode == 0, done.stderr
        assert "the report is in report.html\n" in done.stderr
        assert "the curves are in curves.png\n" in done.stderr
        assert bench(folder, "echo", url, *SHORT, "--plot", "curves.svg", "-q").returncode == 0
    text = (folder / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert all(fetched.startswith("#") for fetched in page.fetched), page.fetched
    assert not re.search(r"url\((?!#)|@import|<script|<link|https?://", text.replace("ws://", ""))
    assert "prefers-color-scheme: dark" in text
    assert page.tags.count("svg") == 5
    identifiers = re.findall(r' id="([^"]*)"', text)
    assert len(identifiers) == len(set(identifiers))
    for what in ("?a=<b>&c", "hubbub bench echo", "p99.9", "messages a second", "Latency by percentile", __version__):
        assert what in page.text
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "curves.svg").read_text().startswith("<?xml")


def test_ctrl_c_ends_the_run_and_there_is_a_report(folder: Path) -> None:
    with serving(folder) as (url, _):
        long = hubbub_command("bench", "echo", url, "--duration", "3600", "--warmup", "0", "--json", "report.json")
        with running(long, cwd=folder) as program:
            program.wait_for("measuring for 3600 s")
            assert program.stop(signal.SIGINT) == 0, program.output
    report = json.loads((folder / "report.json").read_text())
    assert report["stopped"] is True
    assert report["seconds"] < 60
    assert "stopped before its time" in program.output


def on_a_terminal(folder: Path, arguments: list[str], press: tuple[str, bytes] | None = None, **more: str) -> str:
    """What a terminal shows of it; `press`: as soon as the first is seen, the second is typed."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        # With this terminal as the one whose keys it gets.
        ["setsid", "--ctty", "--wait", *hubbub_command("bench", *arguments)],
        stdin=end,
        stdout=end,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **more},
        cwd=folder,
    )
    os.close(end)
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
            if press is not None and press[0].encode() in shown:
                os.write(terminal, press[1])
                press = None
    except OSError:
        pass  # Linux's way to say that the other end is closed.
    _, errors = process.communicate(timeout=15)
    os.close(terminal)
    told = [line for line in errors.decode().splitlines() if "the load average is" not in line]
    assert (process.returncode, told) == (0, []), errors
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


def test_a_terminal_shows_the_run(folder: Path) -> None:
    with serving(folder) as (url, _):
        text = on_a_terminal(folder, ["echo", url, *SHORT])
    assert "Ctrl-C ends it and reports" in text
    assert "warming up" in text
    assert "no errors" in text
    # The figures are still to be seen when it is over.
    report = text[text.rindex(f"echo {url}") :]
    assert len(report.splitlines()) < 24
    assert max(map(len, report.splitlines())) <= 80


def test_ctrl_c_on_a_terminal_writes_nothing_into_the_picture(folder: Path) -> None:
    with serving(folder) as (url, _):
        text = on_a_terminal(folder, ["echo", url, "--duration", "3600", "--warmup", "0"], ("3600 s", b"\x03"))
    assert "stopped before its time" in text
    assert "^C" not in text


LATENCY = {
    **dict.fromkeys(("p50", "p90", "p99", "p999", "p9999", "max", "mean", "min"), 123456.0),
    "count": 10,
}


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("mode", ["echo", "broadcast"])
def test_the_newest_values_are_seen_on_a_small_terminal(mode: str, width: int) -> None:
    point = {
        **dict.fromkeys(("received_per_second", "sent_per_second", "bytes_in_per_second"), 123456.0),
        "bytes_out_per_second": 12345678.0,
        "latency_us": LATENCY,
        "generator_cpu_share": 0.95,
        "generator_busiest_share": 0.95,
        "server_cpu_share": 1.0,
        "server_resident": 10 << 20,
    }
    snapshot = {
        "stage": "measuring",
        "stage_seconds": 3.0,
        "planned_seconds": 10.0,
        "connections": 1000,
        "open": 1000,
        "gathered": 1000,
        "storms": [],
        "errors": {"wrong_length": 1},
        "recent": [1.0] * 119 + [9.0],
        "point": point,
        "latency_us": LATENCY,
    }
    console = Console(width=width, height=24, file=io.StringIO())
    console.print(picture({"mode": mode, "url": "ws://127.0.0.1:12345/", "warmup": 2}, snapshot))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "█" in text
    assert "3.0 of 10 s" in text
    assert len(text.splitlines()) < 24


def test_who_has_no_rich_is_told_what_shows_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hubbub.bench.command.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("hubbub.bench.command.sys.stdout.isatty", lambda: True, raising=False)
    with command._shown(argparse.Namespace(quiet=False), {}):
        pass
    assert "pip install 'hubbub[bench]'" in capsys.readouterr().err


def test_a_machine_that_is_busy_is_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    options = argparse.Namespace(quiet=False, threads=1, mode="echo", server_pids=[])
    monkeypatch.setattr("hubbub.bench.command.os.sched_getaffinity", lambda pid: {0, 1})
    assert command._notes(options, 0.5) == []
    (note,) = command._notes(options, 7.04)
    assert note.startswith("the load average is 7.0 on 2 cores")


# ---- bad input: a status, and what is wrong


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = bench(tmp_path, "echo", f"ws://127.0.0.1:{port}/", *SHORT)
    assert (done.returncode, done.stdout) == (command.FAILED, "")
    assert f"cannot connect to 127.0.0.1:{port}: Connection refused" in done.stderr
    done = bench(tmp_path, "echo", "ws://nobody.invalid/", *SHORT)
    assert done.returncode == command.FAILED
    assert 'cannot find the host "nobody.invalid"' in done.stderr


def test_a_refusal_is_told_with_its_status_and_its_first_line(folder: Path) -> None:
    with serving(folder, "refusing") as (url, _):
        done = bench(folder, "echo", url, *SHORT)
    assert done.returncode == command.FAILED
    assert "the server answered 403, not 101: Who are you? (0 of 3 connections were open)\n" in done.stderr


def test_a_server_that_dies_leaves_a_report_of_what_was_until_then(folder: Path) -> None:
    with serving(folder) as (url, server):
        arguments = ["echo", url, "--duration", "3600", "--warmup", "0", "--json", "report.json"]
        with running(hubbub_command("bench", *arguments), cwd=folder) as program:
            program.wait_for("measuring for 3600 s")
            server.process.kill()
            assert program.wait() == command.FAILED, program.output
    report = json.loads((folder / "report.json").read_text())
    assert "the connection was lost" in report["failed"]
    assert "ended before its time: the connection was lost" in program.output
    assert sum(report["errors"].values()) > 0


def test_a_server_that_never_replies_is_given_up(folder: Path) -> None:
    with serving(folder, "mute") as (url, _):
        done = bench(folder, "echo", url, "--duration", "3600", "--timeout", "0.5", "--connections", "2")
    assert done.returncode == command.FAILED
    assert "the server sent no reply within" in done.stderr


def test_wrong_replies_are_counted_and_told_by_the_status(folder: Path) -> None:
    with serving(folder, "wrong") as (url, _):
        done = bench(folder, "echo", url, *SHORT)
    assert done.returncode == command.HAD_ERRORS
    assert re.search(r"error: [\d ]+ x wrong content", done.stdout)


def test_more_connections_than_descriptors_are_told_beforehand(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"]
    arguments = hubbub_command("bench", "echo", "ws://127.0.0.1:9/", "--connections", "500")
    done = subprocess.run([*limited, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=15)
    assert done.returncode == command.FAILED
    assert re.search(r"needs \d+ file descriptors and the limit is 200: raise it with `ulimit -n \d+`", done.stderr)


def test_the_soft_limit_of_descriptors_is_raised(folder: Path) -> None:
    with serving(folder) as (url, _):
        limited = ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh", *hubbub_command("bench", "idle", url)]
        options = ["--connections", "200", "--duration", "0.2"]
        done = subprocess.run([*limited, *options], cwd=folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["echo", "http://127.0.0.1/"], "it must begin with ws:// or wss://"),
        (["echo", "ws://127.0.0.1:9/", "--connections", "0"], "at least one connection is needed"),
        (["echo", "ws://127.0.0.1:9/", "--rate", "0"], "the rate must be more than 0"),
        (["echo", "ws://127.0.0.1:9/", "--rate", "9", "--in-flight", "9"], "not allowed with argument"),
        (["echo", "ws://127.0.0.1:9/", "--header", "nothing"], "'Name: value' is wanted"),
        (["echo", "ws://127.0.0.1:9/", "--source", "somewhere"], "does not appear to be an IPv4 or IPv6 address"),
        (["echo", "ws://127.0.0.1:9/", "--plot", "curves.gif"], ".png or .svg"),
        (["echo", "ws://127.0.0.1:9/", "--json", "no/such/report.json"], "there is no folder"),
        (["broadcast", "ws://127.0.0.1:9/", "--size", "3"], "at least 16 bytes"),
        (["dance", "ws://127.0.0.1:9/"], "invalid choice"),
    ],
)
def test_wrong_arguments_are_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = bench(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (command.USAGE, "")
    assert told in done.stderr


def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("hubbub.bench.command.importlib.util.find_spec", lambda name: None)
    status = __main__.main(["bench", "echo", "ws://127.0.0.1:9/", "--html", str(tmp_path / "report.html")])
    assert status == command.USAGE
    assert "--html needs matplotlib: pip install 'hubbub[bench]'" in capsys.readouterr().err


def test_the_server_needs_nothing_of_the_bench() -> None:
    names = ("rich", "matplotlib", "hubbub.bench.command")
    code = f"import hubbub.__main__, sys; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_certificate_is_judged_only_with_authorities(folder: Path) -> None:
    certificates = Path(__file__).resolve().parents[1] / "certificates"
    tls = ["--ssl-certfile", str(certificates / "localhost.pem"), "--ssl-keyfile", str(certificates / "localhost.key")]
    with running(hubbub_command("run", "app:hub", "--port", "0", *tls), cwd=folder) as program:
        port = program.wait_for(r"listening on wss://[^ ]+:(\d+)/")[1]
        url = f"wss://localhost:{port}/"
        assert bench(folder, "echo", url, *SHORT).returncode == 0
        assert bench(folder, "echo", url, *SHORT, "--ca", str(certificates / "ca.pem")).returncode == 0
        stranger = bench(folder, "echo", url, *SHORT, "--ca", str(certificates / "stranger.pem"))
        nothing = bench(folder, "echo", url, *SHORT, "--ca", "app.py")
    assert stranger.returncode == command.FAILED
    assert "invalid peer certificate" in stranger.stderr
    assert nothing.returncode == command.USAGE
    assert "app.py" in nothing.stderr


def test_a_refused_connection_beyond_those_allowed_says_how_many_were_open(folder: Path) -> None:
    (folder / "few.py").write_text(
        "from hubbub import Hub, Response\nhub = Hub()\nseen = []\n"
        "@hub.on_request\ndef request(request):\n"
        "    seen.append(1)\n    return Response(503, 'full') if len(seen) > 5 else None\n"
    )
    with running(hubbub_command("run", "few:hub", "--port", "0"), cwd=folder) as program:
        done = bench(folder, "idle", f"ws://127.0.0.1:{program.wait_for_port()}/", "--connections", "50")
    assert done.returncode == command.FAILED
    assert "503, not 101: full" in done.stderr
