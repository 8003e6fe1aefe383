"""A worker that is up but hears nothing."""

from __future__ import annotations

import os
import signal

import psutil

from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import add, probe, rare
from tests.support.stack import Stack
from worker.deaf import EXIT


def test_a_deaf_worker_ends_for_its_supervisor_and_its_work_goes_to_another(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.deafness"
    worker = stack.worker(concurrency=1)
    assert add.delay(1, 2).get(timeout=10) == 3
    os.kill(worker.pid, signal.SIGUSR2)
    late = [add.delay(n, n) for n in range(5)]
    eventually(lambda: worker.process.poll() is not None, 30, "the deaf worker to end")
    assert worker.process.returncode == EXIT
    assert "is deaf" in worker.said()
    stack.worker()
    assert [stack.reaches(r.id, "succeeded", 30).result for r in late] == [0, 2, 4, 6, 8]


def test_a_deaf_worker_is_found_beside_a_busy_child_whose_run_goes_back(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.deafness"
    journal = Journal(stack.journal)
    worker = stack.worker(concurrency=2)
    busy = probe.delay(str(stack.journal), [["gate", "open"]])
    at = eventually(lambda: journal.lines("at"), 20, "the body to stand at its gate")[0]
    os.kill(worker.pid, signal.SIGUSR2)
    late = [add.delay(n, n) for n in range(5)]
    eventually(lambda: worker.process.poll() is not None, 30, "the deaf worker to end")
    assert worker.process.returncode == EXIT
    eventually(lambda: not psutil.pid_exists(at["pid"]), 5, "its body to be gone")
    journal.open("open")
    stack.worker()
    assert [stack.reaches(r.id, "succeeded", 30).result for r in late] == [0, 2, 4, 6, 8]
    run = stack.reaches(busy.id, "succeeded", 30)
    assert run.attempts == 2
    assert [step.reason for step in run.history if "shut down" in step.reason or "deaf" in step.reason]


def test_a_worker_that_stopped_reading_its_childrens_results_reads_on(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.unread"
    worker = stack.worker(concurrency=1)
    assert add.delay(1, 2).get(timeout=10) == 3
    os.kill(worker.pid, signal.SIGUSR2)
    late = [add.delay(n, n) for n in range(3)]
    assert [stack.reaches(r.id, "succeeded", 15).result for r in late] == [0, 2, 4]
    assert "nobody read the results" in worker.said()
    assert worker.process.poll() is None


def test_a_busy_worker_stays_and_one_that_holds_work_back_for_its_rate_limit(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.deafness"
    worker = stack.worker(concurrency=1)
    waits = stack.worker("-Q", "rare", concurrency=1)
    held_back = [rare.apply_async((n,), queue="rare") for n in range(6)]
    running = probe.delay(str(stack.journal), [["sleep", 6]])
    waiting = add.delay(1, 1)
    assert stack.ends(running.id).state == "succeeded"
    assert stack.ends(waiting.id).state == "succeeded"
    eventually(lambda: [stack.run(one.id).state for one in held_back].count("succeeded") >= 2, 10)
    assert [one.process.poll() for one in (worker, waits)] == [None, None]
