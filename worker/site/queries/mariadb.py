"""MariaDB's plan of a query, and the rows that it reads, as the server's own counters tell them."""

from __future__ import annotations

from sqlalchemy import Connection, text

from worker.site.queries.declared import Query, tables_by_alias
from worker.site.queries.indexes import Schema
from worker.site.queries.plan import Access

UNIT = "rows"
_COUNTERS = text("SHOW SESSION STATUS LIKE 'Handler_read%'")
#: How a table is gone to, where all of it is read.
WHOLE = {"ALL": "scan", "index": "index scan"}


def plan(connection: Connection, schema: Schema, query: Query) -> tuple[list[Access], bool, bool]:
    """Accesses, whether it sorts, whether it makes a table for itself."""
    accesses: list[Access] = []
    sorts = temporary = False
    names = tables_by_alias(query.sql)
    for row in connection.execute(text(f"EXPLAIN {query.sql}"), query.values).mappings():
        extra = row["Extra"] or ""
        sorts |= "filesort" in extra
        temporary |= "temporary" in extra
        if row["table"] and not row["table"].startswith("<") and row["type"]:
            table = names.get(row["table"].lower(), row["table"])
            index = schema.index(row["key"], table) if row["key"] else None
            accesses.append(
                Access(table=table, how=WHOLE.get(row["type"], "search"), index=index, rows=schema.rows(table))
            )
    return accesses, sorts, temporary


def read(connection: Connection, query: Query) -> float:
    """Rows that the query reads, of tables and indexes together."""
    looking = _counted(connection, None)  # to ask for the counters moves them
    return max(0.0, _counted(connection, query) - looking)


def _counted(connection: Connection, query: Query | None) -> float:
    before = _sum(connection)
    if query is not None:
        connection.execute(text(query.sql), query.values).all()
    return _sum(connection) - before


def _sum(connection: Connection) -> float:
    return sum(float(value) for _, value in connection.execute(_COUNTERS))
