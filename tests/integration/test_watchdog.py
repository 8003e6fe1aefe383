"""A worker that is up but hears nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from celery_anp.local.embedded.server import RedisServer
from celery_anp.node.watchdog import EXIT
from tests.support.eventually import eventually
from tests.support.halves import fails
from tests.support.journal import Journal
from tests.support.linked import LinkedStack
from tests.support.probe import add, probe, rare
from tests.support.proxy import Proxy
from tests.support.stack import Process, Stack

pytestmark = pytest.mark.long


def stalls(worker: Process) -> list[Any]:
    """It hears nothing more, of five calls that are made now, and ends by itself."""
    os.kill(worker.pid, signal.SIGUSR2)
    late = [add.delay(n, n) for n in range(5)]
    eventually(lambda: worker.process.poll() is not None, 30, "the stalled worker to end")
    assert worker.process.returncode == EXIT
    return late


def test_a_stalled_worker_ends_for_its_supervisor_and_its_work_goes_to_another(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.stalled"
    worker = stack.worker(concurrency=1)
    assert add.delay(1, 2).get(timeout=10) == 3
    late = stalls(worker)
    assert "has stalled" in worker.said()
    stack.worker()
    assert [stack.reaches(r.id, "succeeded", 30).result for r in late] == [0, 2, 4, 6, 8]


def test_a_stalled_worker_is_found_beside_a_busy_child_whose_run_goes_back(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.stalled"
    journal = Journal(stack.journal)
    worker = stack.worker(concurrency=2)
    busy = probe.delay(str(stack.journal), [["gate", "open"]])
    at = eventually(lambda: journal.lines("at"), 20, "the body to stand at its gate")[0]
    late = stalls(worker)
    eventually(lambda: not psutil.pid_exists(at["pid"]), 5, "its body to be gone")
    journal.open("open")
    stack.worker()
    assert [stack.reaches(r.id, "succeeded", 30).result for r in late] == [0, 2, 4, 6, 8]
    run = stack.reaches(busy.id, "succeeded", 30)
    assert run.attempts == 2
    assert [step.reason for step in run.history if "shut down" in step.reason or "stalled" in step.reason]


@pytest.fixture
def halting(redis: Redis, redis_server: RedisServer, tmp_path: Path) -> Iterator[LinkedStack]:
    """Its children say what is long in two halves."""
    tasks = "tests.support.probe,tests.support.halves"
    with Proxy(redis_server.port) as proxy, LinkedStack(tmp_path, redis_server, proxy, tasks=tasks) as stack:
        yield stack


def says_a_half(stack: LinkedStack, after: int) -> Process:
    """A worker whose run has failed, and whose child has told it that but for what comes after so many bytes."""
    worker = stack.worker(concurrency=1)
    run_id = fails.delay(str(stack.journal), after).id
    eventually(lambda: stack.lines("at"), 20, "the child to have said a half")
    assert stack.ends(run_id).state == "failed"
    return worker


@pytest.mark.parametrize("after", [0, 1000], ids=["its length", "a part of it"])
def test_a_worker_that_connects_again_hears_what_its_child_says_to_the_end(halting: LinkedStack, after: int) -> None:
    worker = says_a_half(halting, after)
    child = [one.pid for one in worker.children()]
    halting.proxy.cut()
    eventually(lambda: worker.said().count("Connected to") == 2, 20, "the worker to connect again")
    Journal(halting.journal).open("rest")
    assert halting.ends(add.delay(1, 2).id).result == 3
    assert [one.pid for one in worker.children()] == child


def test_a_worker_that_ends_while_it_connects_again_hears_its_child_to_the_end(halting: LinkedStack) -> None:
    worker = says_a_half(halting, 1000)
    halting.proxy.cut(refuse=True)
    eventually(lambda: "Cannot connect" in worker.said(), 20, "the worker to have lost its connection")
    worker.process.terminate()
    eventually(lambda: "Warm shutdown" in worker.said(), 20, "the worker to begin its end")
    Journal(halting.journal).open("rest")
    assert worker.process.wait(timeout=20) == 0


def test_a_busy_worker_stays_and_one_that_holds_work_back_for_its_rate_limit(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.stalled"
    worker = stack.worker(concurrency=1)
    waits = stack.worker("-Q", "rare", concurrency=1)
    held_back = [rare.apply_async((n,), queue="rare") for n in range(6)]
    running = probe.delay(str(stack.journal), [["sleep", 6]])
    waiting = add.delay(1, 1)
    assert stack.ends(running.id).state == "succeeded"
    assert stack.ends(waiting.id).state == "succeeded"
    eventually(lambda: [stack.run(one.id).state for one in held_back].count("succeeded") >= 2, 10)
    assert [one.process.poll() for one in (worker, waits)] == [None, None]
