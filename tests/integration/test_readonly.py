"""A Redis that answers and does nothing for now, such as one that became a replica: it is away, and nothing worse."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from celery_anp.errors import LedgerUnavailable
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.moved import new
from tests.support.probe import add, probe
from tests.support.stack import Process, Stack

pytestmark = pytest.mark.long

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


def busy(redis: Redis) -> None:
    """Keep Redis in a script until it is killed."""
    redis.config_set("lua-time-limit", 10)
    redis.connection_pool.get_connection().send_command("EVAL", "while true do end", 0)
    eventually(lambda: _answer(redis).startswith("BUSY"), 10, "Redis to be busy")


def _answer(redis: Redis) -> str:
    try:
        return str(redis.ping())
    except ResponseError as error:
        return str(error)


def file_of(redis: Redis) -> Path:
    """Where Redis saves; since 7.0 a client may not change it."""
    return Path(redis.config_get("dir")["dir"]) / redis.config_get("dbfilename")["dbfilename"]


def unsaved(redis: Redis) -> None:
    """Let a save to the disk fail: a folder has the file's name."""
    file_of(redis).unlink(missing_ok=True)
    (file_of(redis) / "taken").mkdir(parents=True)
    redis.config_set("save", "3600 1000000")
    redis.bgsave()
    eventually(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "the save to fail")


def saved(redis: Redis) -> None:
    """It may save again, and does not."""
    redis.config_set("save", "")
    shutil.rmtree(file_of(redis), ignore_errors=True)


def replicas_to_write(count: int) -> Callable[[Redis], Any]:
    return lambda redis: redis.config_set("min-replicas-to-write", count)


#: What Redis says, how it comes to that, and how it is itself again.
STATES: dict[str, tuple[Callable[[Redis], Any], Callable[[Redis], Any]]] = {
    "read only replica": (lambda redis: redis.replicaof("127.0.0.1", 1), lambda redis: redis.replicaof("no", "one")),
    "maxmemory": (lambda redis: redis.config_set("maxmemory", 1), lambda redis: redis.config_set("maxmemory", 0)),
    "NOREPLICAS": (replicas_to_write(1), replicas_to_write(0)),
    "MISCONF": (unsaved, saved),
    "BUSY": (busy, lambda redis: redis.script_kill()),
}


@pytest.fixture
def itself(redis: Redis) -> Iterator[Redis]:
    """Redis, which is itself again in the end."""
    yield redis
    for _, mend in STATES.values():
        with suppress(ResponseError):
            mend(redis)


@pytest.mark.parametrize("words", STATES)
def test_planning_meanwhile_says_what_is_wrong_and_that_it_passes(stack: Stack, itself: Redis, words: str) -> None:
    STATES[words][0](itself)
    with pytest.raises(LedgerUnavailable, match=words) as refused:
        stack.ledger.plan([new("a")])
    with pytest.raises(LedgerUnavailable, match=words) as plain:
        stack.ledger.store.read("set", "a", "b")
    assert refused.value.retry_safe
    assert plain.value.retry_safe


def test_a_body_that_ends_meanwhile_settles_when_redis_is_itself_again(stack: Stack, itself: Redis) -> None:
    stack.settings["lease"] = "15"
    worker, journal = stack.worker(concurrency=1), Journal(stack.journal)
    refusing = {
        words: state for words, state in STATES.items() if words != "maxmemory"
    }  # a success finds room even then
    for words, (strike, mend) in refusing.items():
        run_id = probe.delay(str(journal.path), [["gate", words]]).id
        eventually(partial(journal.lines, "at", name=words), 20, "the body")
        strike(itself)
        journal.open(words)
        told = eventually(partial(lines_with, worker, f"{run_id} asks the ledger again"), 10, words)
        mend(itself)
        run = stack.ends(run_id)
        assert (run.state, run.attempts) == ("succeeded", 1), run.history
        assert words in told[0]


def lines_with(process: Process, words: str) -> list[str]:
    return [line for line in process.said().splitlines() if words in line]
