"""When a schedule is due. Pure: the same answer on every node, in the preview, in beat and in the tests.

`every` is counted from the epoch. Cron follows the clock of its zone, and where that clock jumps:

- a schedule whose hours are fixed is due once for each of its local times: at the first instant after the
  gap if the time does not exist, at the first of the two if it comes twice;
- a schedule for every hour (its hour field begins with `*`, or names all 24) follows real time: it is due
  at each instant whose local time fits.

Times are epoch seconds. Two local times in one gap are one tick: a tick is its instant.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from zoneinfo import ZoneInfo

from celery_anp.beat import zone
from celery_anp.beat.cron import Cron
from celery_anp.beat.schedule import Schedule


def floor(schedule: Schedule, moment: float) -> float:
    """A point in time as its ticks are counted: in whole seconds, or in milliseconds where its interval has them."""
    return int(moment) if schedule.every_ms is None else int(moment * 1000) / 1000


def next_tick(schedule: Schedule, after: float) -> float | None:
    """The next time a schedule is due.

    Args:
        schedule: the schedule.
        after: epoch seconds.

    Returns:
        Epoch seconds, strictly after; None if the schedule is never due again, or only its own object knows.
    """
    if schedule.every is not None:
        return int(after // schedule.every + 1) * schedule.every
    if schedule.every_ms is not None:
        return (round(after * 1000) // schedule.every_ms + 1) * schedule.every_ms / 1000
    if schedule.cron is None:
        return None
    after = int(after)
    cron, clock = schedule.parsed_cron, zone.named(schedule.timezone)
    return _real_time(cron, clock, after) if cron.wildcard_hour else _local_time(cron, clock, after)


def ticks(schedule: Schedule, after: float, until: float) -> Iterator[float]:
    """Each time a schedule is due in a span.

    Args:
        schedule: the schedule.
        after: epoch seconds, itself not in the span.
        until: epoch seconds, the last one in the span.

    Yields:
        Epoch seconds, ascending.
    """
    tick = next_tick(schedule, after)
    while tick is not None and tick <= until:
        yield tick
        tick = next_tick(schedule, tick)


def jitter(schedule: Schedule, tick: float) -> float:
    """How long after its due time a tick starts; fixed by schedule name and tick.

    Args:
        schedule: the schedule.
        tick: epoch seconds.

    Returns:
        Seconds, 0 or more, less than the schedule's jitter, and before the next tick.
    """
    if schedule.jitter == 0:
        return 0.0
    drawn = blake2b(f"{schedule.name}@{tick}".encode(), digest_size=6).digest()
    return _room(schedule, tick) * int.from_bytes(drawn, "big") / 2**48


def _room(schedule: Schedule, tick: float) -> float:
    """Its jitter, or less where a clock change brings the next tick nearer: ticks start in their order."""
    following = None if schedule.every is not None else next_tick(schedule, tick)
    return schedule.jitter if following is None else min(schedule.jitter, following - tick)


def _local_time(cron: Cron, clock: ZoneInfo, after: int) -> int | None:
    wall = cron.after(after + zone.offset(clock, after))
    while wall is not None:
        instant = zone.first_instant(clock, wall)
        if instant > after:
            return instant
        wall = cron.after(wall)
    return None


def _real_time(cron: Cron, clock: ZoneInfo, after: int) -> int | None:
    earliest = after + 1
    while True:
        ahead = zone.offset(clock, earliest)
        wall = cron.after(earliest + ahead - 1)
        if wall is None:
            return None
        change = zone.next_change(clock, earliest, wall - ahead)
        if change is None:
            return wall - ahead
        earliest = change
