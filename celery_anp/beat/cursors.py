"""Where each schedule stands in this beat's eyes, and who is due next. The ledger's cursors are the truth."""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping
from datetime import datetime

from celery.utils.log import get_logger

from celery_anp.beat import occurrences
from celery_anp.beat.adoption import Adoption
from celery_anp.beat.plan import Planner
from celery_anp.beat.schedule import Schedule
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Decision

log = get_logger(__name__)

#: Cursors placed by one script call.
BATCH = 500
#: The time that ends a tick's run id, also where the id names a range of ticks.
_TICK = re.compile(r"(?:@|\.\.)(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z)$")


class Cursors:
    """The cursors as last seen, and the schedules in the order in which they are due.

    Args:
        ledger: the ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._seen: dict[str, str] = {}
        self._due: list[tuple[float, str]] = []
        self._schedules: Mapping[str, Schedule] = {}

    @property
    def first(self) -> float | None:
        """When the next schedule is due, epoch seconds; None if none ever is."""
        return self._due[0][0] if self._due else None

    def of(self, schedule: Schedule) -> str:
        """Its cursor as last seen; empty for none."""
        return self._seen.get(schedule.name, "")

    def learn(self, name: str, cursor: str) -> None:
        """A script told where a schedule stands."""
        self._seen[name] = cursor

    def take_due(self, now: float) -> list[Schedule]:
        """Take who is due out of the line."""
        due = []
        while self._due and self._due[0][0] <= now:
            due.append(self._schedules[heapq.heappop(self._due)[1]])
        return due

    def line_up(self, planner: Planner, schedule: Schedule, now: float) -> None:
        """Put a schedule in line for its next tick after its cursor."""
        cursor = planner.read(schedule, self.of(schedule), now)
        following = planner.upcoming.next_tick(schedule, cursor)
        if following is not None and schedule.enabled:
            heapq.heappush(self._due, (following + occurrences.jitter(schedule, following), schedule.name))

    def line_up_all(self, planner: Planner, now: float) -> None:
        """Line up anew who was taken out but not decided."""
        waiting = {name for _, name in self._due}
        for name, schedule in self._schedules.items():
            if name not in waiting:
                self.line_up(planner, schedule, now)

    def place(self, planner: Planner, schedules: Mapping[str, Schedule], adoption: Adoption) -> None:
        """See where each cursor stands, and begin those that have none or belong to another timing.

        A cursor that should be there and is not is set to the last tick that is known to be decided.

        Args:
            planner: of these schedules.
            schedules: by name; they are live.
            adoption: what was live before.

        Raises:
            Retired: others became live meanwhile.
        """
        now = self.ledger.now() / 1000
        ledgers = {name: cursor for name, cursor in self.ledger.cursors().items() if name in schedules}
        remembered = {name: cursor for name, cursor in self._seen.items() if name in schedules}
        self._schedules, self._seen, self._due = schedules, ledgers, []
        fresh = [
            self._begin(planner, schedule, remembered.get(schedule.name, ""), adoption, now)
            for schedule in schedules.values()
            if not planner.follows(schedule, ledgers.get(schedule.name, ""))
        ]
        for start in range(0, len(fresh), BATCH):
            for answer in self.ledger.decide(fresh[start : start + BATCH], planner.digest):
                self._seen[answer.schedule] = answer.cursor
        for schedule in schedules.values():
            self.line_up(planner, schedule, now)

    def _begin(self, planner: Planner, schedule: Schedule, remembered: str, adoption: Adoption, now: float) -> Decision:
        seen = self._seen.get(schedule.name, "")
        if not seen and planner.follows(schedule, remembered):
            log.error("the cursor of %s was gone: it goes on where this beat saw it last", schedule.name)
            return Decision(schedule.name, "", remembered)
        if not seen and schedule.name in adoption.before:
            last = _TICK.search(adoption.live.last_run(schedule.name))
            if last:
                log.error("the cursor of %s was gone: it goes on from its last run, %s", schedule.name, last[1])
                return planner.first(schedule, "", datetime.fromisoformat(last[1]).timestamp())
        return planner.first(schedule, seen, now)
