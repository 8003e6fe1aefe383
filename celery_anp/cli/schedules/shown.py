"""One schedule as `anp schedules show` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery_anp.beat.schedule import Schedule
from celery_anp.cli import printing
from celery_anp.cli.schedules.declared import described, ticks_of
from celery_anp.cli.schedules.overrides import told
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.overrides import Backfill, Deed, Override, Overrides
from celery_anp.reliability.run import Run, iso, moment

#: Next ticks that are shown.
TICKS = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """What a schedule says, how it stands, and what was done to it."""

    one: Schedule
    now: datetime
    next: list[datetime]
    #: While it is late, by when it should have succeeded.
    late: datetime | None
    runs: list[Run]
    override: Override | None
    backfill: Backfill | None
    history: list[Deed]

    def public(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            **described(self.one),
            "next": [iso(tick) for tick in self.next],
            "late_since": iso(self.late),
            "hand": self.override.public() if self.override else None,
            "backfill": self.backfill.public() if self.backfill else None,
            "history": [deed.public() for deed in self.history],
            "runs": [run.public() for run in self.runs],
        }

    def tell(self) -> None:
        """Print it."""
        printing.fields({**described(self.one), "next": ", ".join(printing.clock(tick) for tick in self.next)})
        if self.late:
            printing.say(f"\n{self.one.name} is late: it should have succeeded by {printing.clock(self.late)}")
        if self.override:
            printing.say(f"\n{told(self.one.name, self.override, self.now)}")
        if self.backfill:
            done = self.backfill.public()
            printing.say(f"\na backfill by {done['by']} has reached {done['reached']} of {done['to']}")
        if self.history:
            printing.say("\nwhat was done to it")
            lines = [(printing.clock(d.at), d.what, d.by, printing.clock(d.until), d.note) for d in self.history]
            printing.table(("time", "what", "by", "until", "note"), lines)
        printing.say("\nlast runs")
        rows = [(run.run_id, run.state, run.reason, printing.ago(run.lateness)) for run in self.runs]
        printing.table(("run id", "state", "reason", "late"), rows)


def gathered(one: Schedule, found: Ledger, limit: int) -> Shown:
    """A schedule as the ledger knows it now.

    Args:
        one: the schedule.
        found: the ledger.
        limit: at most so many runs.
    """
    now, overrides = printing.moment_of(found.now()), Overrides(found.store)
    override = overrides.on(one.name)
    return Shown(
        one=one,
        now=now,
        next=ticks_of(one, int(now.timestamp()), TICKS),
        late=moment(found.late().get(one.name)),
        runs=found.runs(limit, schedule=one.name),
        override=override if override and override.in_force(now) else None,
        backfill=overrides.backfills().get(one.name),
        history=overrides.history(one.name, limit),
    )
