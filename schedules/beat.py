"""`schedules.beat:Scheduler`: decides every tick once, in any number of beats, all of them active.

Each round: which schedules are due by Redis' clock, which ticks since their cursor, what the catch-up policy makes of
them; then one script that compares and moves the cursors and plans the rows, and one pipeline that rings. A beat keeps
nothing on disk: after a stop it goes on from the cursors. Two beats that decide the same tick decide it once, because
the script refuses a plan that was worked out from another cursor.
"""

from __future__ import annotations

import heapq
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from celery import beat
from celery.utils.log import get_logger

from schedules import occurrences
from schedules.catalog import Catalog, load
from schedules.plan import Planner
from schedules.schedule import Schedule
from worker import enqueue
from worker.app import GuardedApp, give_ledger
from worker.errors import AnpError, LedgerFull, LedgerUnavailable
from worker.node import Lease
from worker.reliability.ledger import Ledger
from worker.reliability.records import Decided
from worker.settings import settings
from worker.upkeep import Upkeep

log = get_logger(__name__)

#: Schedules decided by one script call.
BATCH = 500
#: Beat plans nothing while its own clock and Redis' differ by more than this, in seconds.
CLOCKS_APART = 30.0
#: Redis' clock is asked for again after this many seconds.
CLOCK_EVERY = 5.0


class Scheduler(beat.Scheduler):
    """Celery's scheduler on the ledger. Takes `celery beat -S schedules.beat:Scheduler`."""

    def __init__(
        self, app: Any, *args: Any, max_interval: float | None = None, lazy: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(app, *args, max_interval=min(max_interval or 1.0, 1.0), lazy=True, **kwargs)
        if not isinstance(app, GuardedApp):
            give_ledger(app)
        self.ledger: Ledger = app.ledger
        self._offset: float | None = None
        self._asked = 0.0
        self._due: list[tuple[float, str]] = []
        self._cursors: dict[str, str] = {}
        self.catalog = Catalog([])
        if not lazy:
            self.setup_schedule()

    # -- start and end ----------------------------------------------------------------------------

    def setup_schedule(self) -> None:
        """Read the schedules, register as a node, and see where each cursor stands."""
        try:
            self.catalog = load(
                [Path(path) for path in settings().schedules], self.app, shipped=self.app.ships_schedules
            )
            self.planner = Planner(self.app, self.catalog)
            self.lease = Lease(self.app, "beat")
            self.lease.start()
            self._begin_at_cursors()
        except AnpError as error:
            # Celery would print a traceback; the message is enough.
            sys.stderr.write(f"anp: {error}\n")
            sys.stderr.flush()
            os._exit(1)
        self.upkeep = Upkeep(self.app)
        self.upkeep.start()
        log.info("beat has %d schedules", len(self.catalog))

    def close(self) -> None:
        """Beat ends: nothing has to be saved."""
        if hasattr(self, "upkeep"):
            self.upkeep.stop()
            self.lease.stop("its beat was shut down")

    @property
    def info(self) -> str:
        """What `celery beat` shows in its banner."""
        return "    . ledger -> Redis, nothing on disk"

    # Celery's own bookkeeping of entries is not used.
    def get_schedule(self) -> dict[str, Any]:
        """Nothing: the catalog and the ledger hold the schedules."""
        return {}

    schedule = property(get_schedule)

    def should_sync(self) -> bool:
        """Never: there is nothing to save."""
        return False

    # -- a round ----------------------------------------------------------------------------------

    def tick(self, *_: Any, **__: Any) -> float:
        """Decide what is due.

        Returns:
            Seconds until the next round, at most one.
        """
        try:
            now = self._now()
            if now is None:
                return self.max_interval
            due = self._take_due(now)
            for start in range(0, len(due), BATCH):
                self._decide(due[start : start + BATCH], now)
        except (LedgerUnavailable, LedgerFull) as error:
            log.warning("beat waits, nothing is lost: %s", error)
            self._begin_again()
            return self.max_interval
        return self._pause()

    def _now(self) -> float | None:
        """Redis' clock in epoch seconds, or None while it and ours are too far apart."""
        if self._offset is None or time.monotonic() - self._asked > CLOCK_EVERY:
            before = time.time()
            theirs = self.ledger.now() / 1000
            # The answer is at least as old as half the way back; the earlier estimate never fires too soon.
            self._offset, self._asked = theirs - time.time(), time.monotonic()
            if abs(theirs - before) > CLOCKS_APART:
                log.error("beat plans nothing: its clock and Redis' are %.0f s apart", theirs - before)
                self._offset = None
                return None
        return time.time() + self._offset

    def _take_due(self, now: float) -> list[Schedule]:
        due = []
        while self._due and self._due[0][0] <= now:
            _, name = heapq.heappop(self._due)
            if name in self.catalog:
                due.append(self.catalog[name])
        return due

    def _decide(self, due: Iterable[Schedule], now: float) -> None:
        decided, rung = self.ledger.decide(
            [self.planner.plan(schedule, self._cursors.get(schedule.name, ""), now) for schedule in due]
        )
        for answer in decided:
            self._learn(answer, now)
        enqueue.try_ring(self.app, rung)

    def _learn(self, answer: Decided, now: float) -> None:
        self._cursors[answer.schedule] = answer.cursor
        if not answer.moved:
            for planned in answer.planned:
                log.info("%s: %s %s", planned.run_id, planned.state, planned.reason)
        self._line_up(self.catalog[answer.schedule], now)

    def _line_up(self, schedule: Schedule, now: float) -> None:
        """Put a schedule in line for its next tick after its cursor."""
        cursor = self.planner.read(schedule, self._cursors.get(schedule.name, ""), now)
        following = self.planner.upcoming.next_tick(schedule, cursor)
        if following is not None and schedule.enabled:
            heapq.heappush(self._due, (following + occurrences.jitter(schedule, following), schedule.name))

    def _begin_at_cursors(self) -> None:
        now = self.ledger.now() / 1000
        self._cursors = self.ledger.cursors()
        fresh = [s for s in self.catalog.values() if not self.planner.follows(s, self._cursors.get(s.name, ""))]
        for start in range(0, len(fresh), BATCH):
            for answer in self.ledger.decide(
                [self.planner.first(s, self._cursors.get(s.name, ""), now) for s in fresh[start : start + BATCH]]
            )[0]:
                self._cursors[answer.schedule] = answer.cursor
        self._due = []
        for schedule in self.catalog.values():
            self._line_up(schedule, now)

    def _begin_again(self) -> None:
        """What was taken from the line but not decided is lined up again from the last cursors seen."""
        waiting = {name for _, name in self._due}
        now = time.time() + (self._offset or 0.0)
        for name, schedule in self.catalog.items():
            if name not in waiting:
                self._line_up(schedule, now)

    def _pause(self) -> float:
        if not self._due:
            return float(self.max_interval)
        now = time.time() + (self._offset or 0.0)
        return min(max(self._due[0][0] - now, 0.001), float(self.max_interval))
