"""Schedules that only their own object knows: `solar`, `relative`, `nowfun`, classes of somebody's own.

Asked as Celery's beat asks: `is_due` with the time of the last tick, and when to ask again. Limit: a tick's time is the
second in which the object said that it is due, and nobody can tell the next one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from celery.utils.log import get_logger

from celery_anp.beat.schedule import Schedule

log = get_logger(__name__)

#: Seconds until an object is asked again that failed, or gave no time.
AGAIN = 5.0


@dataclass
class Asked:
    """When each of them is to be asked next, by name."""

    _next: dict[str, float] = field(default_factory=dict)

    def after(self, schedule: Schedule, cursor: float) -> float:
        """Epoch seconds at which it is asked next: at once where it never was."""
        return self._next.get(schedule.name, cursor)

    def is_due(self, schedule: Schedule, cursor: float, now: float) -> bool:
        """Ask it.

        Args:
            schedule: the schedule.
            cursor: its last tick, epoch seconds.
            now: Redis' clock, epoch seconds.

        Returns:
            Whether it is due; never twice in one second.
        """
        if now < cursor + 1:
            self._next[schedule.name] = cursor + 1
            return False
        due, pause = self._answer(schedule, cursor)
        self._next[schedule.name] = now + pause
        return due

    @staticmethod
    def _answer(schedule: Schedule, cursor: float) -> tuple[bool, float]:
        try:
            clock: Callable[[], datetime] = schedule.own.now
            due, pause = schedule.own.is_due(datetime.fromtimestamp(cursor, clock().tzinfo or UTC))
        except Exception:  # somebody's own code: the others go on, as in Celery's beat
            log.exception("beat: %s cannot say when %s is due, it is asked again", schedule.asks, schedule.name)
            return False, AGAIN
        usable = isinstance(pause, int | float) and math.isfinite(pause) and pause >= 0
        return bool(due), float(pause) if usable else AGAIN
