"""The baseline: the plans that were found good, kept in the site's database, so that every worker compares with one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import Column, DateTime, Engine, MetaData, String, Table, Text, delete, insert, inspect, select
from sqlalchemy.dialects import mysql

from worker.site import database
from worker.site.importing.trouble import spoken
from worker.site.posts import utc_now
from worker.site.queries.plan import Plan
from worker.site.tables import MARIADB

metadata = MetaData()
baselines = Table(
    "anp_query_baseline",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("taken_at", DateTime(), nullable=False),
    Column("plan", Text().with_variant(mysql.LONGTEXT(), *MARIADB), nullable=False),
)


def keep(engine: Engine, plans: Sequence[Plan]) -> None:
    """Make these plans the baseline of their queries."""
    now = utc_now()
    rows = [{"name": plan.query, "taken_at": now, "plan": plan.model_dump_json()} for plan in plans]
    if not rows:
        return
    with spoken():
        metadata.create_all(engine, checkfirst=True)
        with database.writing(engine) as connection:
            connection.execute(delete(baselines).where(baselines.c.name.in_([plan.query for plan in plans])))
            connection.execute(insert(baselines), rows)


def kept(engine: Engine) -> dict[str, tuple[datetime, Plan]]:
    """The baseline of each query with the time (UTC) it was taken; one that cannot be read is left out."""
    found = {}
    with spoken(), database.reading(engine) as connection:
        if not inspect(connection).has_table(baselines.name):
            return {}
        for row in connection.execute(select(baselines)):
            try:
                found[row.name] = (row.taken_at.replace(tzinfo=UTC), Plan.model_validate_json(row.plan))
            except ValidationError:
                continue
    return found
