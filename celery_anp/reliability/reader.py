"""Reading the ledger: runs, nodes, locks, counts. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from celery_anp.errors import UnknownName, did_you_mean
from celery_anp.reliability import nodes
from celery_anp.reliability.keyspace import Keyspace
from celery_anp.reliability.nodes import Node
from celery_anp.reliability.reading import from_row
from celery_anp.reliability.records import Filter, Keeping, Memory
from celery_anp.reliability.run import STATES, Run, UndoEntry

#: Rows that are looked through at a time: whole ones, and a few fields of them.
PAGE = 200
MANY = 1000


def states_of(text: str) -> frozenset[str]:
    """States as they are asked for, with commas between them; none of an empty text.

    Raises:
        UnknownName: no such state exists.
    """
    states = frozenset(word.strip() for word in text.split(",") if word.strip())
    for state in sorted(states - STATES):
        raise UnknownName(
            f"There is no state {state!r}.{did_you_mean(state, STATES)}",
            expected=", ".join(sorted(STATES)),
        )
    return states


class Reader:
    """The reading half of the ledger."""

    store: Keyspace
    keeping: Keeping

    def now(self) -> int:
        """Redis' clock, in milliseconds since the epoch."""
        return nodes.now(self.store)

    def run(self, run_id: str) -> Run:
        """One run with its history and undo entries.

        Raises:
            UnknownName: there is no such run.
        """
        row = self.store.rows([self.row_key(run_id)])[0]
        if not row.get("state"):
            raise self.unknown(run_id)
        undo = self.store.read("lrange", self.store.key(f"undo:{run_id}"), 0, -1)
        return from_row(run_id, row, undo)

    def find(self, run_id: str) -> Run | None:
        """One run without its undo entries, or None."""
        row = self.store.rows([self.row_key(run_id)])[0]
        return from_row(run_id, row) if row.get("state") else None

    def runs(
        self,
        limit: int = 50,
        *,
        state: str | None = None,
        task: str | None = None,
        schedule: str | None = None,
        queue: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> list[Run]:
        """Runs, the newest first.

        Args:
            limit: at most so many.
            state: only these; several with commas between them.
            task: only runs of this task.
            schedule: only ticks of this schedule.
            queue: only runs on this queue.
            since: only runs planned at or after this time (ms).
            until: only runs planned before this time (ms).

        Returns:
            The runs, without their undo entries.

        Raises:
            UnknownName: no such state exists.
        """
        wanted = Filter(states_of(state or ""), task or "", schedule or "", queue or "", since, until)
        found: list[Run] = []
        for ids in self._pages(schedule, PAGE):
            rows = self.store.rows([self.row_key(run_id) for run_id in ids])
            for run_id, row in zip(ids, rows, strict=True):
                if since is not None and row.get("created", "").isdecimal() and int(row["created"]) < since:
                    return found
                if wanted.fits(row):
                    found.append(from_row(run_id, row))
                if len(found) == limit:
                    return found
        return found

    def delayed(self, most: int) -> list[Run]:
        """The runs that wait for a time, those that are due first."""
        ids = self.store.read("zrange", self.store.key("delayed"), 0, most - 1)
        rows = self.store.rows([self.row_key(run_id) for run_id in ids])
        return [from_row(run_id, row) for run_id, row in zip(ids, rows, strict=True) if row.get("state") == "delayed"]

    def ids(self, wanted: Filter) -> list[str]:
        """The ids of all runs that are meant, the newest first; without their messages, so that many are soon read."""
        found: dict[str, None] = {}  # a page begins with what the last one had where rows have come meanwhile
        for ids in self._pages(wanted.schedule, MANY):
            rows = self.store.fields([self.row_key(run_id) for run_id in ids], *Filter.FIELDS)
            found |= {run_id: None for run_id, row in zip(ids, rows, strict=True) if wanted.fits(row)}
            created = [int(row["created"]) for row in rows if row["created"]]
            if wanted.since is not None and created and max(created) < wanted.since:
                break
        return list(found)

    def _pages(self, schedule: str | None, size: int) -> Iterable[list[str]]:
        index = self.store.key(f"schedule:{schedule}" if schedule else "runs")
        start = 0
        while ids := self.store.read("zrevrange", index, start, start + size - 1):
            yield ids
            start += size

    def nodes(self) -> list[Node]:
        """The living nodes."""
        return nodes.living(self.store)

    def cursors(self) -> dict[str, str]:
        """Per schedule its cursor: `<last decided tick, ms>|<timing>`."""
        return dict(self.store.read("hgetall", self.store.key("cursors")))

    def states(self, run_ids: Sequence[str]) -> list[str]:
        """The states of some runs, empty for one that is not there."""
        found = self.store.several([("hget", self.row_key(run_id), "state") for run_id in run_ids])
        return [state or "" for state in found]

    def remembers(self, schedule: str, kept: int) -> int:
        """From which tick on (epoch seconds) a run of a schedule would still have its row.

        Args:
            schedule: its name.
            kept: seconds that a succeeded run's row is kept.
        """
        since = self.now() // 1000 - kept
        full = self.store.read("zcard", self.store.key(f"schedule:{schedule}")) >= self.keeping.rows
        return max(since, self.oldest_tick(schedule) or 0) if full else since

    def oldest_tick(self, schedule: str) -> int | None:
        """The oldest tick of a schedule that has a row, epoch seconds."""
        found = self.store.read("zrange", self.store.key(f"schedule:{schedule}"), 0, 0, False, True)
        return int(found[0][1]) // 1000 if found else None

    def late(self) -> dict[str, int]:
        """Per schedule that is late the time (ms) by which it should have succeeded."""
        raw = self.store.read("hgetall", self.store.key("late"))
        return {name: int(by) for name, by in raw.items()}

    def locks(self) -> dict[str, str]:
        """Per lock the run that holds it."""
        return dict(self.store.read("hgetall", self.store.key("locks")))

    def counts(self) -> dict[tuple[str, str], int]:
        """How often runs ended: (task, state) to count, since the ledger began."""
        raw = self.store.read("hgetall", self.store.key("counts"))
        return {(key.rpartition("|")[0], key.rpartition("|")[2]): int(value) for key, value in raw.items()}

    def sums(self) -> dict[str, dict[str, int]]:
        """By task what metrics are made of, since the ledger began; keys.py names each."""
        found: dict[str, dict[str, int]] = {}
        for key, value in self.store.read("hgetall", self.store.key("sums")).items():
            task, _, what = key.rpartition("|")
            found.setdefault(task, {})[what] = int(value)
        return found

    def memory(self) -> Memory:
        """How much of its memory Redis uses, and what was dropped for want of it."""
        told, full, said = self.store.several(
            [("info", "memory"), ("get", self.store.key("full")), ("hgetall", self.store.key("memory"))]
        )
        return Memory(
            int(told["used_memory"]), int(told.get("maxmemory") or 0), bool(full), int(said.get("dropped") or 0),
            int(said.get("dropped_at") or 0),
        )  # fmt: skip

    def unfinished(self) -> dict[str, int]:
        """How many runs wait (queued, delayed, blocked), are with a node (running), or are parked."""
        known = self.store.read("zrange", self.store.key("nodes"), 0, -1)
        wanted = [("zcard", self.store.key(name)) for name in ("queued", "delayed", "blocked", "parked")]
        held = [("hlen", self.store.key(f"running:{node}")) for node in known]
        queued, delayed, blocked, parked, *running = self.store.several([*wanted, *held])
        waiting = {"queued": queued, "delayed": delayed, "blocked": blocked, "parked": parked}
        return {**waiting, "running": sum(running)}

    def backlog(self) -> dict[str, int]:
        """How many runs wait: queued, delayed, blocked."""
        wanted = [("zcard", self.store.key(name)) for name in ("queued", "delayed", "blocked")]
        queued, delayed, blocked = self.store.several(wanted)
        return {"queued": queued, "delayed": delayed, "blocked": blocked}

    def row_key(self, run_id: str) -> str:
        """The key of a run's row."""
        return self.store.key(f"run:{run_id}")

    def unknown(self, run_id: str) -> UnknownName:
        """The error for a run that is not there, with the nearest ids."""
        recent = self.store.read("zrevrange", self.store.key("runs"), 0, 999)
        return UnknownName(
            f"There is no run {run_id!r}.{did_you_mean(run_id, recent)}",
            expected="an id that `anp runs list` shows",
        )

    def steps(self, run_id: str) -> dict[str, str]:
        """The finished steps of a run: name to JSON."""
        return dict(self.store.read("hgetall", self.store.key(f"steps:{run_id}")))

    def undo_entries(self, run_id: str) -> list[UndoEntry]:
        """The undo entries of a run, oldest first."""
        return list(self.run(run_id).undo)

    def waits(self, run_id: str) -> bool:
        """Whether a run waits to go on as what it was replaced by."""
        return bool(self.store.read("hget", self.row_key(run_id), "replacement"))

    def cancel_mark(self, run_id: str) -> str:
        """Why the run shall end early, or an empty string."""
        return self.store.read("hget", self.row_key(run_id), "cancel") or ""
