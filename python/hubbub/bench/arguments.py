"""The options of `hubbub bench`, and what the generator is to be told."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["add", "settings"]

ABOUT = """Loads a WebSocket or Socket.IO server and says what it took: hubbub or any other.

Without a URL, a hub of hubbub's own is started for the run, to try it on."""

STATUSES = "exit status: 0 all well, 1 the run could not go on, 2 wrong arguments, 3 there were errors"

MODES = {
    "echo": "every connection sends messages and waits for them to come back",
    "broadcast": "some connections send, the server passes each message on to all of them",
    "listen": "connections listen to a server that sends by itself: how much comes, how evenly, how late?",
    "connect": "connections are opened and closed over and over, or all at once (--storm)",
    "idle": "connections are opened and kept: what does each cost the server?",
}
SOCKETIO_MODES = {
    "echo": "every client sends events called echo and waits for them to come back",
    "broadcast": "some clients send events called broadcast, the server passes each on to all of them",
    "listen": "clients listen to a server that emits by itself: how much comes, how evenly, how late?",
    "idle": "sessions are opened and kept: what does each cost the server?",
    "polling": "echo over HTTP long polling instead of WebSockets",
}
_CONNECTIONS = {"echo": 100, "broadcast": 1000, "connect": 64, "idle": 1000, "polling": 100, "listen": 100}


def add(commands: Any, work: Callable[[argparse.Namespace, list[str]], int]) -> None:
    """Adds the command to the subparsers of `hubbub`."""
    raw = argparse.RawDescriptionHelpFormatter
    bench = commands.add_parser("bench", help="load a server", description=ABOUT, formatter_class=raw)
    modes = bench.add_subparsers(dest="mode", metavar="MODE", title="modes", required=True)
    _add_modes(modes, MODES, "websocket", work)
    about = "the same for a Socket.IO server: " + ", ".join(SOCKETIO_MODES)
    socketio = modes.add_parser("socketio", help=about, description="Loads a Socket.IO server.", epilog=STATUSES)
    scenarios = socketio.add_subparsers(dest="mode", metavar="SCENARIO", title="scenarios", required=True)
    _add_modes(scenarios, SOCKETIO_MODES, "socketio", work)


def _add_modes(parsers: Any, modes: dict[str, str], protocol: str, work: Callable[..., int]) -> None:
    for mode, about in modes.items():
        parser = parsers.add_parser(
            mode, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=STATUSES, allow_abbrev=False
        )
        _add_server(parser, mode, protocol)
        if mode in ("echo", "broadcast", "polling"):
            _add_messages(parser.add_argument_group("what is sent"), mode, protocol)
        if mode == "listen":
            parser.add_argument_group("what is received").add_argument(
                "--field",
                metavar="NAME",
                help="the name under which messages have the time at which they were sent: seconds, milli-, micro- or "
                "nanoseconds since 1970, by this machine's clock; the latencies are counted from it",
            )
        _add_time(parser.add_argument_group("when"), mode)
        _add_handshake(parser.add_argument_group("the connections"), mode, protocol)
        _add_output(parser.add_argument_group("what comes out"))
        parser.set_defaults(work=work, parser=parser, protocol=protocol)
        if mode == "polling":
            parser.set_defaults(transport="polling")


def _add_server(parser: argparse.ArgumentParser, mode: str, protocol: str) -> None:
    if protocol == "socketio":
        url = "http://host:port, https://, ws:// or wss://; without a path it is /socket.io/ (default: a built-in hub)"
    else:
        url = "ws://host:port/path or wss:// (default: a built-in hub)"
    parser.add_argument("url", metavar="URL", nargs="?", help=url)
    parser.add_argument(
        "--server-pid",
        dest="server_pids",
        action="append",
        type=int,
        default=[],
        metavar="PID",
        help="a process of the server: its CPU time and memory are read, with its children's; may be repeated",
    )
    default = _CONNECTIONS[mode]
    parser.add_argument(
        "--connections", "-c", type=int, default=default, metavar="N", help="at once (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", "-t", type=int, default=1, metavar="N", help="of the generator (default: %(default)s)"
    )


def _add_messages(group: Any, mode: str, protocol: str) -> None:
    what = "of the text in an event" if protocol == "socketio" else "of a message"
    group.add_argument("--size", type=int, default=64, metavar="BYTES", help=f"{what} (default: %(default)s)")
    if protocol == "websocket":
        group.add_argument("--binary", action="store_true", help="send binary messages, not text")
    whose = "of each sender" if mode == "broadcast" else "of each connection"
    pace = group.add_mutually_exclusive_group()
    pace.add_argument(
        "--in-flight",
        type=int,
        default=1,
        metavar="N",
        help=f"closed loop: messages {whose} that are on their way at once (default: %(default)s)",
    )
    pace.add_argument(
        "--rate",
        type=float,
        metavar="PER_SECOND",
        help="open loop: messages of all together, each due at a fixed time whatever comes back",
    )
    if mode == "broadcast":
        group.add_argument(
            "--senders", type=int, default=1, metavar="N", help="connections that send (default: %(default)s)"
        )


def _add_time(group: Any, mode: str) -> None:
    group.add_argument(
        "--duration", "-d", type=float, default=10.0, metavar="SECONDS", help="measured (default: %(default)s)"
    )
    if mode != "idle":
        group.add_argument(
            "--warmup", type=float, default=2.0, metavar="SECONDS", help="of load before (default: %(default)s)"
        )
    if mode == "connect":
        group.add_argument(
            "--storm", action="store_true", help="drop all connections at once and let them come back, again and again"
        )
    group.add_argument(
        "--timeout",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="wait for a handshake or a reply without any progress (default: %(default)s)",
    )


def _add_handshake(group: Any, mode: str, protocol: str) -> None:
    group.add_argument(
        "--header",
        dest="headers",
        action="append",
        type=_header,
        default=[],
        metavar="'NAME: VALUE'",
        help="a field of the handshake (long polling: of each request); may be repeated",
    )
    if protocol == "websocket":
        group.add_argument(
            "--subprotocol",
            dest="subprotocols",
            action="append",
            default=[],
            metavar="NAME",
            help="to offer; may be repeated",
        )
    group.add_argument("--origin", metavar="ORIGIN", help="the Origin field")
    if mode in ("echo", "broadcast", "listen") and protocol == "websocket":
        also = "" if mode == "listen" else " and send every message deflated"
        group.add_argument("--deflate", action="store_true", help=f"agree on permessage-deflate{also}")
    group.add_argument(
        "--source",
        dest="sources",
        action="append",
        type=_address,
        default=[],
        metavar="ADDRESS",
        help="connect from here; may be repeated, for more connections than one address has ports",
    )
    group.add_argument(
        "--ca", metavar="FILE", help="PEM: authorities of the server's certificate (default: any certificate will do)"
    )
    group.add_argument(
        "--spin", action="store_true", help="never sleep: a core for each thread, for the shortest latencies"
    )


def _add_output(group: Any) -> None:
    group.add_argument("--json", metavar="FILE", help="the report as JSON; - is standard output")
    group.add_argument("--html", metavar="FILE", type=Path, help="the report as one page; needs matplotlib")
    group.add_argument("--plot", metavar="FILE", type=_picture, help="the curves as .png or .svg; needs matplotlib")
    group.add_argument("--quiet", "-q", action="store_true", help="show nothing while it runs")


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the generator is told: the keys are those of rust/load/src/settings.rs."""
    names = (
        *("mode", "protocol", "transport", "url", "connections", "threads", "size", "binary", "in_flight", "rate"),
        *("senders", "storm", "warmup", "duration", "timeout", "headers", "subprotocols", "origin", "deflate"),
        *("sources", "ca", "server_pids", "spin", "field"),
    )
    given = {name: getattr(options, name, None) for name in names}
    if given["mode"] == "polling":
        given["mode"] = "echo"
    return {name: value for name, value in given.items() if value is not None}


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"'Name: value' is wanted, not {text!r}")
    return name.strip(), value.strip()


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"a name that ends with .png or .svg is wanted, not {text!r}")
    return path
