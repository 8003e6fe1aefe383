"""Ids that a source has named so far, on disk: a million of them take no memory."""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Self

#: KiB that SQLite keeps in memory.
CACHE = 4096


class Seen:
    """A set of ids with the line on which each was first; forgotten when it is left."""

    def __enter__(self) -> Self:
        self._database = sqlite3.connect("", isolation_level=None)  # a private file that is gone when it is closed
        self._database.execute(f"PRAGMA cache_size=-{CACHE}")
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID")
        self._database.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def before(self, name: str, line: int) -> int | None:
        """The line on which this id was before, or None: then it is remembered."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (name, line))
        if added.rowcount:
            return None
        (first,) = self._database.execute("SELECT line FROM seen WHERE id = ?", (name,)).fetchone()
        return int(first)
