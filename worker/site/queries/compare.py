"""What got worse since the baseline, and the index that mends it. Pure but for the look at which indexes are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from worker.site.queries import mariadb, sqlite
from worker.site.queries.declared import Index, Query
from worker.site.queries.explain import explain, read_only
from worker.site.queries.indexes import PRIMARY, Schema, creation
from worker.site.queries.plan import Plan

#: So many times the rows are a finding, if there are so many more.
TIMES, MORE = 10, {mariadb.UNIT: 500.0, sqlite.UNIT: 5.0}


class Finding(BaseModel):
    """One thing that got worse."""

    model_config = ConfigDict(frozen=True)

    query: str
    #: `full scan`, `filesort`, `rows read`, or `missing index` where there is no baseline to compare with.
    kind: str
    #: In words.
    said: str
    #: The statement that makes the index that is missing; empty where none is known.
    add: str = ""


class Compared(BaseModel):
    """A query then and now."""

    model_config = ConfigDict(frozen=True)

    query: str
    why: str
    before: Plan | None
    #: When the baseline was taken.
    taken_at: datetime | None
    now: Plan
    findings: tuple[Finding, ...]


def compare(engine: Engine, queries: list[Query], baselines: Mapping[str, tuple[datetime, Plan]]) -> list[Compared]:
    """Look at each query again.

    Args:
        engine: of the site's database.
        queries: declared ones.
        baselines: by query; one of another question is left out.

    Raises:
        BadDeclaration, DatabaseTrouble: see `explain`.
    """
    plans = explain(engine, queries)
    found = []
    with read_only(engine) as connection:
        schema = Schema(connection)
        for query, now in zip(queries, plans, strict=True):
            taken_at, before = baselines.get(query.name, (None, None))
            if before is not None and (before.digest, before.unit) != (now.digest, now.unit):
                taken_at, before = None, None
            lacking = missing(query, before, schema)
            add = creation(connection, lacking) if lacking else ""
            found.append(
                Compared(
                    query=query.name, why=query.why, before=before, taken_at=taken_at, now=now,
                    findings=tuple(worse(before, now, lacking, add)),
                )
            )  # fmt: skip
    return found


def missing(query: Query, before: Plan | None, schema: Schema) -> Index | None:
    """The index that was used and is not there any more; else the declared one, where it is not there."""
    used = [access.index for access in before.accesses if access.index] if before else []
    for index in [*used, *([query.index] if query.index else [])]:
        if index.name != PRIMARY and not schema.has(index):
            return index
    return None


def worse(before: Plan | None, now: Plan, lacking: Index | None, add: str) -> Sequence[Finding]:
    """What is worse now.

    Args:
        before: the baseline, or None.
        now: the plan of today.
        lacking: the index that is missing, if one is known.
        add: the statement that makes it.
    """
    if before is None:
        if lacking is None or not now.scans:
            return []
        said = f"reads all of {', '.join(now.scans)}, and has no index on {', '.join(lacking.columns)}"
        return [Finding(query=now.query, kind="missing index", said=said, add=add)]
    found = []
    for table in now.scans:
        if table not in before.scans:
            found.append(("full scan", f"reads all of {table}: {now.told()}; before: {before.told()}"))
    if now.sorts and not before.sorts:
        found.append(("filesort", f"sorts what it found: {now.told()}; before: {before.told()}"))
    if now.read >= TIMES * max(before.read, 1) and now.read - before.read >= MORE[now.unit]:
        verb = "reads" if now.unit == mariadb.UNIT else "takes"
        said = f"{verb} {now.read:,.4g} {now.unit}, before {before.read:,.4g}{_grown(before, now)}"
        found.append(("rows read", said))
    return [Finding(query=now.query, kind=kind, said=said, add=add) for kind, said in found]


def _grown(before: Plan, now: Plan) -> str:
    """Whether the tables grew as well: then it may be no plan's fault."""
    then = {access.table: access.rows for access in before.accesses}
    grown = [
        f"{access.table} has {access.rows:,} rows, before {then[access.table]:,}"
        for access in now.accesses
        if access.rows >= 2 * max(then.get(access.table, access.rows), 1)
    ]
    return f" ({'; '.join(grown)})" if grown else ""
