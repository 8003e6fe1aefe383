"""A ledger whose clock the test moves, and the shortest way through the life of a run."""

from __future__ import annotations

import json
from typing import Any

from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Begun, NewRun
from tests.support.flat import flat

CLOCK = "test:clock"
NODE = "node-1"


class Moved(Ledger):
    """A ledger whose clock the test moves."""

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.store.client.incrby(CLOCK, int(seconds))


def new(run_id: str, **fields: Any) -> NewRun:
    message = json.dumps({"headers": {"anp_rung": 0, "id": run_id}, "body": json.dumps([[], {"site": "main"}, {}])})
    return flat(run_id, message, "default", seal=run_id, **fields)


def begin(ledger: Ledger, run_id: str, token: str = "t", node: str = NODE, child: str = "child") -> Begun:
    begun = ledger.begin(run_id, node, child, token, run_id, "")
    assert isinstance(begun, Begun), f"{run_id}: {begun}"
    return begun


def undone(ledger: Ledger, run_id: str) -> None:
    """The rollback that is under way has undone an entry."""
    fence = ledger.run(run_id).fence
    assert fence is not None
    entry = {"name": "u", "data": {}, "attempt": fence}
    ledger.record(run_id, NODE, fence, "undo", 1_000_000, json.dumps(entry))
    ledger.record(run_id, NODE, fence, "outcome", -1, json.dumps({**entry, "outcome": "undone"}), "undone")


def settle(ledger: Ledger, run_id: str, outcome: Any = "succeeded", **data: Any) -> str:
    fence = ledger.run(run_id).fence
    assert fence is not None
    return ledger.settle(run_id, NODE, fence, outcome, **data)


def state(ledger: Ledger, run_id: str) -> str:
    return ledger.run(run_id).state


def sent(ledger: Ledger) -> list[str]:
    """The runs whose messages stand on the broker's list, the oldest first; they are taken from it."""
    client = ledger.store.client
    messages = client.lrange("default", 0, -1)
    client.delete("default")
    return [json.loads(message)["headers"]["id"] for message in reversed(messages)]
