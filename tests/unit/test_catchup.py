"""What becomes of missed ticks: a truth table, and properties."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_anp.beat import occurrences
from celery_anp.beat.catchup import Catchup, catch_up
from celery_anp.beat.plan import Planner
from celery_anp.beat.schedule import Schedule
from tests.support.probe import crowded, skipping
from worker.app import app

NOW = 1_800_000_000


def schedule(**fields: Any) -> Schedule:
    return Schedule.model_validate({"name": "s", "task": "t", "every": 60, **fields})


@pytest.mark.parametrize(
    ("catchup", "cursor", "now", "run", "dropped"),
    [
        # on time, whatever the policy
        ("skip", 0, 2, [0], None), ("latest", 0, 2, [0], None), ("all", 0, 2, [0], None),
        # a minute late, one tick: only skip drops it
        ("skip", 0, 40, [], [0]), ("latest", 0, 40, [0], None), ("all", 0, 40, [0], None),
        # three ticks missed, the last one on time
        ("skip", 2, 2, [0], [-120, -60]), ("latest", 2, 2, [0], [-120, -60]), ("all", 2, 2, [-120, -60, 0], None),
        # three missed, the last one late
        ("skip", 2, 40, [], [-120, -60, 0]), ("latest", 2, 40, [0], [-120, -60]), ("all", 2, 40, [-120, -60, 0], None),
    ],
)  # fmt: skip
def test_truth_table(catchup: str, cursor: int, now: int, run: list[int], dropped: list[int] | None) -> None:
    found = catch_up(schedule(catchup=catchup), NOW - 60 - cursor * 60, NOW + now)
    assert [t - NOW for t in found.run] == run
    assert [t - NOW for t in found.each] == (dropped or [])
    assert found.newest == NOW


def test_a_long_absence_is_one_range_that_names_first_last_and_count() -> None:
    found = catch_up(schedule(catchup="latest", catchup_window=3600), NOW - 86_400, NOW + 1)
    assert found.run == (NOW,)
    assert found.dropped == (NOW - 86_400 + 60, NOW - 60, 1439)


def test_all_runs_no_more_than_its_limit_and_not_beyond_its_window() -> None:
    limited = catch_up(schedule(catchup="all", catchup_limit=10), NOW - 3000, NOW)
    assert len(limited.run) == 10
    assert limited.dropped == (NOW - 2940, NOW - 600, 40)
    windowed = catch_up(schedule(catchup="all", catchup_window=600), NOW - 3000, NOW)
    assert min(windowed.run) > NOW - 600 - 1


CRONS = st.sampled_from(["*/5 * * * *", "30 2 * * *", "0 * * * *", "15 3 * * 1"])


def decided(found: Catchup, of: Schedule) -> list[float]:
    between = list(occurrences.ticks(of, found.dropped[0] - 1, found.dropped[1])) if found.dropped else []
    return sorted([*found.run, *found.each, *between])


@given(
    every=st.one_of(st.integers(1, 7200), CRONS),
    catchup=st.sampled_from(["skip", "latest", "all"]),
    window=st.integers(60, 7200),
    jitter=st.integers(0, 30),
    steps=st.lists(st.integers(0, 9000), min_size=1, max_size=6),
)
def test_every_tick_is_decided_once_however_often_it_is_asked(
    every: int | str, catchup: str, window: int, jitter: int, steps: list[int]
) -> None:
    timing = {"every": every} if isinstance(every, int) else {"every": None, "cron": every, "timezone": "Europe/Berlin"}
    jitter = 0 if isinstance(every, int) and jitter >= every else jitter
    fields = {"catchup": catchup, "catchup_window": window, "jitter": jitter, **timing}
    one = schedule(
        **{name: value for name, value in fields.items() if value is not None}
        | ({} if isinstance(every, int) else {"every": None})
    )
    now, seen = NOW, list[float]()
    cursor: float = NOW
    for step in steps:
        now += step
        found = catch_up(one, cursor, now)
        seen += decided(found, one)
        cursor = found.newest or cursor
    due = [t for t in occurrences.ticks(one, NOW, now) if t <= cursor]
    assert seen == due
    assert not [t for t in occurrences.ticks(one, cursor, now) if t + occurrences.jitter(one, t) <= now]


@pytest.mark.parametrize(
    ("task", "said", "tick", "by_hand"),
    [
        (crowded, {}, ("buffer_all", 2), ("buffer_all", 2)),
        (crowded, {"overlap": "buffer_all", "overlap_limit": 7}, ("buffer_all", 7), ("buffer_all", 2)),
        (skipping, {"overlap": "buffer_all"}, ("buffer_all", 100), ("buffer_all", 1000)),
        (skipping, {}, ("skip", 1000), ("buffer_all", 1000)),
    ],
)
def test_how_many_wait_is_said_where_the_overlap_is_said(
    task: Any, said: dict[str, Any], tick: tuple[str, int], by_hand: tuple[str, int]
) -> None:
    of = schedule(task=task.name, input={"name": "n"}, **said)
    planner = Planner(app, {of.name: of})
    first = planner.first(of, "", NOW - 60)
    [planned] = planner.plan(of, first.cursor, NOW).runs
    assert (planned.lock.overlap, planned.lock.limit) == tick
    for new in (planner.by_hand(of, "t#1"), planner.backfilled(of, NOW)):
        assert (new.lock.overlap, new.lock.limit) == by_hand
