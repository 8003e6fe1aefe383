"""The scripts of the ledger, played on the model: one method for each, with the answer it is to give.

Limit: who asks tells the truth, as a worker does: a token belongs to one delivery, and an attempt to who began it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar

from celery_anp.reliability.records import Decision, Key, NewRun
from celery_anp.reliability.run import FINAL
from tests.support.ledger_model import GRACE, MOST_PAUSES, RETRIED, UNDONE, Model, NodeLease, Row

#: An attempt: the word go, its number, failures before it, its kind, and its message where another one came.
Go = tuple[str, int, int, str, str]
#: What is used before the body of every message of these runs.
USED = '["task", null, 5, null, 3]'
#: What became of a plan: the run, a word, its state, and the stamp with which its planner sends its message.
Plan = tuple[str, str, str, int]
P = ParamSpec("P")
T = TypeVar("T")


def script(move: Callable[Concatenate[Moves, P], T]) -> Callable[Concatenate[Moves, P], T]:
    """One script; at its end it sends what it queued."""

    def run(self: Moves, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.rung.clear()
        self.held.clear()
        answer = move(self, *args, **kwargs)
        self.send()
        asked = args[0] if args else ""
        self.trim(str(asked[0] if isinstance(asked, list) else asked))
        return answer

    return run


class Moves(Model):
    """Each script of the ledger."""

    def send(self) -> None:
        """What the script queued goes to the broker's list, with the time as its stamp."""
        for run_id in self.rung:
            row = self.rows[run_id]
            if row.at == "queue":
                self.list.append((self.now, row.text.replace('"anp_rung": 0', f'"anp_rung": {self.now}', 1)))
                if row.new.unguarded:
                    self.end(row, "sent")
        self.rung.clear()

    @script
    def plan(self, new: NewRun) -> Plan:
        """A row is made once: the run, what became of it, its state, and with which stamp its planner sends it."""
        return ("", "full", "", 0) if self.full else self._plan(new)

    def _plan(self, new: NewRun) -> Plan:
        key = new.key or Key("")
        first = self.rows.get(self.unique.get(key.digest, ("",))[0]) if key.unique_for else None
        if first:
            return first.new.run_id, "known", first.state, 0
        known = self.rows.get(new.run_id)
        if known and known.replaced:
            return self._go_on(known, new)
        if known:
            same = key.digest in ("", known.digest)
            return new.run_id, ("known" if same else "conflict"), known.state, 0
        if key.unique_for:
            self.unique[key.digest] = new.run_id, self.now + key.unique_for
        self.dropped.pop(new.run_id, None)
        self.results.pop(new.run_id, None)
        row = self.rows[new.run_id] = Row(new, new.lock.overlap, new.lock.limit, new.timing.deadline)
        due = new.timing.due if new.timing.delay is None else self.now + new.timing.delay
        if new.end:
            self.end(row, new.end.state)
        elif due > self.now:
            row.state = "delayed"
            self.to_time(row, due)
        else:
            if new.message and new.message.held:
                self.held.add(new.run_id)
            self.ready(row)
        held = new.run_id in self.held and row.at == "queue"
        return new.run_id, "planned", row.state, self.now if held else 0

    def _go_on(self, row: Row, new: NewRun) -> Plan:
        """What was replaced goes on as another task: the lock is that one's, but for the one on the schedule's name."""
        if new.unguarded:
            return new.run_id, "known", row.state, 0
        if new.lock.name or row.lock != row.schedule:
            if new.lock.name != row.lock:
                self.release(row)
            lock, row.overlap, row.limit = new.lock, new.lock.overlap, new.lock.limit
        else:
            lock = row.new.lock
        self.leave(row)
        row.new = replace(new, tick=row.new.tick, key=row.new.key, lock=lock)
        row.message = ""
        row.failures["run"] = row.points["run"] = 0
        due = new.timing.due if new.timing.delay is None else self.now + new.timing.delay
        if due > self.now:
            row.state = "delayed"
            self.to_time(row, due)
        else:
            if new.message and new.message.held:
                self.held.add(new.run_id)
            row.state = "queued"
            self.ready(row)
        held = new.run_id in self.held and row.at == "queue"
        return new.run_id, "planned", row.state, self.now if held else 0

    @script
    def give_up(self, run_id: str) -> bool:
        """What a run was replaced by failed: so does the run, if it waits for that; Celery is told by who asks."""
        row = self.rows.get(run_id)
        if row is None or not row.replaced:
            return False
        row.ended = True
        self.fail(row, "failed")
        return True

    @script
    def decide(self, decision: Decision) -> tuple[bool, str, list[Plan]] | None:
        """The cursor moves once: whether another had moved it, the cursor, what became of the rows; None while full."""
        if self.full:
            return None
        cursor = self.cursors.get(decision.schedule, "")
        if cursor != decision.seen:
            return True, cursor, []
        self.cursors[decision.schedule] = decision.cursor
        return False, decision.cursor, [self._plan(new) for new in decision.runs]

    @script
    def begin(self, run_id: str, node: str, child: str, token: str, seal: str, used: str) -> Go | str:
        """An attempt, or why there is none; who came with another message gets the row's, or nothing."""
        row = self.rows.get(run_id)
        if row is None:
            return "gone"
        handed = "" if seal == row.seal else row.text
        if row.at == "node" and row.token == token:
            return "go", row.attempts, row.failures[row.kind], row.kind, handed
        if row.at != "queue":
            return row.state
        return self._refused(row, node, handed, used) or self._go(row, node, child, token, handed)

    def _refused(self, row: Row, node: str, handed: str, used: str) -> str:
        lease = self.nodes.get(node)
        if lease is None or lease.dead or lease.end <= self.now:
            return "lease"
        if self.too_late(row):
            self.end(row, "expired")
            return "expired"
        if handed and used != USED:
            self.to_queue(row)
            return "other"
        return ""

    def _go(self, row: Row, node: str, child: str, token: str, handed: str) -> Go:
        self.leave(row)
        row.at, row.node, row.child, row.token = "node", node, child, token
        row.attempts += 1
        row.undo_now = 0
        self.nodes[node].rows.append(row.new.run_id)
        self._turn(row, "running")
        return "go", row.attempts, row.failures[row.kind], row.kind, handed

    def owner(self, run_id: str, node: str, fence: int) -> Row | None:
        """The row, for who holds its current attempt."""
        row = self.rows.get(run_id)
        return row if row and row.at == "node" and (row.fence, row.node) == (fence, node) else None

    @script
    def settle(
        self, run_id: str, node: str, fence: int, outcome: str, delay: int, celery: str, message: str
    ) -> str | None:
        """The state it has now; None for who does not own it."""
        known = self.rows.get(run_id)
        if known and known.settled and known.settled[:2] == (fence, node):
            return known.settled[2]
        row = self.owner(run_id, node, fence)
        if row is None:
            return None
        row.message = message or row.message
        if row.cancel and outcome in ("failed", "retry", "requeue", "replaced", "replaced apart"):
            outcome, celery = "cancelled", ""
        self.leave(row)
        self._settled(row, outcome, delay, celery)
        row.node = row.token = ""
        row.settled = (fence, node, row.state)
        return row.state

    def _settled(self, row: Row, outcome: str, delay: int, celery: str) -> None:
        if outcome in ("failed", "cancelled"):
            self.fail(row, outcome, celery)
        elif outcome in ("retry", "rollback_retry"):
            row.failures[row.kind] += 1
            if celery:
                self.publish(row, celery)
            self._turn(row, "delayed")
            self.to_time(row, self.now + delay)
        elif outcome in ("replaced", "replaced apart"):
            row.steps, row.replaced, row.state = 0, True, "delayed"
            if outcome == "replaced apart" and row.lock != row.schedule:
                self.release(row)
            row.at, row.when = "time", self.now + self.keeping.long
            self.links[row.new.run_id] = self.now + GRACE
        elif outcome == "requeue":
            if delay:
                self._turn(row, "delayed")
                self.to_time(row, self.now + delay)
            else:
                row.state = "queued"
                self.to_queue(row)
        elif outcome == "parked":
            self.park(row)
        elif outcome == "rolled_back":
            row.steps = 0
            self.end(row, outcome if row.undone else row.failed_as)
        else:
            self.end(row, outcome, celery)

    @script
    def lose(self, run_id: str, node: str, fence: int, kind: str) -> str:
        """A node tells of a loss: the state it has now, or refused."""
        row = self.owner(run_id, node, fence)
        if row is None:
            return "refused"
        self.lost(row, kind)
        return row.state

    @script
    def record(self, run_id: str, node: str, fence: int, what: str, most: int) -> bool | None:
        """Whether it was recorded; None for who does not own the run."""
        row = self.owner(run_id, node, fence)
        if row is None:
            return None
        if what == "undo":
            if row.undo_now >= most:
                return False
            row.undo.append("")
            row.undo_now += 1
        elif what == "step":
            row.steps = 1
        return True

    @script
    def handle(self, run_id: str, node: str, fence: int, outcome: str) -> bool | None:
        """The newest open undo entry gets its outcome: whether there was one; None for who does not own the run."""
        open_entries = self.open_entries(run_id)
        if not open_entries:
            return False
        row = self.owner(run_id, node, fence)
        if row is None:
            return None
        row.undo[open_entries[-1]] = outcome
        row.undone = row.undone or outcome == "undone"
        return True

    def open_entries(self, run_id: str) -> list[int]:
        """The undo entries that are still to be handled."""
        return [i for i, outcome in enumerate(self.rows[run_id].undo) if outcome not in ("undone", "skipped")]

    @script
    def nudge(self, run_id: str) -> None:
        """The message went down with a child: the next ring sends it again."""
        row = self.rows.get(run_id)
        if row and row.at == "queue":
            row.when, row.rung = self.now, 0

    @script
    def heartbeat(self, node: str, new: bool, knows: bool) -> dict[str, int] | None:
        """The node's rows and their fences; None once it was given up."""
        if new and node not in self.nodes:
            self.nodes[node] = NodeLease(self.now + self.lease, self.now, knows)
        self.beat()
        lease = self.nodes.get(node)
        if lease is None or lease.dead or lease.end <= self.now:
            return None
        lease.end = self.now + self.lease
        return {run_id: self.rows[run_id].fence for run_id in lease.rows}

    @script
    def goodbye(self, node: str) -> None:
        """It leaves; its rows go back without a loss that counts."""
        lease = self.nodes.get(node)
        for run_id in list(lease.rows if lease else ()):
            self.lost(self.rows[run_id], "shutdown")
        self.nodes.pop(node, None)

    @script
    def reap(self, most: int, proved: str = "", gone: Iterable[str] = ()) -> None:
        """The rows of dead nodes go back; a node goes once it has none.

        Args:
            most: rows that go back now.
            proved: a node whose death is proved, whose rows go back where their child is gone too.
            gone: those rows.
        """
        self.beat()
        if seen := self.nodes.get(proved):
            for run_id in gone:
                most -= 1
                self.lost(self.rows[run_id], "node")
            if not seen.rows:
                del self.nodes[proved]
        dead = [(lease.end, node) for node, lease in self.nodes.items() if lease.end <= self.now]
        for _, node in sorted(dead):
            lease = self.nodes[node]
            lease.dead = True
            lost, most = lease.rows[:most], max(0, most - len(lease.rows))
            for run_id in lost:
                self.lost(self.rows[run_id], "node")
            if not lease.rows:
                del self.nodes[node]

    @script
    def promote(self, most: int) -> None:
        """What is due becomes ready, so does what a new node knows; a lock that lost its holder goes on."""
        for row in self.due("time", most):
            if row.state == "delayed" and row.cancel:
                self.fail(row, "cancelled")
            elif row.replaced:
                self.fail(row, "failed")
            else:
                self.ready(row)
        for row in self.due("lock", most):
            if self.too_late(row):
                self.end(row, "expired")
            elif self.locks.get(row.lock) not in self.rows and self.waiters[row.lock][0] == row.new.run_id:
                self.ready(row)
        for since, run_id in sorted((since, run_id) for run_id, since in self.parked.items())[:most]:
            self._unpark(run_id, since)

    def _unpark(self, run_id: str, since: int) -> None:
        parked = self.rows.get(run_id)
        if parked is None or parked.state != "parked":
            del self.parked[run_id]
        elif self.is_known(since):
            del self.parked[run_id]
            self.revive(parked)
            parked.state = "queued"
            self.ready(parked)

    @script
    def park_unknown(self, run_id: str) -> str:
        """A worker got a run whose task it does not know: it is left to others, if there are any."""
        row = self.rows.get(run_id)
        if row is None:
            return ""
        if row.at == "queue" and row.state == "queued":
            if self.is_known(0):
                row.when, row.rung, row.rings = self.now + 1000, 0, 0
            else:
                self.park(row)
        return row.state

    @script
    def ring(self, most: int) -> list[tuple[str, str]]:
        """Messages that are gone are sent again, with a growing pause; what only kombu can send is handed out."""
        handed, head = [], self.list[0][0] if self.list else None
        for row in self.due("queue", most):
            if self.too_late(row):
                self.end(row, "expired")
            elif head is not None and head <= row.rung:
                row.when = self.now + GRACE
            else:
                row.when = self.now + GRACE * 2 ** min(row.rings, MOST_PAUSES)
                row.rung, row.rings = self.now, row.rings + 1
                if row.by_kombu:
                    handed.append((row.new.run_id, row.text))
                else:
                    self.rung.append(row.new.run_id)
        return handed

    @script
    def sent(self, run_ids: Sequence[str]) -> None:
        """A run of a task that is not guarded ends once its message is out."""
        for run_id in run_ids:
            row = self.rows.get(run_id)
            if row and ((row.new.unguarded and row.at == "queue") or row.replaced):
                self.end(row, "sent")

    @script
    def operate(self, run_id: str, what: str, token: str = "") -> tuple[str, str]:
        """Ok, refused or gone, and the state it has now; a request that comes again has no effect."""
        row = self.rows.get(run_id)
        if row is None:
            return "gone", ""
        if token not in row.asked:
            row.asked[token] = "ok" if self._operated(row, what) else "refused"
        self.send()
        return (row.asked[token] if token else row.asked.pop(token)), row.state

    def _operated(self, row: Row, what: str) -> bool:
        move: dict[str, Callable[[Row], bool]] = {
            "retry": self._retry, "rollback": self._rollback, "cancel": self._cancel, "resolve": self._resolve,
        }  # fmt: skip
        return move[what](row)

    def _retry(self, row: Row) -> bool:
        if row.state not in RETRIED:
            return False
        self.revive(row)
        row.settled, row.ended, row.celery, row.deadline = None, False, "", 0
        row.failures["run"] = row.points["run"] = 0
        row.state, row.failed_as = "queued", ""
        if row.locks:
            row.overlap, row.limit = "buffer_all", 1_000_000
        self.ready(row)
        return True

    def _rollback(self, row: Row) -> bool:
        if row.state not in UNDONE or not row.new.hook or not row.attempts:
            return False
        row.failed_as = row.failed_as or row.state
        row.undone = row.undone and row.state == "rollback_failed"
        self.revive(row)
        row.settled, row.state = None, "rolling_back"
        row.failures["rollback"] = row.points["rollback"] = 0
        self.ready(row)
        return True

    def _cancel(self, row: Row) -> bool:
        if row.state in FINAL or row.state == "rolling_back":
            return False
        row.cancel = "cancel by ann"
        if row.at != "node":
            self.fail(row, "cancelled")
        return True

    def _resolve(self, row: Row) -> bool:
        if row.state != "rollback_failed":
            return False
        self.end(row, "rolled_back")
        return True

    @script
    def links_due(self, most: int) -> list[str]:
        """Ended runs whose next links nobody confirmed."""
        due = sorted((when, run_id) for run_id, when in self.links.items() if when <= self.now)[:most]
        for _, run_id in due:
            if run_id in self.rows:
                self.links[run_id] = self.now + GRACE
            else:
                del self.links[run_id]
        return [run_id for _, run_id in due if run_id in self.rows]

    @script
    def prune(self) -> int:
        """Rows that Redis dropped leave the indexes."""
        gone = [run_id for run_id, row in self.dropped.items() if row.goes <= self.now]
        for run_id in gone:
            del self.dropped[run_id]
        return len(gone)

    def told(self, most: int) -> list[str]:
        """The alerts that are sent now, by their runs: the oldest first, none of a time to come."""
        due = sorted((alert for alert in self.alerts if alert[0] <= self.now), key=lambda alert: alert[0])[:most]
        for alert in due:
            self.alerts.remove(alert)
        return [run_id for _, run_id in due]

    def set_full(self, full: bool) -> None:
        """Redis comes near its memory limit, of which somebody is told once an hour, or has room again."""
        self.full_until = self.now + 60_000 if full else 0
        if full and self.now - self.full_told >= 3_600_000:
            self.full_told = self.now
            self.alert("")

    def pass_time(self, milliseconds: int) -> None:
        """The clock moves, and Redis drops what nobody needs any more."""
        self.now += milliseconds
        self.unique = {digest: held for digest, held in self.unique.items() if held[1] > self.now}
        for row in self.rows.values():
            row.celery = row.celery if row.celery_goes > self.now else ""
        self.results = {run_id: goes for run_id, goes in self.results.items() if goes > self.now}
        for task in [task for task, goes in self.ended_goes.items() if goes <= self.now]:
            self.ended.pop(task, None)
            del self.ended_goes[task]
        gone = [row.new.run_id for row in self.final() if row.goes <= self.now]
        for run_id in gone:
            self.dropped[run_id] = self.rows.pop(run_id)
