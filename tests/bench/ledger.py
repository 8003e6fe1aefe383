"""Rows made without a worker, through the same scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Begun, NewRun
from celery_anp.sending.call import new_id
from celery_anp.sending.draft import draft
from celery_anp.sending.message import built, written

NODE = "bench"
#: Rows that one script plans.
BATCH = 500


def register(ledger: Ledger) -> None:
    """Make `NODE` a living node, for an hour."""
    replace(ledger, lease=3_600_000).heartbeat(NODE, {"kind": "worker"})


def rows(task: Any, count: int, **changes: Any) -> Iterator[NewRun]:
    """New rows of a task, not planned yet."""
    for number in range(count):
        checked = task.contract.check((number,), {})
        run_id = new_id(task.name, None)
        message, queue, priority = built(task, run_id, checked)
        yield replace(draft(task, run_id, checked, written(message, queue, priority)), **changes)


def planned(ledger: Ledger, news: Iterator[NewRun]) -> Iterator[NewRun]:
    """Rows that stand in the ledger."""
    while batch := list(islice(news, BATCH)):
        ledger.plan(batch)
        yield from batch


def begun(ledger: Ledger, run_id: str) -> Begun:
    """An attempt of a queued row."""
    own = str(ledger.store.read("hget", ledger.row_key(run_id), "seal"))
    answer = ledger.begin(run_id, NODE, "child", run_id, own, "")
    assert isinstance(answer, Begun), answer
    return answer


def settled(ledger: Ledger, backend: Any, run_id: str, fence: int) -> None:
    """The attempt succeeds, with Celery's record of a no-op's result, made by a result backend."""
    meta = backend.encode(backend._get_result_meta(1, "SUCCESS", None, None) | {"task_id": run_id})
    ledger.settle(run_id, NODE, fence, "succeeded", result="1", as_expected=1, meta=meta)
