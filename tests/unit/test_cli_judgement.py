"""What `anp up --for` exits by, and the four answers of `anp status`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from celery_anp.beat.occurrences import jitter, next_tick
from celery_anp.beat.schedule import Schedule
from celery_anp.cli.status.answers import (
    are_runs_failing,
    did_the_release_change_anything,
    is_it_slow,
    is_it_up,
    quantile,
)
from celery_anp.cli.up.verdict import unmet
from celery_anp.reliability.nodes import Node
from celery_anp.reliability.reading import from_row
from celery_anp.reliability.run import Run

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
BEGAN = int(NOON.timestamp())
WARM = Schedule(name="warm", task="cache.warm", every=30)


def run(state: str = "succeeded", **changes: Any) -> Run:
    row = {"task": "cache.warm", "schedule": "warm", "state": state, "as_expected": "1"}
    due = {"tick": NOON, "queued_at": NOON}
    return replace(from_row(f"warm@{state}", row), **(due | changes))


def judged(*runs: Run, seconds: int = 60, schedule: Schedule = WARM) -> list[str]:
    return unmet({schedule.name: schedule}, runs, BEGAN, BEGAN + seconds)


def test_a_schedule_with_a_good_run_has_met_its_expected_result() -> None:
    assert judged(run()) == []


def test_a_tick_that_was_skipped_because_the_last_one_still_ran_is_fine() -> None:
    assert judged(run("skipped", reason="overlap: warm@1 holds it"), run()) == []


def test_skips_alone_are_not_enough() -> None:
    assert judged(run("skipped", reason="overlap: warm@1 holds it")) == [
        "warm: no run of it ended with its expected result"
    ]


@pytest.mark.parametrize(
    "bad",
    [
        run("failed", reason="no route"), run("running"), run("delayed"), run("expired"), run("rolled_back"),
        run("quarantined"), run("parked"), run("skipped", reason="paused"), run(as_expected=False),
    ],
    ids=lambda bad: f"{bad.state}-{bad.reason}",
)  # fmt: skip
def test_one_bad_run_among_good_ones_is_told(bad: Run) -> None:
    said = judged(run(), bad, run())
    assert len(said) == 1
    assert said[0].startswith(f"warm: {bad.run_id} ")


def test_a_tick_from_before_that_was_caught_up_with_is_not_judged() -> None:
    assert judged(run("expired", tick=NOON - timedelta(minutes=9)), run()) == []


def test_a_schedule_without_a_tick_in_the_time_is_not_judged() -> None:
    assert judged(schedule=Schedule(name="nightly", task="t", cron="0 3 * * *")) == []
    assert judged(schedule=Schedule(name="off", task="t", every=1, enabled=False)) == []


def test_a_tick_that_nobody_planned_is_told() -> None:
    assert judged() == ["warm: its tick was not planned"]


def test_a_tick_whose_jitter_ends_after_the_time_is_not_judged() -> None:
    late = WARM.model_copy(update={"jitter": 29})
    due = next_tick(late, BEGAN)
    assert due is not None
    starts = due - BEGAN + jitter(late, due)
    assert judged(schedule=late, seconds=int(starts)) == []
    assert judged(schedule=late, seconds=int(starts) + 1) == ["warm: its tick was not planned"]


def node(kind: str) -> Node:
    return Node(node=kind, kind=kind, host="h", pid=1, tasks=(), release="", place="", lease_left=9.0, news={})


def test_up_means_redis_a_worker_a_beat_and_the_site() -> None:
    assert is_it_up("", [node("worker"), node("beat")], "").ok
    said = is_it_up("", [node("worker")], "the site is down")
    assert (said.ok, said.said) == (False, "no beat is alive; the site is down")
    assert not is_it_up("Redis does not answer", [], "").ok


def test_slow_means_late_ticks_or_a_backlog() -> None:
    quick, slow = run(lateness=0.2), run(lateness=90.0)
    assert is_it_slow([quick] * 99 + [slow], {"queued": 3}).ok
    assert not is_it_slow([quick] * 9 + [slow], {"queued": 3}).ok
    assert not is_it_slow([quick], {"queued": 5000}).ok
    assert is_it_slow([run(lateness=900.0, queued_at=NOON + timedelta(minutes=15))], {}).ok
    assert is_it_slow([], {}).said.startswith("no tick has started")


def test_failing_means_the_last_run_of_a_schedule_went_wrong_not_an_earlier_one() -> None:
    assert are_runs_failing([run(), run("failed")]).ok
    newest_failed = are_runs_failing([run("running"), run("failed", reason="no route"), run()])
    assert (newest_failed.ok, newest_failed.said) == (False, "warm@failed is failed: no route")
    assert are_runs_failing([]).ok


def test_failing_also_means_a_schedule_that_is_late_or_that_its_failures_have_paused() -> None:
    late = are_runs_failing([run()], late={"warm": BEGAN * 1000})
    assert (late.ok, late.said) == (False, "warm is late: it should have succeeded by 2026-11-21 12:00:00Z")
    halted = are_runs_failing([run()], halted={"warm": "5 failures in a row, the last warm@x"})
    assert not halted.ok
    assert "`anp schedules resume warm`" in halted.said


def test_a_release_is_compared_with_the_one_before() -> None:
    old = [run(release="1", runtime=1.0)] * 10
    assert did_the_release_change_anything(old).said == "only release 1 is recorded"
    assert did_the_release_change_anything([run()]).said == "no release is recorded"
    assert did_the_release_change_anything([run(release="2", runtime=1.1)] * 10 + old).ok
    failing = [run("failed", release="2", runtime=1.0)] * 2 + [run(release="2", runtime=1.0)] * 8
    assert did_the_release_change_anything(failing + old).said == "2: 20% of runs go wrong, before it was 0%"
    assert not did_the_release_change_anything([run(release="2", runtime=4.0)] * 10 + old).ok


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert quantile([], 0.95) is None
    assert quantile([3.0], 0.95) == 3.0
    assert quantile([float(n) for n in range(1, 101)], 0.95) == 95.0
    assert quantile([1.0, 2.0], 0.5) == 1.0
