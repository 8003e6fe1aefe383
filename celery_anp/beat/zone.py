"""A time zone's clock: which wall time an instant has, and which instant a wall time.

Instants are epoch seconds. Wall times are seconds since 1970-01-01 00:00 on the zone's own clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from celery_anp.errors import did_you_mean

_DAY = 86_400


@cache
def named(name: str) -> ZoneInfo:
    """The zone of that name.

    Args:
        name: an IANA name such as "Europe/Berlin".

    Returns:
        The zone.

    Raises:
        ValueError: there is none; the message names the nearest ones.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones())
        raise ValueError(f'an IANA time zone such as "Europe/Berlin" or "UTC".{hint}') from None


def offset(zone: ZoneInfo, instant: int) -> int:
    """How far the zone's clock is ahead of UTC.

    Args:
        zone: the zone.
        instant: epoch seconds.

    Returns:
        Seconds, negative west of Greenwich.
    """
    return _ahead(datetime.fromtimestamp(instant, zone))


def first_instant(zone: ZoneInfo, wall: int) -> int:
    """When the zone's clock first reaches a wall time.

    Args:
        zone: the zone.
        wall: a wall time in seconds.

    Returns:
        The instant that shows it; the first of two where clocks go back; the first instant after the gap
        where clocks go forward over it.
    """
    shown = datetime.fromtimestamp(wall, UTC).replace(tzinfo=zone)
    # fold 0 counts with the offset before a change, fold 1 with the one after it (PEP 495)
    by_old, by_new = (wall - _ahead(shown.replace(fold=fold)) for fold in (0, 1))
    in_gap = by_old > by_new
    return _change_between(zone, by_new, by_old) if in_gap else by_old


def _ahead(shown: datetime) -> int:
    ahead = shown.utcoffset()
    assert ahead is not None
    return ahead.days * _DAY + ahead.seconds


def next_change(zone: ZoneInfo, after: int, until: int) -> int | None:
    """When the zone's clock is next put forward or back.

    Args:
        zone: the zone.
        after: epoch seconds.
        until: epoch seconds.

    Returns:
        The first change with after < change <= until, or None.
    """
    for year in range(_year(after), _year(until) + 1):
        for change in _changes(zone, year):
            if after < change:
                return change if change <= until else None
    return None


def _year(instant: int) -> int:
    return datetime.fromtimestamp(instant, UTC).year


@lru_cache(maxsize=4096)
def _changes(zone: ZoneInfo, year: int) -> tuple[int, ...]:
    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    days = [(day, day + _DAY) for day in range(start, end, _DAY)]
    return tuple(
        _change_between(zone, first, last) for first, last in days if offset(zone, first) != offset(zone, last)
    )


def _change_between(zone: ZoneInfo, before: int, after: int) -> int:
    old = offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after
