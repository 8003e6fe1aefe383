"""`celery_anp.beat:Scheduler`: decides every tick once, in any number of beats, all of them active.

Each round: which schedules are due by Redis' clock, which ticks since their cursor, what the catch-up policy makes of
them; then one script that compares and moves the cursors, plans the rows and sends their messages. A beat keeps
nothing on disk: after a stop it goes on from the cursors. Two beats that decide the same tick decide it once, because
the script refuses a plan that was worked out from another cursor; a beat of an earlier release decides nothing, because
the script refuses a plan that was worked out from other schedules than the live ones.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from celery import beat
from celery.utils.log import get_logger

from celery_anp.app import GuardedApp, give_ledger
from celery_anp.beat import backfill
from celery_anp.beat.adoption import Adoption
from celery_anp.beat.catalog import Catalog
from celery_anp.beat.cursors import Cursors
from celery_anp.beat.files import Files
from celery_anp.beat.ping import Ping
from celery_anp.beat.plan import Planner
from celery_anp.beat.schedule import Schedule
from celery_anp.errors import AnpError, LedgerFull, LedgerUnavailable, Retired, StateLost
from celery_anp.node.lease import Lease
from celery_anp.node.upkeep import Upkeep
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Decided
from celery_anp.sending import publisher

log = get_logger(__name__)

#: Schedules decided by one script call.
BATCH = 500
#: Beat plans nothing while its own clock and Redis' differ by more than this, in seconds.
CLOCKS_APART = 30.0
#: Redis' clock is asked for again after this many seconds.
CLOCK_EVERY = 5.0
#: Seconds between two looks at the files and at what operators want.
LOOK_EVERY = 1.0
#: A beat whose rounds stand still for so many seconds is not alive.
STANDS = 30.0


class Scheduler(beat.Scheduler):
    """Celery's scheduler on the ledger. Takes `celery beat -S celery_anp.beat:Scheduler`."""

    def __init__(
        self, app: Any, *args: Any, max_interval: float | None = None, lazy: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(app, *args, max_interval=min(max_interval or 1.0, 1.0), lazy=True, **kwargs)
        if not isinstance(app, GuardedApp):
            give_ledger(app)
        self.ledger: Ledger = app.ledger
        self._offset: float | None = None
        self._asked = self._looked = 0.0
        self._clock_trouble = ""
        # Whether the schedules are still to become live, and whether they were just read then.
        self._unplaced = self._fresh = False
        self.catalog = Catalog([])
        if not lazy:
            self.setup_schedule()

    # -- start and end ----------------------------------------------------------------------------

    def setup_schedule(self) -> None:
        """Read the schedules, register as a node, and see where each cursor stands."""
        try:
            self.adoption = Adoption(self.ledger.store, self.app.release, self.app.identity)
            self.ledger.store.check_server()
            self.adoption.live.refuse_other(self.app.identity)
            self.files = Files(self.app)
            self.catalog = self.files.start(self.adoption.live.declared())
            self.planner = Planner(self.app, self.catalog, self.catalog.digest)
            self.cursors = Cursors(self.ledger)
            self.lease = Lease(self.app, "beat")
            self.lease.start()
            self._adopt(fresh=True)
        except AnpError as error:
            # Celery would print a traceback; the message is enough.
            sys.stderr.write(f"anp: {error}\n")
            sys.stderr.flush()
            os._exit(1)
        self.upkeep = Upkeep(self.app)
        self.upkeep.start()
        self.ping = Ping(self.app, self._works)
        self.ping.start()
        log.info("beat has %d schedules", len(self.catalog))

    def close(self) -> None:
        """Beat ends: nothing has to be saved."""
        if hasattr(self, "upkeep"):
            self.ping.stop()
            self.files.close()
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
            return self._round()
        except (LedgerUnavailable, LedgerFull) as error:
            log.warning("beat waits, nothing is lost: %s", error)
            self.cursors.line_up_all(self.planner, self._estimate())
            return self.max_interval

    def _round(self) -> float:
        try:
            self._look()
            now = self._now()
            if now is None or self.adoption.retired or self._unplaced:
                return self.max_interval
            due = self.cursors.take_due(now)
            for start in range(0, len(due), BATCH):
                self._decide(due[start : start + BATCH], now)
        except Retired:
            self._adopt(fresh=False)
        except StateLost:
            self._adopt(fresh=True)
        return self._pause()

    def _now(self) -> float | None:
        """Redis' clock in epoch seconds, or None while it and ours are too far apart."""
        if self._offset is None or time.monotonic() - self._asked > CLOCK_EVERY:
            before = time.time()
            theirs = self.ledger.now() / 1000
            # The answer is at least as old as half the way back; the earlier estimate never fires too soon.
            self._offset, self._asked = theirs - time.time(), time.monotonic()
            self._clock_trouble = ""
            if abs(theirs - before) > CLOCKS_APART:
                self._clock_trouble = f"it plans nothing: its clock and Redis' are {theirs - before:.0f} s apart"
                log.error("beat: %s", self._clock_trouble)
                self._offset = None
                return None
        return self._estimate()

    def _estimate(self) -> float:
        return time.time() + (self._offset or 0.0)

    def _decide(self, due: Iterable[Schedule], now: float) -> None:
        plans = [self.planner.plan(schedule, self.cursors.of(schedule), now) for schedule in due]
        decided = self.ledger.decide(plans, self.catalog.digest)
        for answer in decided:
            self._learn(answer, now)
        runs = [run for plan in plans for run in plan.runs]
        publisher.send_held(self.app, runs, [planned for answer in decided for planned in answer.planned])

    def _learn(self, answer: Decided, now: float) -> None:
        if answer.moved and not answer.cursor:
            raise StateLost("A cursor is gone")
        if not answer.moved:
            for planned in answer.planned:
                log.info("%s: %s %s", planned.run_id, planned.state, planned.reason)
        self.cursors.learn(answer.schedule, answer.cursor)
        self.cursors.line_up(self.planner, self.catalog[answer.schedule], now)

    def _pause(self) -> float:
        if self.cursors.first is None or self.adoption.retired:
            return float(self.max_interval)
        return min(max(self.cursors.first - self._estimate(), 0.001), float(self.max_interval))

    # -- what changes while it runs ---------------------------------------------------------------

    def _look(self) -> None:
        """Each second: have the files or the live schedules changed, and what do operators want."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        wishes = self.adoption.live.wishes()
        read = self.files.look(wishes.reloads)
        if read is not None and read.digest != self.catalog.digest:
            log.info("beat has %d schedules, read anew", len(read))
            self.catalog, self.planner = read, Planner(self.app, read, read.digest)
            self._adopt(fresh=True)
        elif self._unplaced or wishes.digest != self.catalog.digest:
            self._adopt(fresh=not wishes.digest)
        elif not self.adoption.retired:
            backfill.go_on(self.ledger, self.planner, self.catalog, wishes.backfills)
        self._tell()

    def _adopt(self, *, fresh: bool) -> None:
        """Be live, and stand where the ledger's cursors say; what fails half way is done again with the next look."""
        self._fresh, self._unplaced = fresh or (self._unplaced and self._fresh), True
        try:
            if self.adoption.adopt(self.catalog, fresh=self._fresh):
                self.cursors.place(self.planner, self.catalog, self.adoption)
                self.adoption.publish(self.catalog)
        except (Retired, StateLost) as error:
            log.warning("beat looks again which schedules are live: %s", error)
            return
        self._unplaced = False
        self._tell()

    @property
    def _idle(self) -> str:
        """Why this beat plans nothing; empty if it plans."""
        return self.adoption.retired or self._clock_trouble

    def _works(self) -> bool:
        """Whether its rounds go on, and decide ticks."""
        return not self._idle and time.monotonic() - self._looked < STANDS

    def _tell(self) -> None:
        """Say with the next renewal of the lease how the work goes; `anp health beat` and `anp status` read it."""
        self.lease.news = {
            "trouble": self._idle or self.files.trouble,
            "idle": self._idle,
            "round": str(int(self._estimate() * 1000)),
            "next": str(int(self.cursors.first * 1000)) if self.cursors.first is not None else "",
            "reloads": str(self.files.answered or 0),
            "digest": self.catalog.digest,
        }
