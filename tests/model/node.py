"""The main process of a node: its heartbeat, its self-fencing, its return."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.model import attempt, leases
from tests.model.moment import Moment
from tests.model.owners import renew_child, renew_node
from tests.model.scene import LEASE
from tests.model.shapes import Node, Row
from tests.model.states import BEGINNING, BODY, BUSY, IDLE, NODE, SETTLING
from tests.model.step import Step


def steps(m: Moment, slot: int) -> Iterator[Step]:
    """What the main process of this node can do now; renewing its lease is part of time."""
    node, reach = m.nodes[slot], m.reaches(slot)
    if node.orphaned:
        return
    if node.stopped:
        yield Step(f"n{slot} continues (SIGCONT)", partial(_set, slot=slot, name="stopped"))
    elif node.cut and node.alive:
        yield Step(f"the network of n{slot} heals", partial(_set, slot=slot, name="cut"))
    if not node.alive and not m.frozen:
        yield Step(f"n{slot} is started again", partial(restart, slot=slot))
    if must_fence(m, slot):
        yield Step(f"n{slot} fences itself: kills its child", partial(renew_child, slot=slot, fate="fenced"))
    if reach and node.own == -1:
        yield Step(f"n{slot} finds its lease gone and returns as a new node", partial(return_, slot=slot))
    if reach and node.own >= 0:
        yield from _heartbeat_steps(m, slot)


def _heartbeat_steps(m: Moment, slot: int) -> Iterator[Step]:
    node = m.nodes[slot]
    if m.scene.slow_look and not node.look:
        yield Step(f"n{slot} looks at its child", partial(look, slot=slot))
    elif m.on("reconcile") and (node.look or _has_work(m, slot)):
        yield Step(f"n{slot} heartbeat", partial(heartbeat, slot=slot))
    elif node.untold:
        yield Step(f"n{slot} tells of its dead child", partial(tell, slot=slot))


def _has_work(m: Moment, slot: int) -> bool:
    """Whether a heartbeat has anything to compare; one that has not would be a step to the same moment."""
    if m.nodes[slot].at in (BODY, SETTLING):
        return True
    return any(row.owner is not None and row.owner[:2] == (slot, 0) for row in m.ledger.rows)


def _set(m: Moment, slot: int, name: str) -> None:
    setattr(m.nodes[slot], name, False)


def must_fence(m: Moment, slot: int) -> bool:
    """Whether this node can no longer be sure of its lease while its child has a run."""
    node = m.nodes[slot]
    if not node.alive or node.orphaned or node.stopped or m.reaches(slot) or not _watched(m, node):
        return False
    return 0 <= node.own <= (1 if m.on("early_fence") else 0)


def _watched(m: Moment, node: Node) -> bool:
    return node.at in BUSY and (m.scene.lock or m.on("kill_all"))


def look(m: Moment, slot: int) -> None:
    node = m.nodes[slot]
    node.look = IDLE if node.at == IDLE else "busy"
    node.sight = node.sight if node.at == IDLE else 0


def heartbeat(m: Moment, slot: int) -> None:
    """Rows without a child are lost, a body without its row is killed."""
    for run, row in enumerate(m.ledger.rows):
        if row.index == NODE and row.owner and row.owner[:2] == (slot, 0):
            _compare(m, slot, run)
    node = m.nodes[slot]
    node.look = ""
    if node.at in (BODY, SETTLING) and _late(m.ledger.rows[node.run], slot, node.fence):
        renew_child(m, slot, "killed")


def _compare(m: Moment, slot: int, run: int) -> None:
    node, row = m.nodes[slot], m.ledger.rows[run]
    assert row.owner
    if row.owner.fate:
        attempt.lose(m, run, row.owner.fate)
    elif row.owner.stale or (node.look or node.at) == IDLE or not _works_on(node, run, row):
        if m.scene.slow_look and m.on("second_sight") and node.sight != row.fence:
            node.sight = row.fence
        else:
            attempt.lose(m, run, "idle")


def _works_on(node: Node, run: int, row: Row) -> bool:
    if node.look:
        return True
    return node.run == run and (node.at == BEGINNING or node.fence == row.fence)


def _late(row: Row, slot: int, fence: int) -> bool:
    mine = row.index == NODE and row.owner is not None and row.owner.slot == slot and row.fence == fence
    return not mine and row.settled != fence


def tell(m: Moment, slot: int) -> None:
    """Told once, when it happened: without `reconcile`, nobody looks again."""
    m.nodes[slot].untold = False
    for run, row in enumerate(m.ledger.rows):
        if row.index == NODE and row.owner and row.owner[:2] == (slot, 0) and row.owner.fate:
            attempt.lose(m, run, row.owner.fate)


def return_(m: Moment, slot: int) -> None:
    """The node takes a new uuid and a new lease; a child that still works is killed."""
    if _watched(m, m.nodes[slot]) or m.nodes[slot].at == IDLE:
        renew_child(m, slot, "fenced")
    _fresh(m, slot)


def restart(m: Moment, slot: int) -> None:
    m.nodes[slot] = Node()
    _fresh(m, slot)


def _fresh(m: Moment, slot: int) -> None:
    renew_node(m, slot)
    node = m.nodes[slot]
    node.own, node.late, node.untold = LEASE, False, False
    leases.register(m, slot)
