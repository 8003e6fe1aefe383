"""Undoing a run: its entries in reverse, each with its outcome, by an attempt that can itself die and be tried again.

Limit: an entry is recorded before its effect, so the hook may meet one whose effect never happened; it must be
repeatable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from celery_anp.errors import Refused
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.retry import Retries
from celery_anp.reliability.run import UndoEntry
from celery_anp.wording import name_of, words

#: Bytes of the note why an entry was not undone.
NOTE = 500
#: A rollback is tried this often before it waits for a person.
ROLLBACK_RETRIES = Retries(max=4, first=1.0, factor=3.0, ceiling=60.0)


@dataclass(slots=True)
class Entry:
    """One undo entry in the hands of a rollback hook."""

    name: str
    data: dict[str, Any]
    index: int
    skipped: str = field(default="")

    def skip(self, why: str) -> None:
        """There is nothing to undo, and this is why."""
        self.skipped = words(why, NOTE)


class UndoLog:
    """The entries that are still to be undone, in reverse. Going on to the next one marks the last as undone.

    Args:
        attempt: the rollback attempt.
        entries: all entries of the run, oldest first.
    """

    def __init__(self, attempt: Attempt, entries: list[UndoEntry]) -> None:
        self._attempt = attempt
        self._entries = entries
        self._current: Entry | None = None
        self._open = sum(entry.outcome not in ("undone", "skipped") for entry in entries)

    def __iter__(self) -> Iterator[Entry]:
        for index in reversed(range(len(self._entries))):
            kept = self._entries[index]
            if kept.outcome in ("undone", "skipped"):
                continue
            if not kept.attempt:
                raise Refused(f"Undo entry {index} of {self._attempt.run_id} cannot be read", given=str(kept.data))
            self._current = Entry(kept.name, kept.data, index)
            yield self._current
            self._mark("skipped" if self._current.skipped else "undone", self._current.skipped)

    def __len__(self) -> int:
        return self._open

    def failed(self, error: BaseException) -> None:
        """The hook raised while it held an entry: mark that one."""
        if self._current is not None:
            self._mark("failed", f"{name_of(error)}: {words(error, NOTE)}")

    def _mark(self, outcome: str, note: str) -> None:
        if self._current is None:
            return
        entry = self._entries[self._current.index]
        text = json.dumps({
            "name": entry.name, "data": entry.data, "attempt": entry.attempt, "outcome": outcome, "note": note,
        })  # fmt: skip
        self._attempt.record("outcome", self._current.index, text, outcome)
        self._current = None
        self._open -= outcome != "failed"
