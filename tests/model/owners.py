"""Identities are relative: what changes in them when a node, a child or a delivery is replaced."""

from __future__ import annotations

from collections.abc import Callable

from tests.model.moment import Ledger, Moment
from tests.model.shapes import Node, Owner


def me(slot: int) -> Owner:
    """The owner that this node's living child is, in its present delivery."""
    return Owner(slot)


def renew_node(m: Moment, slot: int) -> None:
    """The node comes back under a new uuid: every owner from before is one life older. Who was killed stays so."""
    _rename(m, slot, lambda o: Owner(slot, o.age + 1, "node" if o.fate == "node" else ""))
    for ledger in _ledgers(m):
        ledger.leases[slot] = tuple((age + 1, left) for age, left in ledger.leases[slot])


def renew_child(m: Moment, slot: int, fate: str) -> None:
    """The child is gone and another takes its place; its owners remember how it went."""
    _rename(m, slot, lambda o: o if o.age or o.fate else Owner(slot, 0, fate, stale=True))
    old = m.nodes[slot]
    m.nodes[slot] = Node(old.alive, old.orphaned, old.stopped, old.cut, old.own, old.late, old.untold)


def renew_delivery(m: Moment, slot: int) -> None:
    """The child takes another message: tokens from before are no longer its own."""
    _rename(m, slot, lambda o: o if o.age or o.fate else Owner(slot, stale=True))


def rest(node: Node) -> None:
    """The child is done with its message and idle again."""
    blank = Node()
    for name in ("at", "run", "fence", "undoing", "phase", "todo", "outcome", "forgotten", "forged"):
        setattr(node, name, getattr(blank, name))


def _ledgers(m: Moment) -> list[Ledger]:
    return [m.ledger, m.before] if m.before else [m.ledger]


def _rename(m: Moment, slot: int, change: Callable[[Owner], Owner]) -> None:
    for ledger in _ledgers(m):
        for row in ledger.rows:
            if row.owner and row.owner.slot == slot:
                row.owner = change(row.owner)
    m.ghosts = tuple(g._replace(owner=change(g.owner)) if g.owner and g.owner.slot == slot else g for g in m.ghosts)
