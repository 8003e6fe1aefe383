"""The ledger and its model, side by side: each move is made in both, and the answers must be the same.

Limit: Redis' own clock cannot be moved. The scripts read theirs from a key; when a key's TTL ends is kept here.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal
from uuid import uuid4

from redis import Redis

from celery_anp.errors import KeyConflict, LedgerFull, LostOwnership
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Begun, Keeping, NewRun
from celery_anp.reliability.rollback import UndoLog
from celery_anp.reliability.run import FINAL
from celery_anp.reliability.store import Store
from celery_anp.sending.message import seal
from tests.support.flat import flat
from tests.support.ledger_look import Look
from tests.support.ledger_model import Row
from tests.support.ledger_moves import USED, Moves

CLOCK = "machine:clock"
START = 1_000_000_000
#: A TTL that no test waits for.
AGES = 10_000_000_000
LEASE = 9_000
KEEPING = Keeping(short=600_000, long=1_200_000, rows=3)
#: Characters of an undo entry.
ENTRY = 60

#: What comes: the row's own message, one that says the same before the body, or another.
Came = Literal["own", "like", "other"]
#: This node does not know the task.
STRANGER = "n3"
#: How an attempt may end, that of a body and that of a rollback hook.
BODY = (
    "succeeded", "failed", "retry", "failed", "requeue", "cancelled", "parked", "retry with another input",
    "replaced", "replaced apart",
)  # fmt: skip
HOOK = ("rolled_back", "rollback_failed", "rollback_retry", "rolled_back")


def message(run_id: str, **more: object) -> str:
    """A message as a row keeps it."""
    headers = {"anp_rung": 0, "task": "task", "timelimit": [None, 5]}
    return json.dumps({"headers": headers, "id": run_id, "properties": {"priority": 3}, **more})


class Pair:
    """Both of them, empty, under a prefix of their own.

    Args:
        client: a connection made by `connect`.
    """

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.prefix = f"m{uuid4().hex}"
        self.list = f"{self.prefix}:list"
        self.ledger = Ledger(Store(client, self.prefix, CLOCK), LEASE, KEEPING)
        self.model = Moves(START, LEASE, KEEPING)
        #: What was sent to begin a run: its id, node, child, token, what came. What began: its id, node, fence, kind.
        self.deliveries: list[tuple[str, str, str, str, str, str]] = []
        self.attempts: list[tuple[str, str, int, str]] = []
        self.ends: dict[str, int] = {}
        self.entries = 0
        client.set(CLOCK, START // 1000)

    def clear(self) -> None:
        """Leave nothing for the next example."""
        keys = list(self.client.scan_iter(f"{self.prefix}:*", count=1000))
        if keys:
            self.client.delete(*keys)

    def new(self, run_id: str, **fields: Any) -> NewRun:
        """A row to be; its message says whose it is, `sender` who sends it first."""
        meta = f"{self.prefix}:meta:{run_id}"
        sender = fields.pop("sender", "script")
        fields |= {"by_kombu": sender == "kombu", "held": sender == "planner"}
        text = message(run_id)
        return flat(run_id, text, self.list, meta_key=meta, seal=seal(text), **fields)

    def planned(self, new: NewRun) -> None:
        """Plan one run."""
        run_id, what, state, stamp = self.model.plan(new)
        try:
            (planned,) = self.ledger.plan([new])
        except (KeyConflict, LedgerFull) as refused:
            agree("conflict" if isinstance(refused, KeyConflict) else "full", what, "plan")
            return
        agree(
            (planned.run_id, planned.created, planned.state, planned.stamp),
            (run_id, what == "planned", state, stamp),
            "plan",
        )

    def queued(self) -> list[str]:
        """The runs that a message could begin."""
        return sorted(run_id for run_id, row in self.model.rows.items() if row.at == "queue")

    def begin(self, run_id: str, node: str, child: str, token: str, sealed: str, used: str) -> Begun | None:
        """A message is delivered."""
        last = max((attempt[2] for attempt in self.attempts), default=0)
        expected = self.model.begin(run_id, node, child, token, sealed, used)
        begun = self.ledger.begin(run_id, node, child, token, sealed, used)
        if not isinstance(begun, Begun):
            agree(begun, expected, "begin")
            return None
        agree(("go", begun.attempt, begun.failures, begun.kind, begun.message), expected, "begin")
        row = self.model.rows[run_id]
        if row.fence != begun.fence:
            assert begun.fence > last, "fences only grow"
            row.fence = begun.fence
            self.attempts.append((run_id, row.node, begun.fence, begun.kind))
        return begun

    def deliver(self, run_id: str, node: str, came: Came = "own") -> Begun | None:
        """A message is delivered for the first time: the row's own, one that is like it, or one that is not."""
        row, number = self.model.rows.get(run_id), len(self.deliveries)
        sealed = row.seal if row and came == "own" else "" if came == "like" else "forged"
        delivery = (
            run_id, node, f"child-{number % 2}", f"token-{number}", sealed,
            USED if came != "other" else USED.replace("task", "another"),
        )  # fmt: skip
        self.deliveries.append(delivery)
        return self.begin(*delivery)

    def attempt(self, back: int) -> tuple[str, str, int, str]:
        """An attempt that ever began: first those under way (one is begun if it can be), then the newest."""
        if self.queued() and not any(lease.rows for lease in self.model.nodes.values()):
            self.beat("n1", new=True)
            self.deliver(self.queued()[0], "n1")
        attempts = sorted(self.attempts, key=lambda a: (self.model.owner(*a[:3]) is not None, a[2]))
        return attempts[-1 - back % len(attempts)]

    def settle(self, run_id: str, node: str, fence: int, outcome: Any, delay: int, meta: bool) -> None:
        """An attempt ends."""
        changed = ""
        if outcome == "retry with another input":
            outcome, changed = "retry", message(run_id, changed_by=fence)
        status = {"succeeded": "SUCCESS", "failed": "FAILURE", "retry": "RETRY"}.get(outcome, "") if meta else ""
        data: dict[str, Any] = {"meta": json.dumps({"status": status, "by": "worker"})} if status else {}
        data |= {"message": changed, "seal": seal(changed)} if changed else {}
        expected = self.model.settle(run_id, node, fence, outcome, delay, status, changed)
        if outcome in ("replaced", "replaced apart"):
            data |= {"replacement": "{}", **({"apart": 1} if outcome != "replaced" else {})}
            outcome = "replaced"
        try:
            state = self.ledger.settle(run_id, node, fence, outcome, reason="so it was", delay=delay, **data)
        except LostOwnership:
            agree(None, expected, "the owner of a run")
            return
        agree(state, expected, f"the state of {run_id}")

    def give_up(self, run_id: str) -> None:
        """What a run was replaced by failed."""
        agree(self.ledger.give_up(run_id, "it failed", "{}"), self.model.give_up(run_id), "give up")

    def finish(self, attempt: tuple[str, str, int, str], how: int, delay: int, meta: bool) -> None:
        """An attempt ends as its kind can."""
        run_id, node, fence, kind = attempt
        outcomes = BODY if kind == "run" else HOOK
        outcome = outcomes[how % len(outcomes)]
        if kind == "rollback":
            self._go_through(attempt, outcome)
        self.settle(run_id, node, fence, outcome, delay, meta)

    def _go_through(self, attempt: tuple[str, str, int, str], outcome: str) -> None:
        """A hook that is done has handled each entry, another one has failed at its second."""
        while self.handle(attempt, "undone") and outcome == "rolled_back":
            pass
        if outcome != "rolled_back":
            self.handle(attempt, "failed")

    def handle(self, attempt: tuple[str, str, int, str], outcome: str) -> bool:
        """A hook handles the next undo entry; whether there was one, and it was the hook's to handle."""
        run_id, node, fence, _ = attempt
        if run_id not in self.model.rows:
            return False
        undo = UndoLog(
            Attempt(self.ledger, run_id, node, fence, 1, 0, "rollback", 0, 0), self.ledger.undo_entries(run_id)
        )
        agree(len(undo), len(self.model.open_entries(run_id)), "open undo entries")
        expected = self.model.handle(run_id, node, fence, outcome)
        try:
            _handle_one(undo, outcome)
        except LostOwnership:
            agree(None, expected, "the owner of a run")
        return bool(expected)

    def overtaken(self) -> list[tuple[str, str, int, str]]:
        """The attempts whose run another attempt has now."""
        running = {i: row.fence for i, row in self.model.rows.items() if row.at == "node"}
        return [attempt for attempt in self.attempts if running.get(attempt[0], attempt[2]) != attempt[2]]

    def tell_loss(self, run_id: str, node: str, fence: int, kind: Any) -> None:
        """An attempt is gone."""
        expected = self.model.lose(run_id, node, fence, kind)
        state = self.ledger.lose(run_id, node, fence, kind, "gone")
        agree(state, expected, f"the state of {run_id}")

    def write(self, run_id: str, node: str, fence: int, what: str, most: int) -> None:
        """Record something of an attempt; its answer is lost, so that it is sent again."""
        self.entries += 1
        entry = json.dumps({"name": "u", "data": {}, "attempt": 1, "entry": self.entries}).ljust(ENTRY)
        values: dict[str, tuple[str | int, ...]] = {
            "undo": (most * ENTRY, entry), "step": ("find", "1"), "progress": (1, 2),
        }  # fmt: skip
        expected = self.model.record(run_id, node, fence, what, most)
        try:
            answers = {self.ledger.record(run_id, node, fence, what, *values[what]) for _ in range(2)}
        except LostOwnership:
            agree(None, expected, "the owner of a run")
            return
        agree(answers, {"ok" if expected else "full"}, what)

    def beat(self, node: str, new: bool = False) -> bool:
        """A node renews its lease; whether it still has one."""
        tasks = "other" if node == STRANGER else "task"
        expected = self.model.heartbeat(node, new, tasks == "task")
        rows = self.ledger.heartbeat(node, {"kind": "worker", "tasks": json.dumps([tasks])} if new else None)
        fences = None if rows is None else {run_id: fence for run_id, (fence, _) in rows.items()}
        agree(fences, expected, f"the rows of {node}")
        return rows is not None

    def reap(self, most: int) -> None:
        """Upkeep takes back what dead nodes had."""
        self.model.reap(most)
        self.ledger.reap(most)

    def prove(self, node: str, spare: int) -> None:
        """A neighbour has seen a node dead, and its children but for some."""
        gone = dict(sorted(self.ledger.held(node).items())[spare:])
        self.model.reap(500, node, gone)
        self.ledger.reap_proved(node, "host", "seen to be dead", gone)

    def promote(self, most: int) -> None:
        """What is due becomes ready."""
        self.model.promote(most)
        self.ledger.promote(most)

    def ring(self, most: int) -> None:
        """Messages that are gone are sent again."""
        expected = self.model.ring(most)
        agree(list(self.ledger.ring(most).messages), expected, "what only kombu can send")

    def prune(self, _most: int) -> None:
        """What Redis has dropped is forgotten."""
        expected = self.model.prune()
        agree(self.ledger.prune(), expected, "prune")

    def links(self, most: int) -> None:
        """Links that nobody confirmed are sent, the first of them with success."""
        expected = self.model.links_due(most)
        agree(self.ledger.links_due(most), expected, "links")
        for run_id in expected[:1]:
            self.ledger.links_done(run_id)
            del self.model.links[run_id]

    def alerts(self, most: int) -> None:
        """What was to be told is told."""
        found = self.ledger.store.call("outbox", "claim", "alert", most, 1000)
        agree([json.loads(item).get("run", "") for item in found[1::2]], self.model.told(most), "alerts")
        for item in found[::2]:
            self.ledger.store.call("outbox", "sent", "alert", item)

    def nudge(self, run_id: str) -> None:
        """A message went down with a child before it began."""
        self.model.nudge(run_id)
        self.ledger.nudge(run_id)

    def fill(self, full: bool) -> None:
        """Redis comes near its memory limit, or has room again."""
        self.model.set_full(full)
        self.ledger.set_full(full)

    def hold(self, age: int | None) -> None:
        """The broker's list is empty, or begins with a message of some age in milliseconds."""
        self.client.delete(self.list)
        self.model.list.clear()
        if age is not None:
            stamp = self.model.now - age
            self.model.list.append((stamp, json.dumps({"headers": {"anp_rung": stamp}})))
            self.client.rpush(self.list, self.model.list[0][1])

    def go(self, milliseconds: int) -> None:
        """Move the clock; Redis drops by itself what has come to its end."""
        self.look()
        self.model.pass_time(milliseconds)
        self.client.set(CLOCK, self.model.now // 1000)
        over = [name for name, end in self.ends.items() if end <= self.model.now]
        if over:
            self.client.delete(*(f"{self.prefix}:{name}" for name in over))

    def look(self) -> Look:
        """Look at everything. Redis' own clock cannot be moved, so that the end of each key is kept here instead."""
        look = Look.at(self.client, f"{self.prefix}:", self.model.now)
        self.ends = {name: end for name, end in self.ends.items() if look.ttl.get(name, -1) >= 0}
        for name, ttl in look.ttl.items():
            if 0 <= ttl < AGES // 2:
                self.ends[name] = self.model.now + -(-ttl // 10_000) * 10_000
                self.client.pexpire(f"{self.prefix}:{name}", AGES)
        return look

    def check(self) -> None:
        """Redis holds what the model says, and no promise is broken."""
        look = self.look()
        look.check()
        model = self.model
        agree(sorted(look.rows), sorted(model.rows), "the rows")
        for run_id, row in model.rows.items():
            agree(seen(look.rows[run_id]), known(row), run_id)
            self._check_kept(look, row)
        standing = list(reversed(look.values.get("list", [])))
        agree(standing, [text for _, text in model.list], "what stands on the broker's list")
        agree(look.members("locks"), model.locks, "locks")
        waiters = {lock: list(held) for lock, held in look.named("ledger:waiters:")}
        agree(waiters, {lock: held for lock, held in model.waiters.items() if held}, "who waits for locks")
        agree(look.members("cursors"), model.cursors, "cursors")
        agree("ledger:full" in look.values, model.full, "whether it is full")
        agree(look.members("links"), {i: str(when) for i, when in model.links.items()}, "links")
        agree({name: int(count) for name, count in look.members("counts").items()}, dict(model.counts), "counts")
        agree(look.members("nodes"), {name: str(node.end) for name, node in model.nodes.items()}, "leases")
        agree(look.members("parked"), {i: str(since) for i, since in model.parked.items()}, "parked")
        agree(dict(look.named("ledger:unique:task:")), {key: i for key, (i, _) in model.unique.items()}, "unique")
        agree(look.members("runs").keys(), model.rows.keys() | model.dropped.keys(), "the list of rows")
        kept = look.members("results")
        agree(
            {key.rpartition(":")[2] for key in kept} & dict(look.named("meta:")).keys(), set(model.results), "results"
        )
        told = {run_id for run_id, _ in look.named("meta:")} - model.results.keys()
        assert told <= model.rows.keys(), f"Celery's record of {told - model.rows.keys()} has outlived its row"
        ended = {task: {run_id: str(at) for run_id, at in held.items()} for task, held in model.ended.items() if held}
        agree({task: dict(held) for task, held in look.named("ledger:ended:")}, ended, "ended rows of tasks")

    def _check_kept(self, look: Look, row: Row) -> None:
        run_id = row.new.run_id
        undo, steps = look.values.get(f"ledger:undo:{run_id}", []), look.members(f"steps:{run_id}")
        outcomes = [json.loads(entry).get("outcome", "") for entry in undo]
        agree((outcomes, len(steps)), (row.undo, row.steps), f"undo entries and steps of {run_id}")
        meta = look.values.get(f"meta:{run_id}")
        agree(json.loads(meta)["status"] if meta else "", row.celery, f"what Celery was told of {run_id}, {row.state}")
        if row.state in FINAL:
            agree(self.ends.get(f"ledger:run:{run_id}", math.inf), row.goes, f"the end of the row of {run_id}")


def _handle_one(undo: UndoLog, outcome: str) -> None:
    """What a hook does with one entry; going on to the next one records it."""
    entries = iter(undo)
    entry = next(entries, None)
    if entry and outcome == "failed":
        undo.failed(RuntimeError("as asked"))
        return
    if entry and outcome == "skipped":
        entry.skip("as asked")
    next(entries, None)


def agree(redis: object, model: object, what: str) -> None:
    """Say both sides when they differ.

    Raises:
        AssertionError: they do.
    """
    assert redis == model, f"{what}: Redis says {redis!r}, the model {model!r}"


def seen(row: dict[str, str]) -> dict[str, Any]:
    """What Redis says of a run."""
    return {
        "state": row["state"], "at": row["at"], "node": row.get("node", "") if row["at"] == "node" else "",
        "fence": int(row.get("fence") or 0), "attempts": int(row["attempts"]), "losses": int(row.get("losses") or 0),
        "cancel": row.get("cancel", ""), "deadline": int(row.get("deadline") or 0),
    }  # fmt: skip


def known(row: Row) -> dict[str, Any]:
    """What the model says of it."""
    return {
        "state": row.state, "at": row.at, "node": row.node if row.at == "node" else "", "fence": row.fence,
        "attempts": row.attempts, "losses": row.losses, "cancel": row.cancel, "deadline": row.deadline,
    }  # fmt: skip
