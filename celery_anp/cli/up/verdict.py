"""Whether every schedule that had a tick met its expected result: what `anp up --for` exits by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from celery_anp.beat import occurrences
from celery_anp.beat.schedule import Schedule
from celery_anp.cli.story import complaint
from celery_anp.reliability.run import Run

#: Decisions not to run a tick that are no failure.
FINE_TO_SKIP = ("overlap", "catchup")


def unmet(schedules: Mapping[str, Schedule], runs: Iterable[Run], began: int, ended: int) -> list[str]:
    """Which schedules did not meet their expected result, and why.

    Args:
        schedules: by name.
        runs: every run that was planned in the time.
        began: when the time began, epoch seconds.
        ended: when it ended, epoch seconds.

    Returns:
        One sentence each; empty when all is well.
    """
    by_schedule: dict[str, list[Run]] = {name: [] for name in schedules}
    for run in runs:
        if run.tick is not None and run.tick.timestamp() >= began:  # an earlier one is caught up with
            by_schedule.get(run.schedule or "", []).append(run)
    said = (_unmet(schedules[name], found, began, ended) for name, found in by_schedule.items())
    return [sentence for sentence in said if sentence]


def _unmet(schedule: Schedule, runs: Sequence[Run], began: int, ended: int) -> str:
    if not runs:
        due = occurrences.next_tick(schedule, began) if schedule.enabled else None
        later = due is None or due + occurrences.jitter(schedule, due) >= ended
        return "" if later else f"{schedule.name}: its tick was not planned"
    if wrong := next((found for run in runs if (found := _wrong(run))), ""):
        return f"{schedule.name}: {wrong}"
    if not any(run.state == "succeeded" and run.as_expected for run in runs):
        return f"{schedule.name}: no run of it ended with its expected result"
    return ""


def _wrong(run: Run) -> str:
    if run.state == "succeeded":
        return complaint(run)
    if run.state == "skipped" and run.reason.startswith(FINE_TO_SKIP):
        return ""
    why = f": {run.reason}" if run.reason else ""
    return complaint(run) or f"{run.run_id} is {run.state}{why}"
