"""What becomes of the ticks since a cursor: the catch-up policy as a pure decision, and the rows it asks for.

Limit: a tick is decided only while some beat runs; what happened in between is decided afterwards, by this policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from celery.signals import after_task_publish, before_task_publish

from celery_anp.beat import occurrences
from celery_anp.beat.schedule import Schedule
from celery_anp.contract.signature import Checked
from celery_anp.reliability.records import Decision, Key, LockUse, NewRun, Tick, Timing
from celery_anp.reliability.run import tick_id
from celery_anp.sending.draft import draft, skipped
from celery_anp.sending.message import built, written
from celery_anp.task import ReliableTask

#: Seconds after its due time within which a tick counts as on time.
ON_TIME = 10.0
#: Dropped ticks get a row each up to this many, and one row for all of them beyond it.
ROWS_FOR_DROPPED = 5
#: Dropped ticks of a cron line are counted one by one up to this many.
COUNTED = 10_000
#: The priority that is served last.
LAST = 9
#: What stands in a cursor's timing while its schedule is switched off.
OFF = "off"


@dataclass(frozen=True, slots=True)
class Catchup:
    """The ticks since a cursor, sorted by what becomes of them."""

    #: These get a run, the oldest first.
    run: tuple[int, ...]
    #: These are dropped: the first, the last, and how many.
    dropped: tuple[int, int, int] | None
    #: The ticks that were dropped, where they are few.
    each: tuple[int, ...]
    #: The newest tick that is decided, or None when there is none.
    newest: int | None


class Upcoming:
    """The next tick of each schedule, kept until another is asked for: a round asks three times, and cron is slow."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int | None]] = {}

    def next_tick(self, schedule: Schedule, after: int) -> int | None:
        """As `occurrences.next_tick`."""
        last = self._last.get(schedule.name)
        if last is None or last[0] != after:
            last = self._last[schedule.name] = (after, occurrences.next_tick(schedule, after))
        return last[1]

    def ticks(self, schedule: Schedule, after: int, until: int) -> Iterator[int]:
        """As `occurrences.ticks`."""
        tick = self.next_tick(schedule, after)
        while tick is not None and tick <= until:
            yield tick
            tick = self.next_tick(schedule, tick)


def catch_up(
    schedule: Schedule,
    cursor: int,
    now: float,
    ticks: Callable[[Schedule, int, int], Iterator[int]] = occurrences.ticks,
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
    horizon = int(now) - _reach(schedule)
    recent = [t for t in ticks(schedule, max(cursor, horizon), int(now)) if t + occurrences.jitter(schedule, t) <= now]
    older = _span(schedule, cursor, horizon) if cursor < horizon else None
    run = _runs(schedule, recent, now)
    newest = recent[-1] if recent else (older[1] if older else None)
    late = recent[: len(recent) - len(run)]  # what is dropped comes before what runs
    if not late and older is None:
        return Catchup(run, None, (), newest)
    first, last = (older[0] if older else late[0]), (late[-1] if late else (older or (0, 0, 0))[1])
    count = len(late) + (older[2] if older else 0)
    if count <= ROWS_FOR_DROPPED:
        return Catchup(run, None, tuple(occurrences.ticks(schedule, first - 1, last)), newest)
    return Catchup(run, (first, last, count), (), newest)


def _reach(schedule: Schedule) -> int:
    """How far back a tick may lie and still run, in seconds."""
    on_time = int(ON_TIME) + schedule.jitter
    return on_time if schedule.catchup == "skip" else max(schedule.catchup_window, on_time)


def _runs(schedule: Schedule, recent: list[int], now: float) -> tuple[int, ...]:
    if schedule.catchup == "all":
        return tuple(recent[-schedule.catchup_limit :])
    latest = recent[-1:]
    if schedule.catchup == "skip" and latest and now - latest[0] > ON_TIME + schedule.jitter:
        return ()
    return tuple(latest)


def _span(schedule: Schedule, after: int, until: int) -> tuple[int, int, int] | None:
    """The first and last tick of a span and how many there are; counted up to a limit."""
    first = occurrences.next_tick(schedule, after)
    if first is None or first > until:
        return None
    if schedule.every is not None:
        last = until // schedule.every * schedule.every
        return first, last, (last - first) // schedule.every + 1
    counted = list(islice(occurrences.ticks(schedule, after, until), COUNTED))
    if len(counted) < COUNTED:
        return first, counted[-1], len(counted)
    return first, _last_before(schedule, until), COUNTED


def _last_before(schedule: Schedule, until: int) -> int:
    back = 3600
    while True:
        found = list(occurrences.ticks(schedule, until - back, until))
        if found:
            return found[-1]
        back *= 2


class Planner:
    """Turns due schedules into decisions. Inputs are checked once, when it is made.

    Args:
        app: the guarded app.
        schedules: by name.
        digest: of the catalog, where they are a whole one.
    """

    def __init__(self, app: Any, schedules: Mapping[str, Schedule], digest: str = "") -> None:
        self.app = app
        #: Of these schedules, where they are a whole catalog.
        self.digest = digest
        self.upcoming = Upcoming()
        self._checked: dict[str, Checked] = {}
        for schedule in schedules.values():
            task = app.tasks[schedule.task]
            if isinstance(task, ReliableTask):
                self._checked[schedule.name] = task.contract.check(schedule.args, schedule.input)

    def follows(self, schedule: Schedule, cursor: str) -> bool:
        """Whether a cursor belongs to this timing of the schedule."""
        return cursor.partition("|")[2] == self._timing(schedule)

    def first(self, schedule: Schedule, seen: str, now: float) -> Decision:
        """A schedule seen for the first time, or with a new timing, begins now: nothing is fired for the past."""
        late = self._late_by(schedule, self.upcoming.next_tick(schedule, int(now)))
        return Decision(schedule.name, seen, f"{int(now) * 1000}|{self._timing(schedule)}", late=late)

    def read(self, schedule: Schedule, cursor: str, now: float) -> int:
        """A cursor's tick in epoch seconds; now where it belongs to another timing."""
        return int(cursor.partition("|")[0]) // 1000 if self.follows(schedule, cursor) else int(now)

    def plan(self, schedule: Schedule, cursor: str, now: float) -> Decision:
        """Decide every tick of a schedule since its cursor.

        Args:
            schedule: the schedule.
            cursor: its cursor as the ledger keeps it; empty for none.
            now: Redis' clock, epoch seconds.

        Returns:
            The decision: new cursor and rows.
        """
        if not self.follows(schedule, cursor):
            return self.first(schedule, cursor, now)
        sorted_out = catch_up(schedule, self.read(schedule, cursor, now), now, self.upcoming.ticks)
        if sorted_out.newest is None:
            return Decision(schedule.name, cursor, cursor)
        runs = [self._dropped(schedule, tick, tick, 1) for tick in sorted_out.each]
        if sorted_out.dropped:
            runs.append(self._dropped(schedule, *sorted_out.dropped))
        behind = len(sorted_out.run) > 1
        runs += [self._run(schedule, tick, caught_up=behind and tick != sorted_out.run[-1]) for tick in sorted_out.run]
        moved = f"{sorted_out.newest * 1000}|{self._timing(schedule)}"
        late_by = self._late_by(schedule, self.upcoming.next_tick(schedule, sorted_out.newest))
        return Decision(schedule.name, cursor, moved, tuple(runs), late_by)

    def by_hand(self, schedule: Schedule, identity: str) -> NewRun:
        """A run of a schedule's task and input outside its ticks: it waits for the schedule's lock.

        Args:
            schedule: the schedule; its task is guarded.
            identity: the run's id.

        Returns:
            The row to plan.
        """
        digest = Key(self._checked[schedule.name].digest())
        return self._waiting(self._new(schedule, identity, key=digest, stands_for=schedule.name))

    def backfilled(self, schedule: Schedule, tick: int) -> NewRun:
        """The run of a tick of the past: after everything that is live, and without a deadline.

        Args:
            schedule: the schedule.
            tick: epoch seconds.

        Returns:
            The row to plan.
        """
        last = schedule.model_copy(update={"priority": LAST})
        of = Tick(schedule.name, tick * 1000, backfill=True)
        new = self._new(last, tick_id(schedule.name, tick), tick=of)
        return new if new.lock.overlap == "allow_all" else self._waiting(new)

    def _waiting(self, new: NewRun) -> NewRun:
        """A run that waits for its lock as one by hand does, whatever its schedule says of ticks."""
        return replace(new, lock=LockUse(new.lock.name, "buffer_all", self.app.tasks[new.task].limit))

    @staticmethod
    def _late_by(schedule: Schedule, tick: int | None) -> int:
        """By when (ms) a tick must have succeeded; 0 where nothing says so."""
        if schedule.late_after is None or tick is None or not schedule.enabled:
            return 0
        return (tick + schedule.late_after) * 1000

    def _timing(self, schedule: Schedule) -> str:
        return schedule.timing if schedule.enabled else OFF

    def _run(self, schedule: Schedule, tick: int, *, caught_up: bool) -> NewRun:
        deadline = (tick + schedule.start_deadline) * 1000 if schedule.start_deadline else 0
        due = int((tick + occurrences.jitter(schedule, tick)) * 1000)
        of = Tick(
            schedule.name, tick * 1000, self._late_by(schedule, tick), schedule.pause_after or 0,
            schedule.ping_url or "",
        )  # fmt: skip
        new = self._new(schedule, tick_id(schedule.name, tick), timing=Timing(due, deadline=deadline), tick=of)
        if caught_up and "overlap" not in schedule.model_fields_set:
            return replace(new, lock=replace(new.lock, overlap="buffer_all", limit=schedule.catchup_limit))
        return new

    def _new(self, schedule: Schedule, identity: str, **about: Any) -> NewRun:
        task = self.app.tasks[schedule.task]
        options = {**schedule.options, "queue": schedule.queue, "priority": schedule.priority}
        wanted = {name: value for name, value in options.items() if value is not None}
        guarded = isinstance(task, ReliableTask)
        checked = self._checked[schedule.name] if guarded else Checked(schedule.args, dict(schedule.input), {}, {})
        message, queue, priority = built(task, identity, checked, wanted)
        by_kombu = not self.app.amqp.sends_itself(queue)
        text = written(message, queue, priority, plain=not guarded, by_kombu=by_kombu, held=_heard())
        lock = _lock(schedule, task, checked) if guarded else None
        return draft(task, identity, checked, text, lock=lock, **about)

    def _dropped(self, schedule: Schedule, first: int, last: int, count: int) -> NewRun:
        identity = tick_id(schedule.name, first)
        reason = "catchup: it was due while no beat was running"
        if count > 1:
            identity = f"{identity}..{tick_id('', last)[1:]}"
            reason = f"catchup: {count}{'+' if count >= COUNTED else ''} ticks were due while no beat was running"
        tick = Tick(schedule.name, first * 1000)
        return skipped(schedule.task, identity, tick, reason, self.app.release)


def _heard() -> bool:
    """Whether somebody wants to hear of each publish: then it is not the script that sends a tick's message."""
    return bool(before_task_publish.receivers or after_task_publish.receivers)


def _lock(schedule: Schedule, task: ReliableTask, checked: Checked) -> LockUse:
    """What a run of a schedule locks, the schedule's own name unless the task says otherwise."""
    name, overlap = task.lock_of(checked.fields)
    limit = task.limit
    if "overlap" in schedule.model_fields_set or overlap is None:
        overlap, limit = schedule.overlap, schedule.overlap_limit
    return LockUse(name or f"schedule:{schedule.name}", overlap, limit)
