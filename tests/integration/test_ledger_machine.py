"""Anything that may happen to the ledger, in any order, against a model of it.

Hypothesis drives the real scripts on a real Redis through plans, attempts, losses, operators' wishes and clocks that
jump. After each step the answer, every row, every lock and every index must be what the model says, and what is
promised in `tests.support.ledger_look` must hold. `LEDGER_MACHINE=long` searches for some minutes.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from celery_anp.errors import LedgerFull, Refused, UnknownName
from celery_anp.reliability.records import Decision
from celery_anp.reliability.run import FINAL
from celery_anp.reliability.store import connect
from tests.support.ledger_model import RETRIED
from tests.support.ledger_pair import LEASE, STRANGER, Pair

QUICK = settings(
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,  # one shortest story at a time; several take minutes to shrink
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
LONG = settings(QUICK, max_examples=1000, stateful_step_count=80)

IDS = st.sampled_from("abcdef")
NODES = st.sampled_from(["n1", "n2", STRANGER])
#: Counts back from the newest: 0 is the latest attempt, delivery or row.
BACK = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 5, 8])
UPKEEP = st.sampled_from(["promote", "reap", "ring", "prune", "links", "alerts"])
MOST = st.sampled_from([500, 500, 1])
HOW = st.integers(0, 9)
DELAYS = st.sampled_from([0, 3_000, 60_000])
#: How an attempt ends: outcome, pause before the next, whether it says so to Celery, whether it was cancelled before.
ENDS = st.tuples(HOW, DELAYS, st.booleans(), st.sampled_from([False, False, True]))
SHAPES = st.fixed_dictionaries(
    {
        "lock": st.sampled_from(["l", "l", "m", ""]),
        "overlap": st.sampled_from(["buffer_all", "skip", "buffer_one", "cancel_other", "allow_all"]),
        "limit": st.sampled_from([1000, 1, 2]),
        "hook": st.booleans(),
        "linked": st.booleans(),
        "sender": st.sampled_from(["script", "script", "kombu", "planner"]),
    }
)


class Machine(Pair, RuleBasedStateMachine):
    """The ledger and its model, side by side."""

    redis: Redis

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        Pair.__init__(self, self.redis)
        self.requests: list[tuple[str, str, str]] = []
        self.born = 0

    def teardown(self) -> None:
        """Leave nothing for the next example."""
        self.clear()

    # -- planning -----------------------------------------------------------------------------------------

    @rule(
        run_id=IDS,
        shape=SHAPES,
        late=st.sampled_from([0, 0, 2_000, 4_000, 30_000]),
        wait=st.sampled_from([None, None, None, 0, 3_000, 20_000]),
        digest=st.sampled_from(["", "", "1", "2"]),
        unique=st.sampled_from([0, 0, 0, 30_000]),
        unguarded=st.sampled_from([False] * 4 + [True]),
    )
    def plan(
        self, run_id: str, shape: dict[str, Any], late: int, wait: int | None, digest: str, unique: int, unguarded: bool
    ) -> None:
        """A run by hand, perhaps of an id or an input that is known."""
        deadline = self.model.now + late if late else 0
        fields = shape | {"digest": digest, "unique_for": unique if digest else 0}
        if unguarded:
            fields |= {"unguarded": True, "hook": False}
        self.planned(self.new(run_id, **fields, deadline=deadline, delay=wait))

    @rule(
        name=st.sampled_from(["s", "t"]),
        shape=SHAPES,
        count=st.integers(1, 3),
        back=st.integers(0, 2),
        late=st.sampled_from([0, 2_000, 4_000]),
        ends=st.sampled_from(["", "", "", "skipped"]),
    )
    def decide(self, name: str, shape: dict[str, Any], count: int, back: int, late: int, ends: str) -> None:
        """A beat decides the next ticks; `back`: from a cursor that it saw some time ago."""
        cursor = int(self.model.cursors.get(name, "0"))
        seen = max(0, cursor - back)
        deadline = self.model.now + late if late else 0
        ticks = range(seen + 1, seen + 1 + count)
        runs = tuple(
            self.new(f"{name}@{n}", schedule=name, tick=n, deadline=deadline, ends=ends, **shape) for n in ticks
        )
        decision = Decision(name, str(seen) if seen else "", str(seen + count), runs)
        expected = self.model.decide(decision)
        if expected is None:
            with pytest.raises(LedgerFull):
                self.ledger.decide([decision])
            return
        moved, at, plans = expected
        decided = self.ledger.decide([decision])
        assert (decided[0].moved, decided[0].cursor) == (moved, at)
        found = [(plan.run_id, plan.state, plan.stamp) for plan in decided[0].planned]
        assert found == [(run_id, state, stamp) for run_id, _, state, stamp in plans]

    @rule(name=st.sampled_from(["s", "t"]), shape=SHAPES, tick=st.integers(1, 12))
    def backfill(self, name: str, shape: dict[str, Any], tick: int) -> None:
        """One tick of a schedule by hand, perhaps an old one."""
        self.planned(self.new(f"{name}@{tick}", schedule=name, tick=tick, **shape))

    # -- attempts -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.queued())
    @rule(which=BACK, node=NODES)
    def begin_one(self, which: int, node: str) -> None:
        """A living node gets a message of a run that waits for it."""
        waiting = self.queued()
        self.beat(node, new=True)
        self.deliver(waiting[which % len(waiting)], node)

    @precondition(lambda self: self.queued())
    @rule(which=BACK, node=NODES, ends=st.lists(ENDS, min_size=1, max_size=4), retried=st.booleans())
    def live(self, which: int, node: str, ends: list[tuple[int, int, bool, bool]], retried: bool) -> None:
        """A run lives on, attempt by attempt; an operator may cancel one, or have it tried again when it ended."""
        waiting = self.queued()
        run_id = waiting[which % len(waiting)]
        for how, delay, meta, cancelled in ends:
            self.beat(node, new=True)
            if self.deliver(run_id, node):
                attempt = self.attempts[-1]
                self.write(*attempt[:3], "step", 1)
                self.write(*attempt[:3], "undo", 1)
                if cancelled:
                    self.operate(run_id, "cancel")
                self.finish(attempt, how, delay, meta)
                self.promote(500)
                if retried:
                    self.operate(run_id, "retry")

    @precondition(lambda self: self.queued())
    @rule(
        which=BACK, node=NODES, apart=st.booleans(), wait=st.sampled_from([0, 3_000]), shape=SHAPES,
        then=st.sampled_from(["goes on", "goes on", "fails", "is cancelled", "as one that is not guarded"]),
    )  # fmt: skip
    def replace(self, which: int, node: str, apart: bool, wait: int, shape: dict[str, Any], then: str) -> None:
        """A body puts something in its place, of which the run hears at once or later."""
        waiting = self.queued()
        run_id = waiting[which % len(waiting)]
        self.beat(node, new=True)
        if self.deliver(run_id, node):
            attempt = self.attempts[-1]
            self.write(*attempt[:3], "step", 1)
            self.finish(attempt, 9 if apart else 8, 0, meta=False)
        self.go(wait)
        if then == "goes on":
            self.planned(self.new(run_id, **shape, delay=wait))
        elif then == "fails":
            self.give_up(run_id)
        elif then == "is cancelled":
            self.operate(run_id, "cancel")
        else:
            self.planned(self.new(run_id, unguarded=True))
            self.model.sent([run_id])
            self.ledger.sent([run_id])

    @precondition(lambda self: self.queued())
    @rule(which=BACK, node=NODES, hooks=st.lists(HOW, min_size=1, max_size=3))
    def fail_and_roll_back(self, which: int, node: str, hooks: list[int]) -> None:
        """A run records two effects and fails; its hook, where it has one, is tried until it is done."""
        waiting = self.queued()
        run_id = waiting[which % len(waiting)]
        for how in (1, *hooks):
            self.beat(node, new=True)
            begun = self.deliver(run_id, node)
            if begun:
                attempt = self.attempts[-1]
                for _ in range(2 if begun.kind == "run" else 0):
                    self.write(*attempt[:3], "undo", 8)
                self.finish(attempt, how, 0, meta=True)
                self.promote(500)

    @rule(node=NODES)
    def begin_all(self, node: str) -> None:
        """A living node takes all messages there are."""
        self.beat(node, new=True)
        for run_id in self.queued():
            self.deliver(run_id, node)

    @rule(run_id=IDS, node=NODES, came=st.sampled_from(["own", "like", "other"]))
    def begin_any(self, run_id: str, node: str, came: Any) -> None:
        """A message that may be late, doubled, forged, or of no run at all, on a node that may be dead."""
        self.deliver(run_id, node, came)

    @precondition(lambda self: self.deliveries)
    @rule(back=BACK)
    def begin_again(self, back: int) -> None:
        """The answer to a begin was lost, and it is sent again, perhaps much later."""
        self.begin(*self.deliveries[-1 - back % len(self.deliveries)])

    @precondition(lambda self: self.attempts)
    @rule(back=BACK, how=HOW, delay=DELAYS, meta=st.booleans())
    def end(self, back: int, how: int, delay: int, meta: bool) -> None:
        """An attempt ends, perhaps one that ended before or was given up."""
        self.finish(self.attempt(back), how, delay, meta)

    @precondition(lambda self: self.overtaken())
    @rule(back=BACK, what=st.sampled_from(["end", "lose", "undo", "step"]), how=HOW)
    def come_too_late(self, back: int, what: str, how: int) -> None:
        """A process wakes up while another attempt has its run."""
        late = self.overtaken()
        attempt = late[-1 - back % len(late)]
        if what == "end":
            self.finish(attempt, how, 0, meta=True)
        elif what == "lose":
            self.tell_loss(*attempt[:3], "child")
        else:
            self.write(*attempt[:3], what, 2)

    @precondition(lambda self: self.attempts)
    @rule(back=BACK, node=NODES, off=st.sampled_from([0, 0, 1, -1]))
    def settle_for_another(self, back: int, node: str, off: int) -> None:
        """Somebody settles what is not theirs."""
        run_id, _, fence, _ = self.attempt(back)
        if (run_id, node, fence + off) not in {attempt[:3] for attempt in self.attempts}:
            self.settle(run_id, node, fence + off, "succeeded", 0, meta=True)

    @precondition(lambda self: self.attempts)
    @rule(back=BACK, kind=st.sampled_from(["child", "child", "idle", "fenced", "shutdown"]))
    def lose(self, back: int, kind: Any) -> None:
        """A node tells of a loss, perhaps of an attempt that is over."""
        self.tell_loss(*self.attempt(back)[:3], kind)

    @precondition(lambda self: self.queued())
    @rule(which=BACK, node=NODES, times=st.integers(1, 3))
    def lose_often(self, which: int, node: str, times: int) -> None:
        """A run takes down its child again and again."""
        waiting = self.queued()
        for _ in range(times):
            self.beat(node, new=True)
            begun = self.deliver(waiting[which % len(waiting)], node)
            if begun:
                self.tell_loss(*self.attempts[-1][:3], "child")

    @precondition(lambda self: self.attempts)
    @rule(back=BACK, what=st.sampled_from(["undo", "step", "progress"]), most=st.integers(1, 2))
    def record(self, back: int, what: str, most: int) -> None:
        """A body records something, perhaps one that lost its run."""
        self.write(*self.attempt(back)[:3], what, most)

    @precondition(lambda self: self.attempts)
    @rule(back=BACK, outcomes=st.lists(st.sampled_from(["undone", "skipped", "failed"]), min_size=1, max_size=3))
    def handle_entries(self, back: int, outcomes: list[str]) -> None:
        """A hook handles some undo entries, perhaps one that lost its run."""
        attempt = self.attempt(back)
        for outcome in outcomes:
            self.handle(attempt, outcome)

    # -- nodes and upkeep ---------------------------------------------------------------------------------

    @initialize()
    def begin_with_nodes(self) -> None:
        """Two nodes are there, one of which does not know the task."""
        for node in ("n1", STRANGER):
            self.beat(node, new=True)

    @rule(node=NODES, new=st.booleans())
    def heartbeat(self, node: str, new: bool) -> None:
        """A node renews its lease or registers."""
        self.beat(node, new)

    @rule(node=NODES, times=st.integers(1, 3))
    def leave(self, node: str, times: int) -> None:
        """A node takes all messages and leaves in order, and so does what comes after it."""
        for _ in range(times):
            self.begin_all(node)
            self.goodbye(node)

    @rule(node=NODES)
    def goodbye(self, node: str) -> None:
        """A node leaves in order."""
        self.model.goodbye(node)
        self.ledger.goodbye(node, "shut down")

    @rule(node=NODES, times=st.integers(1, 3), most=MOST)
    def die(self, node: str, times: int, most: int) -> None:
        """A node takes all messages and dies, and so does what comes after it."""
        for _ in range(times):
            self.begin_all(node)
            self.fall_silent({node}, most)

    @rule(node=NODES, times=st.integers(1, 3), spare=st.sampled_from([0, 0, 1]))
    def is_seen_to_be_dead(self, node: str, times: int, spare: int) -> None:
        """A node takes all messages and dies before its neighbour's eyes, and so does what comes after it."""
        for _ in range(times):
            self.begin_all(node)
            self.prove(node, spare)

    @rule(silent=st.sets(NODES, min_size=1, max_size=2), most=MOST)
    def fall_silent(self, silent: set[str], most: int) -> None:
        """Some nodes are not heard of for more than a lease; the others go on."""
        for _ in range(LEASE // 3_000 + 2):
            self.go(3_000)
            for node in sorted(self.model.nodes.keys() - silent):
                self.beat(node)
            self.reap(most)

    @rule(what=UPKEEP, most=MOST)
    def upkeep(self, what: str, most: int) -> None:
        """A part of upkeep, by any beat or worker."""
        getattr(self, what)(most)

    @rule(age=st.sampled_from([None, None, 0, 20_000]), times=st.integers(1, 3))
    def ring_for_a_while(self, age: int | None, times: int) -> None:
        """Upkeep goes on while nobody takes a message."""
        self.broker(age)
        for _ in range(times):
            self.go(6_000)
            self.ring(500)

    @rule(age=st.sampled_from([None, None, -5_000, 0, 5_000]))
    def broker(self, age: int | None) -> None:
        """The broker's list is empty, or begins with a message of some age."""
        self.hold(age)

    @precondition(lambda self: self.queued())
    @rule(which=BACK, known=st.booleans())
    def deliver_elsewhere(self, which: int, known: bool) -> None:
        """A message is out; and it comes to a node that does not know its task."""
        waiting = self.queued()
        run_id = waiting[which % len(waiting)]
        self.model.sent([run_id])
        self.ledger.sent([run_id])
        if not known:
            expected = self.model.park_unknown(run_id)
            assert self.ledger.park(run_id) == expected

    @precondition(lambda self: self.queued())
    @rule(which=BACK, age=st.sampled_from([None, 0, 5_000]))
    def lose_message(self, which: int, age: int | None) -> None:
        """A child dies with a message that it had not begun, while the broker's list may hold others."""
        waiting = self.queued()
        self.broker(age)
        self.nudge(waiting[which % len(waiting)])
        self.ring(500)

    @rule(run_id=IDS)
    def nudge_any(self, run_id: str) -> None:
        """A child died with a message whose run may have gone on since."""
        self.nudge(run_id)

    @rule(run_id=IDS, name=st.sampled_from(["s", "t"]), shape=SHAPES, what=UPKEEP)
    def plan_while_full(self, run_id: str, name: str, shape: dict[str, Any], what: str) -> None:
        """Redis is near its memory limit for a moment: nothing is planned, what is there goes on."""
        self.fill(True)
        self.planned(self.new(run_id, **shape))
        self.decide(name, shape, 1, 0, 0, "")
        if self.attempts:
            self.finish(self.attempt(0), 0, 0, meta=True)
        self.upkeep(what, 500)
        self.fill(False)

    # -- time and operators -------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 3, 6, 10, 60, 700, 2_000, -1, -20]), then=UPKEEP, most=MOST)
    def pass_time(self, seconds: int, then: str, most: int) -> None:
        """The clock moves, perhaps backwards, before upkeep gets to it."""
        self.go(seconds * 1000)
        self.upkeep(then, most)

    @precondition(lambda self: any(row.state not in FINAL for row in self.model.rows.values()))
    @rule(which=BACK, what=st.sampled_from(["cancel", "cancel", "retry", "rollback"]))
    def operate_on_the_living(self, which: int, what: Any) -> None:
        """An operator asks for something of a run that is not finished, those that are running first."""
        living = [(row.at != "node", i) for i, row in self.model.rows.items() if row.state not in FINAL]
        self.operate(sorted(living)[which % len(living)][1], what)

    @rule(run_id=IDS, what=st.sampled_from(["retry", "rollback", "cancel", "resolve"]))
    def operate(self, run_id: str, what: Any) -> None:
        """An operator asks for something, wise or not."""
        word, state = self.model.operate(run_id, what)
        try:
            run = self.ledger.operate(run_id, what, "ann")
        except UnknownName:
            assert word == "gone"
        except Refused:
            assert word == "refused"
        else:
            assert (word, run.state) == ("ok", state)

    @rule(run_id=IDS, what=st.sampled_from(["retry", "rollback", "cancel", "resolve"]), back=BACK, again=st.booleans())
    def operate_again(self, run_id: str, what: str, back: int, again: bool) -> None:
        """The answer to an operator was lost, and the request is sent again, perhaps much later."""
        if not (again and self.requests):
            back = 0
            self.requests.append((run_id, what, f"request{len(self.requests)}x"))
        run_id, what, token = self.requests[-1 - back % len(self.requests)]
        for _ in range(2):
            word, state = self.model.operate(run_id, what, token)
            answer = self.ledger.store.call("operate", run_id, what, "ann", "", token)
            assert answer == [word, state]

    @precondition(lambda self: any(self.model.final()))
    @rule(which=BACK, what=st.sampled_from(["retry", "rollback", "resolve"]))
    def operate_on_the_ended(self, which: int, what: Any) -> None:
        """An operator asks for something of a finished run, those that have begun first."""
        ended = sorted((not row.attempts, row.new.run_id) for row in self.model.final())
        self.operate(ended[which % len(ended)][1], what)

    def begun_before(self) -> list[str]:
        """Finished runs with a lock that have begun and could be tried again."""
        ended = (row for row in self.model.final() if row.attempts and row.locks and row.state in RETRIED)
        return sorted(row.new.run_id for row in ended)

    @precondition(lambda self: self.begun_before())
    @rule(which=BACK, then=st.sampled_from(["cancel", "supersede", "wait"]))
    def line_up(self, which: int, then: str) -> None:
        """A run is tried again while another has its lock, and meanwhile it is cancelled, or a newer one comes."""
        self.born += 1
        ended = self.begun_before()
        run_id = ended[which % len(ended)]
        lock = self.model.rows[run_id].lock
        self.planned(self.new(f"other-{self.born}", lock=lock))
        self.operate(run_id, "retry")
        if then == "cancel":
            self.operate(run_id, "cancel")
        elif then == "supersede":
            self.planned(self.new(f"newer-{self.born}", lock=lock, overlap="cancel_other"))

    @rule()
    def all_ends(self) -> None:
        """Every message is lost, the nodes die, and one node and upkeep remain: every run comes to an end."""
        self.born += 1
        node = f"last-{self.born}"
        self.broker(None)
        self.beat(node, new=True)
        for _ in range(60):
            if all(row.state in FINAL - {"rollback_failed"} for row in self.model.rows.values()):
                return
            self.go(3_000)
            self.beat(node)
            for upkeep in (self.reap, self.promote, self.ring):
                upkeep(500)
            self._work(node)
        raise AssertionError(f"these never end: {[r for r in self.model.rows.values() if r.state not in FINAL]}")

    def _work(self, node: str) -> None:
        for run_id in self.queued():
            begun = self.deliver(run_id, node)
            if begun:
                self.finish(self.attempts[-1], 0, 0, meta=True)
        for row in [row for row in self.model.rows.values() if row.replaced]:
            self.planned(self.new(row.new.run_id))
        for row in list(self.model.final()):
            if row.state == "rollback_failed":
                self.operate(row.new.run_id, "resolve")

    @invariant()
    def redis_holds_what_the_model_says(self) -> None:
        """Everything, after each step."""
        self.check()


@pytest.mark.timeout(3600 if os.environ.get("LEDGER_MACHINE") == "long" else 600)
@pytest.mark.parametrize("examples", [50, pytest.param(100, marks=pytest.mark.long)])
def test_the_scripts_do_what_the_model_says_whatever_happens(redis: Redis, examples: int) -> None:
    Machine.redis = connect(os.environ["ANP_REDIS_URL"])
    quick = settings(QUICK, max_examples=examples)
    profile = LONG if os.environ.get("LEDGER_MACHINE") == "long" else quick
    run_state_machine_as_test(Machine, settings=profile)


def test_a_run_with_a_hook_that_is_cancelled_while_it_is_replaced_still_has_its_links_sent(redis: Redis) -> None:
    Machine.redis = connect(os.environ["ANP_REDIS_URL"])
    machine = Machine()
    machine.beat("n1", new=True)
    machine.planned(machine.new("a", hook=True, linked=True))
    machine.deliver("a", "n1")
    machine.finish(machine.attempts[-1], 8, 0, meta=False)
    machine.operate("a", "cancel")
    machine.check()
    assert set(machine.model.links) == {"a"}
    machine.teardown()
