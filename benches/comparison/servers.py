"""Who takes part."""

from __future__ import annotations

from dataclasses import dataclass

from comparison.kits import C, Here, Kit, Npm, UWebSockets, Venv

FLOOR = "floor"
REFERENCE = "picows"
"""What figures are compared with where there is no floor."""
ALL_MODES = frozenset({"echo", "broadcast", "block"})


@dataclass(frozen=True)
class Server:
    name: str
    kit: Kit
    options: tuple[str, ...] = ()
    """For the program, after the port and the mode."""
    modes: frozenset[str] = ALL_MODES
    cores: int = 1
    home: bool = False
    """Whether it is ours."""
    drawn: bool = True
    """Whether it is in the drawings; variants are in the tables only."""


def servers(python: str) -> list[Server]:
    """All of them; `python` has hubbub installed."""
    return [
        Server(FLOOR, C("../floor/floor.c"), modes=frozenset({"raw"}), drawn=False),
        hubbub(python, "hubbub", "--io-threads", "0"),
        hubbub(python, "hubbub-threaded", "--io-threads", "1"),
        hubbub(python, "hubbub-coroutine", "--io-threads", "0", "--handler", "coroutine", drawn=False),
        hubbub(python, "hubbub-threaded-coroutine", "--io-threads", "1", "--handler", "coroutine", drawn=False),
        hubbub(python, "hubbub-two-shards", "--io-threads", "2", cores=2, drawn=False),
        Server("picows", Venv("picows_server.py", ("picows", "uvloop"))),
        Server("websockets", Venv("websockets_server.py", ("websockets", "uvloop"))),
        Server("aiohttp", Venv("aiohttp_server.py", ("aiohttp", "uvloop"))),
        Server("uvicorn", Venv("uvicorn_server.py", ("uvicorn", "uvloop", "httptools", "websockets"))),
        Server("granian", Venv("granian_server.py", ("granian", "uvloop"))),
        Server("socketify", Venv("socketify_server.py", ("socketify",), debian=("libuv1",))),
        Server("webrockets", Venv("webrockets_server.py", ("webrockets",))),
        Server("wse-server", Venv("wse_drain_server.py", ("wse-server",), at_least=(3, 12))),
        Server("ws", Npm("ws_server.mjs", ("ws", "bufferutil"))),
        Server("bun", Npm("bun_server.mjs", ("bun",), runtime="bun")),
        Server("uwebsockets", UWebSockets("uwebsockets_server.cpp")),
    ]


ABSENT = {
    "uWebSockets.js": "it is not in the npm registry; the library under it is here as uwebsockets, and under Bun",
    "socket.io": "it speaks a protocol of its own: `socketio_servers.py` has it",
}
"""Who might be looked for, and why it is not here."""


def hubbub(python: str, name: str, *options: str, cores: int = 1, drawn: bool = True) -> Server:
    return Server(name, Here("hubbub_server.py", python, ("hubbub",)), options, cores=cores, home=True, drawn=drawn)
