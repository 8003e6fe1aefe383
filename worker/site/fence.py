"""A fenced write: an attempt that lost its run cannot change the database any more.

Limit: it protects writes that share a transaction with `guard`, and nothing outside the database.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, Insert, func, select
from sqlalchemy.dialects import mysql, sqlite

from celery_anp.errors import LostOwnership
from worker.site.tables import fences


def prepare(engine: Engine) -> None:
    """Make the fence table where it is missing (a WordPress database does not have it)."""
    fences.create(engine, checkfirst=True)


def guard(connection: Connection, name: str, fence: int | None) -> None:
    """Refuse the caller's transaction when a later attempt has written under this name.

    Args:
        connection: inside a write transaction (`database.writing`), before its first write.
        name: what is protected, as the lock names it: `publish:main`.
        fence: this attempt's fence, or None where there is none (a direct call): then nothing is checked.

    Raises:
        LostOwnership: a higher fence was seen.
    """
    if fence is None:
        return
    # The upsert locks the row until commit; a plain read first would let two attempts pass together.
    connection.execute(_raised(connection.dialect.name, name, fence))
    query = select(fences.c.fence).where(fences.c.name == name).with_for_update()
    seen = connection.execute(query).scalar_one()
    if seen > fence:
        raise LostOwnership(
            f"A write under {name!r} was refused",
            expected=f"fence {seen} or later",
            given=f"fence {fence}, which a later attempt has overtaken",
        )


def _raised(dialect: str, name: str, fence: int) -> Insert:
    if dialect == "sqlite":
        row = sqlite.insert(fences).values(name=name, fence=fence)
        higher = func.max(fences.c.fence, row.excluded.fence)
        return row.on_conflict_do_update(index_elements=["name"], set_={"fence": higher})
    entry = mysql.insert(fences).values(name=name, fence=fence)
    return entry.on_duplicate_key_update(fence=func.greatest(fences.c.fence, entry.inserted.fence))
