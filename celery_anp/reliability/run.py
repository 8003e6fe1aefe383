"""A run as the ledger shows it: one row, read only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: States that only an operator can change.
FINAL = frozenset({
    "succeeded", "failed", "rolled_back", "rollback_failed", "skipped", "expired", "cancelled", "quarantined",
    "parked", "sent",
})  # fmt: skip
STATES = frozenset({"queued", "delayed", "blocked", "running", "rolling_back"}) | FINAL

#: The form of a tick's id; one of a schedule with an interval below a second has milliseconds.
_TICK_ID = r".+@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


@dataclass(frozen=True, slots=True)
class Step:
    """One change of state: a line of a run's history."""

    time: datetime
    before: str
    after: str
    node: str
    reason: str

    def public(self) -> dict[str, str]:
        """The line as JSON shows it."""
        return {
            "time": iso(self.time) or "",
            "from": self.before,
            "to": self.after,
            "node": self.node,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class UndoEntry:
    """What was recorded before an effect, and what became of undoing it."""

    name: str
    data: dict[str, Any]
    #: From 1; 0 for an entry that cannot be read.
    attempt: int
    outcome: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the ledger. Times are aware UTC datetimes, durations seconds, None where unknown."""

    run_id: str
    task: str
    schedule: str | None
    tick: datetime | None
    state: str
    reason: str
    attempts: int
    failures: int
    rollback_failures: int
    losses: int
    fence: int | None
    node: str | None
    lock: str | None
    queued_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    runtime: float | None
    lateness: float | None
    input: dict[str, Any]
    result: Any
    as_expected: bool | None
    error: dict[str, Any] | None
    progress: str | None
    release: str | None
    queue: str
    history: tuple[Step, ...] = ()
    undo: tuple[UndoEntry, ...] = ()
    #: The fields of its row that nobody understands: another version's, or damaged.
    unreadable: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        """Whether only an operator can change it."""
        return self.state in FINAL

    def public(self) -> dict[str, Any]:
        """The run as `anp runs list --json` prints it."""
        return {
            "run_id": self.run_id, "task": self.task, "schedule": self.schedule, "tick": iso(self.tick),
            "state": self.state, "reason": self.reason, "attempts": self.attempts, "losses": self.losses,
            "fence": self.fence, "node": self.node, "lock": self.lock, "queued_at": iso(self.queued_at),
            "due_at": iso(self.due_at), "started_at": iso(self.started_at), "finished_at": iso(self.finished_at),
            "runtime": self.runtime, "lateness": self.lateness, "input": self.input, "result": self.result,
            "as_expected": self.as_expected, "error": self.error, "progress": self.progress,
            "undo": [
                {"name": e.name, "data": e.data, "attempt": e.attempt, "outcome": e.outcome, "note": e.note}
                for e in self.undo
            ],
            "history": [step.public() for step in self.history], "release": self.release,
            "unreadable": list(self.unreadable),
        }  # fmt: skip


def moment(milliseconds: str | float | None) -> datetime | None:
    """A time of the ledger (milliseconds since the epoch) as an aware UTC datetime."""
    if milliseconds in (None, "", "0", 0):
        return None
    return datetime.fromtimestamp(float(milliseconds or 0) / 1000, UTC)


def iso(time: datetime | None) -> str | None:
    """A time as ISO 8601 in UTC with milliseconds, e.g. `2026-11-21T21:55:00.000Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else None


def is_tick_id(run_id: str) -> bool:
    """Whether an id has the form of a tick's, of whatever schedule."""
    return re.fullmatch(_TICK_ID, run_id, re.DOTALL) is not None


def tick_id(schedule: str, tick: float, *, fraction: bool = False) -> str:
    """The id of a tick's run.

    Args:
        schedule: the schedule's name.
        tick: its due time, seconds since the epoch.
        fraction: with milliseconds, as where the schedule's interval has a fraction of a second.

    Returns:
        `<schedule>@<due time, UTC>`, e.g. `warm@2026-11-21T21:55:00Z`.
    """
    if fraction:
        return f"{schedule}@{iso(moment(round(tick * 1000)))}"
    return f"{schedule}@{datetime.fromtimestamp(tick, UTC):%Y-%m-%dT%H:%M:%SZ}"
