"""`anp schedules`: when tasks run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from schedules import zone
from schedules.schedule import Schedule
from worker.cli import printing
from worker.cli.catalog import catalog, described, next_of, schedule_named, ticks_of
from worker.cli.crontab import import_cron
from worker.cli.following import follow, tell_end
from worker.cli.printing import AsJson, Limit
from worker.cli.reach import ledger
from worker.cli.tasks import task_named, tell_begun
from worker.reliability.ledger import Ledger
from worker.reliability.run import Run, iso

app = typer.Typer(no_args_is_help=True, help="When tasks run: list, show, next, trigger, import-cron.")

Name = Annotated[str, typer.Argument(help="The schedule's name, as `anp schedules list` shows it.")]


@app.command("list")
def list_schedules(json: AsJson = False) -> None:
    """Show every schedule with its next tick and its last run.

    Example: `anp schedules list`
    """
    known = catalog()
    with ledger() as found:
        now = found.now() // 1000
        rows = [(one, next_of(one, now), _last(found, one.name)) for one in known.values()]
    if json:
        printing.as_json([{**described(one), "next": iso(due), "last": _brief(last)} for one, due, last in rows])
        return
    columns = ("name", "task", "when", "next", "last run", "state", "owner")
    printing.table(columns, [_row(*row) for row in rows])


@app.command("show")
def show(name: Name, limit: Limit = 10, json: AsJson = False) -> None:
    """Show one schedule: what it says, its next ticks, its last runs.

    Example: `anp schedules show publish-due-posts`
    """
    one = schedule_named(name)
    with ledger() as found:
        now = found.now() // 1000
        runs = found.runs(limit, schedule=name)
    ticks = ticks_of(one, now, 3)
    if json:
        shown = {
            **described(one),
            "next": [iso(tick) for tick in ticks],
            "runs": [run.public() for run in runs],
        }
        printing.as_json(shown)
        return
    printing.fields({**described(one), "next": ", ".join(printing.clock(tick) for tick in ticks)})
    printing.say("\nlast runs")
    rows = [(run.run_id, run.state, run.reason, printing.ago(run.lateness)) for run in runs]
    printing.table(("run id", "state", "reason", "late"), rows)


@app.command("next")
def show_next(
    name: Annotated[str | None, typer.Argument(help="Only this schedule.")] = None,
    limit: Limit = 10,
    json: AsJson = False,
) -> None:
    """Show the next ticks, worked out by the same function as beat's. Needs no stack.

    Example: `anp schedules next nightly-sitemap --limit 5`
    """
    chosen = [schedule_named(name)] if name is not None else list(catalog().values())
    now = int(datetime.now(UTC).timestamp())
    found = sorted((tick, one.name) for one in chosen if one.enabled for tick in ticks_of(one, now, limit))
    if json:
        printing.as_json([{"schedule": of, "tick": iso(tick)} for tick, of in found[:limit]])
        return
    zones = {one.name: one.timezone for one in chosen}
    rows = [(printing.clock(tick), _local(tick, zones[of]), of) for tick, of in found[:limit]]
    printing.table(("tick", "local time", "schedule"), rows)


@app.command("trigger")
def trigger(
    name: Name,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key runs once.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 1 unless it succeeds.")] = False,
    json: AsJson = False,
) -> None:
    """Run a schedule's task now, with the schedule's input. Its next tick stays as it is.

    Example: `anp schedules trigger warm-hot-pages --wait`
    """
    from schedules.plan import Planner
    from worker.enqueue import ring
    from worker.enqueue import run_id as new_run_id

    one = schedule_named(name)
    task = task_named(one.task)
    with ledger(to_read=False) as found:
        planner = Planner(task.app, {one.name: one})
        planned, rung = found.plan([planner.by_hand(one, new_run_id(task.name, key))])
        ring(task.app, rung)
        run_id = planned[0].run_id
        if wait:
            tell_end(follow(found, run_id), json=json)
        else:
            tell_begun(found.run(run_id).public(), json=json)


app.command("import-cron")(import_cron)


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


def _row(one: Schedule, due: datetime | None, last: Run | None) -> tuple[object, ...]:
    when = "off" if not one.enabled else printing.clock(due)
    ran = printing.clock(last.started_at or last.queued_at) if last else None
    return one.name, one.task, one.when, when, ran, last.state if last else None, one.owner
