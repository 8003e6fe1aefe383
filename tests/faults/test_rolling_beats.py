"""Beats that are restarted again and again, killed and stopped past their ticks: every tick is decided once."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import cycle, pairwise

import pytest

from celery_anp.reliability.run import Run
from tests.faults.faults import last
from tests.support.eventually import eventually
from tests.support.stack import Process, Stack

pytestmark = pytest.mark.faults

#: Seconds for which beats are replaced, and seconds that each lives.
ROLLING, EACH = 60, 5
SCHEDULES = """
[[schedule]]
name = "tick"
task = "probe.add"
every = "1s"
input = { x = 1, y = 2 }
overlap = "allow_all"
catchup = "all"
"""


def ticks(stack: Stack) -> list[Run]:
    return sorted(stack.ledger.runs(10_000, schedule="tick"), key=lambda run: run.run_id)


def each_once(stack: Stack) -> None:
    """Every second from the first tick to the last has one row, and each of them ran."""
    count = len(ticks(stack))
    eventually(lambda: len(ticks(stack)) > count + 2, 20, "ticks to go on")
    runs = ticks(stack)[: count + 1]
    times = [run.tick for run in runs if run.tick]
    assert [f"{a} -> {b}" for a, b in pairwise(times) if b - a != timedelta(seconds=1)] == []
    for run in runs:
        assert stack.ends(run.run_id, 30).state == "succeeded", run
    assert {run.attempts for run in ticks(stack)[:count]} == {1}


def replaced(stack: Stack, old: Process, how: str) -> Process:
    """A new beat beside an old one that ends."""
    new = stack.beat()
    if how == "stop":
        old.stop()
    else:
        old.kill()
    return new


def test_rolling_restarts_of_two_beats_lose_and_double_no_tick(stack: Stack) -> None:
    stack.worker()
    beats = [stack.beat(schedules=SCHEDULES), stack.beat()]
    end = time.monotonic() + ROLLING
    for how in cycle(("stop", "kill")):
        last(EACH / 2)
        beats = [beats[1], replaced(stack, beats[0], how)]
        if time.monotonic() > end:
            break
    each_once(stack)


def test_a_beat_stopped_past_its_ticks_decides_none_of_them_again(stack: Stack) -> None:
    stack.worker()
    first, _ = stack.beat(schedules=SCHEDULES), stack.beat()
    eventually(lambda: len(ticks(stack)) >= 2, 20, "the first ticks")
    for _ in range(3):
        first.pause()
        last(4.5)
        first.resume()
        last(1)
    each_once(stack)


def test_three_beats_two_of_them_killed_and_one_stopped_decide_each_tick_once(stack: Stack) -> None:
    stack.worker()
    first, second, third = stack.beat(schedules=SCHEDULES), stack.beat(), stack.beat()
    eventually(lambda: len(ticks(stack)) >= 2, 20, "the first ticks")
    first.kill()
    second.pause()
    last(3)
    third.kill()
    last(3)
    second.resume()
    each_once(stack)
