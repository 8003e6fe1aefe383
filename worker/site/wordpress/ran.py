"""What a run of the due events tells."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt


class Trouble(BaseModel):
    """An event that did not come to its end."""

    model_config = ConfigDict(frozen=True)

    hook: str
    #: When it was due, epoch seconds.
    due: int
    #: What is known about it.
    why: str


class Ran(BaseModel):
    """What a run of the due events did."""

    #: Events whose hook came to its end.
    ran: NonNegativeInt = 0
    #: Of them, lost by an earlier process and run again.
    again: NonNegativeInt = 0
    #: Events that another trigger ran or removed first.
    elsewhere: NonNegativeInt = 0
    #: Events whose hook failed, or that died and come again by themselves.
    failed: list[Trouble] = []
    #: Events that died with their process and do not run again.
    lost: list[Trouble] = []
    #: Hooks that may still be running.
    running: list[str] = []
    #: Due events that this run did not come to.
    left: NonNegativeInt = 0
    #: Seconds that the longest waiting event is overdue.
    overdue: NonNegativeFloat = 0
    #: Who runs events in our place; None: we did.
    busy: str | None = None
