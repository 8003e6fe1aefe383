"""What a database says of a query: how it goes to each table, how much it reads, how long it takes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from worker.site.queries.declared import Index

#: Tables with fewer rows may be read whole.
SMALL = 500


class Access(BaseModel):
    """How a plan goes to one table."""

    model_config = ConfigDict(frozen=True)

    table: str
    #: `scan`: every row is read. `index scan`: every entry of an index. `search`: by key or index.
    how: str
    #: The index that is used.
    index: Index | None = None
    #: Rows of the table.
    rows: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of a table that is not small is read."""
        return self.how != "search" and self.rows >= SMALL

    def __str__(self) -> str:
        by = f" by {self.index.called}({', '.join(self.index.columns)})" if self.index else ""
        return f"{self.how} {self.table}{by}" + ("" if self.how == "search" else f", {self.rows} rows")


class Plan(BaseModel):
    """One look at one query."""

    model_config = ConfigDict(frozen=True)

    query: str
    #: Of the question; another one cannot be compared.
    digest: str
    #: In the order in which the database goes to them.
    accesses: tuple[Access, ...]
    #: Whether it sorts what it found, in place of reading it in order.
    sorts: bool
    #: Whether it keeps rows in a temporary table besides.
    temporary: bool
    #: Rows read (MariaDB), or a thousand steps of its machine (SQLite, which does not count rows).
    read: float
    #: Of `read`.
    unit: str
    #: Seconds, the median of a few.
    seconds: float

    @property
    def scans(self) -> tuple[str, ...]:
        """The tables, not small, that are read whole."""
        return tuple(access.table for access in self.accesses if access.whole)

    def told(self) -> str:
        """The plan in words."""
        extra = [word for word, said in (("sort", self.sorts), ("temporary table", self.temporary)) if said]
        return " → ".join([*map(str, self.accesses), *extra])

    def effort(self) -> str:
        """What it costs, in words."""
        return f"{self.read:,.4g} {self.unit}, {self.seconds * 1000:.2f} ms"
