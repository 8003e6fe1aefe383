"""Time: leases run down, connected nodes renew, what must be done now is done before time passes."""

from __future__ import annotations

from tests.model.leases import notice_silence
from tests.model.moment import Moment
from tests.model.node import must_fence
from tests.model.scene import LEASE


def waits(m: Moment) -> bool:
    """Whether somebody has something to do before the next unit of time."""
    slots = range(len(m.nodes))
    if any(node.orphaned for node in m.nodes):  # the kernel ends a child long before a lease is over
        return True
    return any(must_fence(m, slot) or (m.reaches(slot) and m.nodes[slot].own == -1) for slot in slots)


def tick(m: Moment) -> None:
    """One unit of time."""
    for slot in range(len(m.nodes)):
        leases = {age: max(0, left - 1) for age, left in m.ledger.leases[slot]}
        if m.nodes[slot].alive:
            _count(m, slot, leases)
        m.ledger.leases[slot] = tuple(sorted(leases.items()))
        if m.before:
            m.before.leases[slot] = tuple((age, leases.get(age, 0)) for age, _ in m.before.leases[slot])
    m.frozen = 2 if m.frozen else 0


def _count(m: Moment, slot: int, leases: dict[int, int]) -> None:
    node = m.nodes[slot]
    if m.reaches(slot):
        node.own = LEASE if 0 in leases else -1
        if 0 in leases:
            leases[0], node.late = LEASE, False
        return
    if node.stopped and not leases.get(0):
        node.late = True
    node.own = max(0, node.own - 1) if node.own >= 0 else -1


def thaw(m: Moment) -> None:
    """Redis answers again."""
    if m.frozen > 1:
        notice_silence(m)
    m.frozen = 0


def jump(m: Moment) -> None:
    """The clock of Redis jumps ahead: every lease seems to be over."""
    m.ledger.leases = [tuple((age, 0) for age, _ in leases) for leases in m.ledger.leases]
    notice_silence(m)
