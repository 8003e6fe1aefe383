"""What must hold at every moment, each named by the harm seen when it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.moment import Moment
from tests.model.shapes import Node, Row
from tests.model.states import (
    BLOCKED,
    BODY,
    CANCELLED,
    EXPIRED,
    FAILED,
    FINAL,
    LINE,
    NODE,
    QUARANTINED,
    QUEUE,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    ROLLING_BACK,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    UNPLANNED,
)


def harms(m: Moment) -> list[str]:
    """Everything that is wrong at this moment."""
    found = [m.broken] if m.broken else []
    for run, row in enumerate(m.ledger.rows):
        if row.state != UNPLANNED:
            found += [name for name, wrong in OF_A_RUN.items() if wrong(m, row)]
            found += _of_index(m, run, row)
    if m.scene.lock:
        found += _of_lock(m)
    return [*found, *_of_bodies(m)]


def done(m: Moment) -> bool:
    """Whether nothing is left to do, but by an operator."""
    return not m.broken and all(_settled(m, row) for row in m.ledger.rows)


def _settled(m: Moment, row: Row) -> bool:
    if row.index == LINE:
        return m.ledger.rows[m.ledger.holder].state == ROLLBACK_FAILED
    if row.state == SUCCEEDED:
        return row.linked
    owes = m.scene.hook and row.dirty and row.state in (FAILED, CANCELLED, QUARANTINED)
    return row.state in FINAL and not owes


def _left_undone(m: Moment, row: Row) -> bool:
    """Its hook is done, whether it found something to undo or not."""
    hooked = m.scene.hook and not row.dirty and row.state in (FAILED, CANCELLED, QUARANTINED)
    return (row.state == ROLLED_BACK or hooked) and not row.resolved and (any(row.stands) or "open" in row.undo)


def _nothing_undone(m: Moment, row: Row) -> bool:
    return row.state == ROLLED_BACK and not row.resolved and "undone" not in row.undo


def _too_soon(m: Moment, row: Row) -> bool:
    most = min(m.scene.retries + 1, (m.scene.limit + 1) // 2)
    return row.state == ROLLBACK_FAILED and row.seen < most


def _no_reason(m: Moment, row: Row) -> bool:
    reasons = {
        FAILED: row.tries > m.scene.retries,
        CANCELLED: row.marked or not row.begun or row.state != ROLLING_BACK or row.wins == 0,
        QUARANTINED: row.losses >= m.scene.limit,
        "asked": True,
    }
    return row.state == ROLLING_BACK and not reasons.get(row.why, False)


def _out_of_order(m: Moment, row: Row) -> bool:
    if row.state != ROLLING_BACK or "undone" not in row.undo:
        return False
    return "open" in row.undo[row.undo.index("undone") + 1 :]


OF_A_RUN: dict[str, Callable[[Moment, Row], bool]] = {
    "two successes of one run": lambda m, row: row.wins > 1,
    "a begun run ends as skipped or expired": lambda m, row: row.begun and row.state in (SKIPPED, EXPIRED),
    "a success is undone by a cancel": lambda m, row: row.wins > 0 and row.why == CANCELLED,
    "a rollback without terminal failure or request": _no_reason,
    "rolled back, and an effect stands or an entry is open": _left_undone,
    "rolled back, and nothing was undone": _nothing_undone,
    "succeeded, and an effect is missing": lambda m, row: row.state == SUCCEEDED and not all(row.stands),
    "undo entries out of order": _out_of_order,
    "rollback_failed before its third loss or last try": _too_soon,
    "a state that must not be reached here": lambda m, row: row.state in m.scene.never,
}


def _of_index(m: Moment, run: int, row: Row) -> Iterator[str]:
    if row.index.bit_count() != (0 if row.state in FINAL else 1):
        yield "a waiting row is not in exactly one index"
    if row.index & NODE and (row.owner is None or not _listed(m, row)):
        yield "a running row whose node is not in the index"
    if bool(row.index & LINE) != (run in m.ledger.line):
        yield "a row in line that the lock does not know"


def _listed(m: Moment, row: Row) -> bool:
    assert row.owner
    return any(age == row.owner.age for age, _ in m.ledger.leases[row.owner.slot])


def _of_lock(m: Moment) -> Iterator[str]:
    rows, holder = m.ledger.rows, m.ledger.holder
    if sum(row.index == NODE for row in rows) > 1:
        yield "two recorded holders of one lock"
    if any(row.index & (NODE | QUEUE) and run != holder for run, row in enumerate(rows)):
        yield "a due run does not hold its lock"
    if any(r.state == ROLLBACK_FAILED and n != holder for n, r in enumerate(rows)):
        yield "a half-undone run has lost its lock"
    if any(row.state == RUNNING for row in rows) and any(_half_done(row) for row in rows):
        yield "a run works on what another left half done"
    if m.scene.overlap == "skip" and sum(row.index == QUEUE for row in rows) > 1:
        yield "a backlog under skip"
    by_hand = "retry" in m.scene.requests  # what an operator starts again waits in line whatever the policy
    if m.scene.overlap == "buffer_one" and not by_hand and sum(row.state == BLOCKED for row in rows) > 1:
        yield "two waiters under buffer_one"


def _half_done(row: Row) -> bool:
    return row.state in (ROLLING_BACK, ROLLBACK_FAILED) and row.why != "asked"


def _of_bodies(m: Moment) -> Iterator[str]:
    live = [n for n in m.nodes if n.alive and not n.stopped and n.at == BODY]
    if len(live) < 2 or not (m.scene.lock or live[0].run == live[1].run):
        return
    if any(not (n.late or n.forgotten) and not _has_row(m, n) for n in live):
        yield "two live bodies without a stop beyond the lease or a lost write"


def _has_row(m: Moment, node: Node) -> bool:
    row = m.ledger.rows[node.run]
    return row.index == NODE and row.fence == node.fence
