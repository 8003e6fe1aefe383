"""`anp schedules pause | resume | disable | enable`: an operator's override of a schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from celery_anp import bounds, duration
from celery_anp.cli import printing, which_app
from celery_anp.cli.by import By, operator
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import ledger
from celery_anp.cli.schedules.names import resolved
from celery_anp.errors import BadUsage
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.overrides import Move, Override, Overrides

Name = Annotated[str, typer.Argument(help="The schedule's name, as `anp schedules list` shows it.")]
Note = Annotated[str, typer.Option("--note", help="Why; kept in the schedule's history.")]


def pause(
    name: Name,
    lasts: Annotated[str, typer.Option("--for", help='How long: "30m", "2h", "1d".')] = "1h",
    until_resumed: Annotated[bool, typer.Option("--until-resumed", help="No end of its own.")] = False,
    note: Note = "",
    by: By = "",
    json: AsJson = False,
) -> None:
    """Run no tick of a schedule for a while. Each tick is recorded as skipped; `trigger` still works.

    Example: `anp schedules pause warm-hot-pages --for 2h --note "database upgrade"`
    """
    seconds = None if until_resumed else seconds_of(lasts, "--for")
    _apply(name, "pause", by, note, seconds, json=json)


def resume(name: Name, note: Note = "", by: By = "", json: AsJson = False) -> None:
    """End a pause: the next tick runs. `anp schedules backfill` makes up for the ticks that were skipped.

    Example: `anp schedules resume warm-hot-pages`
    """
    _apply(name, "resume", by, note, json=json)


def disable(name: Name, note: Note = "", by: By = "", json: AsJson = False) -> None:
    """Run no tick of a schedule until it is enabled, whatever is deployed meanwhile.

    Example: `anp schedules disable nightly-backup --note "moved to the new host"`
    """
    _apply(name, "disable", by, note, json=json)


def enable(name: Name, note: Note = "", by: By = "", json: AsJson = False) -> None:
    """Let a schedule run again that an operator has disabled.

    Example: `anp schedules enable nightly-backup`
    """
    _apply(name, "enable", by, note, json=json)


def seconds_of(text: str, option: str) -> int:
    """A duration that an option gives, in seconds, at least one.

    Raises:
        BadUsage: it cannot be read, or is nothing.
    """
    try:
        seconds = duration.seconds(text)
    except ValueError as error:
        raise BadUsage(f"{option} cannot be read", expected=str(error), given=repr(text)) from None
    if seconds < 1:
        raise BadUsage(f"{option} cannot be used", expected="at least one second", given=repr(text))
    return seconds


def time_of(text: str, option: str) -> datetime:
    """A point in time that an option gives; UTC unless it says otherwise.

    Raises:
        BadUsage: it cannot be read, or is not within a century of now.
    """
    return datetime.fromtimestamp(bounds.moment(text, option), UTC)


def in_force(found: Ledger) -> dict[str, Override]:
    """By schedule the overrides that hold now."""
    now = printing.moment_of(found.now())
    return {name: override for name, override in Overrides(found.store).all().items() if override.in_force(now)}


def told(name: str, override: Override, now: datetime) -> str:
    """How a schedule stands under an override, in a sentence."""
    if not override.in_force(now):
        return f"{name} runs again"
    ends = f"until {printing.clock(override.until)}" if override.until else _without_end(override)
    note = f": {override.note}" if override.note else ""
    return f"{name} is {override.kind} by {override.by} {ends}{note}"


def _without_end(override: Override) -> str:
    return "until it is resumed" if override.kind == "paused" else "until it is enabled"


def _apply(name: str, what: Move, by: str, note: str, seconds: float | None = None, *, json: bool) -> None:
    with ledger(to_read=False) as found:
        name = _required(name, found)
        override = Overrides(found.store).apply(name, what, operator(by), note, seconds)
        now = printing.moment_of(found.now())
    if json:
        printing.as_json({"schedule": name, **override.public(), "in_force": override.in_force(now)})
    else:
        printing.say(told(name, override, now))


def _required(name: str, found: Ledger) -> str:
    """Its name as it is kept, of what is live; while nothing is, of the app's files."""
    live = found.store.read("hkeys", found.store.key("live"))
    if not live and which_app.named():
        from celery_anp.cli.schedules.declared import catalog

        live = list(catalog())
    return resolved(name, live)
