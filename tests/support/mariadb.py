"""A real MariaDB of the tests' own: in a folder, on a free port, in the foreground, gone with us."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import pymysql

from celery_anp.process import bound
from celery_anp.process.port import HOST, free
from tests.support.eventually import eventually

PROGRAMS = ("mariadbd", "mariadb-install-db")
USER = "site"
PASSWORD = "loopback"


def missing() -> str:
    """Why there is no MariaDB here, or empty."""
    lacking = [name for name in PROGRAMS if program(name) is None]
    return f"{', '.join(lacking)} not installed (Debian: mariadb-server-core mariadb-client-core)" if lacking else ""


def program(name: str) -> str | None:
    """A program by name, also where only root's PATH has it."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"]))


class MariaDB:
    """A MariaDB child process; also a context manager.

    Args:
        folder: for its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free()
        self.data = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        install = [
            str(program("mariadb-install-db")), "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", *self._as_root(),
        ]  # fmt: skip
        done = subprocess.run(
            install, capture_output=True, text=True, timeout=120, check=False, env=self._environment()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.start(first=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, *, first: bool = False) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "mariadb.log").open("ab") as output:
            self.process = bound.start(
                [
                    str(program("mariadbd")), "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
                    f"--bind-address={HOST}", f"--socket={self.folder / 'socket'}", "--skip-log-bin",
                    f"--pid-file={self.folder / 'pid'}", "--innodb-buffer-pool-size=64M", "--local-infile=1",
                    "--skip-name-resolve", *self._as_root(),
                ],
                output=output,
                env=self._environment(),
            )  # fmt: skip
        eventually(lambda: self.ask("SELECT 1"), 60, "MariaDB to answer")
        if first:
            self.ask(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            bound.kill(self.process)
            self.process.wait(timeout=20)
            self.process = None

    def stop(self) -> None:
        """An orderly end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        self.process = None

    def database(self) -> str:
        """A new empty database; its URL as SQLAlchemy writes it."""
        name = f"site_{uuid4().hex[:12]}"
        self.ask(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self.ask(f"GRANT ALL ON {name}.* TO {USER}@'%'")
        return f"mariadb+pymysql://{USER}:{PASSWORD}@{HOST}:{self.port}/{name}"

    def ask(self, statement: str) -> object:
        """What a statement of the server's own root answers, by a connection of its own."""
        socket = str(self.folder / "socket")
        with (
            pymysql.connect(unix_socket=socket, user="root", autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall() or True

    def _environment(self) -> dict[str, str]:
        """Another server that starts would remove our temporary tables from a folder that we share."""
        return {**os.environ, "TMPDIR": str(self.folder)}

    def _as_root(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []
