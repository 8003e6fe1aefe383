"""What is kept of a result, and what Celery says of how a run ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from celery_anp.errors import AnpError, LimitExceeded
from celery_anp.execution.record import CALLS_SAY_IT
from celery_anp.local.embedded.server import RedisServer
from celery_anp.reliability.retry import PUT_BACK
from tests.support.eventually import eventually
from tests.support.results_team import Team, at_work


@pytest.fixture(scope="module")
def plain(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with at_work(tmp_path_factory.mktemp("plain"), "plain") as made:
        yield made


def test_a_large_result_is_kept_whole_for_who_waits_and_begun_in_its_row(plain: Team) -> None:
    large = plain.call("large")
    assert large.get(timeout=20) == "é" * 300_000
    run = plain.stack.ends(large.id)
    assert (run.state, run.result[:3], run.result[-1], run.attempts) == ("succeeded", '"\\u', "…", 1)
    assert len(run.result) < 10_000


def test_a_result_too_large_to_keep_is_told_as_that_and_its_run_has_succeeded(plain: Team) -> None:
    huge = plain.call("huge")
    with pytest.raises(LimitExceeded, match="has succeeded, but its result is too large"):
        huge.get(timeout=30)
    run = plain.stack.ends(huge.id)
    assert (run.state, run.result[:4], plain.began(huge)) == ("succeeded", '"xxx', 1)


def test_a_large_result_fails_what_is_chained_to_it_alone(plain: Team) -> None:
    first, second = plain.app.signature("ends", ("large",)), plain.app.signature("after")
    chained = (first | second).apply_async()
    with pytest.raises(LimitExceeded, match="too large"):
        chained.get(timeout=30)
    assert (plain.stack.ends(chained.parent.id).state, plain.began(chained.parent)) == ("succeeded", 1)


@pytest.mark.parametrize("name", ["ignored", "ignored and typed"])
@pytest.mark.parametrize(("how", "kept"), [("model", "Order(number=1)"), ("object", "<object object"), ("no", "no")])
def test_a_result_that_nobody_keeps_may_be_anything(plain: Team, name: str, how: str, kept: str) -> None:
    ignored = plain.app.send_task(name, (how,))
    run = plain.stack.ends(ignored.id)
    assert (run.state, run.attempts) == ("succeeded", 1), run.error
    assert str(run.result).startswith(kept)
    assert not plain.stack.ledger.store.client.exists(f"celery-task-meta-{ignored.id}")


@pytest.mark.parametrize(("name", "ignore", "kept"), [("ends", True, False), ("ignored", False, True)])
def test_a_call_says_whether_its_result_is_kept(plain: Team, name: str, ignore: bool, kept: bool) -> None:
    guarded = plain.guarded
    says = [plain.call("works", name=name, ignore_result=ignore)] if ignore or CALLS_SAY_IT else []
    for called in (
        *says,
        guarded.send_task(name, ("works",), ignore_result=ignore),
        guarded.tasks[name].apply_async(("works",), ignore_result=ignore),
    ):
        assert plain.stack.ends(called.id).state == "succeeded"
        assert plain.stack.ledger.store.client.exists(f"celery-task-meta-{called.id}") == kept
        if kept:
            assert called.get(timeout=5) == "works"


def test_errors_of_a_task_whose_result_nobody_keeps_are_kept_where_it_says_so(plain: Team) -> None:
    with pytest.raises(KeyError, match="as asked"):
        plain.call("as asked", name="ignored but for errors").get(timeout=20)


def test_a_run_that_has_itself_put_back_comes_again_after_growing_pauses_and_knows_it(plain: Team) -> None:
    run = plain.stack.ends(plain.call("put back").id)
    assert (run.state, run.attempts) == ("succeeded", 3)
    assert [line["again"] for line in plain.stack.lines("delivered")] == [False, True, True]
    put_back = [step.time for step in run.history if "put back: not yet" in step.reason]
    began = [step.time for step in run.history if step.after == "running"]
    assert (began[1] - put_back[0]).total_seconds() >= 1
    assert (began[2] - put_back[1]).total_seconds() >= 2


def test_a_run_that_has_itself_put_back_too_often_fails(plain: Team) -> None:
    ledger, called = plain.stack.ledger, plain.call("put back for ever", countdown=300)
    eventually(lambda: ledger.find(called.id), 10, "its row")
    ledger.store.client.hset(ledger.row_key(called.id), "requeues", PUT_BACK.max)
    ledger.store.client.zadd(ledger.store.key("delayed"), {called.id: 1})
    with pytest.raises(AnpError, match="put back 20 times: never"):
        called.get(timeout=20)
    assert plain.began(called) == 1


def test_a_body_reads_its_times_as_celerys_and_names_of_its_own(plain: Team) -> None:
    assert plain.call(name="says").get(timeout=20) == ["theirs", None, None, None]
    eta, expires = datetime.now(UTC) + timedelta(seconds=1), datetime.now(UTC) + timedelta(seconds=60)
    called = plain.guarded.send_task("says", (True,), eta=eta, expires=expires, headers={"attempt": 3})
    *own, again, until = called.get(timeout=20)
    (first,) = (line["said"] for line in plain.stack.lines("says"))
    assert own == first[:2] == ["theirs", 3]
    assert abs(datetime.fromisoformat(first[2]) - eta) < timedelta(milliseconds=2)
    assert datetime.fromisoformat(again) >= eta + timedelta(seconds=1)
    assert abs(datetime.fromisoformat(until) - expires) < timedelta(milliseconds=2)


def test_handlers_hear_of_a_failure_that_no_body_told(plain: Team) -> None:
    limited, dies = plain.call("sleeps", time_limit=1), plain.call("dies")
    for called, error in ((limited, "TimeLimitExceeded"), (dies, "WorkerLostError")):
        assert plain.stack.ends(called.id, 40).state in ("failed", "quarantined")
        (signal,) = eventually(partial(plain.stack.lines, "signal", run=called.id), 10, "the signal")
        assert (signal["error"], signal["request"]) == (error, called.id)
        assert signal["args"] == ["sleeps" if called is limited else "dies"]
    assert [line["error"] for line in plain.stack.lines("hook", run=limited.id)] == ["TimeLimitExceeded"]
    assert plain.began(dies) == 3


def test_a_typed_result_that_nobody_keeps_may_be_of_any_class(plain: Team) -> None:
    fits, other = (plain.app.send_task("ignored and typed as a class", (how,)) for how in ("object", "no"))
    run = plain.stack.ends(fits.id)
    assert (run.state, str(run.result)[:22]) == ("succeeded", "<kept_results.Thing ob"), run.error
    assert plain.stack.ends(other.id).state == "succeeded"
