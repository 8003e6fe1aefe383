"""`anp schedules backfill`: the ticks of a past range get their run."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Annotated

import typer
import uuid_utils

from celery_anp.beat import occurrences
from celery_anp.beat.schedule import Schedule
from celery_anp.cli import printing
from celery_anp.cli.by import By, operator
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import ledger
from celery_anp.cli.schedules.declared import schedule_named
from celery_anp.cli.schedules.overrides import Name, Note, time_of
from celery_anp.errors import BadUsage, Refused
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.overrides import Backfill, Overrides
from celery_anp.reliability.run import iso, moment, tick_id
from celery_anp.settings import settings

#: Ticks that one backfill may have.
MOST = 10_000


def backfill(  # noqa: PLR0913, PLR0917 - one for each option
    name: Name,
    first: Annotated[str, typer.Option("--from", help="First due time: 2026-11-21, or 2026-11-21T21:55:00Z.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last due time; now, unless said.")] = "",
    rate: Annotated[int, typer.Option(min=1, max=6000, help="At most so many runs a minute.")] = 60,
    again: Annotated[bool, typer.Option("--again", help="Also where the ledger may have forgotten a run.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the backfill under way.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    note: Note = "",
    by: By = "",
    json: AsJson = False,
) -> None:
    """Run the ticks of a past range that did not run: skipped, expired, or from before the schedule was there.

    Beat does it in the background, at a bounded rate, also after a restart; a live tick never waits for more than one.
    Ticks that ran, or failed, stay as they are (`anp runs retry` is for those). Works while the schedule is paused.

    Example: `anp schedules backfill rebuild-sitemap --from 2026-11-21T20:00:00Z --to 2026-11-21T22:00:00Z`
    """
    with ledger(to_read=dry_run) as found:
        one = schedule_named(name, found)
        name = one.name
        if stop:
            Overrides(found.store).stop(name, operator(by), note)
            printing.say(f"the backfill of {name} has ended; what it planned goes on")
            return
        ends = time_of(last, "--to").timestamp() if last else found.now() / 1000
        ticks = _ticks(one, int(time_of(first, "--from").timestamp()), int(ends), found)
        _refuse_forgotten(one, ticks[0], found, again=again)
        counts = _counts(one, ticks, found)
        if not dry_run:
            wanted = Backfill(str(uuid_utils.uuid7()), ticks[0] - 1, ticks[-1], rate, operator(by))
            Overrides(found.store).order(name, wanted, _words(ticks, note))
    document = {"schedule": name, "from": _iso(ticks[0]), "to": _iso(ticks[-1]), "ticks": len(ticks), **counts}
    if json:
        printing.as_json({**document, "rate": rate, "ordered": not dry_run})
        return
    said = f"{_words(ticks, '')}: {counts['run']} run, {counts['stay']} stay as they are"
    printing.say(f"would backfill {said}" if dry_run else f"backfills {said}; `anp schedules show '{name}'` tells")


def _ticks(one: Schedule, first: int, last: int, found: Ledger) -> list[int]:
    now = found.now() // 1000
    if last > now:
        raise BadUsage("--to cannot be used", expected="a time of the past", given=_iso(last))
    if first > last:
        raise BadUsage("The range cannot be used", expected="--from before --to", given=f"{_iso(first)} {_iso(last)}")
    if one.every is None and one.cron is None:
        raise BadUsage(f"{one.name} cannot be backfilled", expected="ticks of whole seconds", given=one.when)
    ticks = [int(tick) for tick in islice(occurrences.ticks(one, first - 1, last), MOST + 1)]
    if not ticks:
        given = f"{_iso(first)} to {_iso(last)}"
        raise BadUsage("There is nothing to backfill", expected=f"a range with a tick of {one.when}", given=given)
    if len(ticks) > MOST:
        raise BadUsage("The range is too long", expected=f"at most {MOST} ticks at a time", given="more")
    return ticks


def _refuse_forgotten(one: Schedule, first: int, found: Ledger, *, again: bool) -> None:
    """A tick whose row may have been dropped may have run: only whoever says so runs it again."""
    remembered = found.remembers(one.name, int(settings().keep_days * 86_400))
    if first < remembered and not again:
        raise Refused(
            f"The ledger remembers the ticks of {one.name} only from {_iso(remembered)} on",
            expected="a range after that, or --again: an earlier tick may have run, and would run twice",
            given=_iso(first),
        )


def _counts(one: Schedule, ticks: list[int], found: Ledger) -> dict[str, int]:
    states = Counter(found.states([tick_id(one.name, tick) for tick in ticks]))
    run = sum(states[state] for state in ("", "skipped", "expired"))
    return {"run": run, "stay": len(ticks) - run}


def _words(ticks: list[int], note: str) -> str:
    many = f"{len(ticks)} ticks, {_iso(ticks[0])} to {_iso(ticks[-1])}"
    said = many if len(ticks) > 1 else f"the tick {_iso(ticks[0])}"
    return f"{said}: {note}" if note else said


def _iso(seconds: int) -> str:
    return (iso(moment(seconds * 1000)) or "").replace(".000Z", "Z")
