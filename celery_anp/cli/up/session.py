"""What happens on a stack while `anp up` shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from celery_anp.beat.schedule import Schedule
from celery_anp.cli.up.board import Screen
from celery_anp.cli.up.stopping import Stopping
from celery_anp.cli.up.verdict import unmet
from celery_anp.cli.up.view import look
from celery_anp.errors import AnpError
from celery_anp.local.assembly import Assembly
from celery_anp.reliability.run import Run

#: Seconds between two looks.
PAUSE = 1.0
#: Seconds that runs which are under way at the end of `--for` may still take.
LAST_RUNS = 15.0


class Session:
    """What happened on a stack since it was ready.

    Args:
        assembly: the running stack.
        schedules: by name.
        began: since when, ms by Redis' clock.
    """

    def __init__(self, assembly: Assembly, schedules: Mapping[str, Schedule], began: int) -> None:
        self._assembly, self._schedules, self._began = assembly, schedules, began
        self._told: set[tuple[str, str]] = set()

    def show(self, screen: Screen) -> None:
        """Look once and show it."""
        view = look(self._schedules, self._assembly.ledger, self._assembly.parts.figure(), self._assembly.troubles())
        screen.show(view, self._finished())

    def finish(self, screen: Screen, stopping: Stopping) -> list[str]:
        """Plan no more ticks, let runs end that are under way, and judge."""
        ended = self._assembly.ledger.now()
        self._assembly.stop_planning()
        last = time.monotonic() + LAST_RUNS
        while stopping.going_on() and time.monotonic() < last and not all(run.final for run in self._runs()):
            self.show(screen)
            stopping.wait(PAUSE / 4)
        self.show(screen)
        return unmet(self._schedules, self._runs(), self._began // 1000, ended // 1000)

    def _runs(self) -> list[Run]:
        return self._assembly.ledger.runs(100_000, since=self._began)

    def _finished(self) -> list[Run]:
        try:
            ended = [run for run in reversed(self._assembly.ledger.runs(500, since=self._began)) if run.final]
        except AnpError:
            return []  # the view says that the ledger does not answer
        fresh = [run for run in ended if (run.run_id, run.state) not in self._told]
        self._told.update((run.run_id, run.state) for run in fresh)
        return fresh
