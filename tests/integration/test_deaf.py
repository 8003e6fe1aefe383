"""A worker that is up but hears nothing."""

from __future__ import annotations

import os
import signal

from tests.support.eventually import eventually
from tests.support.probe import add, probe
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


def test_an_idle_worker_without_work_and_a_busy_one_stay(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.deafness"
    worker = stack.worker(concurrency=1)
    running = probe.delay(str(stack.journal), [["sleep", 6]])
    waiting = add.delay(1, 1)
    assert stack.ends(running.id).state == "succeeded"
    assert stack.ends(waiting.id).state == "succeeded"
    assert worker.process.poll() is None
