"""The things of the model: a run's row, a node with its child, who owns a row, a request whose sender is gone.

Identities are relative, so that moments that differ only in names are one: an owner says how many lives of its node ago
it was, and how its child fared since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tests.model.scene import LEASE
from tests.model.states import IDLE, NOBODY, UNPLANNED


class Owner(NamedTuple):
    """Who has a row: the slot of a node, lives of it since, how the child died ("" while it lives)."""

    slot: int
    age: int = 0
    fate: str = ""
    #: the child has taken another message since
    stale: bool = False


class Ghost(NamedTuple):
    """A request whose sender is gone; Redis may still run it."""

    kind: str
    run: int
    owner: Owner | None = None
    fence: int = 0
    outcome: str = ""
    forged: bool = False


@dataclass(slots=True)
class Row:
    """One run: its row in the ledger, its messages, and what it did outside."""

    undo: tuple[str, ...]
    steps: tuple[bool, ...]
    #: which of its effects stand in the outside store
    stands: tuple[bool, ...]
    state: str = UNPLANNED
    index: int = 0
    #: why it was failed, kept while it is rolled back
    why: str = ""
    owner: Owner | None = None
    fence: int = 0
    #: the fence that settled it last
    settled: int = 0
    losses: int = 0
    undo_losses: int = 0
    tries: int = 0
    undo_tries: int = 0
    #: losses and tries of the present rollback, kept only to check the counts above
    seen: int = 0
    messages: int = 0
    #: a message with its id that says another thing
    forged: bool = False
    #: has a start deadline
    hurried: bool = False
    begun: bool = False
    #: has begun since it was planned, retried or rolled back
    dirty: bool = False
    marked: bool = False
    wins: int = 0
    linked: bool = False
    resolved: bool = False

    def move(self, leave: int, enter: int) -> None:
        """Leave one index and enter another (0 for none), as a script does with ZREM and ZADD."""
        self.index = self.index & ~leave | enter


@dataclass(slots=True)
class Node:
    """One worker process tree with one child."""

    alive: bool = True
    #: its main process was killed, and its child lives for a moment yet
    orphaned: bool = False
    stopped: bool = False
    cut: bool = False
    #: units of its lease left by its own count; -1 once it has heard that the lease is gone
    own: int = LEASE
    #: was stopped beyond its lease
    late: bool = False
    #: has a death to tell (only without `reconcile`)
    untold: bool = False
    #: what the heartbeat saw of the child: "", idle or busy; and the fence it saw idle before
    look: str = ""
    sight: int = 0
    at: str = IDLE
    run: int = NOBODY
    fence: int = 0
    undoing: bool = False
    phase: int = 0
    #: undo entries this hook still has to handle
    todo: tuple[int, ...] = ()
    outcome: str = ""
    #: Redis has lost a write while this child was at work
    forgotten: bool = False
    #: the message that it took is not the row's own
    forged: bool = False
