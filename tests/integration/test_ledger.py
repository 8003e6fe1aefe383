"""The ledger's scripts, one promise at a time, on a real Redis."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from redis import Connection, Redis
from redis.exceptions import ConnectionError

from celery_anp.errors import KeyConflict, LedgerFull, LostOwnership, Refused, UnknownName
from celery_anp.execution import children
from celery_anp.node.reconcile import Reconciler
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.records import Decision, Keeping
from tests.support.moved import NODE, Moved, begin, new, sent, settle, state, undone
from worker.app import app


def test_a_run_planned_twice_is_one_row(ledger: Moved) -> None:
    first = ledger.plan([new("a")])
    again = ledger.plan([replace(new("a"), task="other")])
    assert (first[0].created, again[0].created) == (True, False)
    assert sent(ledger) == ["a"]
    assert ledger.run("a").task == "task"


def test_a_key_with_another_input_is_refused(ledger: Moved) -> None:
    ledger.plan([new("a", digest="1")])
    ledger.plan([new("a", digest="1")])
    with pytest.raises(KeyConflict):
        ledger.plan([new("a", digest="2")])


def test_a_succeeded_run_is_never_entered_again(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    settle(ledger, "a")
    assert ledger.begin("a", NODE, "child", "another", "a", "") == "succeeded"


def test_a_begin_is_answered_the_same_when_it_is_sent_again(ledger: Moved) -> None:
    ledger.plan([new("a")])
    first = begin(ledger, "a", "t")
    assert begin(ledger, "a", "t") == first
    assert ledger.begin("a", NODE, "child", "u", "a", "") == "running"
    assert ledger.run("a").attempts == 1


def test_a_settle_is_answered_the_same_when_it_is_sent_again(ledger: Moved) -> None:
    ledger.plan([new("a")])
    fence = begin(ledger, "a").fence
    answers = [ledger.settle("a", NODE, fence, "succeeded", result="1") for _ in range(3)]
    assert answers == ["succeeded"] * 3
    assert ledger.counts() == {("task", "succeeded"): 1}


def test_a_node_without_a_lease_begins_nothing(ledger: Moved) -> None:
    ledger.plan([new("a")])
    assert ledger.begin("a", "stranger", "child", "t", "a", "") == "lease"
    ledger.go(11)
    assert ledger.begin("a", NODE, "child", "t", "a", "") == "lease"


def test_a_dead_nodes_run_goes_back_and_its_late_settle_is_refused(ledger: Moved) -> None:
    ledger.plan([new("a")])
    late = begin(ledger, "a").fence
    for _ in range(4):  # somebody else keeps upkeep going: no silence of Redis
        ledger.go(3)
        sent(ledger)
        ledger.reap()
    assert sent(ledger) == ["a"]
    ledger.heartbeat("node-2", {"kind": "worker"})
    fence = begin(ledger, "a", node="node-2").fence
    assert fence > late
    with pytest.raises(LostOwnership):
        ledger.settle("a", NODE, late, "succeeded")
    assert ledger.settle("a", "node-2", fence, "succeeded") == "succeeded"


def test_a_death_that_is_proved_gives_back_the_runs_of_dead_children_only(ledger: Moved) -> None:
    ledger.plan([new("a"), new("b"), new("c")])
    for run_id in "ab":
        begin(ledger, run_id, f"t {run_id}", child=f"child of {run_id}")
    sent(ledger)
    held = ledger.held(NODE)
    ledger.reap_proved(NODE, "here", "pid 7 is gone", {"a": held["a"], "b": "1|another child", "c": "1|nobody"})
    assert [state(ledger, run_id) for run_id in "abc"] == ["queued", "running", "queued"]
    assert (ledger.run("a").reason, ledger.run("a").losses, sent(ledger)) == ("pid 7 is gone", 1, ["a"])
    assert settle(ledger, "b") == "succeeded", "its child lives, and may end its run"
    ledger.reap_proved(NODE, "here", "pid 7 is gone", {})
    assert ledger.store.read("zcard", ledger.store.key("nodes")) == 0
    assert ledger.heartbeat(NODE) is None
    assert ledger.begin("c", NODE, "child", "t", "c", "") == "lease"


def test_a_child_that_outlives_its_proved_node_has_its_run_until_the_lease_is_over(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    ledger.reap_proved(NODE, "here", "pid 7 is gone", {})
    for seconds, after in ((9, "running"), (2, "queued")):
        for _ in range(seconds):
            ledger.go(1)
            ledger.reap()
        assert state(ledger, "a") == after


def test_after_a_silence_of_redis_a_proof_is_one(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    ledger.go(60)
    ledger.reap_proved(NODE, "here", "pid 7 is gone", ledger.held(NODE))
    assert state(ledger, "a") == "queued"


def test_a_host_knows_its_nodes_until_they_leave(ledger: Moved) -> None:
    for node in ("left", "died", "lost", "seen"):
        ledger.heartbeat(node, {"kind": "beat", "host": "here", "place": f"place of {node}"})
    ledger.heartbeat("nowhere", {"kind": "beat", "host": "here", "place": ""})
    assert ledger.reap(host="here").keys() == {"left", "died", "lost", "seen"}
    assert ledger.reap(host="elsewhere") == ledger.reap() == {}
    ledger.goodbye("left", "")
    ledger.store.client.delete(ledger.store.key("node:lost"))  # as a failover that loses writes does
    ledger.store.client.zrem(ledger.store.key("nodes"), "lost")
    for node in ("lost", "seen"):
        ledger.reap_proved(node, "here", "pid 7 is gone", {})
    assert ledger.reap(host="here") == {"died": "place of died"}
    assert ledger.store.client.exists(ledger.store.key("node:lost")) == 0
    for _ in range(4):
        ledger.go(3)
        ledger.reap()
    assert ledger.reap(host="here") == {}


def test_a_node_marked_dead_is_never_renewed(ledger: Moved) -> None:
    for _ in range(4):
        ledger.go(3)
        ledger.reap()
    assert ledger.heartbeat(NODE) is None


def test_nobody_is_reaped_after_a_silence_of_redis(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    ledger.go(60)
    sent(ledger)
    ledger.reap()
    assert sent(ledger) == []
    assert state(ledger, "a") == "running"
    assert ledger.heartbeat(NODE) is not None


def test_a_lock_is_taken_when_the_run_is_due_and_a_tick_is_skipped_meanwhile(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l", overlap="skip")])
    planned = ledger.plan([new("b", lock="l", overlap="skip")])
    assert planned[0].state == "skipped"
    assert "held by a" in planned[0].reason
    begin(ledger, "a")
    settle(ledger, "a")
    assert ledger.plan([new("c", lock="l", overlap="skip")])[0].state == "queued"


def test_a_lock_is_handed_to_the_first_waiter_by_the_settle_that_frees_it(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l"), new("b", lock="l"), new("c", lock="l")])
    assert [state(ledger, x) for x in "abc"] == ["queued", "blocked", "blocked"]
    fence = begin(ledger, "a").fence
    sent(ledger)
    ledger.settle("a", NODE, fence, "succeeded")
    assert sent(ledger) == ["b"]
    assert ledger.locks() == {"l": "b"}


def test_a_lock_stays_with_its_run_through_loss_and_backoff(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l"), new("b", lock="l")])
    fence = begin(ledger, "a").fence
    ledger.settle("a", NODE, fence, "retry", delay=5000)
    assert ledger.locks() == {"l": "a"}
    ledger.go(6)
    ledger.heartbeat(NODE)
    ledger.promote()
    fence = begin(ledger, "a", "t2").fence
    ledger.lose("a", NODE, fence, "child", "gone")
    assert ledger.locks() == {"l": "a"}
    assert state(ledger, "b") == "blocked"


def test_buffer_one_keeps_one_waiter_and_skips_the_newest(ledger: Moved) -> None:
    planned = ledger.plan([new(x, lock="l", overlap="buffer_one") for x in "abc"])
    assert [p.state for p in planned] == ["queued", "blocked", "skipped"]


def test_buffer_all_keeps_waiters_up_to_its_limit(ledger: Moved) -> None:
    planned = ledger.plan([new(x, lock="l", overlap="buffer_all", limit=2) for x in "abcd"])
    assert [p.state for p in planned] == ["queued", "blocked", "blocked", "skipped"]


def test_cancel_other_marks_the_holder_and_gets_the_lock_when_it_settled(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l")])
    fence = begin(ledger, "a").fence
    ledger.plan([new("b", lock="l"), new("c", lock="l", overlap="cancel_other")])
    assert [state(ledger, x) for x in "abc"] == ["running", "skipped", "blocked"]
    assert ledger.cancel_mark("a") == "superseded by c"
    ledger.settle("a", NODE, fence, "failed", reason="saw it")
    assert (state(ledger, "a"), state(ledger, "c")) == ("cancelled", "queued")


def test_an_earlier_settle_wins_over_a_cancel(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l")])
    begin(ledger, "a")
    ledger.plan([new("b", lock="l", overlap="cancel_other")])
    assert settle(ledger, "a") == "succeeded"


def test_a_retry_is_a_row_that_waits(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    assert settle(ledger, "a", "retry", delay=3000, reason="boom") == "delayed"
    sent(ledger)
    ledger.promote()
    assert sent(ledger) == []
    ledger.go(4)
    ledger.promote()
    assert sent(ledger) == ["a"]


def test_three_losses_quarantine_but_a_nodes_death_weighs_less(ledger: Moved) -> None:
    ledger.plan([new("a"), new("b")])
    for n in range(3):
        ledger.lose("a", NODE, begin(ledger, "a", f"t{n}").fence, "child", "gone")
    assert state(ledger, "a") == "quarantined"
    for n in range(5):
        node = f"n{n}"
        ledger.heartbeat(node, {"kind": "worker"})
        begin(ledger, "b", f"t{n}", node)
        for _ in range(5):
            ledger.go(3)
            ledger.heartbeat(NODE)
            ledger.reap()
        assert state(ledger, "b") == "queued", f"after {n + 1} deaths of a node"


def test_an_idle_child_weighs_less_than_one_that_died(ledger: Moved) -> None:
    ledger.plan([new("a")])
    reconciler = Reconciler(app, ledger, bodies=tuple, wake=lambda: None)
    for n in range(6):
        assert state(ledger, "a") == "queued", f"after {n} idle children"
        begin(ledger, "a", f"t{n}", child=children.child())
        for _ in range(2):
            reconciler.go_over(ledger.heartbeat(NODE) or {}, NODE)
    assert state(ledger, "a") == "quarantined"


def test_a_run_that_is_to_be_cancelled_is_so_however_often_it_was_lost(ledger: Moved) -> None:
    ledger.plan([new("a")])
    for n in range(2):
        ledger.lose("a", NODE, begin(ledger, "a", f"t{n}").fence, "child", "gone")
    fence = begin(ledger, "a", "t3").fence
    for _ in range(3):
        ledger.operate("a", "cancel", "ann")
    ledger.lose("a", NODE, fence, "child", "gone")
    told = [step.after for step in ledger.run("a").history if "cancel by ann" in step.reason]
    assert told == ["running", "cancelled"]


def test_shutdown_is_no_loss(ledger: Moved) -> None:
    ledger.plan([new("a")])
    for n in range(8):
        node = f"n{n}"
        ledger.heartbeat(node, {"kind": "worker"})
        begin(ledger, "a", f"t{n}", node)
        ledger.goodbye(node, "shut down")
    assert state(ledger, "a") == "queued"


def test_a_failed_run_with_a_hook_goes_to_rollback_and_keeps_its_lock(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l", hook=True), new("b", lock="l")])
    fence = begin(ledger, "a").fence
    ledger.record("a", NODE, fence, "undo", 1000, json.dumps({"name": "u", "data": {}, "attempt": 1}))
    assert settle(ledger, "a", "failed", reason="boom") == "rolling_back"
    assert state(ledger, "b") == "blocked"
    again = begin(ledger, "a", "t2")
    assert again.kind == "rollback"
    undone(ledger, "a")
    ledger.settle("a", NODE, again.fence, "rolled_back")
    assert (state(ledger, "a"), state(ledger, "b")) == ("rolled_back", "queued")


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_run_whose_rollback_found_nothing_to_undo_stays_what_it_was(ledger: Moved, outcome: str) -> None:
    ledger.plan([new("a", lock="l", hook=True), new("b", lock="l")])
    begin(ledger, "a")
    assert settle(ledger, "a", outcome, reason="boom") == "rolling_back"
    begin(ledger, "a", "t2")
    assert settle(ledger, "a", "rolled_back") == outcome
    assert (ledger.run("a").reason, state(ledger, "b")) == ("boom; there was nothing to undo", "queued")
    assert ledger.counts() == {("task", outcome): 1}


def test_a_success_that_an_operator_rolls_back_in_vain_stays_one_and_is_told_once(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True)])
    begin(ledger, "a")
    settle(ledger, "a", result="1")
    ledger.operate("a", "rollback", "ann")
    begin(ledger, "a", "t2")
    assert settle(ledger, "a", "rolled_back") == "succeeded"
    assert (ledger.run("a").reason, ledger.counts()) == ("there was nothing to undo", {("task", "succeeded"): 1})


def test_what_an_earlier_rollback_undid_does_not_count_for_a_later_one(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True)])
    for token, expected in (("t1", "rolled_back"), ("t2", "failed")):
        begin(ledger, "a", token)
        settle(ledger, "a", "failed")
        begin(ledger, "a", f"{token}-hook")
        if expected == "rolled_back":
            undone(ledger, "a")
        assert settle(ledger, "a", "rolled_back") == expected
        ledger.operate("a", "retry", "ann")


def test_a_failed_rollback_keeps_its_lock_until_somebody_resolves_it(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l", hook=True), new("b", lock="l")])
    begin(ledger, "a")
    settle(ledger, "a", "failed")
    begin(ledger, "a", "t2")
    assert settle(ledger, "a", "rollback_failed") == "rollback_failed"
    ledger.promote()
    assert state(ledger, "b") == "blocked"
    ledger.operate("a", "resolve", "ann", "mended by hand")
    assert (state(ledger, "a"), state(ledger, "b")) == ("rolled_back", "queued")


def test_undo_entries_have_a_limit_and_none_is_half_written(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True)])
    fence = begin(ledger, "a").fence
    entries = [json.dumps({"name": name, "data": {"text": "x" * 50}, "attempt": 1}) for name in "uv"]
    assert ledger.record("a", NODE, fence, "undo", 150, entries[0]) == "ok"
    assert ledger.record("a", NODE, fence, "undo", 150, entries[1]) == "full"
    assert len(ledger.run("a").undo) == 1


def test_an_undo_entry_that_is_sent_again_because_its_answer_was_lost_is_kept_once(
    ledger: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.plan([new("a", hook=True)])
    begun = begin(ledger, "a")
    attempt = Attempt(ledger, "a", NODE, begun.fence, 1, 0, "run", 1000, 1000)
    attempt.undo("mail", {"to": 1})
    read = Connection.read_response

    def hear_nothing(self: Any, *args: Any, **kwargs: Any) -> Any:
        read(self, *args, **kwargs)
        monkeypatch.setattr(Connection, "read_response", read)
        raise ConnectionError("the answer is lost")

    monkeypatch.setattr(Connection, "read_response", hear_nothing)
    attempt.undo("mail", {"to": 2})
    assert Connection.read_response is read
    attempt.undo("mail", {"to": 2})
    assert [entry.data["to"] for entry in ledger.run("a").undo] == [1, 2, 2]


def test_each_attempt_has_the_whole_limit_for_its_undo_entries(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True)])

    def fill(token: str) -> int:
        begun = begin(ledger, "a", token)
        for name, answer in (("u", "ok"), ("v", "full")):
            entry = json.dumps({"name": name, "data": {}, "attempt": begun.attempt})
            assert ledger.record("a", NODE, begun.fence, "undo", len(entry), entry) == answer
        return begun.fence

    ledger.settle("a", NODE, fill("first"), "retry", delay=0)
    ledger.promote()
    ledger.lose("a", NODE, fill("failed before"), "child", "gone")
    ledger.settle("a", NODE, fill("lost before"), "failed")
    ledger.settle("a", NODE, begin(ledger, "a", "hook").fence, "rolled_back")
    ledger.operate("a", "retry", "ann")
    fill("rolled back before")
    assert len(ledger.run("a").undo) == 4


def test_what_a_late_attempt_records_is_refused(ledger: Moved) -> None:
    ledger.plan([new("a")])
    late = begin(ledger, "a").fence
    ledger.lose("a", NODE, late, "child", "gone")
    begin(ledger, "a", "t2")
    for what in (("step", "s", "1"), ("progress", 1, 2), ("undo", 1000, "{}")):
        with pytest.raises(LostOwnership):
            ledger.record("a", NODE, late, *what)


def test_a_run_that_is_too_late_to_start_expires_and_one_that_began_does_not(ledger: Moved) -> None:
    deadline = 1_000_005_000
    ledger.plan([new("a", deadline=deadline), new("b", deadline=deadline)])
    begin(ledger, "b")
    settle(ledger, "b", "requeue")
    ledger.go(6)
    ledger.heartbeat(NODE)
    assert ledger.begin("a", NODE, "child", "t", "a", "") == "expired"
    assert begin(ledger, "b", "t2").attempt == 2


def test_only_its_backend_tells_celery_of_an_end_and_not_beside_a_child_that_does(ledger: Moved) -> None:
    told_by_child = {"by child": 1, "by upkeep": 0, "cancelled": 1}
    for run_id, child_tells in told_by_child.items():
        ledger.plan([new(run_id, by_backend=True, meta_key=f"meta:{run_id}")])
        begin(ledger, run_id)
        if run_id == "cancelled":
            ledger.operate(run_id, "cancel", "tests")
        settle(ledger, run_id, "failed", **({"child_tells": 1} if child_tells else {}))
    ledger.plan([new("by a script", meta_key="meta:by a script")])
    begin(ledger, "by a script")
    settle(ledger, "by a script", "failed")
    assert ledger.links_due() == ["by upkeep", "cancelled"]
    ledger.go(6)
    assert "by child" in ledger.links_due()
    assert list(ledger.store.client.keys("meta:*")) == ["meta:by a script"]


def test_a_tick_is_decided_once_from_one_cursor(ledger: Moved) -> None:
    tick = new("s@1", schedule="s", tick=1000)
    first = ledger.decide([Decision("s", "", "1000|x", (tick,))])
    assert (first[0].moved, sent(ledger)) == (False, ["s@1"])
    second = ledger.decide([Decision("s", "", "2000|x", (new("s@2", schedule="s", tick=2000),))])
    assert (second[0].moved, second[0].cursor, sent(ledger)) == (True, "1000|x", [])
    with pytest.raises(UnknownName):
        ledger.run("s@2")


def test_a_lost_message_is_rung_again_and_a_waiting_one_is_not(ledger: Moved, redis: Redis) -> None:
    ledger.plan([new("a")])
    ledger.go(6)
    ledger.ring()
    assert sent(ledger) == ["a"], "the first one, which nobody took"
    ledger.go(6)
    ledger.ring()
    ledger.ring()
    assert sent(ledger) == ["a"]


def test_a_schedule_keeps_its_newest_rows(ledger: Moved) -> None:
    kept = Moved(ledger.store, keeping=Keeping(rows=3))
    kept.decide(
        [Decision("s", "", "9|x", tuple(new(f"s@{n}", schedule="s", tick=n, ends="skipped") for n in range(9)))]
    )
    assert sorted(run.run_id for run in kept.runs(schedule="s")) == ["s@6", "s@7", "s@8"]


def test_a_row_whose_next_links_nobody_sent_outlives_the_newest_ones(ledger: Moved) -> None:
    kept = Moved(ledger.store, keeping=Keeping(rows=1))
    kept.plan([new("s@0", schedule="s", tick=0, linked=True)])
    begin(kept, "s@0")
    settle(kept, "s@0")

    def plan_skipped(first: int) -> set[str]:
        kept.plan([new(f"s@{n}", schedule="s", tick=n, ends="skipped") for n in range(first, first + 3)])
        return {run.run_id for run in kept.runs(schedule="s")}

    assert "s@0" in plan_skipped(1)
    kept.links_done("s@0")
    assert "s@0" not in plan_skipped(4)


def test_planning_is_refused_near_the_memory_limit_and_settling_is_not(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    ledger.set_full(True)
    with pytest.raises(LedgerFull):
        ledger.plan([new("b")])
    assert settle(ledger, "a") == "succeeded"


def test_an_operator_can_retry_and_roll_back_but_not_what_the_state_forbids(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True), new("b")])
    begin(ledger, "a")
    settle(ledger, "a")
    with pytest.raises(Refused):
        ledger.operate("a", "retry", "ann")
    assert ledger.operate("a", "rollback", "ann", "wrong input").state == "rolling_back"
    begin(ledger, "b")
    settle(ledger, "b", "failed")
    with pytest.raises(Refused):
        ledger.operate("b", "rollback", "ann")
    assert ledger.operate("b", "retry", "ann").state == "queued"


def test_history_tells_each_change_and_stays_small(ledger: Moved) -> None:
    ledger.plan([new("a")])
    for n in range(200):
        begin(ledger, "a", f"t{n}")
        settle(ledger, "a", "requeue", reason="again " + "x" * 50)
    history = ledger.run("a").history
    assert (history[0].before, history[0].after) == ("", "queued")
    assert history[-1].before == "running"
    assert sum(len(step.reason) for step in history) < 9000


def ask(ledger: Moved, run_id: str, what: str, token: str) -> list[Any]:
    return list(ledger.store.call("operate", run_id, what, "ann", "", token))


def test_a_replayed_request_of_an_operator_has_no_effect(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    settle(ledger, "a", "failed")
    assert ask(ledger, "a", "retry", "t1")[0] == "ok"
    begin(ledger, "a", "t2")
    settle(ledger, "a", "failed")
    assert ask(ledger, "a", "retry", "t1")[:2] == ["ok", "failed"]


def test_each_rollback_begins_with_its_losses_and_tries_at_zero(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True)])
    for attempt in range(2):
        begin(ledger, "a", f"body{attempt}")
        settle(ledger, "a", "failed")
        for n in range(2):
            ledger.lose("a", NODE, begin(ledger, "a", f"{attempt}.{n}").fence, "child", "gone")
            assert state(ledger, "a") == "rolling_back"
        fence = begin(ledger, "a", f"{attempt}.last").fence
        undone(ledger, "a")
        assert ledger.settle("a", NODE, fence, "rolled_back") == "rolled_back"
        ledger.operate("a", "retry", "ann")


def test_resolve_clears_the_finished_steps(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True)])
    ledger.record("a", NODE, begin(ledger, "a").fence, "step", "s", "1")
    settle(ledger, "a", "failed")
    begin(ledger, "a", "t2")
    settle(ledger, "a", "rollback_failed")
    ledger.operate("a", "resolve", "ann")
    assert ledger.steps("a") == {}


def test_a_run_that_never_began_has_nothing_to_roll_back(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True, deadline=1_000_005_000)])
    assert ledger.operate("a", "cancel", "ann").state == "cancelled"
    ledger.go(6)
    with pytest.raises(Refused):
        ledger.operate("a", "rollback", "ann")
    assert state(ledger, "a") == "cancelled"


def test_cancel_other_does_not_wait_for_a_holder_that_is_not_running(ledger: Moved) -> None:
    ledger.plan([new("queued", lock="l")])
    assert ledger.plan([new("b", lock="l", overlap="cancel_other")])[0].state == "queued"
    assert state(ledger, "queued") == "skipped"
    begin(ledger, "b")
    settle(ledger, "b", "retry", delay=600_000)
    assert ledger.plan([new("c", lock="l", overlap="cancel_other")])[0].state == "queued"
    assert (state(ledger, "b"), ledger.locks()) == ("cancelled", {"l": "c"})


def test_a_retry_by_hand_waits_for_its_lock_whatever_its_policy(ledger: Moved) -> None:
    for overlap in ("skip", "buffer_one", "buffer_all", "cancel_other"):
        ledger.plan([new(f"h-{overlap}", lock=overlap)])
        begin(ledger, f"h-{overlap}", overlap)
        ledger.plan([new(f"w-{overlap}", lock=overlap)])
        ledger.plan([new(f"r-{overlap}", lock=overlap, overlap=overlap, limit=1, deadline=1)])
        assert ledger.operate(f"r-{overlap}", "retry", "ann").state == "blocked", overlap


def test_a_failed_rollback_keeps_row_and_lock_for_ever(ledger: Moved) -> None:
    kept = Moved(ledger.store, ledger.lease, Keeping(rows=1))
    kept.plan([new("a", lock="l", hook=True, schedule="s", tick=1)])
    begin(kept, "a")
    settle(kept, "a", "failed")
    begin(kept, "a", "t2")
    settle(kept, "a", "rollback_failed")
    kept.plan([new(f"s@{n}", schedule="s", tick=n, ends="skipped") for n in range(2, 9)])
    assert kept.store.client.ttl(kept.row_key("a")) == -1
    assert kept.locks() == {"l": "a"}


def test_a_cancelled_run_whose_attempt_fails_is_cancelled(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    ledger.operate("a", "cancel", "ann", "not today")
    assert settle(ledger, "a", "retry", delay=1) == "cancelled"
    assert "not today" in ledger.run("a").reason


def test_a_message_that_went_down_with_its_child_is_rung_at_once(ledger: Moved) -> None:
    ledger.plan([new("a"), new("b")])
    begin(ledger, "b")
    sent(ledger)
    ledger.ring()
    assert sent(ledger) == []
    ledger.nudge("a")
    ledger.nudge("b")
    ledger.ring()
    assert sent(ledger) == ["a"]


def test_what_only_kombu_can_send_is_handed_out_by_upkeep_and_by_nobody_else(ledger: Moved) -> None:
    (planned,) = ledger.plan([new("a", by_kombu=True, held=True)])
    assert planned.stamp, "who planned it sends it"
    assert ledger.plan([new("a", by_kombu=True, held=True)])[0].stamp == 0
    assert ledger.ring().messages == (), "within a grace"
    begin(ledger, "a")
    settle(ledger, "a", "requeue")
    assert [run_id for run_id, _ in ledger.ring().messages] == ["a"], "at once"
    assert sent(ledger) == []


def test_what_its_planner_sends_is_sent_by_the_script_when_it_is_queued_again(ledger: Moved) -> None:
    assert ledger.plan([new("a", held=True)])[0].stamp
    assert sent(ledger) == []
    begin(ledger, "a")
    settle(ledger, "a", "requeue")
    assert sent(ledger) == ["a"]


def test_a_settle_that_is_asked_twice_sends_once(ledger: Moved) -> None:
    ledger.plan([new("a"), new("b", lock="l"), new("c", lock="l")])
    fence = begin(ledger, "b").fence
    sent(ledger)
    for _ in range(2):
        assert ledger.settle("b", NODE, fence, "succeeded") == "succeeded"
    assert sent(ledger) == ["c"]


def test_parking_the_holder_of_a_lock_sends_the_next_one(ledger: Moved) -> None:
    ledger.plan([new("a", lock="l"), new("b", lock="l")])
    sent(ledger)
    assert ledger.park("a") == "parked"
    assert sent(ledger) == ["b"]


@pytest.mark.parametrize("reason", ["two\r\nlines\f", "a|b", "long " + "ü" * 5000, "a\u2028b\x85c"])
def test_any_reason_can_be_kept_and_read(ledger: Moved, reason: str) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    settle(ledger, "a", "requeue", reason=reason)
    line = ledger.run("a").history[-1]
    assert (line.before, line.after) == ("running", "queued")
    assert 1 <= len(line.reason.encode()) <= 1000


def test_a_reason_with_half_a_letter_is_settled_all_the_same(ledger: Moved) -> None:
    ledger.plan([new("a")])
    begin(ledger, "a")
    error = json.dumps({"type": "OSError", "message": "\udcff"})
    assert settle(ledger, "a", "failed", reason="no file zwölf\udcff", error=error) == "failed"
    assert ledger.run("a").reason == "no file zwölf?"
