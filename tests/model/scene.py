"""A scene: how many runs and nodes, which policy, which faults, which rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.model.rules import ALL

#: units of time in a lease; a healthy node renews in every unit
LEASE = 3


@dataclass(frozen=True)
class Scene:
    """What one search starts from; everything in it is bounded, so that the search ends."""

    #: shown in the tables
    name: str
    runs: int = 1
    nodes: int = 1
    #: one lock for all runs, or none
    lock: bool = True
    #: skip, buffer_one, buffer_all or cancel_other
    overlap: str = "buffer_all"
    #: the task has a rollback hook
    hook: bool = False
    #: effects of the body on the outside store, each with an undo entry and a step
    effects: int = 0
    #: bodies and hooks may fail
    fails: bool = False
    #: failed attempts that are tried again
    retries: int = 0
    #: losses that end a run, counted in halves of a child's death
    limit: int = 4
    #: runs may pass their start deadline
    deadline: bool = False
    #: runs are planned for later, and promoted
    eta: bool = False
    #: a heartbeat looks at the children first and talks to Redis later
    slow_look: bool = False
    faults: frozenset[str] = frozenset()
    #: faults that may happen
    budget: int = 1
    #: requests of operators: cancel, rollback, retry, resolve
    requests: frozenset[str] = frozenset()
    #: requests that may be made
    asks: int = 0
    #: states that no run may reach here
    never: frozenset[str] = frozenset()
    #: equal nodes are one to the search; a story keeps them apart
    symmetric: bool = True
    rules: frozenset[str] = field(default=ALL, repr=False)

    def without(self, *rules: str) -> Scene:
        """The same scene with these rules left out."""
        return replace(self, rules=self.rules - frozenset(rules))
