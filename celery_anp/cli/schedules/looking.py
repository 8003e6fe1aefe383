"""`anp schedules list | show | next`: what there is, how it stands, and when it is due."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from celery_anp.beat import zone
from celery_anp.beat.schedule import Schedule
from celery_anp.cli import printing, which_app
from celery_anp.cli.printing import AsJson, Limit
from celery_anp.cli.reach import ledger
from celery_anp.cli.schedules.declared import catalog, described, find, next_of, schedule_named, schedules, ticks_of
from celery_anp.cli.schedules.explain import explain
from celery_anp.cli.schedules.overrides import Name, in_force
from celery_anp.cli.schedules.shown import gathered
from celery_anp.errors import LedgerUnavailable
from celery_anp.reliability import nodes
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.overrides import Override
from celery_anp.reliability.run import Run, iso, moment


def list_schedules(json: AsJson = False) -> None:
    """Show every schedule with its next tick and its last run.

    Example: `anp schedules list`
    """
    with ledger() as found:
        known = schedules(found)
        now = found.now() // 1000
        overrides, late = in_force(found), found.late()
        alive = found.nodes()
        unserved = {one.queue for one in nodes.unserved(found.store, alive)}
        rows = [(one, next_of(one, now), _last(found, one.name), overrides.get(one.name)) for one in known.values()]
    for node in alive:
        if trouble := node.news.get("trouble"):
            printing.note(f"the beat {node.pid} on {node.host}: {trouble}")
    if json:
        printing.as_json([
            {**described(one), "next": iso(due), "last": _brief(last), "hand": override.public() if override else None,
             "late_since": iso(moment(late.get(one.name))), "unserved": _unserved(last, unserved)}
            for one, due, last, override in rows
        ])  # fmt: skip
        return
    columns = ("name", "task", "when", "next", "last run", "state", "owner")
    printing.table(
        columns, [_row(*row, is_late=row[0].name in late, unserved=_unserved(row[2], unserved)) for row in rows]
    )


def show(
    name: Name,
    tick: Annotated[str, typer.Option(help="Say what became of this tick: 2026-11-21T21:55:00Z.")] = "",
    limit: Limit = 10,
    json: AsJson = False,
) -> None:
    """Show one schedule: what it says, its next ticks, its last runs, and what operators did to it.

    Example: `anp schedules show publish-due-posts --tick 2026-11-21T21:55:00Z`
    """
    with ledger() as found:
        one = schedule_named(name, found)
        if tick:
            explained = explain(one, tick, found)
            printing.as_json(explained.public()) if json else printing.say(f"{name}: {explained.said}")
            return
        shown = gathered(one, found, limit)
    if json:
        printing.as_json(shown.public())
    else:
        shown.tell()


def show_next(
    name: Annotated[str | None, typer.Argument(help="Only this schedule.")] = None,
    limit: Limit = 10,
    json: AsJson = False,
) -> None:
    """Show the next ticks, worked out by the same function as beat's. Needs no stack where an app is named.

    Example: `anp schedules next nightly-sitemap --limit 5`
    """
    chosen = _chosen(name)
    now = int(datetime.now(UTC).timestamp())
    found = sorted((tick, one.name) for one in chosen if one.enabled for tick in ticks_of(one, now, limit))
    if json:
        printing.as_json([{"schedule": of, "tick": iso(tick)} for tick, of in found[:limit]])
        return
    zones = {one.name: one.timezone for one in chosen}
    rows = [(printing.clock(tick), _local(tick, zones[of]), of) for tick, of in found[:limit]]
    printing.table(("tick", "local time", "schedule"), rows)


def _chosen(name: str | None) -> list[Schedule]:
    """The schedules that are live, or, where no ledger answers, those of the app's files."""
    try:
        with ledger() as found:
            known = schedules(found)
    except LedgerUnavailable:
        if not which_app.named():
            raise
        known = catalog()
    return [find(name, known)] if name is not None else list(known.values())


def _local(tick: datetime, timezone: str) -> str:
    return f"{tick.astimezone(zone.named(timezone)):%Y-%m-%d %H:%M:%S %Z}"


def _last(found: Ledger, name: str) -> Run | None:
    return next(iter(found.runs(1, schedule=name)), None)


def _brief(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run_id": run.run_id,
        "state": run.state,
        "as_expected": run.as_expected,
        "lateness": run.lateness,
    }


def _unserved(last: Run | None, queues: Container[str]) -> str | None:
    """The queue on which the last run of a schedule waits, where nobody serves it."""
    return last.queue if last and last.state == "queued" and last.queue in queues else None


def _row(
    one: Schedule,
    due: datetime | None,
    last: Run | None,
    override: Override | None,
    *,
    is_late: bool,
    unserved: str | None,
) -> tuple[object, ...]:
    when = "off" if not one.enabled else override.kind if override else printing.clock(due)
    ran = printing.clock(last.started_at or last.queued_at) if last else None
    state = last.state if last else "no run" if is_late else None
    said = ", ".join(
        [
            *(["late"] if is_late else []),
            *([state] if state else []),
            *([f"nobody serves {unserved}"] if unserved else []),
        ]
    )
    return one.name, one.task, one.when, when, ran, said, one.owner
