"""The declared schedules, as commands read and show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schedules import occurrences
from schedules.schedule import Schedule
from worker import duration
from worker.errors import UnknownName, did_you_mean
from worker.reliability.run import HIDDEN
from worker.settings import settings

#: Whole seconds, shown as they are written.
DURATIONS = frozenset({"every", "catchup_window", "jitter", "start_deadline", "late_after"})
#: Fields of a schedule that say nothing to a reader.
INNER = frozenset({"both_days", "args", "options"})


def catalog() -> Mapping[str, Schedule]:
    """Every schedule by name, checked.

    Raises:
        BadDeclaration: something in the files is wrong; the message tells all of it.
    """
    from schedules.catalog import load
    from worker.app import app as celery

    return load([Path(path) for path in settings().schedules], celery)


def schedule_named(name: str) -> Schedule:
    """A schedule by its name.

    Raises:
        UnknownName: there is none; says which are near.
    """
    known = catalog()
    if name not in known:
        hint = did_you_mean(name, known)
        raise UnknownName(f"There is no schedule {name!r}.{hint}", expected="a name that `anp schedules list` shows")
    return known[name]


def next_of(one: Schedule, after: int) -> datetime | None:
    """When a schedule is due next; None if it is off or never due again."""
    return next(iter(ticks_of(one, after, 1)), None)


def ticks_of(one: Schedule, after: int, count: int) -> list[datetime]:
    """The next ticks of a schedule.

    Args:
        one: the schedule.
        after: epoch seconds.
        count: at most so many.
    """
    found: list[datetime] = []
    while one.enabled and len(found) < count:
        tick = occurrences.next_tick(one, after)
        if tick is None:
            break
        found.append(datetime.fromtimestamp(tick, UTC))
        after = tick
    return found


def described(one: Schedule) -> dict[str, Any]:
    """A schedule as JSON shows it: as it is written, with what its task says filled in."""
    values = one.model_dump(mode="json", exclude=set(INNER))
    shown = {
        name: duration.text(value) if name in DURATIONS and value is not None else value
        for name, value in values.items()
    }
    secrets = secrets_in(one)
    shown["input"] = {name: HIDDEN if name in secrets else value for name, value in values["input"].items()}
    return {"name": one.name, "task": one.task, "when": one.when, **shown}


def secrets_in(one: Schedule) -> tuple[str, ...]:
    """The fields of a schedule's input that are typed as secrets."""
    from worker.app import app
    from worker.enqueue import secret_fields

    return secret_fields(app.tasks.get(one.task))
