"""Moments that differ in names only are made one: fences by rank, equal nodes in order, leftovers dropped."""

from __future__ import annotations

from tests.model.moment import Moment, Packed
from tests.model.shapes import Row
from tests.model.states import ASKING, BODY, LINKING, NODE, QUEUE, SETTLING


def packed(m: Moment) -> Packed:
    """This moment under its simplest names."""
    _forget(m)
    _rankfences(m)
    if m.scene.symmetric and len(m.nodes) == 2 and m.before is None and _weight(m, 0) > _weight(m, 1):
        _swap(m)
    return m.pack()


def next_fence(m: Moment) -> int:
    """A fence above all others. Without `fence_clock`, above those that this ledger remembers."""
    if m.on("fence_clock"):
        return max(fences(m), default=0) + 1
    return max((max(row.fence, row.settled) for row in m.ledger.rows), default=0) + 1


def _rows(m: Moment) -> list[Row]:
    return m.ledger.rows + m.before.rows if m.before else m.ledger.rows


def _clients(m: Moment) -> set[int]:
    """The fences that a child or a late request may still use."""
    held = {node.fence for node in m.nodes if node.at in (BODY, SETTLING, LINKING, ASKING)}
    return held | {ghost.fence for ghost in m.ghosts}


def _forget(m: Moment) -> None:
    clients = _clients(m)
    lowest = min((fence for fence in clients if fence), default=0)
    for row in _rows(m):
        if row.settled not in clients and m.on("fence_clock"):
            row.settled = 0
        if not row.index & NODE and m.on("fence_clock"):
            row.fence = 0
    if not 0 < lowest < m.high and m.on("fence_clock"):
        m.high = 0


def fences(m: Moment) -> set[int]:
    """Every fence that somebody still knows."""
    used = {m.high} | _clients(m) | {node.sight for node in m.nodes}
    for row in _rows(m):
        used.add(row.fence)
        used.add(row.settled)
    used.discard(0)
    return used


def _rankfences(m: Moment) -> None:
    used = fences(m)
    if not used or max(used) == len(used) or not m.on("fence_clock"):
        return
    rank = {fence: n for n, fence in enumerate(sorted(used), 1)} | {0: 0}
    for row in _rows(m):
        row.fence, row.settled = rank[row.fence], rank[row.settled]
    for node in m.nodes:
        node.fence, node.sight = rank.get(node.fence, 0), rank[node.sight]
    m.ghosts = tuple(g._replace(fence=rank[g.fence]) for g in m.ghosts)
    m.high = rank[m.high]


def _weight(m: Moment, slot: int) -> tuple[object, ...]:
    n = m.nodes[slot]
    plain = (n.alive, n.orphaned, n.stopped, n.cut, n.own, n.late, n.at, n.run, n.fence, n.phase, m.ledger.leases[slot])
    return (*plain, *(g.owner is not None and g.owner.slot == slot for g in m.ghosts), *_owned(m, slot))


def _owned(m: Moment, slot: int) -> list[bool]:
    return [row.owner is not None and row.owner.slot == slot for row in m.ledger.rows if row.index != QUEUE]


def _swap(m: Moment) -> None:
    m.nodes.reverse()
    m.ledger.leases.reverse()
    for row in m.ledger.rows:
        if row.owner:
            row.owner = row.owner._replace(slot=1 - row.owner.slot)
    m.ghosts = tuple(g._replace(owner=g.owner._replace(slot=1 - g.owner.slot)) if g.owner else g for g in m.ghosts)
