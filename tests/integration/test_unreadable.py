"""Rows with bytes that are no UTF-8, and with JSON that is none: they are shown as they are, beside all others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from celery_anp.errors import BadRequest, LedgerUnavailable
from celery_anp.process.port import free
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.direct import Connection, DirectStore
from celery_anp.reliability.keyspace import Keyspace
from celery_anp.reliability.records import NewRun
from celery_anp.reliability.rollback import UndoLog
from celery_anp.reliability.store import Store, connect
from tests.support.moved import NODE, Moved
from tests.support.stack import Stack

CAFE = b"caf\xe9"


@pytest.fixture
def stack(redis: Redis, tmp_path: Path) -> Stack:
    return Stack(tmp_path, os.environ["ANP_REDIS_URL"])


def plan(ledger: Moved, redis: Redis, run_id: str, **fields: Any) -> None:
    ledger.plan([NewRun(run_id, "a.task")])
    if fields:
        redis.hset(f"anp:ledger:run:{run_id}", mapping=fields)


def test_they_end_no_list_and_no_story(ledger: Moved, redis: Redis, stack: Stack) -> None:
    plan(ledger, redis, "good")
    plan(ledger, redis, "bytes", reason=CAFE, history=b"1000|queued|failed||" + CAFE + b"\n", task=b"a." + CAFE)
    plan(ledger, redis, "json", result=b'{"a": ' + CAFE, error=b"[1]", message=b"{")
    plan(ledger, redis, "deep", result="[" * 100_000 + "]" * 100_000, error=json.dumps({"type": 1, "message": ["a"]}))
    plan(ledger, redis, "half", error=json.dumps({"type": "E", "message": "caf\udce9", "traceback": ""}))
    redis.rpush("anp:ledger:undo:json", CAFE, "[]", json.dumps({"name": "caf\udce9", "data": {}, "attempt": 1}))
    redis.hset(b"anp:ledger:run:" + CAFE, mapping={"state": "failed", "task": "a.task", "at": ""})
    redis.zadd("anp:ledger:runs", {CAFE: 5e15})
    listed = stack.anp("runs", "list", "--json")
    runs = {run["run_id"]: run for run in json.loads(listed.stdout)}
    assert set(runs) == {"good", "bytes", "json", "deep", "half", "caf\udce9"}
    assert (runs["bytes"]["reason"], runs["bytes"]["history"][0]["reason"]) == ("caf\udce9", "caf\udce9")
    assert set(runs["json"]["unreadable"]) >= {"result", "error", "message"}
    assert "caf\\udce9" in stack.anp("runs", "list").stdout
    for run_id in runs.keys() - {"caf\udce9"}:  # no word of a command line is bytes that are no text
        shown = stack.anp("runs", "show", run_id)
        assert (shown.returncode, run_id.replace("\udce9", "\\udce9") in shown.stdout) == (0, True), shown.stderr
    assert len(ledger.runs(100)) == 6
    assert [entry.attempt for entry in ledger.run("json").undo] == [0, 0, 1]


def test_an_undo_entry_that_cannot_be_read_is_not_taken_for_undone(ledger: Moved, redis: Redis) -> None:
    plan(ledger, redis, "run")
    redis.rpush("anp:ledger:undo:run", CAFE)
    attempt = Attempt(ledger, "run", NODE, 1, 1, 0, "rollback", 1000, 1000)
    with pytest.raises(Exception, match="Undo entry 0 of run cannot be read"):
        list(UndoLog(attempt, ledger.undo_entries("run")))


@pytest.mark.parametrize("kind", ["store", "direct"])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        pytest.param("call", ("plan", '{"id": "caf\\udce9"}'), id="what cjson refuses"),
        pytest.param("call", ("heartbeat", "node", 1000, 0), id="a script that fails"),
        pytest.param("read", ("zrange", "anp:ledger:nodes", 0, -1), id="a key of another type"),
        pytest.param("read", ("get", "\ud800"), id="no bytes stand for it"),
    ],
)
def test_an_answer_that_says_bad_request_is_no_absence(
    redis: Redis, kind: str, method: str, arguments: tuple[Any, ...]
) -> None:
    redis.set("anp:ledger:nodes", "no set")
    with pytest.raises(BadRequest) as raised:
        getattr(reached(kind, os.environ["ANP_REDIS_URL"]), method)(*arguments)
    assert raised.value.retry_safe is False


@pytest.mark.parametrize("kind", ["store", "direct"])
def test_a_redis_that_is_away_is_asked_again(kind: str) -> None:
    with pytest.raises(LedgerUnavailable) as away:
        reached(kind, f"redis://127.0.0.1:{free()}/0").read("get", "x")
    assert (away.type, away.value.retry_safe) == (LedgerUnavailable, True)


def reached(kind: str, url: str) -> Keyspace:
    """A Redis through one of the two clients, which asks once."""
    return Store(connect(url, retries=0), "anp") if kind == "store" else DirectStore(Connection(url, 5), "anp", ())
