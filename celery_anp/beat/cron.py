"""One cron line, read strictly, on the clock of a wall: it knows neither time zones nor today.

Wall times are seconds since 1970-01-01 00:00 as a wall clock shows them, as if its zone were UTC.
croniter reads the line and finds the next match; what it accepts by mistake is refused here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import Any

from croniter import CroniterBadDateError, CroniterError, croniter

FIELDS = ("minute", "hour", "day of month", "month", "day of week", "second")
_SPANS = (60, 24, 31, 12, 7, 60)
_MINUTE, _HOUR, _DAY, _WEEKDAY, _SECOND = 0, 1, 2, 4, 5
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_HASHED = re.compile(r"(?:^|,)h(?:$|[(/,])", re.IGNORECASE)
_RANDOM = re.compile(r"(?:^|,)r(?:$|[(/,])", re.IGNORECASE)
_EQUAL_ENDS = re.compile(r"(?<![\w(-])(\w+)-\1(?:/\d+)?(?=$|[\s,])", re.IGNORECASE)
_STEP = re.compile(r"/(\d+)", re.ASCII)
#: Signs in a day field on which readers part where the other day field leaves days out too.
_DISPUTED = "#L/"


class Cron:
    """A cron line that can be asked for its next wall time.

    Args:
        line: five fields, or six with the seconds last.
        hash_id: what `H` is hashed by, or None.
        both_days: whether day of month and day of week must both fit, as in Celery; cron wants one of them.
    """

    def __init__(self, line: str, hash_id: bytes | None, both_days: bool) -> None:
        self._iterator: Any = croniter(line, 0.0, day_or=not both_days, hash_id=hash_id)
        self._lock = Lock()  # croniter keeps its place in itself
        self.wildcard_hour = line.split()[_HOUR].startswith("*") or len(self._values(_HOUR)) == 24

    def after(self, wall: int) -> int | None:
        """The next wall time.

        Args:
            wall: wall time in seconds.

        Returns:
            The first match strictly after it, or None if fifty years hold none.
        """
        with self._lock:
            try:
                return int(self._iterator.get_next(float, start_time=float(wall)))
            except CroniterBadDateError:
                return None

    def interval(self) -> int:
        """The shortest pause between two matches.

        Returns:
            Seconds; where days are left out, the pause over midnight counts as if they were not.
        """
        gaps = [b - a for a, b in pairwise(self._day())]
        return min([*gaps, 86_400 - self._day()[-1] + self._day()[0]])

    def _day(self) -> list[int]:
        hours, minutes, second = self._values(_HOUR), self._values(_MINUTE), self._values(_SECOND)
        return [h * 3600 + m * 60 + s for h in hours for m in minutes for s in second]

    def _values(self, field: int) -> list[int]:
        expanded = self._iterator.expanded
        if field >= len(expanded):
            return [0]
        return list(range(_SPANS[field])) if "*" in expanded[field] else sorted(expanded[field])


def normal(line: str) -> str:
    """A cron line with single blanks, and `@daily`, its like and ranges such as `5-5` written out.

    croniter would read `5-5` as every value; cron reads it as 5.

    Args:
        line: as someone wrote it.

    Returns:
        The same schedule, written one way.
    """
    line = " ".join(line.split())
    return _EQUAL_ENDS.sub(r"\1", _ALIASES.get(line.lower(), line))


def hashed(line: str) -> bool:
    """Whether a line uses `H`, so that the schedule's name decides its times.

    Args:
        line: a cron line in normal form.

    Returns:
        True if a field is hashed.
    """
    return any(_HASHED.search(field) for field in line.split())


@lru_cache(maxsize=16_384)
def parse(line: str, hash_id: str = "", *, seconds: bool = False, both_days: bool = False) -> Cron:
    """A cron line, checked. One object is shared by all who ask for the same line.

    Args:
        line: a cron line in normal form.
        hash_id: what `H` is hashed by; empty if the line has none.
        seconds: whether the line has a sixth, last field for seconds.
        both_days: see Cron.

    Returns:
        The parsed line.

    Raises:
        ValueError: the line cannot be right; the message says what was expected.
    """
    _refuse_wrong_count(line, seconds=seconds)
    for field, (name, span) in zip(line.split(), zip(FIELDS, _SPANS, strict=True), strict=False):
        _refuse_field(field, name, span)
    try:
        seed = hash_id.encode() or None
        croniter.expand(line, hash_id=seed, strict=True)
        if not both_days:
            _refuse_days_read_twice(line)
        cron = Cron(line, seed, both_days)
    except CroniterError as error:
        raise ValueError(f"a cron line that can be read ({error})") from None
    if cron.after(0) is None:
        raise ValueError("a cron line with a day that exists")
    return cron


def _refuse_wrong_count(line: str, *, seconds: bool) -> None:
    if line.lower() == "@reboot":
        raise ValueError("times; nothing here boots, so @reboot never comes (run the task from the deploy)")
    count = len(line.split())
    if seconds and count != 6:
        raise ValueError("six fields: minute hour day month weekday second")
    if not seconds and count != 5:
        hint = " (a sixth, for seconds, needs seconds = true)" if count == 6 else ""
        raise ValueError(f"five fields: minute hour day month weekday{hint}")


def _refuse_field(field: str, name: str, span: int) -> None:
    if _RANDOM.search(field):
        raise ValueError("fixed times; R would change with each restart (H spreads by the schedule's name)")
    if any(int(step) > span for step in _STEP.findall(field)):
        raise ValueError(f"a step of at most {span} in the field {name}")


def _refuse_days_read_twice(line: str) -> None:
    """Of two day fields one must fit; with these signs in one of them, some readers want both to fit."""
    days = [line.split()[field] for field in (_DAY, _WEEKDAY)]
    if any(day in ("*", "?") for day in days):
        return
    for sign in _DISPUTED:
        if any(sign in day.upper() for day in days):
            raise ValueError(
                f"one of the two day fields to be *: with {sign} beside another day field ({' and '.join(days)}), some "
                "readers of cron want either to fit, others both (list the days, or declare two schedules)"
            )
