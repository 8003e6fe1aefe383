"""The lease of a worker whose broker does not answer while its ledger does."""

from __future__ import annotations

import os
import signal

from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import probe
from tests.support.stack import Stack


def lease_end(stack: Stack) -> float:
    """When the lease of the one node ends (ms)."""
    leases = stack.ledger.store.read("zrange", stack.ledger.store.key("nodes"), 0, -1, False, True)
    return float(leases[0][1])


def test_a_publish_that_hangs_holds_up_no_lease_and_ends_no_other_body(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.silence"
    journal = Journal(stack.journal)
    worker = stack.worker(concurrency=2)
    script = (str(journal.path), [["gate", "open"]])
    lost, other = (
        probe.apply_async(script, {"lock": f"lock {n}"}, compression="gzip")  # which upkeep publishes
        for n in range(2)
    )
    eventually(lambda: len(journal.lines("at")) == 2, 20, "the bodies to stand at their gate")
    ends = lease_end(stack)
    os.kill(worker.pid, signal.SIGUSR2)
    os.kill(journal.lines("at", run=lost.id)[0]["pid"], signal.SIGKILL)
    stack.reaches(lost.id, "queued", 10)
    later = ends + 2 * stack.ledger.lease
    eventually(lambda: lease_end(stack) > later, 15, "the lease to be renewed")
    os.kill(worker.pid, signal.SIGUSR2)
    journal.open("open")
    assert [stack.ends(one.id).state for one in (lost, other)] == ["succeeded"] * 2
    assert [stack.run(one.id).attempts for one in (lost, other)] == [2, 1]


def test_a_run_whose_child_died_is_rung_at_once(stack: Stack) -> None:
    worker = stack.worker(concurrency=1)
    result = probe.delay(str(stack.journal), [["die", 1]])
    stack.reaches(result.id, "queued")
    eventually(lambda: worker.said().count(f"[{result.id}] received") == 2, 3, "its message, before upkeep's grace")
    assert stack.ends(result.id).state == "succeeded"
