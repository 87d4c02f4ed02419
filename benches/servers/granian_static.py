"""A folder's files by granian itself (its Rust side): one worker.

python granian_static.py PORT FOLDER
"""

import argparse
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import Interfaces, Loops


async def app(scope: Any, protocol: Any) -> None:
    protocol.response_empty(404, [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("folder")
    options = parser.parse_args()
    Granian(
        "granian_static:app",
        address="127.0.0.1",
        port=options.port,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        workers=1,
        log_enabled=False,
        static_path_route=["/static"],
        static_path_mount=[Path(options.folder)],
    ).serve()
