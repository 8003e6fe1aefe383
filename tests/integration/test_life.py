"""The life of a run in a real worker, through Celery's own ways of calling a task."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError

from celery_anp.errors import BadInput, BadUsage, KeyConflict, RunEnded
from celery_anp.reliability.message import opened
from tests.support import probe as tasks
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import add, probe, total
from tests.support.stack import Stack
from worker.app import app

pytestmark = pytest.mark.usefixtures("shared_stack")


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    shared_stack.journal.unlink(missing_ok=True)
    return shared_stack


def run(stack: Stack, *script: list[Any], lock: str = "", **options: Any) -> Any:
    kwargs = {"path": str(stack.journal), "script": list(script), "lock": lock or str(stack.journal) + str(script)}
    return probe.apply_async(kwargs=kwargs, **options)


def test_a_result_comes_back_and_the_row_tells_the_same(stack: Stack) -> None:
    result = run(stack, ["effect", "e"])
    assert result.get(timeout=10) == {"attempt": 1}
    row = stack.ends(result.id)
    assert (row.state, row.result, row.as_expected, row.error) == ("succeeded", {"attempt": 1}, True, None)
    assert row.lateness is not None
    assert [step.after for step in row.history] == ["queued", "running", "succeeded"]


def test_a_row_and_its_message_are_kept_in_one_piece(stack: Stack) -> None:
    result = run(stack, ["fail", "ValueError", 1], ["undo", "e"], ["effect", "e"])
    assert stack.ends(result.id).state == "succeeded"
    store = stack.ledger.store
    assert store.read("object", "encoding", store.key(f"run:{result.id}")) in ("ziplist", "listpack")


def test_the_run_id_is_the_task_id_a_uuid_unless_a_key_names_it(stack: Stack) -> None:
    called = run(stack)
    assert (str(UUID(called.id)), UUID(called.id).version) == (called.id, 7)
    assert stack.ends(called.id).run_id == called.id
    assert run(stack, key="order-7").id == "probe#order-7"


def test_a_chain_goes_on_with_each_result(stack: Stack) -> None:
    assert chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=10) == 10


@pytest.mark.parametrize(
    "made", [lambda: chain(add.s(1, 2), add.s(3)), lambda: chain(add.s(1, 2), chord([add.s(1), add.s(2)], total.s()))]
)
def test_a_chain_object_that_is_sent_twice_is_two_chains(stack: Stack, made: Any) -> None:
    twice = made()
    first, second = twice(), twice()
    assert first.get(timeout=10) == second.get(timeout=10)
    assert first.id != second.id


def test_a_link_takes_no_idempotency_key(stack: Stack) -> None:
    with pytest.raises(BadUsage, match="idempotency key"):
        add.apply_async((1, 2), link=add.s(1).set(key="once"))


def test_a_group_gives_every_result(stack: Stack) -> None:
    assert group(add.s(n, n) for n in range(6))().get(timeout=10) == [0, 2, 4, 6, 8, 10]


def test_a_chord_calls_its_body_once_with_all_results(stack: Stack) -> None:
    assert chord((add.s(n, n) for n in range(6)), total.s())().get(timeout=10) == 30


def test_a_link_and_an_errback_are_called(stack: Stack) -> None:
    child = add.s(10)
    result = add.apply_async((1, 2), link=child)
    result.get(timeout=10)
    linked = eventually(lambda: [r for r in stack.ledger.runs(20) if r.task == "probe.add" and r.result == 13], 10)
    assert len(linked) == 1
    failing = run(stack, ["fail", "KeyError"], link_error=tasks.noted.s(path=str(stack.journal)))
    with pytest.raises(KeyError):
        failing.get(timeout=10)
    eventually(lambda: stack.lines("noted"), 10, "the errback")


@pytest.mark.parametrize("way", ["countdown", "eta"])
def test_what_is_due_later_is_a_row_and_never_the_brokers(stack: Stack, way: str) -> None:
    when = datetime.now(UTC) + timedelta(seconds=2)
    result = run(stack, countdown=2) if way == "countdown" else run(stack, eta=when)
    row = stack.run(result.id)
    assert row.state == "delayed"
    assert row.due_at is not None
    headers = opened(stack.ledger.store.read("hget", stack.ledger.row_key(result.id), "message")).headers
    assert abs(datetime.fromisoformat(headers["eta"]) - when) < timedelta(seconds=1), "the body sees it in its request"
    assert abs(row.due_at - when) < timedelta(milliseconds=1 if way == "eta" else 1000)
    assert stack.ledger.store.client.llen("default") == 0
    assert result.get(timeout=15) == {"attempt": 1}
    assert stack.lines("begin")[0]["at"] >= row.due_at.timestamp()


def test_a_failed_attempt_is_tried_again_as_its_retries_say(stack: Stack) -> None:
    result = run(stack, ["fail", "ValueError", 2])
    assert result.get(timeout=20) == {"attempt": 3}
    assert [s.after for s in stack.ends(result.id).history].count("delayed") == 2


def test_self_retry_and_autoretry_keep_their_celery_meaning(stack: Stack) -> None:
    assert run(stack, ["retry", 0.1]).get(timeout=15) == {"attempt": 2}
    assert tasks.stubborn.delay().get(timeout=20) == 2
    changed = tasks.counting.delay(3)
    assert changed.get(timeout=20) == "done at 0"


def test_what_fails_for_good_is_rolled_back_in_reverse(stack: Stack) -> None:
    result = run(stack, ["undo", "first"], ["effect", "a"], ["undo", "second"], ["fail", "KeyError"])
    with pytest.raises(KeyError):
        result.get(timeout=10)
    row = stack.reaches(result.id, "rolled_back")
    assert [line["name"] for line in stack.lines("undone")] == ["second", "first"]
    assert [(e.name, e.outcome) for e in row.undo] == [("first", "undone"), ("second", "undone")]
    assert row.error is not None
    assert row.error["type"] == "KeyError"


def test_a_finished_step_is_not_done_again(stack: Stack) -> None:
    run(stack, ["step", "find"], ["fail", "ValueError", 1]).get(timeout=15)
    assert len(stack.lines("begin")) == 2
    assert len(stack.lines("step")) == 1


def test_how_far_a_run_is_can_be_seen_while_it_runs(stack: Stack) -> None:
    result = run(stack, ["progress", 1, 3], ["gate", "third"], ["progress", 2, 3])
    eventually(lambda: stack.lines("at"), 10, "the body to stand at its gate")
    row = stack.run(result.id)
    assert (row.state, row.progress) == ("running", "1/3")
    told = json.loads(stack.anp("runs", "show", result.id, "--json").stdout)
    assert (told["state"], told["progress"]) == ("running", "1/3")
    Journal(stack.journal).open("third")
    assert stack.ends(result.id).progress == "2/3"


def test_two_steps_of_one_name_fail_the_run_instead_of_giving_the_first_result_twice(stack: Stack) -> None:
    row = stack.ends(run(stack, ["step", "find"], ["step", "find"]).id)
    assert (row.state, len(stack.lines("step"))) == ("failed", 1)
    assert row.error is not None
    assert "Step 'find' has been done in this body" in row.error["message"]


def test_ignore_and_reject_keep_their_celery_meaning(stack: Stack) -> None:
    ignored = tasks.ends.delay("ignore")
    assert stack.ends(ignored.id).reason.startswith("ignored")
    rejected = tasks.ends.delay("reject")
    assert stack.ends(rejected.id).state == "failed"
    again = tasks.ends.delay("requeue")
    assert stack.ends(again.id).state == "succeeded"
    assert stack.run(again.id).attempts == 2


def test_a_bad_input_is_refused_before_anything_is_planned(stack: Stack) -> None:
    before = len(stack.ledger.runs(1000))
    with pytest.raises(BadInput, match=r"script: .*given 5"):
        probe.delay("x", 5)
    with pytest.raises(BadInput, match=r"Did you mean 'script'"):
        probe.delay("x", scrip=[])
    with pytest.raises(BadUsage, match="idempotency key"):
        run(stack, key="")
    assert len(stack.ledger.runs(1000)) == before


def test_a_bad_result_fails_the_run_and_is_not_tried_again(stack: Stack) -> None:
    result = tasks.ends.delay("bad result")
    row = stack.ends(result.id)
    assert (row.state, row.attempts) == ("failed", 1)
    assert row.error is not None
    assert "does not fit its annotation" in row.error["message"]


def test_an_unmet_expectation_is_said(stack: Stack) -> None:
    row = stack.ends(tasks.ends.delay("unexpected").id)
    assert (row.state, row.as_expected) == ("succeeded", False)
    assert "not as expected" in row.reason


def test_a_key_returns_its_run_and_refuses_another_input(stack: Stack) -> None:
    first = add.apply_async((1, 2), key="k")
    assert add.apply_async((1, 2), key="k").id == first.id
    assert first.get(timeout=10) == 3
    assert add.apply_async((), {"x": 1, "y": 2}, key="k").get(timeout=10) == 3
    with pytest.raises(KeyConflict):
        add.apply_async((1, 3), key="k")


def test_a_key_whose_run_is_running_returns_it_and_refuses_another_input(stack: Stack) -> None:
    first = run(stack, ["gate", "key"], key="running")
    stack.reaches(first.id, "running")
    assert run(stack, ["gate", "key"], key="running").id == first.id
    with pytest.raises(KeyConflict, match="a run that is running"):
        run(stack, ["gate", "other"], key="running")
    Journal(stack.journal).open("key")
    assert first.get(timeout=10) == {"attempt": 1}
    assert len(stack.lines("begin")) == 1


def test_a_skipped_run_does_not_leave_get_waiting(stack: Stack) -> None:
    holder = run(stack, ["sleep", 1], lock="one")
    stack.reaches(holder.id, "running")
    skipped = tasks.skipping.delay("one")
    with pytest.raises(TaskRevokedError, match="held by"):
        skipped.get(timeout=10)
    holder.get(timeout=10)


def test_as_many_runs_wait_for_a_lock_as_their_task_lets(stack: Stack) -> None:
    holder = run(stack, ["gate", "crowd"], lock="crowd")
    stack.reaches(holder.id, "running")
    crowd = [tasks.crowded.delay("crowd").id for _ in range(3)]
    assert [stack.run(run_id).state for run_id in crowd] == ["blocked", "blocked", "skipped"]
    Journal(stack.journal).open("crowd")
    assert [stack.ends(run_id).state for run_id in crowd[:2]] == ["succeeded"] * 2


def test_a_child_that_dies_three_times_is_quarantined_and_the_worker_stays_up(stack: Stack) -> None:
    result = run(stack, ["die"])
    with pytest.raises(RunEnded, match="quarantined"):
        result.get(timeout=30)
    assert stack.reaches(result.id, "quarantined").losses == 3
    assert len(stack.lines("begin")) == 3
    assert add.delay(1, 1).get(timeout=10) == 2


def test_a_hard_time_limit_is_a_failure_and_the_lock_goes_on(stack: Stack) -> None:
    result = run(stack, ["sleep", 60], lock="slow", time_limit=1)
    with pytest.raises(RunEnded, match="time limit"):
        result.get(timeout=20)
    assert run(stack, lock="slow").get(timeout=20) == {"attempt": 1}


def test_a_swallowed_soft_limit_does_no_harm(stack: Stack) -> None:
    result = tasks.swallows.apply_async(soft_time_limit=1, time_limit=10)
    assert result.get(timeout=15) == "swallowed"


def test_a_task_that_is_not_guarded_works_beside_guarded_ones(stack: Stack) -> None:
    assert tasks.plain.delay(2).get(timeout=10) == 4
    assert stack.ledger.find(tasks.plain.delay(2).id) is None


def test_a_message_of_a_producer_that_knows_no_ledger_gets_its_row_on_receipt(stack: Stack) -> None:
    foreign = app.__class__.__mro__[1](broker=stack.redis_url, backend=stack.redis_url)
    foreign.conf.task_default_queue = "default"
    result = foreign.send_task("probe.add", (2, 3))
    assert result.get(timeout=10) == 5
    assert stack.run(result.id).state == "succeeded"
    said = "".join(process.said() for process in stack.processes)
    assert said.count(f"[{result.id}] received") == 1, "its own message is enough"


def test_a_secret_is_used_but_never_shown(stack: Stack) -> None:
    result = tasks.secretive.delay("hunter2", "ann")
    assert result.get(timeout=10) == 7
    assert stack.run(result.id).input == {"password": "(secret)", "user": "ann"}
    careless = tasks.secretive.delay("hunter2", "careless")
    failed = stack.ends(careless.id)

    def said() -> str:
        return "".join(process.said() for process in stack.processes)

    eventually(lambda: "(secret) was refused" in said(), 10, "the worker to log the failure")
    assert "hunter2" not in said()
    assert "(secret) was refused" in str(failed.error)
    assert "hunter2" not in str(failed.error) + failed.reason + str(failed.history) + str(careless.result)


def test_a_direct_call_runs_only_the_body(stack: Stack) -> None:
    before = len(stack.ledger.runs(1000))
    assert probe(str(stack.journal), [["undo", "x"], ["step", "s"]]) == {"attempt": 0}
    assert len(stack.ledger.runs(1000)) == before


def test_calls_with_the_same_input_get_the_first_run_for_a_while(stack: Stack) -> None:
    first = run(stack, ["sleep", 0.5], lock="u", unique_for=2)
    assert run(stack, ["sleep", 0.5], lock="u", unique_for=2).id == first.id
    assert run(stack, ["sleep", 0.1], lock="u", unique_for=2).id != first.id
    assert first.get(timeout=10) == {"attempt": 1}
    assert run(stack, ["sleep", 0.5], lock="u", unique_for=2).get(timeout=10) == {"attempt": 1}
    assert len(stack.lines("begin", run=first.id)) == 1
    later = eventually(lambda: (r := run(stack, ["sleep", 0.5], lock="u", unique_for=2)).id != first.id and r, 10)
    assert later.get(timeout=10) == {"attempt": 1}
    with pytest.raises(BadUsage, match="unique_for"):
        run(stack, unique_for=-1)
