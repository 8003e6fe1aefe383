"""The declared schedules, as commands read and show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from celery_anp import duration
from celery_anp.beat import occurrences
from celery_anp.beat.problem import from_validation
from celery_anp.beat.schedule import Schedule
from celery_anp.cli import printing, which_app
from celery_anp.cli.schedules.names import resolved
from celery_anp.redaction import hidden
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.live import Live

#: Whole seconds, shown as they are written.
DURATIONS = frozenset({"every", "catchup_window", "jitter", "start_deadline", "late_after"})
#: Fields of a schedule that say nothing to a reader.
INNER = frozenset({
    "both_days", "args", "options", "secrets", "every_ms", "asks", "expires", "expires_at", "countdown", "eta",
    "by_name",
})  # fmt: skip


def catalog() -> Mapping[str, Schedule]:
    """Every schedule of the app that is named, by name, read from its files and checked.

    Raises:
        BadDeclaration: something in the files is wrong; the message tells all of it.
        BadUsage: no app is named.
    """
    from celery_anp.beat.catalog import load
    from celery_anp.beat.files import chosen

    app = which_app.chosen()
    return load(chosen(app), app)


def schedules(found: Ledger) -> Mapping[str, Schedule]:
    """The schedules that are live, by name, as the ledger knows them; while none are, those of the app's files.

    One that cannot be read, because another version has declared it, is told on stderr and left out.

    Args:
        found: the ledger.
    """
    declared = Live(found.store).declared()
    if not declared and which_app.named():
        return catalog()
    known, unreadable = _read(declared)
    for name, why in unreadable.items():
        printing.note(f"{name} is unreadable as it is declared in the ledger: {why}")
    return known


def _read(declared: Mapping[str, str]) -> tuple[dict[str, Schedule], dict[str, str]]:
    known, unreadable = dict[str, Schedule](), dict[str, str]()
    for name, text in sorted(declared.items()):
        try:
            known[name] = Schedule.model_validate_json(text)
        except ValidationError as error:
            problem = from_validation("", "", error)[0]
            unreadable[name] = f"{problem.failed}: expected {problem.expected}"
    return known, unreadable


def schedule_named(name: str, found: Ledger) -> Schedule:
    """A live schedule by its name; see `schedules`.

    Raises:
        UnknownName: there is none that can be read; says which are near.
    """
    return find(name, schedules(found))


def find(name: str, known: Mapping[str, Schedule]) -> Schedule:
    """One of some schedules by its name.

    Raises:
        UnknownName: there is none; says which are near.
    """
    return known[resolved(name, known)]


def next_of(one: Schedule, after: float) -> datetime | None:
    """When a schedule is due next; None if it is off or never due again."""
    return next(iter(ticks_of(one, after, 1)), None)


def ticks_of(one: Schedule, after: float, count: int) -> list[datetime]:
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
    shown["input"] = hidden(values["input"], one.secrets)
    return {"name": one.name, "task": one.task, "when": one.when, **shown}
