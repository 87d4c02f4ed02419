"""A chat: names, private messages, rooms, a history in a database, a page in the browser.

    python app.py [--host HOST] [--port PORT] [--database URL] [--io-threads N] [--patience SECONDS]

chat.py has the events, names.py says which names are names, history.py keeps what was said, public/ is the page.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
from pathlib import Path

from chat import PATIENCE, Chat
from history import BadDatabase, History
from sqlalchemy import URL

from hubbub.socketio import Server

HERE = Path(__file__).parent
HEADERS = {
    # Nothing from elsewhere, nothing inline: what somebody writes cannot become a script, whatever the page does.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


async def serve(host: str, port: int, database: str | URL, io_threads: int, patience: float) -> None:
    """Serves until Ctrl-C or SIGTERM."""
    io = Server(
        origins=["same-origin"],
        connection_state_recovery=True,  # who comes back within two minutes has missed nothing
        ping_interval=10.0,
        ping_timeout=10.0,
        max_http_buffer_size=2 << 20,  # what is far too long is told so
    )
    io.hub.static("/", HERE / "public", max_age=0, headers=HEADERS)  # nosniff is always said
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with History(database) as history:
        Chat(io, history, patience)
        async with io.hub.listening(host, port, io_threads=io_threads, access_log=False) as listening:
            for url in listening.urls:
                print(f"Open {url.replace('ws', 'http', 1)} in two tabs. Ctrl-C stops.", flush=True)
            await stopping.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat: names, private messages, rooms, a history.")
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", "8000"))
    parser.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get("DATABASE") or URL.create("sqlite+aiosqlite", database=str(HERE / "chat.db")),
        help="sqlite+aiosqlite:///FILE, mysql+asyncmy://USER:PASSWORD@HOST/NAME or postgresql+asyncpg://... "
        "(default: the file chat.db beside this one)",
    )
    parser.add_argument("--io-threads", type=int, default=os.environ.get("IO_THREADS", "1"))
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=os.environ.get("CHAT_PATIENCE", str(PATIENCE)),
        help="how long a name waits for a connection that was lost (default: %(default)s)",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        asyncio.run(serve(options.host, options.port, options.database, options.io_threads, options.patience))
    except (BadDatabase, OSError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        another = " (another: --port 8001, or PORT=8001 in the environment, as in make run PORT=8001)" if taken else ""
        parser.exit(1, f"{parser.prog}: {error}{another}\n")


if __name__ == "__main__":
    main()
