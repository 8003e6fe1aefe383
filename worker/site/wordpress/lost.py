"""What became of an event that was begun and has no end: may it still run, and what follows when it does not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from worker.site.posts import utc_now
from worker.site.wordpress.register import Row
from worker.site.wordpress.site import Site

#: An event is begun this often, at most.
TRIES = 3
#: Seconds beyond its limit after which an event's process has been ended, on whichever machine.
GRACE = 15


@dataclass(frozen=True, slots=True)
class Decided:
    """What follows when an event died."""

    #: Whether it is run again.
    again: bool
    why: str


def may_run(site: Site, row: Row) -> bool:
    """Whether the process of an event may be alive.

    Its lock is free once its connection is gone. That alone is no proof of its death, for a database that was
    restarted has dropped the lock too: so its time must be over as well.
    """
    if not site.is_free(f"event:{row.key}"):
        return True
    over = row.began is None or utc_now() > row.began + timedelta(seconds=row.limit + GRACE)
    return not over


def decide(row: Row, repeatable: Collection[str]) -> Decided:
    """Whether a dead event is run again.

    Args:
        row: the event.
        repeatable: hooks that may run twice.
    """
    if row.recurrence:
        return Decided(False, "it recurs, and runs at its next time")
    if row.hook not in repeatable:
        return Decided(False, "its hook is not declared repeatable, so it does not run again")
    if row.attempts >= TRIES:
        return Decided(False, f"it was tried {row.attempts} times")
    return Decided(True, "it is run again")
