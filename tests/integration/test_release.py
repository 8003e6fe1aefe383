"""Nodes of different releases side by side: what one does not know waits for one that does."""

from __future__ import annotations

import signal

import pytest

from celery_anp.reliability.message import opened
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.newer import double
from tests.support.probe import add, probe
from tests.support.stack import Stack

pytestmark = pytest.mark.long


def test_a_task_that_no_node_knows_is_parked_until_one_comes_that_does(stack: Stack) -> None:
    stack.worker()
    result = double.delay(4)
    row = stack.reaches(result.id, "parked")
    assert "no living node knows the task newer.double" in row.reason
    stack.settings["tasks"] = "tests.support.probe,tests.support.newer"
    stack.worker()
    assert stack.reaches(result.id, "succeeded", 30).result == 8
    assert result.get(timeout=10) == 8


def test_a_run_that_one_node_knows_is_not_parked_by_another(stack: Stack) -> None:
    stack.worker()
    stack.settings["tasks"] = "tests.support.probe,tests.support.newer"
    stack.worker()
    results = [double.delay(n) for n in range(6)]
    assert [stack.reaches(r.id, "succeeded", 60).result for r in results] == [0, 2, 4, 6, 8, 10]


def test_a_stored_input_that_no_longer_fits_is_parked_with_its_reason(stack: Stack) -> None:
    delayed = add.apply_async((1, 2), countdown=1)
    key = stack.ledger.store.key(f"run:{delayed.id}")
    message = opened(stack.ledger.store.client.hget(key, "message"))
    changed = message.with_body([[], {"x": "one", "y": 2}, message.body[2]])
    stack.ledger.store.client.hset(key, "message", changed.text())
    stack.worker()
    assert "its stored input no longer fits" in stack.reaches(delayed.id, "parked").reason


def test_a_run_that_outlives_the_grace_of_many_restarts_goes_back_without_being_quarantined(stack: Stack) -> None:
    stack.settings["grace"] = "1"
    worker = stack.worker()
    result = probe.delay(str(stack.journal), [["gate", "long"]])
    for number in range(1, 5):
        eventually(lambda n=number: len(stack.lines("begin")) >= n, 20, f"attempt {number}")  # type: ignore[misc]
        worker.process.send_signal(signal.SIGQUIT)
        worker.process.wait(timeout=30)
        row = stack.reaches(result.id, "queued")
        assert "its worker was shut down" in row.reason
        worker = stack.worker()
    Journal(stack.journal).open("long")
    assert stack.ends(result.id).state == "succeeded"


def test_rolling_restart_takes_no_attempt_from_a_run(stack: Stack) -> None:
    first = stack.worker()
    results = [add.delay(n, n) for n in range(50)]
    first.stop()
    second = stack.worker()
    assert [stack.reaches(r.id, "succeeded", 30).result for r in results] == [2 * n for n in range(50)]
    assert all(stack.run(r.id).losses == 0 for r in results)
    eventually(lambda: len(stack.ledger.nodes()) == 1, 10, "the old node to be gone")
    assert second.stop() == 0
    eventually(lambda: not stack.ledger.nodes(), 10, "no node to be left")
