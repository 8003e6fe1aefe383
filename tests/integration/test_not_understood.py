"""A row or a declaration that nobody understands, of an earlier version or damaged: who looks goes on, and says so."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from redis import Redis

from celery_anp.settings import environment
from tests.support.moved import CLOCK, Moved, new

#: The last moment of the year 9999 and a bit, as `eta=datetime.max` once gave it.
BEYOND = "253402300800000"


@pytest.fixture
def kept(redis: Redis, ledger: Moved) -> Moved:
    """Two runs that wait, one of them due after the last year; a schedule that is read, and one that no longer is."""
    redis.set(CLOCK, int(time.time()))
    ledger.plan([new("good", delay=3_600_000), new("odd", delay=3_600_000)])
    redis.hset(ledger.row_key("odd"), mapping={"due": BEYOND, "error": "{", "history": "garbage\n"})
    for name, cron in (("nightly", "0 3 * * *"), ("first-monday", "0 0 1 * mon#1")):
        redis.hset(ledger.store.key("live"), name, json.dumps({"name": name, "task": "task", "cron": cron}))
    return ledger


def anp(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "celery_anp", *words], capture_output=True, text=True, timeout=60, check=False,
        env={**environment(), "COLUMNS": "300"},
    )  # fmt: skip
    assert "not foreseen" not in done.stderr
    return done


@pytest.mark.usefixtures("kept")
def test_each_command_shows_what_it_understands_and_names_the_rest() -> None:
    listed = anp("runs", "list")
    assert (listed.returncode, "good" in listed.stdout) == (0, True)
    assert "unreadable: due, error, history" in listed.stdout
    told = {run["run_id"]: run for run in json.loads(anp("runs", "list", "--json").stdout)}
    assert (told["odd"]["due_at"], told["odd"]["unreadable"]) == (None, ["due", "error", "history"])
    assert told["good"]["unreadable"] == []
    shown = anp("runs", "show", "odd")
    assert (shown.returncode, "due, error, history" in shown.stdout) == (0, True)
    status = anp("status", "--json")
    failing = json.loads(status.stdout)["answers"][2]
    assert (failing["ok"], failing["facts"]["unreadable"]) == (False, 1)
    assert "odd (due, error, history)" in failing["answer"]


def test_such_a_run_can_be_cancelled(kept: Moved) -> None:
    done = anp("runs", "cancel", "odd", "--note", "from before")
    assert (done.returncode, "odd is cancelled" in done.stdout) == (0, True)
    assert kept.find("good") is not None


@pytest.mark.usefixtures("kept")
def test_schedules_are_listed_without_the_one_that_another_version_declared() -> None:
    done = anp("schedules", "list")
    assert (done.returncode, "nightly" in done.stdout, "first-monday" in done.stdout) == (0, True, False)
    assert "first-monday is unreadable as it is declared in the ledger: cron cannot be used" in done.stderr
    assert [one["name"] for one in json.loads(anp("schedules", "list", "--json").stdout)] == ["nightly"]
    paused = anp("schedules", "pause", "first-monday")
    assert (paused.returncode, "first-monday is paused" in paused.stdout) == (0, True)


def test_upkeep_goes_on_past_such_a_row(kept: Moved) -> None:
    kept.plan([new("next", delay=1)])
    kept.store.client.hset(kept.row_key("odd"), mapping={"attempts": "many", "limit": "x", "deadline": "nan"})
    kept.store.client.zadd(kept.store.key("delayed"), {"odd": 0, "next": 0})
    kept.promote()
    kept.ring()
    kept.reap()
    assert [kept.run(run_id).state for run_id in ("odd", "next")] == ["queued", "queued"]
