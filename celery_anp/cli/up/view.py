"""One look at a stack: what `anp up` shows each second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from celery_anp.beat import occurrences
from celery_anp.beat.schedule import Schedule
from celery_anp.cli.story import complaint
from celery_anp.errors import AnpError
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.run import Run


@dataclass(frozen=True, slots=True)
class Line:
    """One schedule."""

    name: str
    #: When it is due next; None if it is off or never due again.
    due: datetime | None
    #: Its newest run.
    last: Run | None


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the screen."""

    #: Redis' clock, or ours while Redis does not answer.
    now: datetime
    lines: tuple[Line, ...]
    #: What is wrong, one sentence each.
    wrong: tuple[str, ...]
    #: Something of the deployment's to watch; empty for nothing.
    figure: str
    #: Runs that wait for a worker.
    queued: int


def look(schedules: Mapping[str, Schedule], ledger: Ledger, figure: str, troubles: list[str]) -> View:
    """Look once; a Redis that does not answer becomes a line of what is wrong.

    Args:
        schedules: by name.
        ledger: of the stack.
        figure: something of the deployment's to watch.
        troubles: what the supervisor found.

    Returns:
        What there is to see.
    """
    wrong = list(troubles)
    now, lines, queued = datetime.now(UTC), tuple(Line(name, None, None) for name in schedules), 0
    try:
        now = datetime.fromtimestamp(ledger.now() / 1000, UTC)
        lines = tuple(_line(schedule, ledger, now) for schedule in schedules.values())
        queued = ledger.backlog()["queued"]
    except AnpError as error:
        wrong.append(f"the ledger: {error}")
    wrong += [said for line in lines if line.last and (said := complaint(line.last))]
    return View(now, lines, tuple(wrong), figure, queued)


def _line(schedule: Schedule, ledger: Ledger, now: datetime) -> Line:
    tick = occurrences.next_tick(schedule, int(now.timestamp())) if schedule.enabled else None
    due = datetime.fromtimestamp(tick, UTC) if tick is not None else None
    newest = ledger.runs(1, schedule=schedule.name)
    return Line(schedule.name, due, newest[0] if newest else None)
