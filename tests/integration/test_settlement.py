"""Where a settlement itself fails, a last plain one says so; the ledger is a real one that first refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from celery_anp.errors import BadRequest, LedgerUnavailable, RunEnded
from celery_anp.execution import identity
from celery_anp.reliability.records import Message, NewRun
from celery_anp.reliability.run import Run
from tests.support.moved import NODE, Moved
from tests.support.probe import add
from worker.app import app


@dataclass(frozen=True)
class Refusing(Moved):
    """A ledger whose first settlements fail."""

    failures: list[BaseException] = field(default_factory=list)

    def settle(self, *args: Any, **data: Any) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return super().settle(*args, **data)


@pytest.fixture
def refusing(ledger: Moved, monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    made = Refusing(ledger.store, ledger.lease, ledger.keeping)
    monkeypatch.setitem(app.__dict__, "ledger", made)
    before = identity.current()
    identity.become(NODE)
    yield made
    identity.become(before)


def perform(ledger: Refusing) -> Run:
    """A run of 1 + 2, begun and settled here as Celery's tracer would."""
    ledger.plan([NewRun("one", add.name, message=Message("{}", "default", "default", seal="its own"))])
    add.push_request(id="one", args=(1, 2), kwargs={}, called_directly=False, anp_rung=1, anp_seal="its own")
    try:
        add(1, 2)
    finally:
        add.pop_request()
    return ledger.run("one")


@pytest.mark.parametrize(
    "failure",
    [BadRequest("no such thing"), ValueError("caf\udce9"), MemoryError(), KeyboardInterrupt(), RecursionError("deep")],
)
def test_what_fails_in_a_settlement_is_the_runs_named_end(refusing: Refusing, failure: BaseException) -> None:
    refusing.failures.append(failure)
    with pytest.raises(RunEnded, match="how it ended could not be told"):
        perform(refusing)
    run = refusing.run("one")
    assert (run.state, run.attempts, run.losses) == ("failed", 1, 0)
    assert f"how it ended could not be told: {type(failure).__name__}" in run.reason
    assert run.error is not None
    assert run.error["message"].startswith("how it ended could not be told")


def test_a_soft_time_limit_that_comes_into_a_settlement_is_the_bodys(refusing: Refusing) -> None:
    refusing.failures.append(SoftTimeLimitExceeded())
    assert perform(refusing).state == "succeeded"


def test_a_redis_that_refuses_the_plain_words_too_leaves_the_run_to_its_node(refusing: Refusing) -> None:
    refusing.failures.extend([BadRequest("no"), BadRequest("nor this")])
    with pytest.raises(Ignore, match="the ledger did not answer"):
        perform(refusing)
    assert refusing.run("one").state == "running"


def test_a_redis_that_is_away_is_asked_until_it_answers(refusing: Refusing) -> None:
    refusing.failures.extend([LedgerUnavailable("away")] * 2)
    assert perform(refusing).state == "succeeded"
