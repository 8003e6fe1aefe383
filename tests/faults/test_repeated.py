"""The same fault again and again: what is nobody's fault must not be counted against a run."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults.faults import SILENCE, last
from tests.faults.scene import LEASE, Scene
from tests.faults.verdict import wrong
from tests.support.eventually import eventually

pytestmark = pytest.mark.faults


def test_three_outages_of_redis_do_not_quarantine_a_run(scene: Scene) -> None:
    scene.two_workers()
    run_id = scene.send(["gate", "long"], ["effect", "e"])
    for number in range(1, 4):
        eventually(lambda n=number: len(scene.journal.lines("at")) >= n, 20, f"attempt {number}")  # type: ignore[misc]
        assert scene.server.pid
        os.kill(scene.server.pid, signal.SIGSTOP)
        last(SILENCE)
        os.kill(scene.server.pid, signal.SIGCONT)
        eventually(lambda n=number: scene.ledger.run(run_id).losses >= n, 20, "the loss to be told")  # type: ignore[misc]
    eventually(lambda: len(scene.journal.lines("at")) >= 4, 20, "attempt 4")
    scene.journal.open("long")
    run = scene.stack.ends(run_id, 20)
    assert run.state == "succeeded"
    assert run.losses >= 3
    assert wrong([run], scene.journal.lines(), late=False, ended=scene.ended()) == []


def test_a_node_that_fenced_itself_returns_under_a_new_id(scene: Scene) -> None:
    scene.two_workers()
    before = {node.node for node in scene.ledger.nodes()}
    scene.proxy.swallow("worker0")
    eventually(lambda: len(scene.ledger.nodes()) == 1, 4 * LEASE, "the node to be dead")
    scene.proxy.heal()
    after = eventually(lambda: len(nodes := scene.ledger.nodes()) == 2 and nodes, 20, "the node to return")
    assert len({node.node for node in after or ()} - before) == 1


def test_three_stops_of_the_same_worker_leave_one_effect(scene: Scene) -> None:
    scene.two_workers()
    for _ in range(3):
        run_id = scene.send(["gate", "stop"], ["effect", "e"], lock="same")
        eventually(lambda r=run_id: scene.journal.lines("begin", run=r), 20, "a body")  # type: ignore[misc]
        pid = scene.journal.lines("begin", run=run_id)[0]["pid"]
        worker = scene.worker_of(pid)
        with scene.journal.alone():
            scene.hits(worker).pause()
        scene.journal.open("stop")
        eventually(lambda r=run_id: scene.ledger.run(r).final, 30, "the other worker to end it")  # type: ignore[misc]
        worker.resume()
        eventually(lambda: len(scene.ledger.nodes()) == 2, 20, "the stopped node to return")
    assert wrong(scene.runs(), scene.journal.lines(), late=True, ended=scene.ended()) == []


def test_a_worker_with_prefetched_messages_stays_up_when_its_connection_is_reset(scene: Scene) -> None:
    scene.two_workers()
    for number in range(4):  # fewer than one worker prefetches: it goes on reading, and notices the reset
        scene.send(["gate", "all"], ["effect", "e"], lock=f"own {number}")
    for _ in range(5):
        scene.proxy.cut()
        scene.hears()
    assert len(scene.alive()) == 2
    scene.journal.open("all")
    for run_id in scene.watched:
        assert scene.stack.ends(run_id, 30).state == "succeeded"
    assert wrong(scene.runs(), scene.journal.lines(), late=False) == []
