"""The scripts for a run that waits: it is planned, becomes due, is rung, passes its deadline."""

from __future__ import annotations

from tests.model.ending import HOME, end
from tests.model.moment import Moment
from tests.model.overlap import contend
from tests.model.states import DELAYED, EXPIRED, QUEUE, QUEUED, ROLLING_BACK, TIME, UNPLANNED


def plan(m: Moment, run: int) -> None:
    """Makes the row of a run. Planning it again changes nothing."""
    row = m.ledger.rows[run]
    if row.state != UNPLANNED and m.on("plan_once"):
        return
    row.hurried = m.scene.deadline
    if m.scene.eta:
        row.state, row.index = DELAYED, TIME
    else:
        _due(m, run, 0)


def _due(m: Moment, run: int, leave: int) -> None:
    row = m.ledger.rows[run]
    if not m.on("lock_when_due") or contend(m, run, leave, m.scene.overlap):
        row.state, row.messages = QUEUED, min(row.messages + 1, 2)
        row.move(leave, QUEUE)


def promote(m: Moment, run: int) -> None:
    """What was delayed is due: a try again keeps its lock, a first try contends for it."""
    row = m.ledger.rows[run]
    if row.state == ROLLING_BACK:
        row.move(TIME, QUEUE)
    elif not row.begun or m.on("lock_in_backoff"):
        _due(m, run, TIME)
    else:
        row.state = QUEUED
        row.move(TIME, QUEUE)


def ring(m: Moment, run: int) -> None:
    """A queued row whose message is gone gets another."""
    m.ledger.rows[run].messages = 1


def expire(m: Moment, run: int) -> None:
    """A run that was not begun by its start deadline ends."""
    row = m.ledger.rows[run]
    end(m, run, EXPIRED, HOME[row.state])
