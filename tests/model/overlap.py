"""What happens to a run that becomes due while another holds its lock."""

from __future__ import annotations

from tests.model.ending import HOME, cancel_between
from tests.model.lock import holds
from tests.model.moment import Moment
from tests.model.states import BLOCKED, LINE, NOBODY, ROLLING_BACK, RUNNING, SKIPPED


def contend(m: Moment, run: int, leave: int, overlap: str) -> bool:
    """A run becomes due: it takes the lock, or the overlap policy decides. True when it now holds the lock."""
    if overlap == "cancel_other" and m.ledger.holder not in (NOBODY, run):
        _supersede(m)
    if m.scene.lock and m.ledger.holder == NOBODY:
        m.ledger.holder = run
    if holds(m, run):
        return True
    row = m.ledger.rows[run]
    if overlap == "skip" or (overlap == "buffer_one" and m.on("one_waiter") and _waiting(m)):
        row.state = SKIPPED
        row.move(leave, 0)
    else:
        row.state = row.state if row.state == ROLLING_BACK else BLOCKED
        row.move(leave, LINE)
        m.ledger.line += (run,)
    return False


def _waiting(m: Moment) -> list[int]:
    """Runs in line; a rollback in line is no waiter of the overlap policy."""
    return [run for run in m.ledger.line if m.ledger.rows[run].state == BLOCKED]


def _supersede(m: Moment) -> None:
    """The newest wins: waiters end, the holder is marked, or ends too if it has no attempt now."""
    for run in _waiting(m) if m.on("supersede_unbegun") else m.ledger.line:
        _skip(m, run)
    holder = m.ledger.rows[m.ledger.holder]
    if holder.state == RUNNING:
        holder.marked = True
        m.ledger.holder = m.ledger.holder if m.on("lock_waits") else NOBODY
    elif holder.state in HOME:  # else it is rolling back, or waits for an operator
        cancel_between(m, m.ledger.holder, SKIPPED)


def _skip(m: Moment, run: int) -> None:
    if m.on("supersede_unbegun"):
        cancel_between(m, run, SKIPPED)
        return
    row = m.ledger.rows[run]
    row.state = SKIPPED
    row.move(LINE, 0)
    m.ledger.line = tuple(other for other in m.ledger.line if other != run)
