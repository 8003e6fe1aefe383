"""The catch-up policy as a pure decision: what becomes of the ticks since a cursor.

Limit: a tick is decided only while some beat runs; what happened in between is decided afterwards, by this policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from celery_anp.beat import occurrences
from celery_anp.beat.own import Asked
from celery_anp.beat.schedule import Schedule

#: Seconds after its due time within which a tick counts as on time.
ON_TIME = 10.0
#: Dropped ticks get a row each up to this many, and one row for all of them beyond it.
ROWS_FOR_DROPPED = 5
#: Dropped ticks of a cron line are counted one by one up to this many.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Catchup:
    """The ticks since a cursor, sorted by what becomes of them."""

    #: These get a run, the oldest first.
    run: tuple[float, ...]
    #: These are dropped: the first, the last, and how many.
    dropped: tuple[float, float, int] | None
    #: The ticks that were dropped, where they are few.
    each: tuple[float, ...]
    #: The newest tick that is decided, or None when there is none.
    newest: float | None


class Upcoming:
    """The next tick of each schedule, kept until another is asked for: a round asks three times, and cron is slow."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float | None]] = {}
        self.asked = Asked()

    def next_tick(self, schedule: Schedule, after: float) -> float | None:
        """As `occurrences.next_tick`; where only its own object knows, when that is asked."""
        if schedule.asks:
            return self.asked.after(schedule, after)
        last = self._last.get(schedule.name)
        if last is None or last[0] != after:
            last = self._last[schedule.name] = (after, occurrences.next_tick(schedule, after))
        return last[1]

    def ticks(self, schedule: Schedule, after: float, until: float) -> Iterator[float]:
        """As `occurrences.ticks`."""
        tick = self.next_tick(schedule, after)
        while tick is not None and tick <= until:
            yield tick
            tick = self.next_tick(schedule, tick)


def catch_up(
    schedule: Schedule,
    cursor: float,
    now: float,
    ticks: Callable[[Schedule, float, float], Iterator[float]] = occurrences.ticks,
) -> Catchup:
    """Sort the ticks after a cursor by the schedule's catch-up policy.

    Args:
        schedule: the schedule.
        cursor: its last decided tick, epoch seconds.
        now: epoch seconds; a tick with jitter is due that much later.
        ticks: where the ticks of a span are known from.

    Returns:
        What runs and what is dropped.
    """
    last = occurrences.floor(schedule, now)
    horizon = last - _reach(schedule)
    recent = [t for t in ticks(schedule, max(cursor, horizon), last) if t + occurrences.jitter(schedule, t) <= now]
    older = _span(schedule, cursor, horizon) if cursor < horizon else None
    run = _runs(schedule, recent, now)
    newest = recent[-1] if recent else (older[1] if older else None)
    late = recent[: len(recent) - len(run)]  # what is dropped comes before what runs
    if not late and older is None:
        return Catchup(run, None, (), newest)
    first, latest = (older[0] if older else late[0]), (late[-1] if late else (older or (0, 0, 0))[1])
    count = len(late) + (older[2] if older else 0)
    if count <= ROWS_FOR_DROPPED:
        before = first - (schedule.every_ms or 1000) / 1000
        return Catchup(run, None, tuple(occurrences.ticks(schedule, before, latest)), newest)
    return Catchup(run, (first, latest, count), (), newest)


def _reach(schedule: Schedule) -> float:
    """How far back a tick may lie and still run, in seconds; of an interval only the latest one is looked for."""
    on_time = int(ON_TIME) + schedule.jitter
    if schedule.catchup == "latest" and schedule.interval_ms is not None:
        return min(schedule.catchup_window, on_time + schedule.interval_ms / 1000)
    return on_time if schedule.catchup == "skip" else max(schedule.catchup_window, on_time)


def _runs(schedule: Schedule, recent: list[float], now: float) -> tuple[float, ...]:
    if schedule.catchup == "all":
        return tuple(recent[-schedule.catchup_limit :])
    latest = recent[-1:]
    if schedule.catchup == "skip" and latest and now - latest[0] > ON_TIME + schedule.jitter:
        return ()
    return tuple(latest)


def _span(schedule: Schedule, after: float, until: float) -> tuple[float, float, int] | None:
    """The first and last tick of a span and how many there are; counted up to a limit."""
    first = occurrences.next_tick(schedule, after)
    if first is None or first > until:
        return None
    if (interval := schedule.interval_ms) is not None:
        last = round(until * 1000) // interval * interval
        return first, occurrences.floor(schedule, last / 1000), (last - round(first * 1000)) // interval + 1
    counted = list(islice(occurrences.ticks(schedule, after, until), COUNTED))
    if len(counted) < COUNTED:
        return first, counted[-1], len(counted)
    return first, _last_before(schedule, until), COUNTED


def _last_before(schedule: Schedule, until: float) -> float:
    back = 3600
    while True:
        found = list(occurrences.ticks(schedule, until - back, until))
        if found:
            return found[-1]
        back *= 2
