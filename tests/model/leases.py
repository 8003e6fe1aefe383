"""The scripts of a node: its lease, and the end of it."""

from __future__ import annotations

from tests.model.attempt import lose
from tests.model.moment import Moment
from tests.model.scene import LEASE
from tests.model.shapes import Owner, Row
from tests.model.states import NODE


def register(m: Moment, slot: int) -> None:
    """A node's new life gets its lease."""
    m.ledger.leases[slot] += ((0, LEASE),)


def notice_silence(m: Moment) -> None:
    """The first heartbeat or reap after a silence or a jump of the clock: every lease starts anew."""
    if m.on("gap"):
        m.ledger.leases = [tuple((age, LEASE) for age, _ in leases) for leases in m.ledger.leases]


def reap(m: Moment, slot: int, age: int) -> None:
    """One row of a dead node is lost; the node leaves the index with its last."""
    rows = [n for n, row in enumerate(m.ledger.rows) if _owned(row, slot, age)]
    for run in rows[:1]:
        lose(m, run, "node")
    if len(rows) < 2 or not m.on("reap_last"):
        m.ledger.leases[slot] = tuple(life for life in m.ledger.leases[slot] if life[0] != age)


def proved(m: Moment) -> list[int]:
    """The runs whose holder's death a neighbour can see: its main process is gone, and its child."""
    return [run for run, row in enumerate(m.ledger.rows) if row.index == NODE and row.owner and _is_seen(m, row.owner)]


def _is_seen(m: Moment, owner: Owner) -> bool:
    node = m.nodes[owner.slot]
    if owner.age or not node.alive:
        return owner.fate == "node"
    if not m.on("prove_gone") and (node.cut or node.stopped):  # suspicion: it does not answer
        return True
    return node.orphaned and (bool(owner.fate) or not m.on("prove_children"))


def prove(m: Moment, run: int) -> None:
    """The row is lost as by its node's death; the node leaves the index with its last."""
    owner = m.ledger.rows[run].owner
    assert owner
    lose(m, run, "node")
    if not any(_owned(row, owner.slot, owner.age) for row in m.ledger.rows):
        m.ledger.leases[owner.slot] = tuple(life for life in m.ledger.leases[owner.slot] if life[0] != owner.age)


def _owned(row: Row, slot: int, age: int) -> bool:
    return row.index == NODE and row.owner is not None and row.owner[:2] == (slot, age)
