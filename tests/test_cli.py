"""The command line, as a user meets it: as a program of its own."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect, unix_connect

import hubbub
from hubbub.__main__ import summary
from hubbub.limits import LIMITS
from support.program import Program, hubbub_command, running

ECHO = """
from hubbub import Hub

hub = Hub()

@hub.on_message
def echo(ws, data):
    ws.send(data)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(ECHO)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(hubbub_command(*arguments), cwd=folder, capture_output=True, text=True, timeout=15)


def echoes(program: Program, port: int) -> None:
    with program.connect(port) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


def test_the_version_is_told() -> None:
    script = Path(sys.executable).with_name("hubbub")
    told = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"hubbub {hubbub.__version__}\n"


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "run       serve a hub" in done.stderr


# ---- hubbub run


@pytest.mark.parametrize("threads", ["0", "1", "2"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio", "auto"])
def test_a_hub_is_served_on_each_loop(folder: Path, loop: str, threads: str) -> None:
    options = ["--port", "0", "--loop", loop, "--io-threads", threads]
    with running(hubbub_command("run", "app:hub", *options), cwd=folder) as program:
        port = program.wait_for_port()
        echoes(program, port)
        assert program.stop(signal.SIGINT) == 0, program.output
    assert "SIGINT: stopping" in program.output


def test_the_app_dir_may_be_elsewhere(folder: Path) -> None:
    command = hubbub_command("run", "app:hub", "--port", "0", "--app-dir", str(folder))
    with running(command) as program:
        echoes(program, program.wait_for_port())


def test_an_attribute_may_have_dots(folder: Path) -> None:
    (folder / "app.py").write_text(ECHO + "\nclass App:\n    the = hub\n")
    with running(hubbub_command("run", "app:App.the", "--port", "0"), cwd=folder) as program:
        echoes(program, program.wait_for_port())


def test_a_unix_socket_is_served(folder: Path) -> None:
    path = folder / "socket"
    with running(hubbub_command("run", "app:hub", "--uds", str(path)), cwd=folder) as program:
        program.wait_for(f"listening on unix:{path}")
        with unix_connect(str(path)) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"


def test_an_inherited_socket_is_served(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        command = hubbub_command("run", "app:hub", "--fd", str(fd))
        with running(command, cwd=folder, pass_fds=[fd]) as program:
            port = program.wait_for_port()
            assert port == listener.getsockname()[1]
            echoes(program, port)


def test_a_unix_socket_has_the_mode_and_group_that_were_asked_for(folder: Path) -> None:
    path, group = folder / "socket", os.getgid()
    command = hubbub_command("run", "app:hub", "--uds", str(path), "--uds-mode", "660", "--uds-group", str(group))
    with running(command, cwd=folder) as program:
        program.wait_for(f"listening on unix:{path}")
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, group)


def test_an_inherited_socket_is_served_again_after_a_reload(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        command = hubbub_command("run", "app:hub", "--fd", str(fd), "--reload")
        with running(command, cwd=folder, pass_fds=[fd]) as program:
            echoes(program, program.wait_for_port())
            (folder / "new.py").write_text("")
            program.wait_for("restarting")
            echoes(program, program.wait_for_port())


def test_two_processes_may_share_a_port(folder: Path) -> None:
    options = ["run", "app:hub", "--reuse-port", "--port"]
    with running(hubbub_command(*options, "0"), cwd=folder) as first:
        port = first.wait_for_port()
        with running(hubbub_command(*options, str(port)), cwd=folder) as second:
            assert second.wait_for_port() == port
            echoes(second, port)


def test_limits_are_options(folder: Path) -> None:
    options = ["--port", "0", "--limit-max-message-bytes", "10", "--ws-ping-interval", "none"]
    command = hubbub_command("run", "app:hub", *options)
    with running(command, cwd=folder) as program, program.connect(program.wait_for_port()) as client:
        client.send("x" * 11)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_trusted_proxies_are_options(folder: Path) -> None:
    (folder / "app.py").write_text(
        "from hubbub import Hub\nhub = Hub()\nhub.on_connection(lambda ws: ws.send(str(ws.remote_address)))\n"
    )
    options = ["--port", "0", "--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.1"]
    with running(hubbub_command("run", "app:hub", *options), cwd=folder) as program:
        url = f"ws://127.0.0.1:{program.wait_for_port()}/"
        with connect(url, additional_headers={"X-Forwarded-For": "192.0.2.1, 10.0.0.1"}, proxy=None) as client:
            assert client.recv(timeout=5) == "('192.0.2.1', 0)"
    with running(hubbub_command("run", "app:hub", *options, "--proxy-protocol"), cwd=folder) as program:
        sock = socket.create_connection(("127.0.0.1", program.wait_for_port()))
        sock.sendall(b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n")
        with connect("ws://test/", sock=sock, proxy=None) as client:
            assert client.recv(timeout=5) == "('2001:db8::1', 4711)"


def test_every_limit_is_an_option(folder: Path) -> None:
    shown = run(folder, "run", "--help").stdout
    shown = " ".join(shown.split())
    for name, limit in LIMITS.items():
        assert f"--limit-{name.replace('_', '-')} " in shown
        assert summary(limit.help) in shown


# ---- what can be wrong


@pytest.mark.parametrize(
    ("hub", "said"),
    [
        ("app", 'which hub? "module:attribute" is wanted'),
        ("app:", 'which hub? "module:attribute" is wanted'),
        (":hub", 'which hub? "module:attribute" is wanted'),
        ("nothing:hub", 'there is no module "nothing" in '),
        ("nothing.at.all:hub", 'there is no module "nothing.at.all" in '),
        ("app:nothing", 'module "app" has no attribute "nothing"'),
        ("app:Hub", '"app:Hub" is no hubbub.Hub but '),
    ],
)
def test_a_hub_that_is_not_there_is_named(folder: Path, hub: str, said: str) -> None:
    done = run(folder, "run", hub)
    assert done.returncode == 1
    assert done.stderr.startswith(f"hubbub: error: {said}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mistake", ["import nothing_of_this_name", "1 / 0", "def ("])
def test_an_error_in_the_module_shows_its_own_traceback(folder: Path, mistake: str) -> None:
    (folder / "app.py").write_text(mistake)
    done = run(folder, "run", "app:hub")
    assert done.returncode == 1
    assert mistake in done.stderr
    assert str(folder / "app.py") in done.stderr
    assert "importlib" not in done.stderr
    assert "__main__.py" not in done.stderr
    assert done.stderr.endswith('hubbub: error: importing "app" failed, see above\n')


def test_a_port_in_use_is_told(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = run(folder, "run", "app:hub", "--port", str(port))
    assert done.returncode == 1
    assert f"hubbub: error: cannot listen on 127.0.0.1 port {port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--port", "65536"], 1, "port is 0 to 65535, not 65536"),
        (["--io-threads", "-1"], 1, "io_threads is a whole number from 0 to 128, not -1"),
        (
            ["--limit-ping-interval", "0"],
            1,
            "ping_interval must be a number of seconds above 0 and up to ",
        ),
        (
            ["--limit-inbox-bytes", "none"],
            1,
            "inbox_bytes must be an integer number of bytes from 1 to ",
        ),
        (["--limit-outbox-policy", "wait"], 1, 'outbox_policy must be "close", "drop" or "drop_oldest", got \'wait\''),
        (["--limit-rate-policy", "wait"], 1, 'rate_policy must be "pause" or "close", got \'wait\''),
        (["--trusted-proxy", "localhost"], 1, 'trusted_proxies takes addresses ("127.0.0.1"), networks ("10.0.0.0/8")'),
        (["--uds-mode", "660"], 1, "uds_mode and uds_group are for a unix socket: uds="),
        (["--uds", "socket", "--uds-mode", "789"], 2, "invalid mode value: '789'"),
        (["--uds", "socket", "--uds-group", "nobody here"], 1, "uds_group: there is no group 'nobody here'"),
        (["--proxy-protocol"], 1, "proxy_protocol needs trusted_proxies"),
        (["--limit-ping-timeout", "soon"], 2, "invalid number value: 'soon'"),
        (["--shutdown-timeout", "nan"], 2, "invalid seconds value: 'nan'"),
        (["--loop", "twisted"], 2, "invalid choice: 'twisted'"),
        (["--reload", "--reload-dir", "nowhere"], 1, "--reload-dir nowhere: there is no such folder"),
    ],
)
def test_wrong_options_are_told(folder: Path, options: list[str], status: int, said: str) -> None:
    done = run(folder, "run", "app:hub", *options)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# ---- logging


def test_requests_are_logged_unless_switched_off(folder: Path) -> None:
    command = hubbub_command("run", "app:hub", "--port", "0")
    with running(command, cwd=folder) as program:
        echoes(program, program.wait_for_port())
        program.wait_for(r'^INFO:     127\.0\.0\.1:\d+ - "WebSocket /" \[accepted\]$')
    with running([*command, "--no-access-log"], cwd=folder) as program:
        echoes(program, program.wait_for_port())
        program.stop()
    assert "accepted" not in program.output


def test_the_log_level_is_an_option(folder: Path) -> None:
    path = folder / "socket"
    command = hubbub_command("run", "app:hub", "--uds", str(path), "--log-level", "warning")
    with running(command, cwd=folder) as program:
        while not path.exists():
            assert program.process.poll() is None
            time.sleep(0.01)
        with unix_connect(str(path)) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
        assert program.stop() == 0
    assert program.output == ""


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_levels_have_colours_on_a_terminal_only(folder: Path, no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    command = hubbub_command("run", "app:hub", "--port", "0")
    try:
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=theirs, start_new_session=True) as process:
            line = b""
            while not line.endswith(b"\n"):
                line += os.read(ours, 1)
            process.terminate()
    finally:
        os.close(ours)
        os.close(theirs)
    assert line.startswith(b"\x1b[32mINFO\x1b[0m:     listening" if coloured else b"INFO:     listening")


def test_a_program_that_configures_logging_keeps_it(folder: Path) -> None:
    (folder / "main.py").write_text(
        f'import logging\nlogging.basicConfig(format="mine %(message)s", level="INFO")\n{ECHO}\nhub.run(port=0)\n'
    )
    with running([sys.executable, "main.py"], cwd=folder) as program:
        program.wait_for_port()
        program.stop()
    assert all(line.startswith("mine ") for line in program.lines)
    assert len([line for line in program.lines if "listening" in line]) == 1


def test_a_program_that_configures_none_sees_where_it_listens(folder: Path) -> None:
    (folder / "main.py").write_text(f"{ECHO}\nhub.run(port=0)\n")
    with running([sys.executable, "main.py"], cwd=folder) as program:
        program.wait_for(r"^INFO:     listening on ws://127\.0\.0\.1:\d+/ \(Ctrl-C stops\)$")


@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_program_without_standard_streams_is_served(folder: Path, streams: str) -> None:
    path = folder / "socket"
    (folder / "main.py").write_text(f"{ECHO}\nhub.run(uds={str(path)!r})\n")
    command = ["sh", "-c", f'exec "$0" main.py {streams}', sys.executable]
    with running(command, cwd=folder) as program:
        until_it_listens(program, path)
        assert program.stop() == 0


@pytest.mark.parametrize("stream", ["None", "Stream()", "closed"])
def test_whatever_stands_in_for_stderr_a_program_is_served(folder: Path, stream: str) -> None:
    (folder / "main.py").write_text(
        "import os, sys\nclosed = open(os.devnull, 'w')\nclosed.close()\n"
        "class Stream:\n    def write(self, text): pass\n    def flush(self): pass\n"
        f"sys.stderr = {stream}\n{ECHO}\n"
        "hub.on_connection(lambda ws: hub.stop())\nhub.run(uds='socket')\n"
    )
    with running([sys.executable, "main.py"], cwd=folder) as program:
        until_it_listens(program, folder / "socket")
        assert program.wait() == 0


def until_it_listens(program: Program, path: Path) -> None:
    """Waits until a client gets in, which a program that logs nothing does not tell."""
    while True:
        assert program.process.poll() is None, program.output
        try:
            with unix_connect(str(path)):
                return
        except OSError:
            time.sleep(0.01)


# ---- the end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_ends_with_0(folder: Path, number: signal.Signals) -> None:
    with running(hubbub_command("run", "app:hub", "--port", "0"), cwd=folder) as program:
        with program.connect(program.wait_for_port()) as client:
            program.process.send_signal(number)
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert program.wait() == 0, program.output
    assert "Traceback" not in program.output


BUSY = """
import asyncio
from hubbub import Hub

hub = Hub()

@hub.websocket("/")
async def busy(ws):
    await ws.send("working")
    await asyncio.sleep(3600)
"""


def test_a_second_signal_ends_at_once(folder: Path) -> None:
    (folder / "app.py").write_text(BUSY)
    command = hubbub_command("run", "app:hub", "--port", "0", "--loop", "asyncio", "--shutdown-timeout", "3600")
    with running(command, cwd=folder) as program, program.connect(program.wait_for_port()) as client:
        assert client.recv(timeout=5) == "working"
        program.process.send_signal(signal.SIGINT)
        program.wait_for("SIGINT: stopping")
        assert program.stop(signal.SIGINT) == -signal.SIGINT


def test_the_shutdown_timeout_ends_a_handler_that_does_not(folder: Path) -> None:
    (folder / "app.py").write_text(BUSY)
    command = hubbub_command("run", "app:hub", "--port", "0", "--loop", "asyncio", "--shutdown-timeout", "0.1")
    with running(command, cwd=folder) as program, program.connect(program.wait_for_port()) as client:
        assert client.recv(timeout=5) == "working"
        assert program.stop() == 0


# ---- --reload

NUMBERED = """
import os
from hubbub import Hub

hub = Hub()

@hub.on_connection
def connected(ws):
    ws.send("{version} " + str(os.getpid()))
"""


def greeting(program: Program, port: int) -> tuple[str, int]:
    with program.connect(port) as client:
        version, pid = str(client.recv(timeout=5)).split()
        return version, int(pid)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_reload_serves_what_was_changed_and_ends_with_its_child(tmp_path: Path, number: signal.Signals) -> None:
    app = tmp_path / "app.py"
    app.write_text(NUMBERED.format(version="first"))
    with running(hubbub_command("run", "app:hub", "--port", "0", "--reload"), cwd=tmp_path) as program:
        program.wait_for("watching . for changes")
        version, old = greeting(program, program.wait_for_port())
        assert version == "first"
        app.write_text(NUMBERED.format(version="second"))
        program.wait_for(r"app\.py changed: restarting")
        version, new = greeting(program, program.wait_for_port())
        assert version == "second"
        assert not is_running(old)
        assert program.stop(number) == 0
        assert not is_running(new)
    assert len(re.findall("stopping", program.output)) == 2


def test_reload_waits_until_a_mistake_is_mended(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text("1 / 0")
    with running(hubbub_command("run", "app:hub", "--port", "0", "--reload"), cwd=tmp_path) as program:
        program.wait_for("ZeroDivisionError")
        program.wait_for("the program has ended with status 1; a change will start it again")
        app.write_text(ECHO)
        echoes(program, program.wait_for_port())
        assert program.stop(signal.SIGINT) == 0


def test_reload_sees_other_folders_and_new_files(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "other" / "deep").mkdir(parents=True)
    (tmp_path / "app" / "app.py").write_text(ECHO)
    options = ["--app-dir", "app", "--reload", "--reload-dir", "app", "--reload-dir", "other", "--port", "0"]
    with running(hubbub_command("run", "app:hub", *options), cwd=tmp_path) as program:
        program.wait_for_port()
        (tmp_path / "other" / "deep" / "notes.txt").write_text("not a program")
        (tmp_path / "other" / "deep" / "new.py").write_text("")
        program.wait_for(r"INFO:     other/deep/new\.py changed: restarting")
        echoes(program, program.wait_for_port())
