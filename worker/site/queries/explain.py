"""Asks the database about a query and asks the query itself, in a transaction that may only read."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, StatementError

from celery_anp.errors import BadDeclaration
from worker.site import database
from worker.site.importing.trouble import spoken
from worker.site.queries import mariadb, sqlite
from worker.site.queries.declared import Query
from worker.site.queries.indexes import Schema
from worker.site.queries.plan import Plan

#: A query is timed so often, and not again once this many seconds are spent.
TIMES, ENOUGH = 5, 2.0


def explain(engine: Engine, queries: list[Query]) -> list[Plan]:
    """A plan of each query, on the data that is there. Nothing is changed.

    Args:
        engine: of the site's database.
        queries: declared ones.

    Raises:
        BadDeclaration: the database does not understand one, or it would write.
        DatabaseTrouble: the database does not answer.
    """
    with spoken(), read_only(engine) as connection:
        schema = Schema(connection)
        return [_explained(connection, schema, query) for query in queries]


@contextmanager
def read_only(engine: Engine) -> Iterator[Connection]:
    """A connection that refuses to write."""
    with database.reading(engine) as connection:
        lite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("PRAGMA query_only=ON" if lite else "SET SESSION TRANSACTION READ ONLY")
        if not lite:
            connection.rollback()  # it holds for the next transaction
        try:
            yield connection
        finally:
            if not lite:
                connection.rollback()
                connection.exec_driver_sql("SET SESSION TRANSACTION READ WRITE")


def _explained(connection: Connection, schema: Schema, query: Query) -> Plan:
    ask = sqlite if connection.dialect.name == "sqlite" else mariadb
    try:
        accesses, sorts, temporary = ask.plan(connection, schema, query)
        read = ask.read(connection, query)
        seconds = _timed(connection, query)
    except StatementError as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        raise BadDeclaration(
            f"The database does not take the query {query.name!r}",
            expected="one reading statement, with a value for each `:name`",
            given=str(error.orig),
        ) from None
    return Plan(
        query=query.name, digest=query.digest(), accesses=tuple(accesses), sorts=sorts, temporary=temporary,
        read=read, unit=ask.UNIT, seconds=seconds,
    )  # fmt: skip


def _timed(connection: Connection, query: Query) -> float:
    taken: list[float] = []
    while len(taken) < TIMES and sum(taken) < ENOUGH:
        began = time.perf_counter()
        connection.execute(text(query.sql), query.values).all()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
