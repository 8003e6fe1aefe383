"""Many runs ended with one command, and what `celery purge` says that it does not do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from redis import Redis

from celery_anp.cli import flood
from celery_anp.errors import BadUsage
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Filter
from celery_anp.reliability.run import Run
from celery_anp.reliability.store import Store, connect
from tests.support.eventually import eventually
from tests.support.moved import new
from tests.support.probe import add, total
from tests.support.stack import ROOT, Stack

pytestmark = pytest.mark.long

WAITING = frozenset({"queued", "delayed", "blocked"})


@pytest.fixture
def live(redis: Redis, stack: Stack) -> Ledger:
    """A ledger with Redis' own clock."""
    return Ledger(Store(connect(stack.redis_url), "anp"))


def flooded(ledger: Ledger, count: int, **fields: object) -> list[str]:
    """Plan runs by mistake."""
    ids = [f"f{number}" for number in range(count)]
    for start in range(0, count, 500):
        ledger.plan([new(run_id, **fields) for run_id in ids[start : start + 500]])
    return ids


def states(ledger: Ledger) -> dict[str, int]:
    found: dict[str, int] = {}
    for run in ledger.runs(100_000):
        found[run.state] = found.get(run.state, 0) + 1
    return found


def test_300_queued_by_mistake_end_with_one_command(stack: Stack, live: Ledger) -> None:
    for x in range(300):
        add.delay(x, 1)
    other = total.delay([1])
    dry = stack.anp("runs", "cancel", "--task", "probe.add", "--dry-run")
    assert dry.stdout == "would cancel 300 runs\n"
    done = stack.anp("runs", "cancel", "--task", "probe.add", "--state", "queued,delayed,blocked")
    assert done.returncode == 2, "nobody can be asked"
    assert "300 runs would be cancelled" in done.stderr
    assert states(live) == {"queued": 301}
    by = ("--yes", "--note", "by mistake", "--by", "ann")
    done = stack.anp("runs", "cancel", "--task", "probe.add", "--state", "queued,delayed,blocked", *by)
    assert (done.returncode, done.stdout) == (0, "300 runs are cancelled\n")
    run = live.runs(1, task="probe.add")[0]
    assert (run.state, run.reason) == ("cancelled", "cancel by ann: by mistake")
    again = stack.anp("runs", "cancel", "--task", "probe.add", "--yes", "--json")
    assert json.loads(again.stdout) == {"matched": 0, "cancelled": 0, "dry_run": False}
    stack.worker()
    stack.ends(other.id)
    assert states(live) == {"cancelled": 300, "succeeded": 1}


def test_each_way_to_say_which_runs_are_meant(stack: Stack, live: Ledger) -> None:
    live.plan([
        new("a", task="t"), new("b", task="u"), new("c", task="t", delay=10**8), new("d", lock="l"),
        new("e", lock="l"), new("s@1", schedule="s", tick=1),
    ])  # fmt: skip
    now = live.now()

    def meant(**options: str) -> set[str]:
        given = dict.fromkeys(("state", "task", "schedule", "queue", "since", "until"), "") | options
        return set(live.ids(flood.chosen(live, **given)))

    assert meant(task="t") == {"a", "c"}
    assert meant(task="t", state="delayed") == {"c"}
    assert meant(state="queued,blocked") == {"a", "b", "d", "e", "s@1"}
    assert meant(schedule="s") == {"s@1"}
    assert len(meant(queue="default")) == 6
    assert meant(queue="other") == set()
    assert len(meant(since="1h")) == 6
    assert meant(until="1h") == set()
    assert meant(since="2026-01-01T00:00:00Z", until="2026-01-02") == set()
    assert live.ids(Filter(since=now + 10**6)) == []
    for bad in ({}, {"state": "failed"}, {"state": "queud"}, {"since": "yesterday"}):
        with pytest.raises(BadUsage):
            meant(**bad)
    done = stack.anp("runs", "cancel", "a", "--task", "t")
    assert done.returncode == 2
    assert "A run's id says which run it is" in done.stderr
    assert stack.anp("runs", "cancel", "a").returncode == 0, "an id works as before"
    assert [
        run["run_id"] for run in json.loads(stack.anp("runs", "list", "--state", "delayed,blocked", "--json").stdout)
    ]


def test_a_run_that_has_begun_meanwhile_is_left(live: Ledger) -> None:
    ids = flooded(live, 5)
    live.heartbeat("n", {"kind": "worker"})
    live.begin("f2", "n", "child", "t", "f2", "")
    assert flood.cancel(live, ids, WAITING, "ann", "", 0) == 4
    run = live.run("f2")
    assert (run.state, live.cancel_mark("f2")) == ("running", "")


def test_waiters_of_a_lock_end_without_running_one_after_the_other(live: Ledger) -> None:
    flooded(live, 400, lock="l")
    ids = live.ids(Filter(WAITING))
    assert flood.cancel(live, ids, WAITING, "ann", "", 0) == 400
    assert live.locks() == {}
    assert live.store.client.llen("default") == 0, "none but the first was ever sent, and that was taken back"


def test_the_messages_of_a_flood_go_with_it_and_others_stay(live: Ledger) -> None:
    live.plan([new("before")])
    ids = flooded(live, 500)
    live.store.client.lpush("default", "of somebody else")
    live.plan([new("x", task="theirs")])
    flood.cancel(live, list(reversed(ids)), WAITING, "ann", "", 0)
    assert live.store.client.llen("default") == 503, "who came later is in the way, a worker takes them out"
    live.store.client.ltrim("default", 2, -1)
    ids = [f"g{number}" for number in range(500)]
    live.plan([new(run_id) for run_id in ids])
    flood.cancel(live, list(reversed(ids)), WAITING, "ann", "", 0)
    assert live.store.client.llen("default") == 501


def test_a_rate_is_kept(live: Ledger) -> None:
    ids = flooded(live, 30)
    began = time.monotonic()
    flood.cancel(live, ids, WAITING, "ann", "", flood.a_second("20/s"))
    assert time.monotonic() - began >= 1.0
    assert [flood.a_second(text) for text in ("5", "300/m", "36/h", "")] == [5, 5, 0.01, 0]
    for bad in ("0", "fast", "-1/s", "1/d"):
        with pytest.raises(BadUsage):
            flood.a_second(bad)


def test_an_interrupt_leaves_what_is_left_for_the_next_time(
    live: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    ids, cancel = flooded(live, 3 * flood.BATCH), type(live).cancel

    def interrupted(self: Ledger, run_ids: list[str], *rest: object) -> int:
        if ids[0] not in run_ids:
            raise KeyboardInterrupt
        return cancel(self, run_ids, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(type(live), "cancel", interrupted)
        with pytest.raises(typer.Exit):
            flood.cancel(live, ids, WAITING, "ann", "", 0)
    assert f"stopped: {flood.BATCH} of {3 * flood.BATCH} runs are cancelled" in capsys.readouterr().err
    left = live.ids(Filter(WAITING))
    assert flood.cancel(live, left, WAITING, "ann", "", 0) == 2 * flood.BATCH


def test_twenty_thousand_runs_end_and_others_go_on_meanwhile(stack: Stack, live: Ledger) -> None:
    flooded(live, 20_000)
    slowest = 0.0
    command = [sys.executable, "-m", "celery_anp", "runs", "cancel", "--task", "task", "--yes", "--json"]
    with subprocess.Popen(command, env=stack.environment(), cwd=stack.folder, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            before = time.monotonic()
            live.now()
            slowest = max(slowest, time.monotonic() - before)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        assert process.stdout
        assert json.loads(process.stdout.read())["cancelled"] == 20_000
    assert slowest < 1.0, "no batch keeps the others waiting"
    assert live.backlog() == {"queued": 0, "delayed": 0, "blocked": 0}


def purge(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "purge", *arguments]
    return subprocess.run(
        command, env=stack.environment(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_celery_purge_says_what_it_does_not_do(stack: Stack, live: Ledger) -> None:
    runs = [add.delay(x, 1) for x in range(3)]
    done = purge(stack, "-f")
    assert "Purged 3 messages" in done.stdout
    assert "a purge drops messages, not runs: 3 runs wait in the ledger (3 queued" in done.stderr
    assert "anp runs cancel --state queued,delayed,blocked" in done.stderr
    assert done.stderr.count("anp:") == 1
    stack.worker()

    def ended() -> list[Run]:
        found = [stack.run(run.id) for run in runs]
        assert {run.state for run in found} == {"succeeded"}
        return found

    eventually(ended, 30, "the runs to be rung again")


def test_a_purge_by_code_says_it_too(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    add.delay(1, 1)
    assert add.app.control.purge() == 1
    assert "a purge drops messages, not runs: 1 runs wait" in capsys.readouterr().err
