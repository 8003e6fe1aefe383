"""Ticks of one schedule on a clock that the test moves, and what waits to be told of them."""

from __future__ import annotations

import json
from typing import Any

from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Decision, NewRun
from tests.support.moved import NODE, Moved, begin, new, settle, undone

START = 1_000_000


def tick(at: int, **fields: Any) -> NewRun:
    """A tick that many seconds after the clock's start, late after ten seconds."""
    fields = {"late": (START + at + 10) * 1000, **fields}
    return new(f"s@{at}", schedule="s", tick=(START + at) * 1000, **fields)


def decide(ledger: Moved, *ticks: NewRun, after: int, seen: str = "") -> str:
    """Decide ticks; the next one comes so many seconds after the clock's start. Returns the cursor."""
    cursor = f"{after}"
    late = (START + after + 10) * 1000
    assert not ledger.decide([Decision("s", seen, cursor, ticks, late)])[0].moved
    return cursor


def alerts(ledger: Ledger) -> list[dict[str, Any]]:
    """What is to be told, in the order in which it came."""
    items = ledger.store.client.hgetall(ledger.store.key("outbox:items"))
    return [json.loads(items[name]) for name in sorted(items, key=int)]


def kinds(ledger: Moved) -> list[str]:
    return [item["kind"] for item in alerts(ledger)]


def go(ledger: Moved, seconds: int) -> None:
    """Let time pass in which the node lives and upkeep looks."""
    for _ in range(seconds):
        ledger.go(1)
        ledger.heartbeat(NODE)
        ledger.look_for_late()


def run(ledger: Moved, run_id: str, outcome: str = "succeeded") -> None:
    begin(ledger, run_id)
    if outcome == "rolled_back":
        undone(ledger, run_id)
    settle(ledger, run_id, outcome)
