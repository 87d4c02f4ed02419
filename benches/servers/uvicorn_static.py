"""A folder's files by Starlette's StaticFiles on uvicorn, with uvloop and httptools.

python uvicorn_static.py PORT FOLDER
"""

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("folder")
    options = parser.parse_args()
    uvicorn.run(
        Starlette(routes=[Mount("/static", StaticFiles(directory=options.folder))]),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="critical",
        access_log=False,
    )
