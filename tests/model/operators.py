"""The scripts behind an operator's requests. Each says whether it did anything."""

from __future__ import annotations

from tests.model.ending import cancel_between, end, fail, start_rollback
from tests.model.moment import Moment
from tests.model.overlap import contend
from tests.model.shapes import Row
from tests.model.states import (
    BLOCKED,
    CANCELLED,
    DELAYED,
    EXPIRED,
    FAILED,
    QUARANTINED,
    QUEUE,
    QUEUED,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
)

RETRIED = frozenset({FAILED, CANCELLED, QUARANTINED, ROLLED_BACK, SKIPPED, EXPIRED})


def cancel(m: Moment, run: int) -> bool:
    """A run without an attempt ends; one with an attempt is marked and ends when that attempt does."""
    row = m.ledger.rows[run]
    if row.state in (QUEUED, DELAYED, BLOCKED):
        cancel_between(m, run, CANCELLED)
        return True
    if row.state == RUNNING:
        row.marked = True
        return True
    if row.state == SUCCEEDED and not m.on("success_wins"):
        fail(m, run, CANCELLED, 0)
        return True
    return False


def rollback(m: Moment, run: int) -> bool:
    """A finished run is undone; it needs its lock again, unless it kept it."""
    row = m.ledger.rows[run]
    kept = row.state == ROLLBACK_FAILED
    asked = row.state in (SUCCEEDED, FAILED, CANCELLED, QUARANTINED) and row.dirty
    if not m.scene.hook or not (kept or asked):
        return False
    row.why = row.why if kept else "asked"
    start_rollback(m, row, 0, 0)
    if kept or not m.on("rollback_locks") or contend(m, run, 0, "buffer_all"):
        row.move(0, QUEUE)
    return True


def retry(m: Moment, run: int) -> bool:
    """A run that ended badly starts again, from nothing but its finished steps."""
    row = m.ledger.rows[run]
    if row.state not in RETRIED:
        return False
    _clear(m, row)
    row.state = QUEUED
    if contend(m, run, 0, "buffer_all"):
        row.move(0, QUEUE)
    return True


def _clear(m: Moment, row: Row) -> None:
    row.why, row.dirty, row.resolved, row.wins = "", False, False, 0
    row.undo = tuple("" if entry == "undone" else entry for entry in row.undo)
    if m.on("retry_clears"):
        row.marked, row.hurried, row.losses, row.tries = False, False, 0, 0


def resolve(m: Moment, run: int) -> bool:
    """An operator says that a half-undone run is in order: it counts as rolled back."""
    row = m.ledger.rows[run]
    if row.state != ROLLBACK_FAILED:
        return False
    row.resolved, row.dirty = True, False
    if m.on("resolve_clears"):
        row.steps = (False,) * m.scene.effects
    end(m, run, ROLLED_BACK, 0)
    return True


REQUESTS = {"cancel": cancel, "rollback": rollback, "retry": retry, "resolve": resolve}
