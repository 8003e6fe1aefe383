"""SQLite's plan of a query. It counts no rows, so what it reads is told in steps of its machine."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, text

from worker.site.queries.declared import Index, Query, tables_by_alias
from worker.site.queries.indexes import PRIMARY, Schema
from worker.site.queries.plan import Access

UNIT = "thousand steps"
#: Steps between two counts.
EVERY = 100
_LINE = re.compile(
    r"^(?P<how>SCAN|SEARCH) (?P<table>\S+)"
    r"(?: USING (?:(?P<automatic>AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?INDEX (?P<index>\S+)|"
    r"(?P<key>INTEGER PRIMARY KEY|PRIMARY KEY)))?"
)


def plan(connection: Connection, schema: Schema, query: Query) -> tuple[list[Access], bool, bool]:
    """Accesses, whether it sorts, whether it makes a table for itself."""
    accesses: list[Access] = []
    sorts = temporary = False
    names = tables_by_alias(query.sql)
    for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query.sql}"), query.values):
        detail = str(row.detail)
        if found := _LINE.match(detail):
            accesses.append(_access(schema, names, found))
            temporary |= found["automatic"] is not None
        elif detail.startswith("USE TEMP B-TREE"):
            sorts |= "ORDER BY" in detail
            temporary |= "ORDER BY" not in detail
    return accesses, sorts, temporary


def _access(schema: Schema, names: dict[str, str], found: re.Match[str]) -> Access:
    table = names.get(found["table"].lower(), found["table"])
    index: Index | None = None
    if found["key"]:
        index = schema.index(PRIMARY, table)
    elif found["index"] and not found["automatic"]:
        index = schema.index(found["index"], table)
    how = "search" if found["how"] == "SEARCH" and not found["automatic"] else "scan"
    return Access(
        table=table, how="index scan" if how == "scan" and index else how, index=index, rows=schema.rows(table)
    )


def read(connection: Connection, query: Query) -> float:
    """Thousand steps that the query takes."""
    raw: Any = connection.connection.dbapi_connection
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += EVERY
        return 0

    raw.set_progress_handler(count, EVERY)
    try:
        connection.execute(text(query.sql), query.values).all()
    finally:
        raw.set_progress_handler(None, 0)
    return steps / 1000
