"""What Prometheus is told agrees with the ledger; nothing is counted twice, whatever is sent again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from celery_anp.metrics import LedgerCollector
from celery_anp.process import bound, port
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.overrides import Overrides
from celery_anp.reliability.store import Store, connect
from tests.support.eventually import eventually
from tests.support.moved import NODE, Moved, begin, new, settle
from tests.support.stack import Stack

EACH_SECOND = """
[[schedule]]
name = "s"
task = "probe.add"
every = "1s"
input = { x = 1, y = 2 }
late_after = "1s"
"""
Told = Callable[..., float | None]


def told(ledger: Ledger) -> Told:
    """One scrape: the value of a metric with some labels."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger))
    return lambda name, **labels: registry.get_sample_value(f"anp_{name}", labels)


def test_a_run_is_counted_once_however_often_begin_and_settle_are_sent(ledger: Moved) -> None:
    ledger.plan([new("a")])
    ledger.go(4)
    for _ in range(3):
        fence = begin(ledger, "a").fence
    ledger.go(2)
    for _ in range(3):
        ledger.settle("a", NODE, fence, "succeeded", result="1")
    scrape = told(ledger)
    assert scrape("runs_ended_total", task="task", state="succeeded") == 1
    assert scrape("runs_ended_total", task="task", state="rollback_failed") == 0, "an increase from nothing is not seen"
    assert [scrape("run_lateness_seconds_bucket", task="task", le=le) for le in ("1", "5", "300", "+Inf")] == [
        0,
        1,
        1,
        1,
    ]
    assert (scrape("run_lateness_seconds_sum", task="task"), scrape("run_seconds_sum", task="task")) == (4, 2)
    assert scrape("run_seconds_count", task="task") == 1


def test_only_the_first_attempt_is_late_and_retries_and_losses_are_counted(ledger: Moved) -> None:
    ledger.plan([new("a")])
    fence = begin(ledger, "a", "1").fence
    for _ in range(2):
        ledger.settle("a", NODE, fence, "retry", reason="again", delay=0)
    ledger.promote()
    fence = begin(ledger, "a", "2").fence
    ledger.lose("a", NODE, fence, "child", "it died")
    ledger.lose("a", NODE, fence, "child", "it died")
    ledger.go(400)
    ledger.heartbeat(NODE, {"kind": "worker"})
    begin(ledger, "a", "3")
    scrape = told(ledger)
    assert (scrape("run_retries_total", task="task"), scrape("run_losses_total", task="task")) == (1, 1)
    assert scrape("run_lateness_seconds_count", task="task") == 1
    assert scrape("runs", state="running") == 1
    settle(ledger, "a")
    assert told(ledger)("runs", state="running") == 0


def test_what_is_late_what_is_stopped_and_who_lives_is_told(stack: Stack) -> None:
    stack.beat(schedules=EACH_SECOND)  # nobody runs its ticks
    ledger = stack.ledger
    eventually(lambda: told(ledger)("schedule_late_seconds", schedule="s") is not None, 20, "the schedule to be late")
    Overrides(ledger.store).apply("s", "pause", "ann")
    scrape = told(ledger)
    assert (scrape("nodes", kind="beat", release=""), scrape("nodes", kind="worker", release="")) == (1, 0)
    assert scrape("schedule_stopped", schedule="s", by="operator") == 1
    assert scrape("schedules") == 1
    assert (scrape("runs", state="queued") or 0) + (scrape("runs", state="blocked") or 0) > 0
    assert scrape("ledger_up") == 1


def test_a_user_who_may_only_read_is_enough_and_a_ledger_that_is_away_is_told(
    stack: Stack, redis: Redis, tmp_path: Path
) -> None:
    redis.acl_setuser(
        "reader", enabled=True, passwords=["+reading"], keys=["anp:*"],
        commands=["-@all", "+@read", "+@connection", "+info", "+time"],
    )  # fmt: skip
    try:
        url = stack.redis_url.replace("://:loopback@", "://reader:reading@")
        with pytest.raises(Exception, match="permission"):
            Store(connect(url), "anp").client.set("anp:x", "1")
        number = port.free()
        command = [sys.executable, "-m", "celery_anp", "metrics", "--port", str(number)]
        with (tmp_path / "metrics.log").open("wb") as output:
            process = bound.start(command, output=output, env=stack.environment(redis_url=url), cwd=tmp_path)
        address = f"http://127.0.0.1:{number}/metrics"
        page = eventually(lambda: httpx.get(address, trust_env=False).text, 20, "the metrics")
        assert page
        assert "anp_ledger_up 1.0" in page
        assert "anp_ledger_memory_bytes" in page
        redis.acl_deluser("reader")
        page = httpx.get(address, trust_env=False, timeout=30).text
        assert page.split("# ")[-1].endswith("anp_ledger_up 0.0\n"), page
        process.terminate()
        assert process.wait(10) == 0
    finally:
        redis.acl_deluser("reader")


def test_metrics_that_cannot_be_served_there_say_so(stack: Stack, tmp_path: Path) -> None:
    taken = stack.redis_url.rpartition(":")[2].partition("/")[0]
    command = [sys.executable, "-m", "celery_anp", "metrics", "--port", taken]
    done = subprocess.run(
        command, env=stack.environment(), cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "cannot be served there" in done.stderr
