"""What a body and a rollback hook do, one effect at a time.

For each effect a body records an undo entry, writes to the outside store, and marks its step as finished. A hook takes
the open entries it was given, in reverse: it writes to the store, then records the outcome. Writes are repeatable (the
store is keyed), so the model asks what stands in the end, not how often it was written.
"""

from __future__ import annotations

from tests.model.moment import Moment
from tests.model.owners import rest
from tests.model.shapes import Row
from tests.model.states import NODE, SETTLING


def enter(m: Moment, slot: int, fence: int) -> None:
    """The answer to begin arrives with the fence and, for a hook, the entries to undo."""
    node = m.nodes[slot]
    row = m.ledger.rows[node.run]
    node.at, node.fence, node.undoing = "body", fence, row.state == "rolling_back"
    if node.undoing:
        node.todo = tuple(k for k, entry in enumerate(row.undo) if entry == "open")


def finish(m: Moment, slot: int, outcome: str) -> None:
    node = m.nodes[slot]
    node.at, node.outcome, node.phase, node.todo = SETTLING, outcome, 0, ()


def part(m: Moment, slot: int) -> tuple[str, int]:
    """The next thing this body does (undo, write, step, compensate, outcome; or end), and for which effect."""
    node = m.nodes[slot]
    if node.undoing:
        if not node.todo:
            return "end", 0
        k = max(node.todo) if m.on("reverse") else min(node.todo)
        return ("compensate", "outcome")[node.phase], k
    while node.phase % 3 == 0 and node.phase // 3 < m.scene.effects:
        if not m.ledger.rows[node.run].steps[node.phase // 3]:
            break
        node.phase += 3
    if node.phase == 3 * m.scene.effects:
        return "end", 0
    parts = ("undo", "write", "step") if m.on("undo_first") else ("write", "undo", "step")
    return parts[node.phase % 3], node.phase // 3


def do(m: Moment, slot: int) -> None:
    """Does it. A body that is refused stops: it has lost its run, and settles nothing."""
    node, (name, k) = m.nodes[slot], part(m, slot)
    row = m.ledger.rows[node.run]
    if name == "end":
        finish(m, slot, "ok")
    elif not ACTS[name](m, slot, row, k):
        rest(node)
    elif name == "outcome":
        node.phase, node.todo = 0, tuple(other for other in node.todo if other != k)
    else:
        node.phase += 1


def needs_redis(name: str) -> bool:
    return name in ("undo", "step", "outcome")


def _write(m: Moment, slot: int, row: Row, k: int) -> bool:
    return _store(m, slot, row, k, stands=True)


def _compensate(m: Moment, slot: int, row: Row, k: int) -> bool:
    if not row.stands[k] and not m.on("fence_first"):
        return True
    return _store(m, slot, row, k, stands=False)


def _store(m: Moment, slot: int, row: Row, k: int, *, stands: bool) -> bool:
    fence = m.nodes[slot].fence
    if fence < m.high and m.on("store_fenced"):
        return False
    m.high = max(m.high, fence)
    row.stands = (*row.stands[:k], stands, *row.stands[k + 1 :])
    return True


def _record(m: Moment, slot: int, row: Row, k: int, entry: str) -> bool:
    if not _current(m, slot, row):
        return False
    row.undo = (*row.undo[:k], entry, *row.undo[k + 1 :])
    return True


def _undo(m: Moment, slot: int, row: Row, k: int) -> bool:
    return _record(m, slot, row, k, "open")


def _outcome(m: Moment, slot: int, row: Row, k: int) -> bool:
    return _record(m, slot, row, k, "undone")


def _step(m: Moment, slot: int, row: Row, k: int) -> bool:
    if not _current(m, slot, row):
        return False
    row.steps = (*row.steps[:k], True, *row.steps[k + 1 :])
    return True


def _current(m: Moment, slot: int, row: Row) -> bool:
    return not m.on("undo_fenced") or (row.index == NODE and row.fence == m.nodes[slot].fence)


ACTS = {"undo": _undo, "write": _write, "step": _step, "compensate": _compensate, "outcome": _outcome}
