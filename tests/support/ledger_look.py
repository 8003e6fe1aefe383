"""A look at the whole ledger in one instant, and what must hold in it whatever happened before (design: I1 to I7).

Limit: it sees what Redis holds; that the right thing was done is the model's to say.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from celery_anp.reliability.run import FINAL, STATES

_DUMP = """
local out = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind, value = redis.call('TYPE', key)['ok'], nil
  if kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  else value = redis.call('GET', key) end
  out[#out + 1] = { string.sub(key, #ARGV[1] + 1), kind, redis.call('PTTL', key), value }
end
return cjson.encode(out)
"""
#: From each state the states that may follow; an empty state is a row that is being made.
FOLLOWS = {
    "": {"delayed", "queued", "blocked", "skipped", "expired"},
    "delayed": {
        "queued", "blocked", "skipped", "expired", "cancelled", "rolling_back",
        "delayed", "failed", "sent",  # replaced
    },
    "blocked": {"queued", "skipped", "expired", "cancelled", "rolling_back"},
    "queued": {
        "running", "queued", "blocked", "skipped", "expired", "cancelled", "rolling_back", "sent",
        "parked",
    },
    "running": {
        "running", "succeeded", "failed", "delayed", "queued", "cancelled", "quarantined", "rolling_back",
        "parked",
    },
    "rolling_back": {
        "rolling_back", "rolled_back", "rollback_failed", "failed", "cancelled", "quarantined", "succeeded",
    },
    "succeeded": {"rolling_back"},
    "failed": {"queued", "rolling_back"},
    "cancelled": {"queued", "rolling_back"},
    "quarantined": {"queued", "rolling_back"},
    "rolled_back": {"queued"},
    "rollback_failed": {"rolling_back", "rolled_back"},
    "skipped": {"queued"},
    "expired": {"queued"},
    "parked": {"queued"},
    "sent": set[str](),
}  # fmt: skip


@dataclass
class Look:
    """Everything under one prefix, by the names that keys.py gives."""

    now: int
    values: dict[str, Any] = field(default_factory=dict)
    ttl: dict[str, int] = field(default_factory=dict)

    @classmethod
    def at(cls, client: Redis, prefix: str, now: int) -> Look:
        """Read all of it in one script; as JSON, which is parsed ten times as fast as Redis' own lists."""
        look = cls(now)
        for name, kind, ttl, raw in json.loads(client.eval(_DUMP, 0, prefix)):
            flat = kind in ("hash", "zset")
            look.values[name] = dict(zip(raw[::2], raw[1::2], strict=True)) if flat else raw
            look.ttl[name] = ttl
        return look

    def named(self, start: str) -> Iterator[tuple[str, Any]]:
        """The keys that begin so: the rest of their names, and what they hold."""
        return ((name.removeprefix(start), held) for name, held in self.values.items() if name.startswith(start))

    def members(self, name: str) -> dict[str, str]:
        """A hash or a sorted set; empty if it is not there."""
        return dict(self.values.get(f"ledger:{name}", {}))

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        """The rows."""
        return dict(self.named("ledger:run:"))

    def places(self) -> dict[str, list[tuple[str, str]]]:
        """Each run that stands in an index: which, and for waiters and nodes whose."""
        found: dict[str, list[tuple[str, str]]] = {}
        indexes = [("queue", "", self.members("queued")), ("time", "", self.members("delayed"))]
        indexes += [("blocked", "", self.members("blocked"))]
        indexes += [("lock", lock, held) for lock, held in self.named("ledger:waiters:")]
        indexes += [("node", node, held) for node, held in self.named("ledger:running:")]
        for at, whose, held in indexes:
            for run_id in held:
                found.setdefault(run_id, []).append((at, whose))
        return found

    def check(self) -> None:
        """Each promise that can be seen in one look.

        Raises:
            AssertionError: one is broken; says which, and by which run.
        """
        places = self.places()
        assert places.keys() <= self.rows.keys(), f"an index names no row: {places.keys() - self.rows.keys()}"
        for run_id, row in self.rows.items():
            self._check_index(run_id, row, places.get(run_id, []))
            self._check_end(run_id, row)
            self._check_undone(run_id, row)
            self._check_lock(run_id, row)
            _check_history(run_id, row)
        self._check_locks()
        self._check_waiting()

    def _check_waiting(self) -> None:
        """Per queue it is counted how many rows wait on it."""
        rows = self.rows
        counted = Counter(rows[i].get("queue", "") for i in self.members("queued") if i in rows)
        del counted[""]
        assert {q: int(n) for q, n in self.members("waiting").items()} == dict(counted), "what waits on each queue"

    def _check_index(self, run_id: str, row: dict[str, str], places: list[tuple[str, str]]) -> None:
        assert row.get("state") in STATES, f"{run_id} has no state: {row}"
        final = row["state"] in FINAL
        expected = {
            "": [], "queue": [("queue", "")], "time": [("time", "")],
            "lock": [("blocked", ""), ("lock", row.get("lock", ""))], "node": [("node", row.get("node", ""))],
        }[row["at"]]  # fmt: skip
        assert (row["at"] == "") == final, f"{run_id} is {row['state']} at {row['at']!r}"
        assert places == expected, f"{run_id}, at {row['at']!r}, stands in {places}"
        if row["at"] == "node":
            mark = self.members(f"running:{row['node']}")[run_id]
            assert re.fullmatch(rf"{row['fence']}\|.+", mark), f"{run_id}: {mark}"
            assert int(row["fence"]) <= int(self.values["ledger:fence"])

    def _check_end(self, run_id: str, row: dict[str, str]) -> None:
        final, due = row["state"] in FINAL - {"rollback_failed"}, self.members("expiring")
        assert (run_id in due) == final, f"{run_id} is {row['state']}, expiring: {due}"
        assert run_id in self.members("runs"), f"{run_id} is not listed"
        for key in (f"ledger:run:{run_id}", f"ledger:undo:{run_id}", f"ledger:steps:{run_id}"):
            if key in self.ttl:
                assert (self.ttl[key] >= 0) == final, f"{key} of a run that is {row['state']} has TTL {self.ttl[key]}"

    def _check_undone(self, run_id: str, row: dict[str, str]) -> None:
        """What was rolled back by its hook, and not declared so by an operator, has no entry without an outcome."""
        if row["state"] == "rolled_back" and not row["reason"].startswith("resolve by"):
            entries = [json.loads(entry) for entry in self.values.get(f"ledger:undo:{run_id}", [])]
            still = [entry for entry in entries if entry.get("outcome") not in ("undone", "skipped")]
            assert not still, f"{run_id} is rolled back with {still} still to be undone"
            assert any(entry["outcome"] == "undone" for entry in entries), f"{run_id}: nothing was undone"

    def _check_lock(self, run_id: str, row: dict[str, str]) -> None:
        lock = row.get("lock", "")
        begun = int(row["attempts"]) > 0 and not row.get("replacement") and "goes on as" not in row["reason"]
        if not lock or row["overlap"] == "allow_all":
            return
        holds = self.members("locks").get(lock) == run_id
        must = row["at"] in ("queue", "node") or row["state"] == "rollback_failed" or (row["at"] == "time" and begun)
        may = must or row["state"] not in FINAL
        assert holds or not must, f"{run_id} is {row['state']} without its lock {lock}"
        assert may or not holds, f"{run_id} is {row['state']} and still holds {lock}"
        assert not (holds and row["at"] == "lock"), f"{run_id} waits for {lock}, which it holds"

    def _check_locks(self) -> None:
        for lock, holder in self.members("locks").items():
            row = self.rows.get(holder)
            assert row is None or row.get("lock") == lock, f"{holder} holds {lock}, which is not its own"
        for lock, waiters in self.named("ledger:waiters:"):
            assert lock in self.members("locks"), f"{waiters} wait for {lock}, which nobody holds"


def _check_history(run_id: str, row: dict[str, str]) -> None:
    lines = [line.split("|") for line in row["history"].split("\n")[:-1]]
    begun, before = False, ""
    for time, came, went, _, _ in lines:
        assert time.isdigit()
        assert came == before, f"{run_id}: after {before} comes a line from {came}"
        assert went in FOLLOWS[came], f"{run_id} went from {came} to {went}"
        begun, before = begun or went == "running", went
        assert not (begun and went in ("skipped", "expired")), f"{run_id} has begun and is {went}"
    assert before == row["state"], f"{run_id} is {row['state']}, its history says {before}"
