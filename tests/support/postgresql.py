"""A real PostgreSQL server for tests, on a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

PASSWORD = "p@ss/wörd:secret"


@dataclass
class Server:
    """One server on a port of its own; its superuser is ``postgres``."""

    port: int
    password: str = PASSWORD

    def url(self, **changes: Any) -> str:
        from sqlalchemy import URL

        parts = {"username": "postgres", "password": self.password, "host": "127.0.0.1", "database": "postgres"}
        return URL.create("postgresql+psycopg", **{**parts, "port": self.port, **changes}).render_as_string(False)

    def run(self, statements: str) -> list[Any]:
        import psycopg

        parts = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "password": self.password}
        with psycopg.connect(**parts, dbname="postgres") as connection:
            result = connection.execute(cast(Any, statements))
            return result.fetchall() if result.description else []


@contextmanager
def postgresql(tables: str = "SELECT 1") -> Iterator[Server]:
    """A running server, with these tables."""
    programs = shutil.which("initdb") or str(max(Path("/usr/lib/postgresql").glob("*/bin/initdb")))
    binaries = Path(programs).resolve().parent
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL does not run as root
    folder = Path(tempfile.mkdtemp(prefix="attest-postgres-"))
    try:
        password = folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if user is not None:
            shutil.chown(folder, user)
            shutil.chown(password, user)
        initdb = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "scram-sha-256"]
        initdb += [f"--pwfile={password}", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        start = [binaries / "postgres", "-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(start, stdout=log, stderr=log, user=user, cwd=folder)
        try:
            running = Server(port)
            deadline = time.monotonic() + 30
            while True:
                try:
                    running.run(tables)
                    break
                except Exception:
                    if time.monotonic() > deadline:
                        raise AssertionError((folder / "log").read_text()) from None
                    time.sleep(0.05)
            yield running
        finally:
            process.send_signal(signal.SIGINT)  # it does not wait for clients
            process.wait(timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
