"""Why a given tick ran or did not: the ledger's decision, and where there is none, why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery_anp.beat import occurrences
from celery_anp.beat.schedule import Schedule
from celery_anp.cli import printing
from celery_anp.cli.schedules.overrides import time_of
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.overrides import Overrides
from celery_anp.reliability.run import Run, iso, tick_id

#: The id of a row that stands for several ticks.
_RANGE = re.compile(r"@(\S+)\.\.(\S+)$")
#: Rows of a schedule that are searched for a range.
MOST = 1000
#: How far back the tick before is looked for, in seconds, step by step.
BACK = (60, 3_600, 86_400, 8 * 86_400, 40 * 86_400, 400 * 86_400)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a tick."""

    tick: datetime
    #: The decision, or the reason why there is none.
    said: str
    #: The row that holds the decision.
    run: Run | None = None

    def public(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"tick": iso(self.tick), "explanation": self.said, "run": self.run.public() if self.run else None}


def explain(one: Schedule, text: str, found: Ledger) -> Explanation:
    """Say what became of a tick.

    Args:
        one: the schedule.
        text: the tick's due time, ISO 8601; UTC unless it says otherwise.
        found: the ledger.

    Returns:
        The explanation.

    Raises:
        BadUsage: the time cannot be read.
    """
    tick = time_of(text, "--tick")
    seconds = occurrences.floor(one, tick.timestamp())
    run = found.find(tick_id(one.name, seconds, fraction=one.every_ms is not None)) or _range_with(one, tick, found)
    if run is not None:
        return Explanation(tick, _decision(run), run)
    if one.asks:
        return Explanation(tick, f"{one.name} is due {one.when}, and no tick was decided for then")
    return Explanation(tick, _undecided(one, seconds, found))


def _range_with(one: Schedule, tick: datetime, found: Ledger) -> Run | None:
    for run in found.runs(MOST, schedule=one.name, state="skipped"):
        ends = _RANGE.search(run.run_id)
        if ends and datetime.fromisoformat(ends[1]) <= tick <= datetime.fromisoformat(ends[2]):
            return run
    return None


def _decision(run: Run) -> str:
    decided = run.history[0].time if run.history else run.queued_at
    told = f"decided at {printing.clock(decided)}: it is {run.state}"
    return f"{told}, {run.reason}" if run.reason else told


def _undecided(one: Schedule, tick: float, found: Ledger) -> str:
    now = found.now() // 1000
    if occurrences.next_tick(one, tick - (one.every_ms or 1000) / 1000) != tick:
        return f"{one.name} ({one.when}) is not due then; {_neighbours(one, tick)}"
    if not one.enabled:
        return f"{one.name} is switched off in {one.file}: no tick of it is planned"
    if tick > now:
        override = Overrides(found.store).on(one.name)
        held = override and override.in_force(datetime.fromtimestamp(tick, UTC))
        return f"it is not due yet{f'; the schedule is {override.kind} then' if override and held else ''}"
    cursor = int(found.cursors().get(one.name, "0").partition("|")[0] or 0) / 1000
    if cursor and cursor < tick:
        beats = sum(node.kind == "beat" for node in found.nodes())
        return f"no beat has decided it yet ({beats} alive); the schedule is decided until {_clock(cursor)}"
    oldest = found.oldest_tick(one.name)
    if oldest is None or tick < oldest:
        began = f"the ledger's oldest tick of it is {_clock(oldest)}" if oldest else "the ledger has no tick of it"
        return f"there is no decision: {began}; it came before that, before the schedule, or its row was dropped"
    return "there is no decision: the schedule began, or got its timing, after it (its history tells)"


def _neighbours(one: Schedule, tick: float) -> str:
    after = occurrences.next_tick(one, tick)
    spans = (list(occurrences.ticks(one, tick - back, tick - 1)) for back in BACK)
    before = next((span for span in spans if span), [])
    said = [f"the tick before is {_clock(before[-1])}"] if before else []
    said += [f"the next is {_clock(after)}"] if after else []
    return ", ".join(said)


def _clock(seconds: float) -> str:
    return printing.clock(datetime.fromtimestamp(seconds, UTC))
