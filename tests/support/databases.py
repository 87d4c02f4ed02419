"""Databases for one test: MariaDB where one runs on this machine, PostgreSQL where it is installed."""

from __future__ import annotations

import asyncio
import glob
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["mariadb", "postgresql"]


@contextmanager
def mariadb() -> Iterator[str]:
    """A database of its own on 127.0.0.1:3306 (root, no password): its address, without the driver."""
    asyncmy = pytest.importorskip("asyncmy")
    name = f"hubbub_{secrets.token_hex(6)}"

    async def run(statement: str) -> None:
        connection = await asyncmy.connect(host="127.0.0.1", port=3306, user="root", password="", connect_timeout=2)
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
        connection.close()

    try:
        # With a character set in which nobody could write Chinese: the tables have to say theirs.
        asyncio.run(run(f"CREATE DATABASE {name} CHARACTER SET latin1"))
    except Exception as error:
        pytest.skip(f"there is no MariaDB at 127.0.0.1:3306 for root without a password: {error}")
    try:
        yield f"root@127.0.0.1:3306/{name}"
    finally:
        asyncio.run(run(f"DROP DATABASE {name}"))


@contextmanager
def postgresql() -> Iterator[str]:
    """A server of its own: the address of its database, without the driver."""
    pytest.importorskip("asyncpg")
    found = [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.environ.get("PATH", "").split(":")]
    folder = next((one for one in found if (Path(one) / "initdb").exists()), None)
    if folder is None:
        pytest.skip("PostgreSQL is not here (Debian: apt-get install postgresql)")
    # It does not run as root, and its user cannot look into pytest's folders.
    become = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
    home = tempfile.mkdtemp(prefix="hubbub-postgres-")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    try:
        if become:
            shutil.chown(home, "postgres", "postgres")
        init = [f"{folder}/initdb", "-D", f"{home}/data", "-U", "root", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*become, *init], check=True, capture_output=True, cwd="/")
        options = f"-p {port} -k {home} -h 127.0.0.1 -F"
        control = [*become, f"{folder}/pg_ctl", "-D", f"{home}/data", "-w", "-s"]
        subprocess.run([*control, "-l", f"{home}/log", "-o", options, "start"], check=True, cwd="/")
        try:
            yield f"root@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/")
    finally:
        shutil.rmtree(home, ignore_errors=True)
