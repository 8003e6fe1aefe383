"""Connections to the site's database: SQLite for the demo, MariaDB for a WordPress, with the same code.

A write on SQLite takes its lock when it begins (BEGIN IMMEDIATE), so that what it read stays true until
it commits; on MariaDB the writers lock the rows they read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from celery_anp.errors import BadSetting

_WRITE = "anp_write"
_SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "foreign_keys=ON")
_MARIADB_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 30, "write_timeout": 30}


@dataclass(slots=True)
class Queries:
    """What a piece of work asked of the database."""

    #: Statements sent.
    count: int = 0
    #: Seconds spent waiting for them.
    seconds: float = 0.0


_measured: ContextVar[Queries | None] = ContextVar("anp_queries", default=None)


@contextmanager
def measured() -> Iterator[Queries]:
    """Count the statements that this context sends.

    Yields:
        A `Queries` that is filled while the block runs.
    """
    queries = Queries()
    token = _measured.set(queries)
    try:
        yield queries
    finally:
        _measured.reset(token)


@cache
def engine(url: str) -> Engine:
    """The engine for a database URL; one per process and URL.

    Args:
        url: as SQLAlchemy writes it: `sqlite:///path` or `mariadb+pymysql://user:password@host/name`.

    Returns:
        An engine whose connections are set up as `reading` and `writing` need them.

    Raises:
        BadSetting: the URL cannot be used.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        # No connection outlives its block: SQLite's must not be carried over a fork.
        made = create_engine(parsed, poolclass=NullPool)
        event.listen(made, "connect", _set_up_sqlite)
        event.listen(made, "begin", _begin_sqlite)
    else:
        made = create_engine(parsed, pool_pre_ping=True, pool_recycle=300, connect_args=_MARIADB_TIMEOUTS)
        os.register_at_fork(after_in_child=lambda: made.dispose(close=False))
    event.listen(made, "before_cursor_execute", _start_clock)
    event.listen(made, "after_cursor_execute", _stop_clock)
    return made


def existing(url: str) -> Engine:
    """The engine for a database that must be there already.

    Raises:
        BadSetting: the URL cannot be used, or names an SQLite file that does not exist.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise BadSetting(
            "The site's database is not there",
            expected="ANP_DATABASE_URL naming a filled database, or a running `anp up`",
            given=parsed.render_as_string(),
        )
    return engine(url)


@contextmanager
def reading(source: Engine) -> Iterator[Connection]:
    """A connection for reads, closed at the end."""
    with source.connect() as connection:
        yield connection


@contextmanager
def writing(source: Engine) -> Iterator[Connection]:
    """A connection inside one transaction: committed at the end, rolled back when the block raises."""
    with source.connect().execution_options(**{_WRITE: True}) as connection, connection.begin():
        yield connection


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise BadSetting(
            "ANP_DATABASE_URL cannot be used",
            expected="sqlite:///path or mariadb+pymysql://user:password@host/name",
            given=str(error).splitlines()[0],
        ) from None
    return parsed


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # pysqlite would begin too late; `_begin_sqlite` does it
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _start_clock(connection: Connection, *_statement: object) -> None:
    connection.info["anp_started"] = time.perf_counter()


def _stop_clock(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
    queries = _measured.get()
    if queries is not None and not statement.startswith("BEGIN"):
        queries.count += 1
        queries.seconds += time.perf_counter() - connection.info["anp_started"]
