"""Schedules that change while beat runs, releases side by side, and state that is lost: real beats on a real Redis."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from celery_anp.reliability.overrides import Overrides
from celery_anp.reliability.run import Run
from tests.support.eventually import eventually
from tests.support.stack import Process, Stack

pytestmark = pytest.mark.long


def every(seconds: int, name: str = "s", more: str = "") -> str:
    return f'[[schedule]]\nname = "{name}"\ntask = "probe.add"\nevery = {seconds}\ninput = {{ x = 1, y = 2 }}\n{more}\n'


def ticks(stack: Stack, name: str = "s") -> list[Run]:
    return sorted(stack.ledger.runs(1000, schedule=name), key=lambda run: run.run_id)


def apart(runs: list[Run]) -> set[timedelta]:
    times = [run.tick for run in runs if run.tick]
    return {b - a for a, b in pairwise(times)}


def write(stack: Stack, text: str) -> Path:
    file = stack.folder / "schedules.toml"
    file.write_text(text, encoding="utf-8")
    return file


def trouble(stack: Stack) -> str:
    return " ".join(node.news.get("trouble", "") for node in stack.ledger.nodes() if node.kind == "beat")


def timing(stack: Stack, name: str = "s") -> str:
    return stack.ledger.cursors().get(name, "").partition("|")[2]


def said(process: Process, words: str) -> Any:
    return eventually(lambda: words in process.said(), 20, f"{process.name} to say {words!r}")


def test_an_edited_timing_applies_from_then_on_and_fires_nothing_at_once(stack: Stack) -> None:
    beat = stack.beat(schedules=every(1))
    eventually(lambda: len(ticks(stack)) >= 3, 20, "ticks of each second")
    before = timing(stack)
    write(stack, every(3600))
    said(beat, "read anew")
    eventually(lambda: timing(stack) != before, 10, "the new timing's cursor")
    count, now = len(ticks(stack)), stack.ledger.now()
    eventually(lambda: stack.ledger.now() > now + 2500, 10, "two seconds")
    assert len(ticks(stack)) == count
    assert apart(ticks(stack)) == {timedelta(seconds=1)}
    assert "every: 1 -> 3600" in Overrides(stack.ledger.store).history("s")[0].note


def test_an_edit_that_breaks_a_file_leaves_the_last_good_set_loudly_until_it_is_mended(stack: Stack) -> None:
    beat = stack.beat(schedules=every(1))
    eventually(lambda: ticks(stack), 20, "a tick")
    write(stack, every(1) + '[[schedule]]\nname = "broken"\nevry = "1s"\n')
    said(beat, "its last good schedules stay")
    assert "evry is not a key" in beat.said()
    count = len(ticks(stack))
    eventually(lambda: len(ticks(stack)) >= count + 2, 10, "ticks to go on")
    eventually(lambda: "evry" in trouble(stack), 10, "the trouble to be told")
    assert stack.anp("health", "beat").returncode == 0, "restarted, it would have no schedules at all"
    (stack.folder / "good.toml").write_text(every(1), encoding="utf-8")
    status = stack.anp("status", file="good.toml")
    assert (status.returncode, "last good schedules stay" in status.stdout) == (1, True)
    write(stack, every(1))
    eventually(lambda: not trouble(stack), 10, "the trouble to be over")
    assert apart(ticks(stack)) == {timedelta(seconds=1)}
    assert stack.anp("health", "beat").returncode == 0


def test_reload_tells_what_each_beat_says(stack: Stack) -> None:
    stack.beat(schedules=every(1))
    stack.beat()
    good = stack.anp("schedules", "reload")
    assert (good.returncode, good.stdout.count("read, and in use")) == (0, 2)
    write(stack, "nonsense")
    bad = stack.anp("schedules", "reload")
    assert (bad.returncode, bad.stdout.count("is not TOML")) == (1, 2)


def test_a_beat_of_an_earlier_release_plans_nothing_and_says_so(stack: Stack) -> None:
    stack.settings["release"] = "r1"
    old = stack.beat(schedules=every(1), file="old.toml")
    eventually(lambda: ticks(stack), 20, "a tick of the first release")
    stack.settings["release"] = "r2"
    stack.beat(schedules=every(1, "other"), file="new.toml")
    said(old, "beat is retired")
    count = len(ticks(stack))
    eventually(lambda: len(ticks(stack, "other")) >= 4, 20, "ticks of the second release")
    assert len(ticks(stack)) == count
    eventually(lambda: "release r2 are live" in trouble(stack), 10, "the trouble to be told")
    status = stack.anp("status", file="new.toml")
    assert (status.returncode, "it plans nothing" in status.stdout) == (1, True)
    assert (health := stack.anp("health", "beat")).returncode == 0, health.stdout
    stack.settings["release"] = "r1-again"  # a rollback: the first release's schedules under a new name
    stack.beat(file="old.toml")
    eventually(lambda: len(ticks(stack)) > count + 1, 20, "ticks after the rollback")


def test_a_renamed_schedule_loses_no_tick_and_keeps_its_pause(stack: Stack) -> None:
    beat = stack.beat(schedules=every(1))
    eventually(lambda: len(ticks(stack)) >= 2, 20, "ticks")
    write(stack, every(1, "fresh", 'renamed_from = "s"'))
    said(beat, "s goes on as fresh")
    eventually(lambda: len(ticks(stack, "fresh")) >= 3, 20, "ticks under the new name")
    assert apart(ticks(stack) + ticks(stack, "fresh")) == {timedelta(seconds=1)}
    Overrides(stack.ledger.store).apply("fresh", "pause", "ada")
    write(stack, every(1, "fresher", 'renamed_from = "fresh"'))
    said(beat, "fresh goes on as fresher")
    eventually(lambda: ticks(stack, "fresher"), 20, "a tick under the newest name")
    assert {run.state for run in ticks(stack, "fresher")} == {"skipped"}


def test_a_schedule_that_comes_back_after_it_was_removed_begins_then(stack: Stack) -> None:
    stack.beat(schedules=every(1) + every(1, "other"))
    eventually(lambda: len(ticks(stack)) >= 2, 20, "ticks")
    write(stack, every(1, "other"))
    eventually(lambda: "s" not in stack.ledger.cursors(), 20, "its cursor to be gone")
    count, last = len(ticks(stack)), ticks(stack)[-1].tick
    now = stack.ledger.now()
    eventually(lambda: stack.ledger.now() > now + 4000, 10, "four seconds without it")
    write(stack, every(1) + every(1, "other"))
    eventually(lambda: len(ticks(stack)) > count, 20, "a tick")
    first = ticks(stack)[count]
    assert last
    assert first.tick
    assert first.tick > last + timedelta(seconds=4)
    assert not any(run.reason.startswith("catchup") for run in ticks(stack))


def test_cursors_that_are_deleted_are_rebuilt_without_a_burst_or_a_lost_tick(stack: Stack) -> None:
    beat = stack.beat(schedules=every(1))
    eventually(lambda: len(ticks(stack)) >= 3, 20, "ticks")
    stack.ledger.store.client.delete(stack.ledger.store.key("cursors"))
    said(beat, "the cursor of s was gone")
    count = len(ticks(stack))
    eventually(lambda: len(ticks(stack)) >= count + 3, 20, "ticks to go on")
    assert apart(ticks(stack)) == {timedelta(seconds=1)}


def test_cursors_deleted_while_no_beat_runs_are_rebuilt_from_the_last_runs(stack: Stack) -> None:
    first = stack.beat(schedules=every(1, more='catchup = "all"'))
    eventually(lambda: len(ticks(stack)) >= 3, 20, "ticks")
    first.stop()
    stack.ledger.store.client.delete(stack.ledger.store.key("cursors"))
    now = stack.ledger.now()
    eventually(lambda: stack.ledger.now() > now + 2000, 10, "two seconds without a beat")
    second = stack.beat()
    said(second, "it goes on from its last run")
    count = len(ticks(stack))
    eventually(lambda: len(ticks(stack)) >= count + 3, 20, "ticks to go on")
    assert apart(ticks(stack)) == {timedelta(seconds=1)}


def test_an_emptied_redis_is_set_up_anew_without_a_burst_and_said_loudly(stack: Stack) -> None:
    beat = stack.beat(schedules=every(1) + every(3600, "hourly"))
    eventually(lambda: len(ticks(stack)) >= 3, 20, "ticks")
    with stack.ledger.store.client.pipeline() as pipe:
        pipe.zrevrange(stack.ledger.store.key("schedule:s"), 0, 0, withscores=True)
        pipe.flushall()
        (_, last), *_ = pipe.execute()[0]
    said(beat, "state was gone from Redis")
    eventually(lambda: len(ticks(stack)) >= 3, 20, "ticks to go on")
    runs = ticks(stack)
    assert apart(runs) == {timedelta(seconds=1)}
    assert runs[0].tick
    assert runs[0].tick.timestamp() - last / 1000 == 1
    assert ticks(stack, "hourly") == []
