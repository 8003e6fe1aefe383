"""A Redis that became a replica: it answers READONLY, which is a lost connection and nothing worse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.support.eventually import eventually
from tests.support.probe import add
from tests.support.stack import Stack

EACH_SECOND = """
[[schedule]]
name = "each-second"
task = "probe.add"
every = "1s"
input = { x = 1, y = 2 }
catchup = "all"
overlap = "allow_all"
"""


@pytest.fixture
def replica(redis: Redis) -> Iterator[Redis]:
    yield redis
    redis.replicaof("no", "one")


def test_workers_and_beats_go_on_when_a_replica_is_master_again(stack: Stack, replica: Redis) -> None:
    worker = stack.worker()
    beat = stack.beat(schedules=EACH_SECOND)
    eventually(lambda: stack.ledger.counts().get(("probe.add", "succeeded"), 0) >= 2, 20, "the first ticks")
    replica.replicaof("127.0.0.1", 1)
    eventually(lambda: "read only replica" in worker.said() and "read only replica" in beat.said(), 20, "READONLY")
    replica.replicaof("no", "one")
    before = stack.ledger.counts()[("probe.add", "succeeded")]
    eventually(lambda: stack.ledger.counts()[("probe.add", "succeeded")] >= before + 8, 40, "work to go on")
    assert add.delay(2, 2).get(timeout=20) == 4
    assert worker.process.poll() is None
    assert beat.process.poll() is None
    ticks = [run.tick.timestamp() for run in stack.ledger.runs(1000, schedule="each-second") if run.tick]
    assert len(ticks) == max(ticks) - min(ticks) + 1
