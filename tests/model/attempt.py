"""The scripts of an attempt: it begins, settles, or is lost. A rollback is an attempt of the same row."""

from __future__ import annotations

from tests.model.canon import fences, next_fence
from tests.model.ending import fail, fail_attempt, finish_rollback, lose_rollback, succeed
from tests.model.lock import free, holds
from tests.model.moment import Moment
from tests.model.overlap import contend
from tests.model.shapes import Owner, Row
from tests.model.states import CANCELLED, NODE, QUARANTINED, QUEUE, QUEUED, ROLLING_BACK, RUNNING, SUCCEEDED


def begin(m: Moment, run: int, owner: Owner, *, forged: bool) -> int:
    """An attempt, or a rollback, starts: its fence, or 0 when refused; a forged message rings the own one."""
    row = m.ledger.rows[run]
    if row.index == NODE and row.owner == owner and m.on("begin_token"):
        return row.fence
    if m.on("begin_lease") and not _leased(m, owner):
        return 0
    if row.index != QUEUE and (m.on("begin_queued") or row.state != SUCCEEDED):
        return 0
    if forged and m.on("own_message"):
        row.messages = min(row.messages + 1, 2)
        return 0
    if row.state == QUEUED and not holds(m, run) and not contend(m, run, QUEUE, m.scene.overlap):
        return 0
    if forged:
        m.broken = "a run does what a message says, and not what its row says"
    return _enter(m, row, owner)


def _leased(m: Moment, owner: Owner) -> bool:
    return any(age == owner.age and left > 0 for age, left in m.ledger.leases[owner.slot])


def _enter(m: Moment, row: Row, owner: Owner) -> int:
    if row.state != ROLLING_BACK:
        row.state, row.begun, row.dirty = RUNNING, True, True
        if row.marked:
            m.broken = "a marked run is tried again"
    fence = next_fence(m)
    if fence in fences(m):
        m.broken = "a fence is given twice"
    row.fence, row.owner = fence, owner
    row.move(QUEUE, NODE)
    return row.fence


def settle(m: Moment, run: int, owner: Owner, fence: int, outcome: str) -> bool:
    """An attempt ends as ok, failed or cancelled. False when it was not the holder's to settle."""
    row = m.ledger.rows[run]
    if not _holder(m, row, owner, fence):
        return row.settled == fence and m.on("settle_memory")
    row.settled = fence
    if outcome == "failed":
        fail_attempt(m, run)
    elif row.state == ROLLING_BACK:
        finish_rollback(m, run)
    elif outcome == "cancelled":
        fail(m, run, CANCELLED)
    else:
        succeed(m, run)
    return True


def _holder(m: Moment, row: Row, owner: Owner, fence: int) -> bool:
    if row.index != NODE or row.owner is None:
        return False
    same = row.fence == fence and row.owner.slot == owner.slot and row.owner.age == owner.age
    return same or not m.on("settle_holder")


def lose(m: Moment, run: int, cause: str) -> None:
    """An attempt is gone without having settled."""
    row, weight = m.ledger.rows[run], _loss(m, cause)
    if cause == "limit" and m.on("limit_is_failure"):
        fail_attempt(m, run)
    elif row.state == ROLLING_BACK:
        lose_rollback(m, run, weight)
    elif row.marked and m.on("mark_ends"):
        fail(m, run, CANCELLED)
    else:
        row.losses = min(row.losses + weight, m.scene.limit)
        _run_again(m, run)


def _run_again(m: Moment, run: int) -> None:
    row = m.ledger.rows[run]
    if row.losses >= m.scene.limit:
        fail(m, run, QUARANTINED)
        return
    row.state, row.owner = QUEUED, None
    row.move(NODE, QUEUE)
    if not m.on("lock_in_loss"):
        free(m, run)


def _loss(m: Moment, cause: str) -> int:
    """Halves of a child's death."""
    if cause in ("fenced", "shutdown") and m.on("fencing_is_free"):
        return 0
    return 1 if cause in ("node", "idle") and m.on("node_weighs_less") else 2
