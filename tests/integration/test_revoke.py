"""Celery's `revoke`, as `AsyncResult` and Flower send it, in workers that share the broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import celery
import pytest
from celery.result import AsyncResult

from celery_anp.local.embedded.server import RedisServer
from celery_anp.reliability.run import Run
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import add, plain, probe, secretive, swallows
from tests.support.stack import Stack, on_empty_redis
from worker.app import app

REVOKED = "cancel by Celery: revoked"


@pytest.fixture(scope="module")
def stack(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers with one child each; each hears of every revocation."""
    with on_empty_redis(tmp_path_factory.mktemp("revoke")) as stack:
        stack.worker(concurrency=1)
        stack.worker(concurrency=1)
        yield stack


@pytest.fixture
def journal(stack: Stack, request: pytest.FixtureRequest) -> Journal:
    return Journal(stack.folder / request.node.name)


def held(journal: Journal, count: int = 1, *before: list[Any]) -> list[AsyncResult]:
    """Runs whose bodies stand at a gate, one in each child."""
    known = len(journal.lines("at"))
    runs = [probe.delay(str(journal.path), [*before, ["gate", "open"]], lock=f"held {n}") for n in range(count)]
    eventually(lambda: len(journal.lines("at")) == known + count, 20, "the bodies to stand at their gate")
    return runs


def again(stack: Stack, run_id: str) -> Run:
    """An operator has it tried again."""
    stack.ledger.operate(run_id, "retry", "tests")
    return stack.ends(run_id)


def test_a_run_that_waits_is_cancelled_and_an_operator_can_have_it_run(stack: Stack, journal: Journal) -> None:
    busy = held(journal, 2)
    waiting, later = add.delay(1, 2), add.apply_async((1, 2), countdown=300)
    for result in (waiting, later):
        result.revoke()
    for result in (waiting, later):
        run = stack.ends(result.id, 5)
        assert (run.state, run.history[-1].reason, run.attempts) == ("cancelled", REVOKED, 0)
        assert AsyncResult(result.id).state == "REVOKED"
    journal.open("open")
    assert [stack.ends(one.id).state for one in busy] == ["succeeded"] * 2
    for result in (waiting, later) * 2:
        if stack.run(result.id).state == "cancelled":
            assert (again(stack, result.id).state, AsyncResult(result.id).get(timeout=5)) == ("succeeded", 3)


def test_a_run_whose_child_is_ended_is_cancelled_and_undone(stack: Stack, journal: Journal) -> None:
    result = held(journal, 1, ["undo", "effect"])[0]
    result.revoke(terminate=True)
    run = stack.ends(result.id, 10)
    assert run.state == "rolled_back"
    reasons = [(step.after, step.reason) for step in run.history]
    assert reasons.count(("running", REVOKED)) == 1
    assert ("rolling_back", f"cancelled: {REVOKED}") in reasons
    assert [line["name"] for line in journal.lines("undone")] == ["effect"]
    assert AsyncResult(result.id).state == "REVOKED"
    journal.open("open")
    assert again(stack, result.id).state == "succeeded"


def test_a_run_without_a_hook_whose_child_is_ended_ends_as_cancelled(stack: Stack) -> None:
    result = swallows.delay()
    stack.reaches(result.id, "running")
    result.revoke(terminate=True)
    run = stack.ends(result.id, 4)
    assert (run.state, run.history[-1].reason) == ("cancelled", REVOKED)


def test_a_body_that_succeeds_all_the_same_has_succeeded(stack: Stack, journal: Journal) -> None:
    result = held(journal)[0]
    result.revoke()
    eventually(lambda: stack.run(result.id).history[-1].reason == REVOKED, 5, "the run to be marked")
    assert AsyncResult(result.id).state == "PENDING"
    journal.open("open")
    assert stack.ends(result.id).state == "succeeded"
    assert AsyncResult(result.id).state == "SUCCESS"


def test_a_run_that_is_revoked_by_a_stamp_is_cancelled(stack: Stack) -> None:
    app.control.revoke_by_stamped_headers({"batch": "seven"}, reply=True, timeout=5, limit=2)
    signature = add.si(1, 2)
    signature.stamp(batch="seven")
    result = signature.apply_async()
    run = stack.ends(result.id, 10)
    assert (run.state, run.reason) == ("cancelled", REVOKED)


def test_celery_is_told_what_waits_for_a_time_once_and_what_was_revoked(stack: Stack) -> None:
    later = add.apply_async((1, 2), countdown=300)
    rolled = secretive.apply_async((), {"password": "hush", "user": "ann"}, countdown=200)
    others = plain.apply_async((1,), countdown=300)
    asked = app.control.inspect(timeout=5)

    def told() -> dict[str, Any]:
        entries = [entry for entries in (asked.scheduled() or {}).values() for entry in entries]
        assert len(entries) == len({entry["request"]["id"] for entry in entries})
        return {entry["request"]["id"]: entry for entry in entries}

    eventually(lambda: {later.id, rolled.id, others.id} <= told().keys(), 20, "all three")
    found = told()
    entry = found[later.id]
    assert (entry["request"]["name"], entry["request"]["kwargs"]) == ("probe.add", {"x": 1, "y": 2})
    assert entry["request"].keys() == found[others.id]["request"].keys()
    assert datetime.fromisoformat(entry["eta"]) == stack.run(later.id).due_at
    assert found[rolled.id]["request"]["kwargs"] == {"password": "(secret)", "user": "ann"}
    for result in (later, rolled, others):
        result.revoke()
    eventually(
        lambda: all(later.id in ids and others.id in ids for ids in asked.revoked().values()), 20, "both workers"
    )
    assert later.id not in told()


def test_a_message_without_a_row_stays_celerys(stack: Stack) -> None:
    result = plain.apply_async((1,), countdown=300)
    result.revoke()
    if celery.VERSION < (5, 7):  # it stores the state when the message's time has come
        known = app.control.inspect(timeout=5).revoked
        eventually(lambda: result.id in str(known()), 20, "Celery to have revoked it")
    else:
        eventually(lambda: AsyncResult(result.id).state == "REVOKED", 5, "Celery to have revoked it")
    assert stack.ledger.find(result.id) is None
