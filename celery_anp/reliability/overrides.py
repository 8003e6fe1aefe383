"""What operators do to a schedule at run time: pause, disable, backfill. It survives restart and deploy.

It stands in Redis and not in the files: the files say what is wanted, this says what holds just now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from celery_anp import bounds
from celery_anp.errors import Refused
from celery_anp.reliability.keyspace import Keyspace, fresh
from celery_anp.reliability.run import iso, moment

#: Who pauses a schedule that failed too often in a row.
ITSELF = "anp"

Move = Literal["pause", "resume", "disable", "enable"]
_WHEN: dict[str, str] = {
    "pause": "a schedule that is not disabled (`anp schedules enable` first)",
    "resume": "a schedule that is paused",
    "disable": "any schedule",
    "enable": "a schedule that an operator has disabled; `enabled = false` is changed in its file",
}


@dataclass(frozen=True, slots=True)
class Override:
    """An operator's override of a schedule: none of its ticks run. It may have ended."""

    kind: Literal["paused", "disabled"]
    by: str
    note: str
    since: datetime
    #: When it ends or ended; None for not by itself.
    until: datetime | None

    def in_force(self, now: datetime) -> bool:
        """Whether it holds now."""
        return self.until is None or now < self.until

    def public(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"kind": self.kind, "by": self.by, "note": self.note, "since": iso(self.since), "until": iso(self.until)}


@dataclass(frozen=True, slots=True)
class Deed:
    """A line of a schedule's history."""

    at: datetime
    what: str
    by: str
    note: str
    until: datetime | None

    def public(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"at": iso(self.at), "what": self.what, "by": self.by, "note": self.note, "until": iso(self.until)}


@dataclass(frozen=True, slots=True)
class Backfill:
    """Ticks of the past that still get a run. Ticks are epoch seconds."""

    id: str
    #: The ticks after this one are still to do.
    reached: int
    #: The last tick.
    to: int
    #: At most so many runs a minute.
    rate: int
    by: str
    #: Runs planned so far, and ticks that had their run.
    planned: int = 0
    left: int = 0
    #: When it last planned a run, ms.
    at: int = 0

    def public(self) -> dict[str, Any]:
        """As JSON shows it."""
        times = {"reached": iso(moment(self.reached * 1000)), "to": iso(moment(self.to * 1000))}
        return {**times, "rate": self.rate, "by": self.by, "planned": self.planned, "left": self.left}


class Overrides:
    """Reads and sets operators' overrides.

    Args:
        store: the ledger's store.
    """

    def __init__(self, store: Keyspace) -> None:
        self.store = store

    def all(self) -> dict[str, Override]:
        """By schedule the last override of it, in force or ended."""
        raw: Mapping[str, str] = self.store.read("hgetall", self.store.key("hands"))
        return {name: _override(text) for name, text in raw.items()}

    def on(self, schedule: str) -> Override | None:
        """The last override of a schedule, in force or ended."""
        text = self.store.read("hget", self.store.key("hands"), schedule)
        return _override(text) if text else None

    def history(self, schedule: str, limit: int = 20) -> list[Deed]:
        """What was done to a schedule, the newest first."""
        lines = self.store.read("lrange", self.store.key(f"hands:{schedule}"), 0, limit - 1)
        return [_deed(json.loads(line)) for line in lines]

    def apply(self, schedule: str, what: Move, by: str, note: str = "", seconds: float | None = None) -> Override:
        """Pause, resume, disable or enable a schedule.

        Args:
            schedule: its name.
            what: the move.
            by: who answers for it.
            note: why.
            seconds: how long a pause lasts; None for until it is resumed.

        Returns:
            The override after it.

        Raises:
            BadUsage: who, why or how long cannot be kept.
            Refused: what holds now forbids it.
        """
        span = "" if seconds is None else int(bounds.seconds(seconds, "The length of a pause", least=0.001) * 1000)
        signed(by, note)
        word, answer = self.store.call("hand", schedule, what, by, note, span, fresh())
        if word == "refused":
            given = f"{schedule}, which is {'neither paused nor disabled' if answer == 'none' else answer}"
            raise Refused(f"{what} is not possible", expected=_WHEN[what], given=given)
        return _override(answer)

    def backfills(self) -> dict[str, Backfill]:
        """By schedule the backfill under way."""
        return read_backfills(self.store.read("hgetall", self.store.key("backfills")))

    def order(self, schedule: str, wanted: Backfill, note: str) -> None:
        """Order a backfill; beat goes on with it, also after a restart.

        Raises:
            BadUsage: who or why cannot be kept.
            Refused: another one of this schedule is under way.
        """
        signed(wanted.by, note)
        if not self.store.call("order", schedule, json.dumps(asdict(wanted)), wanted.by, note):
            raise Refused(
                f"A backfill of {schedule} is under way already",
                expected="its end, or `anp schedules backfill NAME --stop`",
            )

    def stop(self, schedule: str, by: str, note: str) -> None:
        """End a backfill: what it planned goes on, nothing more is planned.

        Raises:
            BadUsage: who or why cannot be kept.
            Refused: there is none.
        """
        signed(by, note)
        if not self.store.call("order", schedule, "", by, note):
            raise Refused(f"There is no backfill of {schedule} to stop")


def signed(by: str, note: str) -> None:
    """Refuse a signature that cannot be kept.

    Args:
        by: who answers for what is done.
        note: why; it may be empty.

    Raises:
        BadUsage: it is no text, too long, or cannot be printed.
    """
    bounds.name(by, "Who answers for it (--by)")
    bounds.note(note, "The note (--note)")


def read_backfills(raw: Mapping[str, str]) -> dict[str, Backfill]:
    """The backfills as their hash holds them."""
    found = {name: json.loads(text) for name, text in raw.items()}
    whole = ("reached", "to", "rate", "planned", "left", "at")
    return {name: Backfill(**{**held, **{key: int(held[key]) for key in whole}}) for name, held in found.items()}


def _override(text: str) -> Override:
    held = json.loads(text)
    since = moment(held["since"])
    assert since is not None
    return Override(held["kind"], held["by"], held["note"], since, moment(held["until"]))


def _deed(line: dict[str, Any]) -> Deed:
    at = moment(line["at"])
    assert at is not None
    return Deed(at, line["what"], line["by"], line.get("note") or "", moment(line.get("until")))
