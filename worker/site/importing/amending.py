"""Many rows changed at once: MariaDB takes them in one statement, SQLite needs none of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, update
from sqlalchemy.dialects import mysql

from worker.site.tables import MARIADB


def amend(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Change rows that are there and are locked by the caller's transaction.

    Args:
        connection: of the transaction.
        table: with its primary key.
        rows: each with the whole key and the same further columns; on MariaDB all that have no default.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    changed = [name for name in rows[0] if name not in keys]
    if connection.dialect.name in MARIADB:
        entry = mysql.insert(table)
        connection.execute(entry.on_duplicate_key_update({name: entry.inserted[name] for name in changed}), rows)
        return
    found = and_(*(table.c[name] == bindparam(f"at_{name}") for name in keys))
    change = update(table).where(found).values({name: bindparam(f"to_{name}") for name in changed})
    connection.execute(
        change, [{f"{'at' if name in keys else 'to'}_{name}": value for name, value in row.items()} for row in rows]
    )
