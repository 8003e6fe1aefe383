"""Turns due schedules into decisions: a new cursor, and the rows of the ticks since the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery.signals import after_task_publish, before_task_publish

from celery_anp.beat import occurrences
from celery_anp.beat.catchup import COUNTED, Upcoming, catch_up
from celery_anp.beat.publishing import options_of, task_of
from celery_anp.beat.schedule import Schedule
from celery_anp.canvas.signatures import derived
from celery_anp.contract.signature import Checked
from celery_anp.reliability.records import Decision, Key, LockUse, NewRun, Tick, Timing
from celery_anp.reliability.run import tick_id
from celery_anp.sending.draft import draft, skipped
from celery_anp.sending.message import built, written
from celery_anp.task import ReliableTask

#: The priority that is served last.
LAST = 9
#: What stands in a cursor's timing while its schedule is switched off.
OFF = "off"


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
            task = task_of(app, schedule.task)
            if isinstance(task, ReliableTask):
                self._checked[schedule.name] = task.contract.check(schedule.args, schedule.input)

    def follows(self, schedule: Schedule, cursor: str) -> bool:
        """Whether a cursor belongs to this timing of the schedule."""
        return cursor.partition("|")[2] == self._timing(schedule)

    def first(self, schedule: Schedule, seen: str, now: float) -> Decision:
        """A schedule seen for the first time, or with a new timing, begins now: nothing is fired for the past."""
        begins = occurrences.floor(schedule, now)
        late = self._late_by(schedule, self.upcoming.next_tick(schedule, begins))
        return Decision(schedule.name, seen, self._cursor(schedule, begins), late=late)

    def read(self, schedule: Schedule, cursor: str, now: float) -> float:
        """A cursor's tick in epoch seconds; now where it belongs to another timing."""
        tick = int(cursor.partition("|")[0]) / 1000 if self.follows(schedule, cursor) else now
        return occurrences.floor(schedule, tick)

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
        last = self.read(schedule, cursor, now)
        if schedule.asks:
            return self._ask(schedule, cursor, last, now)
        sorted_out = catch_up(schedule, last, now, self.upcoming.ticks)
        if sorted_out.newest is None:
            return Decision(schedule.name, cursor, cursor)
        runs = [self._dropped(schedule, tick, tick, 1) for tick in sorted_out.each]
        if sorted_out.dropped:
            runs.append(self._dropped(schedule, *sorted_out.dropped))
        behind = len(sorted_out.run) > 1
        runs += [
            self._run(schedule, tick, now, caught_up=behind and tick != sorted_out.run[-1]) for tick in sorted_out.run
        ]
        late_by = self._late_by(schedule, self.upcoming.next_tick(schedule, sorted_out.newest))
        return Decision(schedule.name, cursor, self._cursor(schedule, sorted_out.newest), tuple(runs), late_by)

    def _ask(self, schedule: Schedule, cursor: str, last: float, now: float) -> Decision:
        """The decision where only the schedule's own object knows: one tick where it says so, else none."""
        if not self.upcoming.asked.is_due(schedule, last, now):
            return Decision(schedule.name, cursor, cursor)
        tick = occurrences.floor(schedule, now)
        run = self._run(schedule, tick, now, caught_up=False)
        return Decision(schedule.name, cursor, self._cursor(schedule, tick), (run,))

    def _cursor(self, schedule: Schedule, tick: float) -> str:
        return f"{round(tick * 1000)}|{self._timing(schedule)}"

    def by_hand(self, schedule: Schedule, identity: str) -> NewRun:
        """A run of a schedule's task and input outside its ticks: it waits for the schedule's lock.

        Args:
            schedule: the schedule.
            identity: the run's id.

        Returns:
            The row to plan.
        """
        if schedule.name not in self._checked:
            return self._new(schedule, identity, stands_for=schedule.name)
        digest = Key(self._checked[schedule.name].digest())
        return self._waiting(self._new(schedule, identity, key=digest, stands_for=schedule.name))

    def backfilled(self, schedule: Schedule, tick: float) -> NewRun:
        """The run of a tick of the past: after everything that is live, and without a deadline.

        Args:
            schedule: the schedule.
            tick: epoch seconds.

        Returns:
            The row to plan.
        """
        last = schedule.model_copy(update={"priority": LAST})
        of = Tick(schedule.name, round(tick * 1000), backfill=True)
        new = self._new(last, tick_id(schedule.name, tick), tick=of)
        return new if new.lock.overlap == "allow_all" else self._waiting(new)

    def _waiting(self, new: NewRun) -> NewRun:
        """A run that waits for its lock as one by hand does, whatever its schedule says of ticks."""
        return replace(new, lock=LockUse(new.lock.name, "buffer_all", self.app.tasks[new.task].limit))

    @staticmethod
    def _late_by(schedule: Schedule, tick: float | None) -> int:
        """By when (ms) a tick must have succeeded; 0 where nothing says so."""
        if schedule.late_after is None or tick is None or not schedule.enabled:
            return 0
        return round((tick + schedule.late_after) * 1000)

    def _timing(self, schedule: Schedule) -> str:
        return schedule.timing if schedule.enabled else OFF

    def _run(self, schedule: Schedule, tick: float, now: float, *, caught_up: bool) -> NewRun:
        due = round((tick + occurrences.jitter(schedule, tick)) * 1000)
        of = Tick(
            schedule.name, round(tick * 1000), self._late_by(schedule, tick), schedule.pause_after or 0,
            schedule.ping_url or "",
        )  # fmt: skip
        identity = tick_id(schedule.name, tick, fraction=schedule.every_ms is not None)
        timing = Timing(_waits(schedule, due, now), deadline=_deadline(schedule, tick, now))
        new = self._new(schedule, identity, timing=timing, tick=of)
        if caught_up and "overlap" not in schedule.model_fields_set:
            return replace(new, lock=replace(new.lock, overlap="buffer_all", limit=schedule.catchup_limit))
        return new

    def _new(self, schedule: Schedule, identity: str, timing: Timing = Timing(), **about: Any) -> NewRun:  # noqa: B008
        task = task_of(self.app, schedule.task)
        guarded = isinstance(task, ReliableTask)
        checked = self._checked[schedule.name] if guarded else Checked(schedule.args, dict(schedule.input), {}, {})
        # Who guards the task gives it a row of its own: as a message that knows no ledger.
        known_as = derived(identity) if schedule.by_name else identity
        wanted = options_of(self.app, schedule, known_as, None if guarded else timing)
        message, queue, priority = built(task, known_as, checked, wanted)
        by_kombu = not self.app.amqp.sends_itself(queue)
        text = written(message, queue, priority, plain=not guarded, by_kombu=by_kombu, held=_heard())
        lock = _lock(schedule, task, checked) if guarded else None
        return draft(task, identity, checked, text, lock=lock, timing=timing, **about)

    def _dropped(self, schedule: Schedule, first: float, last: float, count: int) -> NewRun:
        fraction = schedule.every_ms is not None
        identity = tick_id(schedule.name, first, fraction=fraction)
        reason = "catchup: it was due while no beat was running"
        if count > 1:
            identity = f"{identity}..{tick_id('', last, fraction=fraction)[1:]}"
            reason = f"catchup: {count}{'+' if count >= COUNTED else ''} ticks were due while no beat was running"
        tick = Tick(schedule.name, round(first * 1000))
        return skipped(schedule.task, identity, tick, reason, self.app.release)


def _waits(schedule: Schedule, due: int, now: float) -> int:
    """When (ms) a tick's run begins: `countdown` counts from its planning, as Celery's from the sending."""
    counted = round((now + schedule.countdown) * 1000) if schedule.countdown else 0
    return max(due, counted, round(schedule.eta * 1000))


def _deadline(schedule: Schedule, tick: float, now: float) -> int:
    """After when (ms) a tick's run does not begin; `expires` counts from its planning, as Celery's from the sending."""
    ends = [
        tick + schedule.start_deadline if schedule.start_deadline else None,
        now + schedule.expires if schedule.expires is not None else None,
        schedule.expires_at,
    ]
    return min((max(1, round(end * 1000)) for end in ends if end is not None), default=0)


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
