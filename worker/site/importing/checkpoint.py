"""How far a run is: a row that moves in the transaction of each chunk, so that it is as far as the posts are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from celery_anp.errors import LostOwnership
from worker.site.importing.reading import TOLD
from worker.site.importing.rows import BadRow
from worker.site.importing.tables import changes, runs
from worker.site.posts import utc_now

OPEN, DONE, UNDONE = "open", "done", "rolled_back"
COUNTS = ("position", "added", "changed", "same", "bad", "passed")


@dataclass(slots=True)
class Checkpoint:
    """What a run has done so far."""

    state: str = OPEN
    #: Records dealt with, from the beginning of the source.
    position: int = 0
    added: int = 0
    changed: int = 0
    same: int = 0
    bad: int = 0
    #: Records that are no posts.
    passed: int = 0
    #: The first bad rows.
    bad_rows: list[dict[str, Any]] = field(default_factory=list)

    def note_bad(self, rows: Sequence[BadRow]) -> None:
        """Count bad rows, and keep the first."""
        self.bad += len(rows)
        self.bad_rows += [row.model_dump() for row in rows[: max(0, TOLD - len(self.bad_rows))]]


def take_up(connection: Connection, run: str, source: str) -> Checkpoint:
    """Where a run goes on, in the caller's write transaction; a run that was taken back begins anew."""
    found = read(connection, run)
    if found is not None and found.state != UNDONE:
        return found
    fresh = Checkpoint()
    values = {**_values(fresh), "source": source}
    if found is None:
        connection.execute(insert(runs).values(run_id=run, **values))
    else:
        connection.execute(update(runs).where(runs.c.run_id == run).values(values))
    return fresh


def read(connection: Connection, run: str) -> Checkpoint | None:
    """What a run has done, or None where it has done nothing."""
    row = connection.execute(select(runs).where(runs.c.run_id == run)).mappings().first()
    if row is None:
        return None
    counts = {name: int(row[name]) for name in COUNTS}
    return Checkpoint(state=row["state"], bad_rows=json.loads(row["bad_rows"]), **counts)


def move(connection: Connection, run: str, at: int, now: Checkpoint) -> None:
    """Move the checkpoint, in the caller's write transaction, before anything else is written.

    Args:
        connection: of the transaction.
        run: the run's id.
        at: where it must be.
        now: where it goes.

    Raises:
        LostOwnership: it is not there: another attempt has moved it.
    """
    moved = connection.execute(update(runs).where(runs.c.run_id == run, runs.c.position == at).values(_values(now)))
    if moved.rowcount != 1:
        raise LostOwnership(f"The checkpoint of {run} was moved by another attempt", expected=f"position {at}")


def forget(connection: Connection, days: float) -> None:
    """Forget runs that were last touched so many days ago: their ledger rows are gone, nobody can roll them back."""
    old = select(runs.c.run_id).where(runs.c.touched_at < utc_now() - timedelta(days=days))
    gone = list(connection.scalars(old.limit(20)))
    if gone:
        connection.execute(delete(changes).where(changes.c.run_id.in_(gone)))
        connection.execute(delete(runs).where(runs.c.run_id.in_(gone)))


def _values(point: Checkpoint) -> dict[str, Any]:
    counts = {name: getattr(point, name) for name in COUNTS}
    return {**counts, "state": point.state, "bad_rows": json.dumps(point.bad_rows), "touched_at": utc_now()}
