"""The register of events: a row in the site's database for each event that is run for anp.

planned (by us, fenced) -> begun (by WordPress' process, after its claim) -> done | failed; gone: another trigger was
first. A row that stays begun is the trace of a process that died.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import mysql

from worker.site import fence
from worker.site.posts import utc_now
from worker.site.wordpress.cron import Event
from worker.site.wordpress.site import Site

#: Days that a row is kept: what went well, and what did not.
KEPT, KEPT_TROUBLE = 7, 30


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one event."""

    key: str
    hook: str
    due: int
    recurrence: str | None
    state: str
    attempts: int
    #: Seconds that its process was given.
    limit: int
    args: str
    #: The value of WordPress' own lock that its process took.
    wp_lock: str
    began: datetime | None
    note: str


def plan(site: Site, event: Event, *, run: str, fenced: tuple[str, int | None], limit: int) -> None:
    """Write down that an event is about to run.

    Raises:
        LostOwnership: a later attempt has begun; nothing was written.
    """
    values = {
        "hook": event.hook, "sig": event.sig, "due": event.due, "recurrence": event.recurrence, "state": "planned",
        "run": run, "fence": fenced[1] or 0, "attempts": 0, "limit_seconds": limit, "args": None, "wp_lock": None,
        "planned": utc_now(), "began": None, "ended": None, "note": "",
    }  # fmt: skip
    entry = mysql.insert(site.tables.events).values(event=event.key, **values)
    with site.asked(write=True) as connection:
        fence.guard(connection, *fenced)
        connection.execute(entry.on_duplicate_key_update(**values))


def plan_again(site: Site, row: Row, *, run: str, fenced: tuple[str, int | None], limit: int) -> None:
    """Write down that a lost event is about to run again, with the arguments it had.

    Raises:
        LostOwnership: a later attempt has begun; nothing was written.
    """
    rows = site.tables.events
    values = {"state": "planned", "run": run, "fence": fenced[1] or 0, "limit_seconds": limit}
    with site.asked(write=True) as connection:
        fence.guard(connection, *fenced)
        connection.execute(update(rows).where(rows.c.event == row.key).values(**values))


def mark(site: Site, key: str, state: str, note: str) -> None:
    """Say what became of an event."""
    rows = site.tables.events
    with site.asked(write=True) as connection:
        values = {"state": state, "note": note[:2000], "ended": utc_now()}
        connection.execute(update(rows).where(rows.c.event == key).values(**values))


def look(site: Site, key: str) -> Row | None:
    """One event's row."""
    rows = site.tables.events
    with site.asked() as connection:
        found = connection.execute(select(rows).where(rows.c.event == key)).first()
    return None if found is None else _row(found)


def unended(site: Site) -> list[Row]:
    """The rows of events that were planned or begun and have no end, the longest due first."""
    rows = site.tables.events
    query = select(rows).where(rows.c.state.in_(("planned", "begun"))).order_by(rows.c.due)
    with site.asked() as connection:
        return [_row(found) for found in connection.execute(query)]


def troubled(site: Site, limit: int) -> list[Row]:
    """The rows of events that were lost or failed, the newest first."""
    if not site.prepared:
        return []
    rows = site.tables.events
    query = select(rows).where(rows.c.state.in_(("lost", "failed"))).order_by(rows.c.ended.desc()).limit(limit)
    with site.asked() as connection:
        return [_row(found) for found in connection.execute(query)]


def prune(site: Site) -> None:
    """Drop old rows."""
    rows = site.tables.events
    now = utc_now()
    with site.asked(write=True) as connection:
        for states, days in ((("done", "gone"), KEPT), (("lost", "failed"), KEPT_TROUBLE)):
            old = rows.c.ended < now - timedelta(days=days)
            connection.execute(delete(rows).where(rows.c.state.in_(states), old))


def _row(found: object) -> Row:
    get = found._mapping  # type: ignore[attr-defined]
    return Row(
        get["event"], get["hook"], get["due"], get["recurrence"], get["state"], get["attempts"], get["limit_seconds"],
        get["args"] or "", get["wp_lock"] or "", get["began"], get["note"] or "",
    )  # fmt: skip
