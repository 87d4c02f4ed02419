"""Five small Socket.IO programs, each with a page: hello, events, namespaces, rooms, broadcasts.

    python app.py [--host HOST] [--port PORT] [--io-threads N]

What the server does is in ``programs``, what a page does in ``public``; each page shows both. The client is the
official one, which the server brings along.
"""

import argparse
import os
from pathlib import Path

from programs import broadcasts, events, hello, hub, namespaces, rooms  # noqa: F401 - each puts itself on the hub

HERE = Path(__file__).parent
HEADERS = {
    # Nothing from elsewhere, nothing inline: what somebody says cannot become a script, whatever the page does.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

hub.static("/", HERE / "public", headers=HEADERS)
hub.static("/programs", HERE / "programs", headers=HEADERS)  # for the pages to show


def main() -> None:
    parser = argparse.ArgumentParser(description="Five small Socket.IO programs.")
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
    parser.add_argument("--io-threads", type=int, default=int(os.environ.get("IO_THREADS", "1")))
    options = parser.parse_args()
    print(f"Open http://{options.host}:{options.port}/", flush=True)
    hub.run(options.host, options.port, io_threads=options.io_threads)


if __name__ == "__main__":
    main()
