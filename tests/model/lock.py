"""The lock: who holds it and who is next."""

from __future__ import annotations

from tests.model.moment import Moment
from tests.model.states import LINE, NOBODY, QUEUE, QUEUED, ROLLING_BACK


def holds(m: Moment, run: int) -> bool:
    return not m.scene.lock or m.ledger.holder == run


def free(m: Moment, run: int) -> None:
    """The run has ended: it leaves the line, or hands its lock to the first in line."""
    m.ledger.line = tuple(other for other in m.ledger.line if other != run)
    if m.scene.lock and m.ledger.holder == run:
        m.ledger.holder = NOBODY
        if m.on("grant") and m.ledger.line:
            _grant(m, m.ledger.line[0])


def _grant(m: Moment, run: int) -> None:
    row = m.ledger.rows[run]
    m.ledger.holder, m.ledger.line = run, m.ledger.line[1:]
    row.state = row.state if row.state == ROLLING_BACK else QUEUED
    row.move(LINE, QUEUE)
