"""The WordPress that the tests use: a command that starts, seeds and stops a real one on loopback.

The command is named by WORDPRESS_LAB_COMMAND and understands `up`, `seed N`, `future N SECONDS`,
`event SECONDS RUN [TOKEN]`, `wp -` and `env`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.support.eventually import eventually
from worker.site import database

COMMAND = "WORDPRESS_LAB_COMMAND"


def missing() -> str | None:
    """Why there is no WordPress to test on, or None: there is one."""
    command = os.environ.get(COMMAND, "")
    if not command:
        return f"{COMMAND} names no WordPress to test on"
    return None if os.access(command, os.X_OK) else f"{COMMAND} is no program: {command}"


@dataclass(frozen=True)
class Lab:
    """A running WordPress.

    Args:
        command: the program that controls it.
        url: where it answers.
        path: its files.
        database_url: its database, as SQLAlchemy writes it.
        pages: folder of the web server's page cache.
    """

    command: str
    url: str
    path: Path
    database_url: str
    pages: Path

    @classmethod
    def up(cls) -> Lab:
        """Start it, or find it running."""
        command = os.environ[COMMAND]
        _run(command, "up")
        told = _run(command, "env").stdout.replace("export ", "").split("\n")
        env = dict(line.split("=", 1) for line in told if "=" in line)
        return cls(command, env["WP_URL"], Path(env["WP_PATH"]), env["WP_DB_URL"], Path(env["WP_PAGES"]))

    # -- what it has ------------------------------------------------------------------------------

    def __call__(self, *arguments: object) -> str:
        """Run a command of the lab; its stdout."""
        return _run(self.command, *map(str, arguments)).stdout

    def seed(self, count: int) -> None:
        """Make published posts."""
        self("seed", count)

    def future(self, count: int, seconds: int) -> list[int]:
        """Make posts that are due some seconds from now (may be negative); their ids."""
        return [int(line) for line in self("future", count, seconds).split()]

    def event(self, seconds: int, run: int, token: str) -> None:
        """Schedule an event of `lab_work` that runs some seconds and logs its start and end."""
        self("event", seconds, run, token)

    def wp(self, php: str, *arguments: object) -> str:
        """Run PHP inside WordPress; its stdout."""
        code = php if php.lstrip().startswith("<?php") else f"<?php {php}"
        return _run(self.command, "wp", "-", *map(str, arguments), given=code).stdout

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run SQL on its database; its rows, if it has any."""
        with database.writing(database.engine(self.database_url)) as connection:
            rows = connection.execute(text(statement), values)
            return [tuple(row) for row in rows] if rows.returns_rows else []

    def statuses(self, ids: list[int]) -> list[str]:
        """The status of each of these posts."""
        rows = dict(self.sql(f"SELECT ID, post_status FROM wp_posts WHERE ID IN ({','.join(map(str, ids)) or 0})"))
        return [rows.get(post, "gone") for post in ids]

    def logged(self, token: str, what: str = "start") -> int:
        """How often an event of `lab_work` started (or came to its end)."""
        query = "SELECT count(*) FROM wp_lab_log WHERE token = :token AND what = :what"
        return int(self.sql(query, token=token, what=what)[0][0])

    # -- its processes ----------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where its processes have their pid files and logs."""
        return self.pages.parent

    def pid(self, name: str) -> int:
        """Of `db`, `fpm` or `nginx`."""
        return int((self.folder / "run" / f"{name}.pid").read_text())

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """One of its processes stands still."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """MariaDB is stopped, and started again at the end."""
        pid = self.pid("db")
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not Path(f"/proc/{pid}").exists(), 30, "MariaDB to stop")
        try:
            yield
        finally:
            _run(self.command, "up")

    # -- between tests ----------------------------------------------------------------------------

    def tidy(self) -> None:
        """No post waits, no event is scheduled, nothing is logged; pages and published posts stay."""
        self.sql("DELETE FROM wp_posts WHERE post_status IN ('future', 'anp-test')")
        self.sql("UPDATE wp_options SET option_value = 'a:1:{s:7:\"version\";i:2;}' WHERE option_name = 'cron'")
        self.sql("DELETE FROM wp_options WHERE option_name = '_transient_doing_cron'")
        self.sql("DELETE FROM wp_lab_log")
        if self.sql("SHOW TABLES LIKE 'wp_anp_event'"):
            self.sql("DELETE FROM wp_anp_event")


def _run(command: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run([command, *arguments], input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command} {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done
