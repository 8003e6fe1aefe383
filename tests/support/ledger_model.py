"""The ledger as plain Python: what each script is to do, in the words of the contract.

A dict of rows, a dict of locks with their waiters, nodes with the end of their lease. The property test does
everything twice, here and in Redis, and compares.

Limit: one script at a time, and Redis loses nothing. Times are milliseconds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from celery_anp.reliability.records import Keeping, NewRun
from celery_anp.reliability.run import FINAL
from celery_anp.sending.message import seal

#: A message may be on its way so long before upkeep rings again; the pause doubles with each ring, to 64 of them.
GRACE = 5000
MOST_PAUSES = 6
#: How heavy each loss weighs, and what quarantines: three deaths of a child, or six of a node or idle children.
WEIGHT = {"child": 2, "node": 1, "idle": 1, "fenced": 0, "shutdown": 0}
TOO_OFTEN = 6
SHORT = frozenset({"succeeded", "skipped", "sent"})
CELERY = (
    dict.fromkeys(("failed", "quarantined", "rolled_back", "rollback_failed"), "FAILURE")
    | dict.fromkeys(("skipped", "expired", "cancelled"), "REVOKED")
    | {"succeeded": "SUCCESS"}
)
#: Alerts in one minute; more are only counted.
ALERTS = 30
#: Final, and nobody is waited for.
ENDED = FINAL - {"rollback_failed"}
RETRIED = frozenset({"failed", "rolled_back", "cancelled", "quarantined", "expired", "skipped", "parked"})
UNDONE = frozenset({"succeeded", "failed", "cancelled", "quarantined", "rollback_failed"})


@dataclass
class Row:
    """One run."""

    new: NewRun
    overlap: str
    limit: int
    deadline: int
    state: str = ""
    #: The index it stands in (queue, time, lock, node), and since or until when.
    at: str = ""
    when: int = 0
    node: str = ""
    child: str = ""
    token: str = ""
    fence: int = 0
    attempts: int = 0
    losses: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    cancel: str = ""
    #: Per request of an operator what it was answered.
    asked: dict[str, str] = field(default_factory=dict)
    #: What Celery was told, and whether that was an end.
    celery: str = ""
    celery_goes: float = 0
    ended: bool = False
    #: Fence, node and answer of the last settle.
    settled: tuple[int, str, str] | None = None
    #: When Redis drops it; one that waits for a person stays.
    goes: float = math.inf
    rung: int = 0
    rings: int = 0
    #: Its message where a retry changed the input.
    message: str = ""
    #: What became of each undo entry, oldest first; empty for nothing yet.
    undo: list[str] = field(default_factory=list)
    #: How many of them the current attempt recorded.
    undo_now: int = 0
    #: Whether its newest rollback has undone one of them, and what it was before that.
    undone: bool = False
    failed_as: str = ""
    steps: int = 0
    #: It waits to go on as what its body put in its place.
    replaced: bool = False

    @property
    def kind(self) -> str:
        """Whether an attempt of it is the body or the rollback hook."""
        return "rollback" if self.state == "rolling_back" else "run"

    @property
    def locks(self) -> bool:
        """Whether it needs its lock."""
        return bool(self.lock) and self.overlap != "allow_all"

    @property
    def lock(self) -> str:
        """The lock it takes; empty for none."""
        return self.new.lock.name

    @property
    def digest(self) -> str:
        """Of its input, where a key needs it."""
        return self.new.key.digest if self.new.key else ""

    @property
    def schedule(self) -> str:
        """Its schedule; empty for none."""
        return self.new.tick.schedule if self.new.tick else ""

    @property
    def tick(self) -> int:
        """Its tick."""
        return self.new.tick.time if self.new.tick else 0

    @property
    def text(self) -> str:
        """Its message."""
        return self.message or (self.new.message.text if self.new.message else "")

    @property
    def seal(self) -> str:
        """What tells its message from others."""
        return seal(self.text)

    @property
    def by_kombu(self) -> bool:
        """Whether only kombu can send it."""
        return bool(self.new.message and self.new.message.by_kombu)

    @property
    def linked(self) -> bool:
        """Whether links follow it."""
        return bool(self.new.message and self.new.message.linked)


@dataclass
class NodeLease:
    """One node."""

    end: int
    since: int
    #: Whether it knows the task that the runs are of.
    knows: bool
    dead: bool = False
    rows: list[str] = field(default_factory=list)


class Model:
    """What the ledger is to hold after each script.

    Args:
        now: the time.
        lease: of a node.
        keeping: how long rows are kept.
    """

    def __init__(self, now: int, lease: int, keeping: Keeping) -> None:
        self.now = now
        self.lease = lease
        self.keeping = keeping
        self.rows: dict[str, Row] = {}
        self.locks: dict[str, str] = {}
        self.waiters: dict[str, list[str]] = {}
        self.nodes: dict[str, NodeLease] = {}
        self.pulse: int | None = None
        self.cursors: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.links: dict[str, int] = {}
        #: Runs that wait for a node that knows their task, and since when.
        self.parked: dict[str, int] = {}
        #: Per digest of an input the run that callers get, and until when.
        self.unique: dict[str, tuple[str, int]] = {}
        #: Rows that Redis dropped and prune has not seen yet.
        self.dropped: dict[str, Row] = {}
        #: Redis is near its memory limit until then.
        self.full_until = 0
        self.full_told = -math.inf
        #: What stands on the broker's list, the oldest first: stamp and message.
        self.list: list[tuple[int, str]] = []
        #: What the script under way sends, what its caller sends, and the schedules in which a row ended.
        self.rung: list[str] = []
        self.held: set[str] = set()
        self.touched: set[str] = set()
        self.touched_tasks: set[str] = set()
        #: Per task its ended runs that no tick made and no key keeps, and when; how long that is known, per task.
        self.ended: dict[str, dict[str, int]] = {}
        self.ended_goes: dict[str, float] = {}
        #: Alerts nobody has sent yet: since when, of which run (empty: of the memory); how many a minute raised.
        self.alerts: list[tuple[int, str]] = []
        self.raised = (0, 0)
        #: Celery's records that have outlived their rows, and until when.
        self.results: dict[str, float] = {}

    @property
    def full(self) -> bool:
        """Whether nothing new is planned."""
        return self.full_until > self.now

    # -- what a script does to one row -------------------------------------------------------------------

    def leave(self, row: Row) -> None:
        """Out of its index."""
        if row.at == "lock":
            self.waiters[row.lock].remove(row.new.run_id)
        elif row.at == "node":
            self.nodes[row.node].rows.remove(row.new.run_id)
        elif row.replaced:
            row.replaced = False
            self.links.pop(row.new.run_id, None)
        row.at = ""

    def to_queue(self, row: Row, ring: bool = True) -> None:
        """It waits for a worker."""
        self.leave(row)
        held = row.new.run_id in self.held
        rings = ring and (held or not row.by_kombu)
        row.at, row.when, row.rings = "queue", self.now + (GRACE if rings else 0), 0
        row.rung = self.now if rings else 0
        if rings and not held:
            self.rung.append(row.new.run_id)

    def to_time(self, row: Row, due: int) -> None:
        """It waits for a time."""
        self.leave(row)
        row.at, row.when = "time", due

    def to_lock(self, row: Row) -> None:
        """It waits for its lock, behind who waits already."""
        self.leave(row)
        row.at, row.when = "lock", self.now
        self.waiters.setdefault(row.lock, []).append(row.new.run_id)

    def too_late(self, row: Row) -> bool:
        """Its start deadline has passed, and it has not begun."""
        return 0 < row.deadline < self.now and row.attempts == 0

    def ready(self, row: Row, ring: bool = True) -> None:
        """It is due: it takes its lock, waits for it, or is skipped."""
        holder = self.rows.get(self.locks.get(row.lock, ""))
        if self.too_late(row):
            self.end(row, "expired")
        elif not row.locks or holder in (None, row):
            if row.locks:
                self.locks[row.lock] = row.new.run_id
            self._turn(row, "queued")
            self.to_queue(row, ring)
        elif holder and row.overlap == "cancel_other" and not row.attempts and self._pushes_aside(row, holder):
            self.ready(row, ring)
        elif self._may_wait(row):
            self._turn(row, "blocked")
            self.to_lock(row)
        else:
            self.end(row, "skipped")

    def _may_wait(self, row: Row) -> bool:
        waiting = len(self.waiters.get(row.lock, ()))
        room = {"skip": 0, "buffer_one": 1, "buffer_all": row.limit, "cancel_other": waiting + 1}[row.overlap]
        return row.attempts > 0 or waiting < room

    def _pushes_aside(self, row: Row, holder: Row) -> bool:
        """Who has not begun is skipped, who runs is asked to end; whether that made the lock free."""
        for other in list(self.waiters.get(row.lock, ())):
            if self.rows[other].attempts == 0:
                self.end(self.rows[other], "skipped")
        reason = f"superseded by {row.new.run_id}"
        if holder.state == "running":
            holder.cancel = holder.cancel or reason
        elif holder.attempts == 0:
            self.end(holder, "skipped")
        elif holder.state in ("queued", "delayed"):
            self.fail(holder, "cancelled")
        return row.lock not in self.locks

    def _turn(self, row: Row, state: str) -> None:
        if row.state != "rolling_back":
            row.state = state

    def end(self, row: Row, state: str, celery: str = "") -> None:
        """It is final; its lock goes on unless its rollback failed."""
        stays = row.state == "rolling_back" and state == row.failed_as
        self.leave(row)
        row.state, row.node = state, ""
        if state == "rolled_back":
            row.steps = 0
        if state != "rollback_failed":
            self.release(row)
        self._tell(row, state, celery, stays=stays)
        if state == "rollback_failed":
            self.alert(row.new.run_id)
        else:
            row.goes = self.now + (self.keeping.short if state in SHORT else self.keeping.long)
            row.celery_goes = row.goes
            self.touched.add(row.schedule)
            self._keep_few(row, state)

    def _keep_few(self, row: Row, state: str) -> None:
        if not row.schedule and state != "parked" and not row.digest:
            self.ended.setdefault(row.new.task, {})[row.new.run_id] = self.now
            self.ended_goes[row.new.task] = self.now + self.keeping.long
            self.touched_tasks.add(row.new.task)

    def revive(self, row: Row) -> None:
        """It is final no more."""
        row.cancel, row.goes, row.celery_goes = "", math.inf, math.inf
        self.ended.get(row.new.task, {}).pop(row.new.run_id, None)

    def _tell(self, row: Row, state: str, celery: str, *, stays: bool = False) -> None:
        self.counts[f"{row.new.task}|{state}"] += not stays
        if row.ended or state not in CELERY:
            return
        row.ended = True
        self.publish(row, celery or CELERY[state])
        if row.linked:
            self.links[row.new.run_id] = self.now + GRACE

    def alert(self, run_id: str) -> None:
        """Somebody is to be told of a run (empty: of the memory), unless too many were told this minute."""
        minute, raised = self.now // 60_000, self.raised
        self.raised = minute, (raised[1] if raised[0] == minute else 0) + 1
        if self.raised[1] <= ALERTS:
            self.alerts.append((self.now, run_id))

    def publish(self, row: Row, celery: str) -> None:
        """Celery's record; that of an ended run lives as long as its row."""
        row.celery, row.celery_goes = celery, self.now + self.keeping.long

    def release(self, row: Row) -> None:
        """The first waiter that is not too late gets the lock."""
        lock = row.lock
        if self.locks.get(lock) != row.new.run_id:
            return
        del self.locks[lock]
        while lock not in self.locks and self.waiters.get(lock):
            head = self.rows[self.waiters[lock][0]]
            self.ready(head)

    def fail(self, row: Row, state: str, celery: str = "") -> None:
        """It ends badly; what has begun and has a hook is rolled back first, keeping its lock."""
        row.failed_as = state
        if state == "quarantined":
            self.alert(row.new.run_id)
        if not row.new.hook or not row.attempts:
            return self.end(row, state, celery)
        self.leave(row)
        self._tell(row, state, celery)
        row.state, row.undone = "rolling_back", False
        row.failures["rollback"] = row.points["rollback"] = 0
        return self.ready(row)

    def park(self, row: Row) -> None:
        """No living node can run it: it waits for one, without its lock."""
        self.end(row, "parked")
        self.parked[row.new.run_id] = self.now

    def is_known(self, since: int) -> bool:
        """Whether a living node that came after a time knows the task."""
        return any(n.knows and not n.dead and n.end >= self.now and n.since > since for n in self.nodes.values())

    def lost(self, row: Row, kind: str) -> None:
        """An attempt is gone without a settle."""
        self.leave(row)
        row.node = row.token = ""
        row.losses += 1
        row.points[row.kind] += WEIGHT[kind]
        if row.kind == "run" and row.cancel:
            return self.fail(row, "cancelled")
        if row.points[row.kind] >= TOO_OFTEN:
            return self.end(row, "rollback_failed") if row.kind == "rollback" else self.fail(row, "quarantined")
        return self.ready(row)

    def beat(self) -> None:
        """Heartbeat and reap look at the time since the last of either first."""
        last, self.pulse = self.pulse, self.now
        if last is None or not 0 <= self.now - last <= self.lease / 3:
            for node in self.nodes.values():
                if not node.dead:
                    node.end = self.now + self.lease

    def trim(self, asked: str) -> None:
        """A schedule keeps its newest rows, a task its newest ended ones, and both what may not go."""
        for schedule in self.touched - {""}:
            known = [*self.rows.values(), *self.dropped.values()]
            ticks = sorted((row.tick, row.new.run_id) for row in known if row.schedule == schedule)
            for _, run_id in ticks[: max(len(ticks) - self.keeping.rows, 0)]:
                if self._may_go(run_id, asked):
                    self._forget(run_id)
        for task in self.touched_tasks:
            ends = sorted((when, run_id) for run_id, when in self.ended[task].items())
            for _, run_id in ends[: max(len(ends) - self.keeping.rows, 0)]:
                if self._may_go(run_id, asked):
                    row = self.rows.get(run_id)
                    if row and row.celery:
                        self.results[run_id] = row.celery_goes
                    self._forget(run_id)
                    del self.ended[task][run_id]
                elif run_id != asked:
                    self.ended[task][run_id] = self.now
        self.touched.clear()
        self.touched_tasks.clear()

    def _may_go(self, run_id: str, asked: str) -> bool:
        """Final and not parked, not what was asked about, without links due, and nothing is to be told of it."""
        row = self.rows.get(run_id)
        stays = {asked, *self.links, *(told for _, told in self.alerts)}
        return run_id not in stays and (row is None or row.state in ENDED - {"parked"})

    def _forget(self, run_id: str) -> None:
        self.dropped.pop(run_id, None)
        self.rows.pop(run_id, None)

    def due(self, at: str, most: int) -> list[Row]:
        """The rows of one index whose time has come, the oldest first."""
        rows = ((r.when, i, r) for i, r in self.rows.items() if r.at == at and (at == "lock" or r.when <= self.now))
        return [row for _, _, row in sorted(rows, key=lambda item: item[:2])[:most]]

    def final(self) -> Iterable[Row]:
        """The rows that only an operator can change."""
        return (row for row in self.rows.values() if row.state in FINAL)
