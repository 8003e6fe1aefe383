"""Celery's results wherever and however a team keeps them: the body runs once, and `.get()` returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from celery_anp.errors import AnpError, LimitExceeded, RunEnded
from celery_anp.local.embedded.server import RedisServer
from celery_anp.reliability.retry import PUT_BACK
from tests.support import results_project
from tests.support.eventually import eventually
from tests.support.stack import Stack, on_empty_redis

#: How results are kept: their backend, and what else is configured.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("{redis}", {}),
    "compressed": ("{redis}", {"result_compression": "gzip"}),
    "pickled": ("{redis}", {"result_serializer": "pickle"}),
    "signed": ("{redis}", {"result_serializer": "signed"}),
    "on another database": ("{other}", {}),
    "pickled on another database": ("{other}", {"result_serializer": "pickle"}),
    "as messages": ("rpc://", {}),
    "in SQL": ("db+sqlite:///{folder}/results.sqlite3", {}),
}
DYING = ("tests.support.results_project:DyingOnce+{other}", dict[str, Any]())


class Team:
    """The project's worker, and a producer of it that knows nothing of us."""

    def __init__(self, stack: Stack, backend: str, conf: dict[str, Any]) -> None:
        self.stack = stack
        name = results_project.write(stack.folder, stack.redis_url, backend, conf)
        self.worker = stack.worker(app=name, concurrency=4)
        self.app: Celery = results_project.made(stack.redis_url, backend, conf)

    @cached_property
    def guarded(self) -> Celery:
        """The project itself, as a producer of its own has it."""
        return results_project.imported(self.stack.folder)

    def call(self, *args: Any, name: str = "ends", **options: Any) -> AsyncResult:
        """A call of one of its tasks."""
        return self.app.send_task(name, args, **options)

    def began(self, result: AsyncResult) -> int:
        """How often the body of a call has begun."""
        return len(self.stack.lines("began", run=result.id))


@contextmanager
def at_work(folder: Path, way: str) -> Iterator[Team]:
    backend, conf = WAYS.get(way, DYING)
    with pytest.MonkeyPatch.context() as patch, on_empty_redis(folder) as stack:
        patch.setitem(os.environ, "ANP_TASKS", "")
        other = stack.redis_url.rpartition("/")[0] + "/5"
        made = Team(stack, backend.format(redis=stack.redis_url, other=other, folder=folder), conf)
        yield made
        for app in (made.app, made.guarded):  # a result that outlives Redis has nothing to unsubscribe from
            app.backend.remove_pending_result = lambda result: result


@pytest.fixture(params=WAYS)
def team(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[Team]:
    with at_work(tmp_path, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def plain(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with at_work(tmp_path_factory.mktemp("plain"), "plain") as made:
        yield made


def test_every_end_is_told_to_who_waits(team: Team) -> None:
    ledger = team.stack.ledger
    waits = team.call("waits")
    later = team.call("later", countdown=300)
    limited = team.call("sleeps", time_limit=1)
    dies = team.call("dies")
    expired = team.call("never", expires=0.2, countdown=0.5)
    succeeds, fails = team.call("works"), team.call("fails")
    large, ignores = team.call("large"), team.call("ignores")
    tells, tells_failure = team.call("tells"), team.call("tells a failure")
    linked = team.call("works", link=team.app.signature("after"))
    assert succeeds.get(timeout=20) == ["works", 1]
    with pytest.raises(ValueError, match="fails"):
        fails.get(timeout=20)
    eventually(lambda: team.began(waits), 20, "the body that waits")
    ledger.operate(waits.id, "cancel", "tests")
    eventually(lambda: ledger.find(later.id), 20, "the row of the late one")
    later.revoke()
    (team.stack.folder / "journal.go").touch()
    for revoked in (waits, later, expired):
        with pytest.raises(TaskRevokedError):
            revoked.get(timeout=20)
    with pytest.raises(RunEnded, match="hard time limit"):
        limited.get(timeout=20)
    with pytest.raises(RunEnded, match="took its worker down too often"):
        dies.get(timeout=30)
    assert len(large.get(timeout=20)) == 300_000
    assert ignores.get(timeout=20) is None
    assert [team.began(one) for one in (succeeds, fails, linked, waits, limited)] == [1] * 5
    eventually(lambda: team.stack.lines("after", value=["works", 1]), 20, "what is linked")
    assert len(team.stack.lines("after")) == 1
    eventually(lambda: not ledger.store.client.zcard(ledger.store.key("links")), 20, "nothing left to tell")
    assert {team.stack.ends(one.id).state for one in (tells, tells_failure)} == {"succeeded"}
    if not team.app.conf.result_backend.startswith("rpc"):  # a message that has come is gone
        assert (tells.state, tells.info) == ("HALTED", {"at": 7})
    with pytest.raises(KeyError, match="as told"):
        tells_failure.get(timeout=5)


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
    for called in (
        plain.call("works", name=name, ignore_result=ignore),
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


def test_a_child_that_dies_before_it_stores_a_result_loses_none(redis_server: RedisServer, tmp_path: Path) -> None:
    with at_work(tmp_path, "dying") as team:
        called = team.call("works")
        assert called.get(timeout=20) == ["works", 1]
        assert team.began(called) == 1
        assert team.stack.run(called.id).losses == 0
