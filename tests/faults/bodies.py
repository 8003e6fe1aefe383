"""Bodies entered, and the deaths that explain more than one for a run: what was lost in the ledger explains nothing.

A run that its node gave away while its body ran on looks well in the ledger: one more loss, one late result refused.
So a loss counts only where a process has died or was stopped: it was hit by a fault, or its own node says in its log
that it killed it or that its end could not be told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from celery_anp.reliability.run import Run
from tests.support.journal import Line

#: Lines that a body or a rollback hook writes when it is entered.
ENTRIES = ("begin", "rollback")
#: Whether the process of one entry was ended or stopped before the run was entered again.
Ended = Callable[[Line, Line], bool]
#: Seconds that a process may go on after it was killed.
DYING = 0.3
_KILLED = re.compile(r"killing child (\d+), which runs (\S+):")
_UNHEARD = re.compile(r"(\S+) ended but could not settle")
_REAPED = re.compile(r"its node \S+ died")


def entries(lines: Iterable[Line]) -> list[Line]:
    """The lines of bodies and hooks that were entered."""
    return [line for line in lines if line["event"] in ENTRIES]


def nobody(_: Line, __: Line) -> bool:
    """No process was ended."""
    return False


class Deaths:
    """The deaths that workers tell of in their logs."""

    def __init__(self, logs: Iterable[str]) -> None:
        text = "\n".join(logs)
        self._killed = Counter((run, int(pid)) for pid, run in _KILLED.findall(text))
        self._unheard = Counter(_UNHEARD.findall(text))

    def tell(self, entry: Line) -> bool:
        """Whether its node killed this body, or could not tell the ledger how it ended."""
        return bool(self._killed[entry["run"], entry["pid"]] or self._unheard[entry["run"]])


def entered_too_often(run: Run, lines: Iterable[Line], ended: Ended) -> Iterator[str]:
    """One entry more than the failures and the deaths that explain it.

    Args:
        run: the row.
        lines: its lines.
        ended: tells of the deaths.
    """
    entered = entries(lines)
    for event, failures in zip(ENTRIES, (run.failures, run.rollback_failures), strict=True):
        mine = [entry for entry in entered if entry["event"] == event]
        deaths = sum(ended(before, after) for before, after in pairwise(mine))
        if len(mine) > 1 + failures + deaths:
            yield f"{event} {len(mine)} times, with {failures} failures and {deaths} deaths of a process"


def went_on(run: Run, lines: Iterable[Line]) -> Iterator[str]:
    """A body that did something after its own node had said that it was over, or after it was settled."""
    mine = list(lines)
    for began, over in pairwise(run.history):
        begun = began.after == "running" or began.reason == "rollback begins"
        if not begun or over.after == "running" or _REAPED.match(over.reason):
            continue
        since, until = began.time.timestamp(), over.time.timestamp()
        fences = [entry["fence"] for entry in entries(mine) if since - 0.01 <= entry["at"] <= until]
        late = [line for line in mine if line["fence"] in fences[-1:] and line["at"] > until + DYING]
        if late:
            yield f"{over.reason!r}, but its body went on: {[line['event'] for line in late]}"
