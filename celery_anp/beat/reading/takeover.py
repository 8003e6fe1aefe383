"""Reads `app.conf.beat_schedule`, so that an existing Celery app can change its scheduler and nothing else.

What has no whole seconds and no clock (solar events, own schedule classes) is refused, not guessed.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from celery.schedules import crontab
from celery.schedules import schedule as interval

from celery_anp import duration
from celery_anp.beat.problem import Problem, shown
from celery_anp.beat.reading.entries import Entry

SOURCE = "beat_schedule"
_FIELDS = (
    ("minute", "_orig_minute", 0, 59),
    ("hour", "_orig_hour", 0, 23),
    ("day_of_month", "_orig_day_of_month", 1, 31),
    ("month_of_year", "_orig_month_of_year", 1, 12),
    ("day_of_week", "_orig_day_of_week", 0, 6),
)
_KEYS = {"task", "schedule", "args", "kwargs", "options", "relative"}
_TIMING = "a crontab, or an interval of whole seconds"
_NAMELESS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY)
_DECIDED_HERE = {"eta", "countdown", "task_id"}


class UnfitError(Exception):
    """A beat entry says something that a schedule cannot."""

    def __init__(self, failed: str, expected: str, given: object) -> None:
        super().__init__(failed)
        self.failed, self.expected, self.given = failed, expected, shown(given)


def entries(app: Any) -> Iterator[Entry | Problem]:
    """The beat entries of a Celery app, as schedules.

    Args:
        app: the Celery app; its tasks are loaded.

    Yields:
        Each entry; a problem for each that cannot be expressed.
    """
    for name, beat_entry in dict(app.conf.beat_schedule or {}).items():
        try:
            yield Entry(SOURCE, str(name), _raw(app, str(name), beat_entry), declared=False)
        except UnfitError as error:
            yield Problem(SOURCE, str(name), error.failed, expected=error.expected, given=error.given)


def _raw(app: Any, name: str, beat_entry: Any) -> dict[str, Any]:
    if not isinstance(beat_entry, Mapping) or beat_entry.keys() - _KEYS:
        raise UnfitError("cannot be read", f"a dict with only {', '.join(sorted(_KEYS))}", beat_entry)
    task = app.tasks.get(beat_entry.get("task"))
    return {
        "name": name,
        "task": beat_entry.get("task"),
        **_timing(app, beat_entry.get("schedule")),
        **_input(task, tuple(beat_entry.get("args") or ()), dict(beat_entry.get("kwargs") or {})),
        **_options(dict(beat_entry.get("options") or {})),
    }


def _timing(app: Any, when: Any) -> dict[str, Any]:
    if isinstance(when, crontab):
        return {"cron": _line(when), "timezone": str(app.timezone), "both_days": True}
    if isinstance(when, interval) and type(when) is not interval:
        raise UnfitError("its schedule class is not known", _TIMING, when)  # its is_due may say anything
    length = getattr(when, "run_every", when)
    return {"every": _whole_seconds(length)}


def _whole_seconds(length: Any) -> int:
    exact = length.total_seconds() if isinstance(length, timedelta) else length
    usable = isinstance(exact, int | float) and not isinstance(exact, bool) and 1 <= exact <= duration.LONGEST
    if not usable or exact != int(exact):
        raise UnfitError("its timing cannot be used", _TIMING, length)
    return int(exact)


def _line(when: crontab) -> str:
    return " ".join(_field(when, *field) for field in _FIELDS)


def _field(when: crontab, values: str, written: str, lowest: int, highest: int) -> str:
    """As it was written if cron reads it the same; else the values that Celery made of it."""
    text = str(getattr(when, written))
    fits = getattr(when, values)
    if text == "*" or fits == set(range(lowest, highest + 1)):
        return "*"
    if text.startswith("*/") and text[2:].isdigit():
        return text
    return ",".join(str(value) for value in sorted(fits))


def _input(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if not args:
        return {"input": kwargs}
    try:
        signature = inspect.signature(task.run)
        named = signature.bind_partial(*args).arguments
    except (AttributeError, TypeError, ValueError):
        return {"input": kwargs, "args": args}
    if any(signature.parameters[name].kind in _NAMELESS for name in named):
        return {"input": kwargs, "args": args}
    return {"input": {**named, **kwargs}}


def _options(options: dict[str, Any]) -> dict[str, Any]:
    if decided := options.keys() & _DECIDED_HERE:
        raise UnfitError("options that the scheduler decides", "no eta, countdown or task_id", sorted(decided))
    named = {key: options.pop(key) for key in ("queue", "priority") if options.get(key) is not None}
    if (expires := options.pop("expires", None)) is not None:
        named["start_deadline"] = _whole_seconds(expires)
    return {**named, "options": options}
