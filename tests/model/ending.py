"""How a run, or an attempt of it, ends. Parts of scripts: settle, lose, cancel and expire share them."""

from __future__ import annotations

from tests.model.lock import free
from tests.model.moment import Moment
from tests.model.shapes import Row
from tests.model.states import (
    BLOCKED,
    CANCELLED,
    DELAYED,
    FAILED,
    LINE,
    NODE,
    QUEUE,
    QUEUED,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    ROLLING_BACK,
    RUNNING,
    SUCCEEDED,
    TIME,
)

#: the index a row is in, by its state; a rollback may be in any
HOME = {QUEUED: QUEUE, DELAYED: TIME, BLOCKED: LINE, RUNNING: NODE}


def end(m: Moment, run: int, state: str, leave: int) -> None:
    """The run ends in this state, leaves its index and hands on its lock."""
    row = m.ledger.rows[run]
    row.state, row.owner = state, None
    row.move(leave, 0)
    if leave == NODE or m.on("end_frees"):
        free(m, run)


def succeed(m: Moment, run: int) -> None:
    row = m.ledger.rows[run]
    row.wins += 1
    row.linked = row.linked or m.on("links")
    end(m, run, SUCCEEDED, NODE)


def fail(m: Moment, run: int, why: str, leave: int = NODE) -> None:
    """The run has failed for good: it is rolled back if it has a hook and anything to undo, else it ends."""
    row = m.ledger.rows[run]
    row.why = why
    if m.scene.hook and row.dirty and m.on("rollback_indexed"):
        start_rollback(m, row, leave, QUEUE)
        if not m.on("lock_in_rollback"):
            free(m, run)
    else:
        end(m, run, why, leave)


def start_rollback(m: Moment, row: Row, leave: int, enter: int) -> None:
    row.state, row.owner, row.seen = ROLLING_BACK, None, 0
    if m.on("rollback_fresh"):
        row.undo_losses = row.undo_tries = 0
    row.move(leave, enter)


def fail_attempt(m: Moment, run: int) -> None:
    """An attempt has failed: try again later, or fail for good."""
    row = m.ledger.rows[run]
    if row.state == ROLLING_BACK:
        row.undo_tries += 1
        _fail_rollback(m, run, TIME, gone=row.undo_tries > m.scene.retries)
    elif row.marked and m.on("mark_ends"):
        fail(m, run, CANCELLED)
    else:
        row.tries += 1
        _fail_body(m, run)


def _fail_body(m: Moment, run: int) -> None:
    row = m.ledger.rows[run]
    if row.tries > m.scene.retries or not m.on("retries_first"):
        fail(m, run, FAILED)
        return
    row.state, row.owner = DELAYED, None
    row.move(NODE, TIME)
    if not m.on("lock_in_backoff"):
        free(m, run)


def lose_rollback(m: Moment, run: int, weight: int) -> None:
    """The attempt that rolled back is gone: the next one goes on, the third loss gives up."""
    row = m.ledger.rows[run]
    row.undo_losses = min(row.undo_losses + weight, m.scene.limit)
    losses = row.undo_losses if m.on("rollback_counts") else row.undo_losses + row.losses
    _fail_rollback(m, run, QUEUE, gone=losses >= m.scene.limit)


def _fail_rollback(m: Moment, run: int, enter: int, *, gone: bool) -> None:
    row = m.ledger.rows[run]
    row.owner, row.seen = None, row.seen + 1
    row.move(NODE, 0 if gone else enter)
    if gone:
        row.state = ROLLBACK_FAILED
    if gone and not m.on("lock_if_undone_badly"):
        free(m, run)


def finish_rollback(m: Moment, run: int) -> None:
    """Everything is undone: a later retry starts from nothing. Where nothing was, it is what it was before."""
    row = m.ledger.rows[run]
    row.dirty = False
    if m.on("clear_steps"):
        row.steps = (False,) * m.scene.effects
    if "undone" in row.undo or not m.on("undone_or_not"):
        end(m, run, ROLLED_BACK, NODE)
    else:
        end(m, run, SUCCEEDED if row.why == "asked" else row.why, NODE)


def cancel_between(m: Moment, run: int, unbegun: str) -> None:
    """Ends a run that has no attempt now: in the state `unbegun` if there is nothing to undo."""
    row = m.ledger.rows[run]
    if row.dirty:
        fail(m, run, CANCELLED, HOME[row.state])
    else:
        end(m, run, CANCELLED if row.begun else unbegun, HOME[row.state])
