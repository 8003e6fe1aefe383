"""One moment: all that Redis, the nodes and the outside store hold.

A moment is unpacked to be changed and packed to be remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, TypeAlias

from tests.model.scene import LEASE, Scene
from tests.model.shapes import Ghost, Node, Row
from tests.model.states import NOBODY

Packed: TypeAlias = tuple[Any, ...]


def _fields(kind: type) -> attrgetter[tuple[Any, ...]]:
    return attrgetter(*(f.name for f in fields(kind)))


_row, _node = _fields(Row), _fields(Node)
_interned: dict[Packed, Packed] = {}


def intern(packed: Packed) -> Packed:
    """The one copy of this tuple: a million moments share some thousand rows and nodes."""
    return _interned.setdefault(packed, packed)


@dataclass(slots=True)
class Ledger:
    """What Redis holds, beside the store outside."""

    rows: list[Row]
    #: of each slot, the lives that are registered: (lives ago, units of the lease left)
    leases: list[tuple[tuple[int, int], ...]]
    holder: int = NOBODY
    line: tuple[int, ...] = ()

    def pack(self) -> Packed:
        rows = tuple(intern(_row(row)) for row in self.rows)
        return (rows, intern(tuple(self.leases)), self.holder, self.line)

    @classmethod
    def unpack(cls, packed: Packed) -> Ledger:
        rows, leases, *rest = packed
        return cls([Row(*row) for row in rows], list(leases), *rest)


@dataclass(slots=True)
class Moment:
    """Everything at one instant. Steps change it in place."""

    scene: Scene
    ledger: Ledger
    nodes: list[Node]
    ghosts: tuple[Ghost, ...] = ()
    #: 0 awake, 1 frozen, 2 frozen for a unit of time or more
    frozen: int = 0
    budget: int = 0
    asks: int = 0
    #: the highest fence that the outside store has seen
    high: int = 0
    #: the ledger before its last write, where a failover may lose that write
    before: Ledger | None = None
    #: what must never happen, and just did
    broken: str = ""

    def on(self, rule: str) -> bool:
        return rule in self.scene.rules

    def reaches(self, slot: int) -> bool:
        """Whether this node runs and can talk to Redis now."""
        node = self.nodes[slot]
        return node.alive and not node.stopped and not node.cut and not self.frozen

    def pack(self) -> Packed:
        return (
            self.ledger.pack(), tuple(intern(_node(node)) for node in self.nodes), self.ghosts, self.frozen,
            self.budget, self.asks, self.high, self.before.pack() if self.before else None, self.broken,
        )  # fmt: skip

    @classmethod
    def unpack(cls, scene: Scene, packed: Packed) -> Moment:
        ledger, nodes, ghosts, frozen, budget, asks, high, before, broken = packed
        return cls(
            scene, Ledger.unpack(ledger), [Node(*node) for node in nodes], ghosts, frozen, budget, asks, high,
            Ledger.unpack(before) if before else None, broken,
        )  # fmt: skip


def first(scene: Scene) -> Moment:
    """The moment before anything is planned."""
    n = scene.effects
    rows = [Row(("",) * n, (False,) * n, (False,) * n) for _ in range(scene.runs)]
    leases: list[tuple[tuple[int, int], ...]] = [((0, LEASE),)] * scene.nodes
    nodes = [Node() for _ in range(scene.nodes)]
    return Moment(scene, Ledger(rows, leases), nodes, budget=scene.budget, asks=scene.asks)


def forget() -> None:
    """Drops what `intern` keeps; for the time between two searches."""
    _interned.clear()
