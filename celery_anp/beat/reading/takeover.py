"""Reads `app.conf.beat_schedule` as Celery's beat reads it, so that an app can change its scheduler and nothing else.

Where Celery decides otherwise than a schedule in TOML, Celery's way holds: runs may overlap, one late run follows a
stop, `expires` and `countdown` count from the sending. What cannot be taken is told, never guessed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import crontab, maybe_schedule
from celery.schedules import schedule as interval
from pydantic_core import PydanticSerializationError, to_json

from celery_anp import duration
from celery_anp.beat.name import escaped
from celery_anp.beat.problem import Problem
from celery_anp.beat.reading import options as read
from celery_anp.beat.reading.entries import Entry
from celery_anp.beat.reading.options import UnfitError
from celery_anp.settings import settings

SOURCE = "beat_schedule"
#: Celery's own entry, for result backends that forget nothing by themselves.
CLEANUP = "celery.backend_cleanup"
_FIELDS = (
    ("minute", "_orig_minute", 0, 59),
    ("hour", "_orig_hour", 0, 23),
    ("day_of_month", "_orig_day_of_month", 1, 31),
    ("month_of_year", "_orig_month_of_year", 1, 12),
    ("day_of_week", "_orig_day_of_week", 0, 6),
)
_KEYS = ("task", "schedule", "args", "kwargs", "options", "relative", "enabled")
_TIMING = "a number of seconds, a timedelta, a crontab, or an object with is_due"
_NAMELESS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def entries(app: Any) -> Iterator[Entry | Problem]:
    """The beat entries of a Celery app, as schedules.

    Args:
        app: the Celery app; its tasks are loaded.

    Yields:
        Each entry; a problem for each that cannot be expressed.
    """
    listed = dict(app.conf.beat_schedule or {})
    if CLEANUP not in listed and _needs_cleanup(app):
        listed[CLEANUP] = {"task": CLEANUP, "schedule": crontab("0", "4", "*"), "options": {"expires": 12 * 3600}}
    for name, beat_entry in listed.items():
        label = escaped(str(name))
        try:
            yield Entry(SOURCE, label, _raw(app, label, beat_entry), declared=False)
        except UnfitError as error:
            yield Problem(SOURCE, str(name), error.failed, expected=error.expected, given=error.given)


def _needs_cleanup(app: Any) -> bool:
    return bool(app.conf.result_backend and app.conf.result_expires) and not app.backend.supports_autoexpire


def _raw(app: Any, name: str, beat_entry: Any) -> dict[str, Any]:
    if isinstance(beat_entry, ScheduleEntry):
        beat_entry = {key: value for key in _KEYS if (value := getattr(beat_entry, key, None)) is not None}
    if not isinstance(beat_entry, Mapping) or (strange := beat_entry.keys() - set(_KEYS)):
        given = beat_entry if not isinstance(beat_entry, Mapping) else f"also {', '.join(sorted(map(str, strange)))}"
        raise UnfitError("cannot be read", f"a dict with only {', '.join(_KEYS)}", given)
    named = beat_entry.get("task")
    task = app.tasks.get(named)
    args, kwargs = tuple(beat_entry.get("args") or ()), dict(beat_entry.get("kwargs") or {})
    return {
        "name": name,
        "task": named,
        "by_name": task is None,
        **({} if getattr(task, "lock", None) or getattr(task, "overlap", None) else {"overlap": "allow_all"}),
        "catchup": "latest",
        "catchup_window": _window(app, beat_entry.get("schedule")),
        **({} if beat_entry.get("enabled", True) else {"enabled": False}),
        **_timing(app, beat_entry.get("schedule"), relative=bool(beat_entry.get("relative"))),
        **_input(task, args, kwargs),
        **read.options(app, dict(beat_entry.get("options") or {})),
    }


def _window(app: Any, when: Any) -> int:
    """Seconds that a late run may be late: as long as rows are kept, or as Celery's setting for crontabs says."""
    most = int(settings().keep_days * 86_400) - 1
    deadline = app.conf.beat_cron_starting_deadline if isinstance(when, crontab) else None
    return most if deadline is None else max(1, min(most, int(deadline)))


def _timing(app: Any, when: Any, *, relative: bool) -> dict[str, Any]:
    if isinstance(when, bool) or not (isinstance(when, int | float | timedelta) or hasattr(when, "is_due")):
        raise UnfitError("its timing cannot be used", _TIMING, when)
    try:
        known: Any = maybe_schedule(when, relative, app=app)
    except (OverflowError, ValueError):
        raise UnfitError("its timing cannot be used", _TIMING, when) from None
    if type(known) is crontab and known.nowfun is None and (zone := _zone(known)):
        return {"cron": _line(known), "timezone": zone, "both_days": True}
    if type(known) is interval and known.nowfun is None and not known.relative:
        return _every(known.run_every)
    return {"asks": _ADDRESS.sub("", repr(known))[:400] or type(known).__name__, "own": known}


def _zone(when: crontab) -> str:
    """The IANA name of its zone; empty where it has none, so that only Celery can say when it is due."""
    name = str(when.tz)
    return name if name == "UTC" or hasattr(when.tz, "key") else ""


def _every(length: Any) -> dict[str, Any]:
    exact = round(length.total_seconds() * 1000) if isinstance(length, timedelta) else 0
    if not 1 <= exact <= duration.LONGEST * 1000:
        raise UnfitError(
            "its timing cannot be used", "an interval of at least a millisecond, at most ten years", length
        )
    return {"every_ms": exact} if exact % 1000 else {"every": exact // 1000}


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
    if any(isinstance(value, BeatLazyFunc) for value in (*args, *kwargs.values())):
        raise UnfitError("its input is worked out when it is sent", "values; the task itself can work them out", "…")
    try:
        to_json([args, kwargs])
    except (PydanticSerializationError, ValueError) as error:
        raise UnfitError("its input is no JSON", "texts, numbers, lists and dicts", str(error)) from None
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
