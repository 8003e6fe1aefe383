"""The indexes of the site's tables, and the statement that makes one."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select, table
from sqlalchemy import Index as Made
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.schema import CreateIndex

from worker.site.queries.declared import Index
from worker.site.tables import MARIADB

#: Characters of a text that MariaDB puts into an index, as WordPress does.
PREFIX = 191
PRIMARY = "PRIMARY"


class Schema:
    """What is there of some tables; asked once.

    Args:
        connection: to the database.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._inspector = inspect(connection)
        self._indexes: dict[str, dict[str, Index]] = {}
        self._rows: dict[str, int] = {}

    def index(self, name: str, of: str) -> Index | None:
        """An index by its name; SQLite has names of its own for a primary key of several columns."""
        return self.indexes(of).get(PRIMARY if name.startswith("sqlite_autoindex_") else name)

    def indexes(self, of: str) -> dict[str, Index]:
        """The indexes of a table by name, the primary key among them."""
        if of not in self._indexes:
            try:
                found = {
                    str(one["name"]): Index(table=of, columns=tuple(map(str, one["column_names"])), name=one["name"])
                    for one in self._inspector.get_indexes(of)
                    if all(one["column_names"])
                }
                key = self._inspector.get_pk_constraint(of)["constrained_columns"]
                if key:
                    found[PRIMARY] = Index(table=of, columns=tuple(key), name=PRIMARY)
            except NoSuchTableError:
                found = {}
            self._indexes[of] = found
        return self._indexes[of]

    def has(self, wanted: Index) -> bool:
        """Whether an index is there that begins with these columns, under any name."""
        columns = wanted.columns
        return any(one.columns[: len(columns)] == columns for one in self.indexes(wanted.table).values())

    def rows(self, of: str) -> int:
        """How many rows a table has; 0 where there is none of that name."""
        if of not in self._rows:
            there = self._inspector.has_table(of)
            count = select(func.count()).select_from(table(of))
            self._rows[of] = (self._connection.scalar(count) or 0) if there else 0
        return self._rows[of]


def creation(connection: Connection, wanted: Index) -> str:
    """The statement that makes an index, for this database: long texts get a prefix on MariaDB."""
    lengths = {}
    if connection.dialect.name in MARIADB:
        for column in inspect(connection).get_columns(wanted.table):
            kind = column["type"]
            long = isinstance(kind, (mysql.TEXT, mysql.LONGTEXT)) or (
                isinstance(kind, String) and (kind.length or PREFIX + 1) > PREFIX
            )
            if column["name"] in wanted.columns and long:
                lengths[column["name"]] = PREFIX
    of = Table(wanted.table, MetaData(), *(Column(name) for name in wanted.columns))
    made = Made(wanted.called, *of.columns, mysql_length=lengths, mariadb_length=lengths)
    return str(CreateIndex(made).compile(dialect=connection.dialect))
