"""Nothing fills up for ever: rows by hand are few, and near Redis' memory limit the oldest finished rows go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
from redis import Redis

from celery_anp.errors import LedgerFull
from celery_anp.node.room import Room
from celery_anp.reliability.live import Live
from celery_anp.reliability.overrides import Overrides
from celery_anp.reliability.records import Keeping, NewRun
from tests.support.eventually import eventually
from tests.support.moved import Moved, begin, new, sent, settle, state
from tests.support.probe import probe
from tests.support.stack import Stack
from tests.support.told import alerts

MIB = 2**20
#: Far longer than any pause in a test, and than `FRESH` of make_room.lua.
LATER = 60


def kept(ledger: Moved) -> list[str]:
    return list(ledger.store.client.zrange(ledger.store.key("runs"), 0, -1))


def large(run_id: str, text: str) -> NewRun:
    """A run that waits for long, with a large message."""
    run = new(run_id, delay=10**9)
    assert run.message
    return replace(run, message=replace(run.message, text=text))


def few(ledger: Moved, rows: int = 3) -> Moved:
    return Moved(ledger.store, lease=10_000, keeping=Keeping(rows=rows))


def failed(ledger: Moved, run_id: str, **fields: object) -> None:
    ledger.plan([new(run_id, **fields)])
    begin(ledger, run_id)
    settle(ledger, run_id, "failed", reason="no")


def told(ledger: Moved) -> None:
    """What waits to be told is out."""
    for item in ledger.store.client.hkeys(ledger.store.key("outbox:items")):
        ledger.store.call("outbox", "sent", "alert", item)


@pytest.fixture
def tight(redis: Redis) -> Iterator[Redis]:
    """A Redis with room for 32 MiB more than it holds, and without the buffers of its file, which come and go."""
    redis.config_set("appendonly", "no")
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + 32 * MIB)
    yield redis
    redis.config_set("maxmemory", 0)
    redis.flushall()
    redis.config_set("appendonly", "yes")


# -- rows by hand -----------------------------------------------------------------------------------------------------


def test_a_task_keeps_its_newest_rows_by_hand(ledger: Moved) -> None:
    kept_few = few(ledger)
    for number in range(6):
        failed(kept_few, f"r{number}")
        ledger.go(1)
    assert kept(ledger) == ["r3", "r4", "r5"]
    failed(kept_few, "o", task="other")
    assert kept(ledger) == ["r3", "r4", "r5", "o"], "each task for itself"


def test_a_row_that_waits_for_long_does_not_stand_in_the_way_of_those_that_ended(ledger: Moved) -> None:
    kept_few = few(ledger)
    kept_few.plan([new(f"later{number}", delay=10**9) for number in range(150)])
    for number in range(6):
        failed(kept_few, f"r{number}")
        ledger.go(1)
    assert [run_id for run_id in kept(ledger) if run_id[0] == "r"] == ["r3", "r4", "r5"]
    assert state(ledger, "later0") == "delayed"


def test_what_is_not_done_with_stays_however_many_ended_after_it(ledger: Moved) -> None:
    kept_few = few(ledger, rows=1)
    failed(kept_few, "linked", linked=True)
    kept_few.plan([new("broken", hook=True)])
    begin(kept_few, "broken")
    settle(kept_few, "broken", "failed")
    begin(kept_few, "broken", "u")
    settle(kept_few, "broken", "rollback_failed")
    kept_few.plan([new("parked")])
    begin(kept_few, "parked")
    settle(kept_few, "parked", "parked")
    for number in range(4):
        ledger.go(1)
        failed(kept_few, f"r{number}")
    assert {"linked", "broken", "parked"} <= set(kept(ledger))
    assert len(kept(ledger)) <= 5
    told(ledger)
    ledger.links_done("linked")
    for number in range(4, 8):
        ledger.go(1)
        failed(kept_few, f"r{number}")
    assert set(kept(ledger)) == {"broken", "parked", "r7"}


def test_what_is_still_to_be_told_of_a_run_keeps_its_row(ledger: Moved) -> None:
    kept_few = few(ledger, rows=1)
    kept_few.plan([new("lost")])
    for token in "abc":
        begun = begin(kept_few, "lost", token)
        kept_few.lose("lost", "node-1", begun.fence, "child", "it died")
    assert state(ledger, "lost") == "quarantined"
    failed(kept_few, "r0")
    failed(kept_few, "r1")
    assert "lost" in kept(ledger)
    told(ledger)
    failed(kept_few, "r2")
    failed(kept_few, "r3")
    assert "lost" not in kept(ledger)
    assert not ledger.store.client.exists(ledger.store.key("outbox:runs"))


def test_a_key_keeps_its_run_for_its_time(ledger: Moved) -> None:
    kept_few = few(ledger, rows=1)
    failed(kept_few, "task#invoice-7", digest="d")
    for number in range(4):
        failed(kept_few, f"r{number}")
    assert not kept_few.plan([new("task#invoice-7", digest="d")])[0].created


def test_celerys_record_outlives_a_row_that_was_in_the_way_and_goes_in_its_time(ledger: Moved) -> None:
    kept_few, client = few(ledger, rows=1), ledger.store.client
    for number in range(3):
        kept_few.plan([new(f"r{number}", meta_key=f"celery-task-meta-r{number}")])
        begin(kept_few, f"r{number}")
        settle(kept_few, f"r{number}", meta=json.dumps({"status": "SUCCESS"}))
        ledger.go(1)
    assert kept(ledger) == ["r2"]
    assert client.exists("celery-task-meta-r0")
    assert 0 < client.pttl("celery-task-meta-r0") <= kept_few.keeping.short
    assert client.zcard(ledger.store.key("results")) == 2
    ledger.go(kept_few.keeping.long / 1000)
    ledger.prune()
    assert not client.exists(ledger.store.key("results"))


def test_a_run_that_is_planned_again_under_its_id_has_no_end_of_an_earlier_one(ledger: Moved) -> None:
    kept_few, client = few(ledger, rows=1), ledger.store.client
    for run_id in ("a", "b"):
        kept_few.plan([new(run_id, meta_key=f"celery-task-meta-{run_id}")])
        begin(kept_few, run_id)
        settle(kept_few, run_id, meta=json.dumps({"status": "SUCCESS"}))
        ledger.go(1)
    assert client.exists("celery-task-meta-a")
    kept_few.plan([new("a", meta_key="celery-task-meta-a")])
    assert not client.exists("celery-task-meta-a")


def test_what_operators_did_to_a_removed_schedule_is_forgotten_after_a_while(ledger: Moved) -> None:
    live, overrides = Live(ledger.store), Overrides(ledger.store)
    live.adopt("d", "", fresh=True)
    live.publish("d", "files", [(name, "{}", "") for name in ("old", "there")])
    for name in ("old", "there"):
        overrides.apply(name, "pause", "ann")
    live.publish("d", "files", [("old", "", "no longer declared")])
    ledger.go(89 * 86_400)
    ledger.prune()
    assert overrides.on("old")
    ledger.go(2 * 86_400)
    ledger.prune()
    assert overrides.on("old") is None
    assert overrides.history("old") == []
    assert overrides.on("there")
    assert overrides.history("there")
    assert not ledger.store.client.exists(ledger.store.key("removed"))


# -- near the limit ---------------------------------------------------------------------------------------------------


def fill(ledger: Moved, size: int = MIB // 2) -> int:
    """Failed runs of some size, until the memory is nearly full; how many."""
    count = 0
    while ledger.memory().share < 0.85:
        run_id, count = f"r{count:03}", count + 1
        ledger.plan([new(run_id)])
        begin(ledger, run_id)
        settle(ledger, run_id, "failed", error=json.dumps({"message": "x" * size}))
    sent(ledger)
    return count


def test_near_the_limit_the_oldest_finished_rows_go_until_there_is_room(ledger: Moved, tight: Redis) -> None:
    ledger.plan([new("first")])
    count = fill(ledger)
    ledger.go(LATER)
    ledger.heartbeat("node-1")
    failed(ledger, "fresh")
    Room(ledger).look()
    left = kept(ledger)
    assert ledger.memory().share < 0.75
    assert {"first", "fresh", f"r{count - 1:03}"} <= set(left), "what waits, what ended just now, and the newest stay"
    gone = [number for number in range(count) if f"r{number:03}" not in left]
    assert gone
    assert gone == list(range(len(gone))), "the oldest go"
    assert len(gone) < 0.7 * count, "no more than needed, in batches"
    ledger.plan([new("next")])
    said = ledger.memory()
    assert (said.full, said.dropped) == (False, len(gone))
    assert "oldest finished runs are dropped" in alerts(ledger)[0]["text"]


def test_beyond_the_limit_rows_go_all_the_same(ledger: Moved, tight: Redis) -> None:
    fill(ledger)
    ledger.go(LATER)
    tight.config_set("maxmemory", int(tight.info("memory")["used_memory"]) - 4 * MIB)
    Room(ledger).look()
    assert ledger.memory().share < 0.75


def test_rows_that_are_not_finished_are_never_dropped_and_planning_is_refused(ledger: Moved, tight: Redis) -> None:
    payload = json.dumps({"headers": {"anp_rung": 0}, "body": "x" * (MIB // 4)})
    runs = [f"w{number}" for number in range(90)]
    tight.config_set("maxmemory", 0)
    for run_id in runs:
        ledger.plan([large(run_id, payload)])
    tight.config_set("maxmemory", int(tight.info("memory")["used_memory"]) * 100 // 96)
    ledger.go(LATER)
    room = Room(ledger)
    for _ in range(5):
        room.look()
    assert len(kept(ledger)) == 90
    assert ledger.memory().full
    with pytest.raises(LedgerFull):
        ledger.plan([new("next")])
    assert [item["kind"] for item in alerts(ledger)] == ["memory"], "told once"
    tight.config_set("maxmemory", 0)
    room.look()
    assert not ledger.memory().full


def test_records_without_a_row_go_before_rows_do(ledger: Moved, tight: Redis) -> None:
    kept_few, count = few(ledger, rows=10), 0
    record = json.dumps({"status": "SUCCESS", "result": "x" * (MIB // 4)})
    while ledger.memory().share < 0.85:
        run_id, count = f"r{count:03}", count + 1
        kept_few.plan([new(run_id, meta_key=f"celery-task-meta-{run_id}")])
        begin(kept_few, run_id)
        settle(kept_few, run_id, meta=record)
    assert len(kept(ledger)) == 10
    ledger.go(LATER)
    Room(kept_few).look()
    assert ledger.memory().share < 0.75
    assert len(kept(ledger)) == 10


def test_many_large_inputs_are_refused_before_upkeep_has_looked(ledger: Moved, tight: Redis) -> None:
    payload, planned = json.dumps({"headers": {"anp_rung": 0}, "body": "x" * (MIB // 4)}), 0
    while planned < 200 and ledger.memory().share < 0.95:
        try:
            ledger.plan([large(f"w{planned}", payload)])
        except LedgerFull:
            break
        planned += 1
    assert 0.75 < ledger.memory().share < 0.9
    with pytest.raises(LedgerFull):
        ledger.plan([large("next", payload)])


def test_the_row_of_an_end_that_was_just_told_stays_for_a_replay(ledger: Moved, tight: Redis) -> None:
    count = fill(ledger)
    Room(ledger).look()
    assert len(kept(ledger)) == count


@pytest.mark.long
def test_failing_runs_by_hand_with_large_inputs_do_not_stop_planning(stack: Stack, redis: Redis) -> None:
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + 64 * MIB)
    redis.config_resetstat()
    try:
        stack.worker()
        script = [["large", "x" * 200_000], ["fail", "KeyError"]]
        for number in range(432):
            given = {"path": str(stack.journal), "script": script, "lock": f"l{number}"}
            eventually(partial(probe.apply_async, kwargs=given), 30, "room for one more")
        last = probe.apply_async(kwargs={"path": str(stack.journal), "script": []})
        assert stack.ends(last.id, 60).state == "succeeded"
        assert "errorstat_OOM" not in redis.info("errorstats"), "nothing that had begun was refused its end"
        done = stack.anp("status", "--json")
        (first, *_) = json.loads(done.stdout)["answers"]
        assert done.returncode == 1
        assert "to make room" in first["answer"]
        assert "raise maxmemory" in first["answer"]
        assert first["facts"]["rows_dropped"] > 100
        assert first["facts"]["memory_limit"] == int(redis.info("memory")["maxmemory"])
    finally:
        redis.config_set("maxmemory", 0)
