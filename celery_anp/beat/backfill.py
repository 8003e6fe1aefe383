"""Backfills: ticks of the past get their run, at a bounded rate, while live ticks go on.

Beats walk them, in any number; backfill.lua lets one beat take each step. Where a schedule has a lock, one run is under
way at a time, and a live tick that meets it waits for it instead of being skipped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import islice

from celery.utils.log import get_logger

from celery_anp.beat import occurrences
from celery_anp.beat.plan import Planner
from celery_anp.beat.schedule import Schedule
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.overrides import Backfill, Overrides
from celery_anp.reliability.records import read_planned
from celery_anp.sending import publisher

log = get_logger(__name__)

#: Ticks that one step looks at where most of them have had their run.
LOOK_AHEAD = 100


def go_on(ledger: Ledger, planner: Planner, schedules: Mapping[str, Schedule], found: Mapping[str, Backfill]) -> None:
    """One step of every backfill.

    Args:
        ledger: the ledger.
        planner: makes the rows.
        schedules: by name.
        found: by schedule the backfill under way.

    Raises:
        LedgerUnavailable: Redis did not answer; the step may have been taken.
    """
    for name, todo in found.items():
        if name not in schedules:
            Overrides(ledger.store).stop(name, "beat", "the schedule is gone")
            continue
        _step(ledger, planner, schedules[name], todo)


def _step(ledger: Ledger, planner: Planner, schedule: Schedule, todo: Backfill) -> None:
    most = max(math.ceil(todo.rate / 60), LOOK_AHEAD)
    ticks = list(islice(occurrences.ticks(schedule, todo.reached, todo.to), most + 1))
    runs = [planner.backfilled(schedule, tick) for tick in ticks[:most]]
    specs = (json.dumps(ledger.spec(run)) for run in runs)
    answers = ledger.store.call("backfill", schedule.name, todo.id, todo.reached, int(len(ticks) <= most), *specs)
    publisher.send_held(planner.app, runs, map(read_planned, answers))
