"""One line of the checklist."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that was looked at."""

    #: What it belongs to: `ledger`, `cache`, `secrets`, `settings`, `tasks`, `schedules`, `nodes`, `pages` or
    #: `wordpress`.
    area: str
    #: What should be so.
    what: str
    #: Why it is not so; empty when it is.
    wrong: str = ""
    #: How to mend it.
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is so."""
        return not self.wrong
