"""Beat in any number: every tick is decided once, whoever is down."""

from __future__ import annotations

import socket
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from celery_anp.reliability.run import Run
from tests.support.eventually import eventually
from tests.support.stack import Stack
from worker.app import app

EACH_SECOND = """
[[schedule]]
name = "each-second"
task = "probe.add"
every = "1s"
input = { x = 1, y = 2 }
overlap = "allow_all"
"""


def ticks(stack: Stack) -> list[Run]:
    return sorted(stack.ledger.runs(1000, schedule="each-second"), key=lambda run: run.run_id)


def gaps(runs: list[Run]) -> list[str]:
    times = [run.tick for run in runs if run.tick]
    return [f"{a} -> {b}" for a, b in pairwise(times) if b - a != timedelta(seconds=1)]


@pytest.mark.long
def test_two_beats_decide_each_tick_once_and_a_killed_one_leaves_no_gap(stack: Stack) -> None:
    stack.worker()
    first = stack.beat(schedules=EACH_SECOND)
    eventually(lambda: len(ticks(stack)) >= 3, 20, "the first ticks")
    first.kill()
    second, third = stack.beat(), stack.beat()
    before = len(ticks(stack))
    eventually(lambda: len(ticks(stack)) >= before + 5, 30, "ticks of the new beats")
    second.stop()
    third.stop()
    runs = ticks(stack)
    assert gaps(runs) == []
    for run in runs[-3:]:
        stack.ends(run.run_id)
    assert Counter(run.run_id for run in runs).most_common(1)[0][1] == 1
    succeeded = stack.ledger.counts()[("probe.add", "succeeded")]
    assert succeeded == sum(run.state == "succeeded" for run in ticks(stack))


def test_after_a_stop_the_latest_tick_runs_and_the_others_are_told_as_skipped(stack: Stack) -> None:
    stack.worker()
    beat = stack.beat(schedules=EACH_SECOND)
    eventually(lambda: ticks(stack), 20, "a tick")
    beat.kill()
    last = ticks(stack)[-1]
    assert last.tick
    gone = int(last.tick.timestamp()) + 9
    eventually(lambda: stack.ledger.now() / 1000 > gone, 20, "nine ticks to be missed")
    stack.beat()
    eventually(
        lambda: [r for r in ticks(stack) if r.state == "succeeded" and r.tick and last.tick and r.tick > last.tick], 20
    )
    missed = [run for run in ticks(stack) if run.reason.startswith("catchup")]
    assert len(missed) == 1
    assert ".." in missed[0].run_id
    assert "ticks were due while no beat was running" in missed[0].reason


def test_a_new_schedule_begins_now_and_fires_nothing_for_the_past(stack: Stack) -> None:
    yearly = '[[schedule]]\nname = "y"\ntask = "probe.add"\ncron = "0 0 1 1 *"\ninput = { x = 1, y = 2 }\n'
    stack.beat(schedules=yearly)
    eventually(lambda: "y" in stack.ledger.cursors(), 10, "its cursor")
    assert stack.ledger.runs(10) == []


def test_a_tick_meets_its_running_predecessor_and_is_skipped_with_the_holders_name(stack: Stack) -> None:
    stack.worker()
    slow = f"""
    [[schedule]]
    name = "each-second"
    task = "probe"
    every = "1s"
    input = {{ path = "{stack.journal}", script = [["sleep", 2.5]], lock = "slow" }}
    """
    stack.beat(schedules=slow)
    skipped = eventually(lambda: [run for run in ticks(stack) if run.state == "skipped"], 20, "a skipped tick")
    assert "overlap: slow is held by each-second@" in skipped[0].reason


def test_beat_answers_celerys_remote_ping_while_its_rounds_go_on_and_nothing_else(stack: Stack) -> None:
    beat = stack.beat(schedules=EACH_SECOND)
    name = f"beat@{socket.gethostname()}"

    def asked(what: str) -> dict[str, object]:
        return getattr(app.control.inspect(destination=[name], timeout=2), what)() or {}

    eventually(lambda: asked("ping") == {name: {"ok": "pong"}}, 20, "the answer")
    assert asked("stats") == {}
    beat.pause()
    assert asked("ping") == {}
    beat.resume()
    eventually(lambda: asked("ping"), 20, "the answer again")
    assert beat.stop() == 0


def test_a_broken_schedule_file_stops_beat_with_one_message(stack: Stack) -> None:
    wrong = '[[schedule]]\nname = "w"\ntask = "prob.add"\ncron = "61 * * * *"\n[[schedule]]\nname = "v"\nevry = "1s"\n'
    beat = stack.beat(schedules=wrong, wait=False)
    assert beat.process.wait(timeout=30) != 0
    said = beat.said()
    assert "Traceback" not in said
    for word in ("schedules.toml", "prob.add", "Did you mean", "cron", "evry"):
        assert word in said, said


def test_no_redis_is_one_message_and_an_exit(stack: Stack) -> None:
    nowhere = Stack(stack.folder, "redis://127.0.0.1:1/0")
    with nowhere:
        beat = nowhere.beat(schedules=EACH_SECOND, wait=False)
        assert beat.process.wait(timeout=60) == 1
        assert "Redis does not answer" in beat.said()
        assert "Traceback" not in beat.said()
