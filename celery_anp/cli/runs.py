"""`anp runs`: what happened, and what an operator can do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from celery_anp.cli import flood, printing
from celery_anp.cli.by import By, operator
from celery_anp.cli.printing import AsJson, Limit
from celery_anp.cli.reach import ledger
from celery_anp.cli.story import outcome, tell, tell_state
from celery_anp.errors import BadUsage
from celery_anp.reliability.records import Operation
from celery_anp.reliability.run import Run
from celery_anp.reliability.unreadable import Unreadable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="What happened: list, show, rollback, retry, cancel, resolve; and messages that were none.",
)

RunId = Annotated[str, typer.Argument(help="The run's id, as `anp runs list` shows it.", metavar="RUN_ID")]
States = Annotated[str, typer.Option("--state", help="Only runs in this state, or in several: queued,delayed.")]
Task = Annotated[str, typer.Option("--task", help="Only runs of this task.")]
OfSchedule = Annotated[str, typer.Option("--schedule", help="Only ticks of this schedule.")]
Queue = Annotated[str, typer.Option("--queue", help="Only runs on this queue.")]
Since = Annotated[str, typer.Option("--since", help="Only runs planned in the last 2h, or since 2026-11-21T21:55:00Z.")]
Until = Annotated[str, typer.Option("--until", help="Only runs planned before the last 2h, or before a time.")]
Note = Annotated[str, typer.Option("--note", help="Why; kept in the run's history.")]


@app.command("list")
def list_runs(
    limit: Limit = 50,
    state: States = "",
    task: Task = "",
    schedule: OfSchedule = "",
    queue: Queue = "",
    since: Since = "",
    until: Until = "",
    json: AsJson = False,
) -> None:
    """Show runs, the newest first.

    Example: `anp runs list --state failed,quarantined --since 2h --limit 20`
    """
    with ledger() as found:
        now = found.now()
        times = {"since": flood.when(since, "--since", now), "until": flood.when(until, "--until", now)}
        runs = found.runs(limit, state=state, task=task, schedule=schedule, queue=queue, **times)
    if json:
        printing.as_json([run.public() for run in runs])
        return
    columns = ("run id", "task", "state", "reason", "started", "took", "late", "result")
    printing.table(columns, [_row(run) for run in runs])


@app.command("show")
def show(run_id: RunId, json: AsJson = False) -> None:
    """Tell the story of one run: what it is, each change of its state, what can be undone.

    Example: `anp runs show publish-due-posts@2026-11-21T21:55:00Z`
    """
    with ledger() as found:
        run = found.run(run_id)
    if json:
        printing.as_json(run.public())
        return
    tell(run)


@app.command("rollback")
def rollback(run_id: RunId, note: Note = "", by: By = "", json: AsJson = False) -> None:
    """Undo a finished run with its task's rollback hook.

    Example: `anp runs rollback publish-due-posts@2026-11-21T21:55:00Z --note "wrong posts"`
    """
    _operate(run_id, "rollback", by, note, json=json)


@app.command("retry")
def retry(run_id: RunId, note: Note = "", by: By = "", json: AsJson = False) -> None:
    """Run a run again that failed, was skipped or expired; it keeps its id.

    Example: `anp runs retry cache.warm#nightly`
    """
    _operate(run_id, "retry", by, note, json=json)


@app.command("cancel")
def cancel(  # noqa: PLR0913, PLR0917 - one for each option
    run_id: Annotated[
        str, typer.Argument(help="The run's id; or none, and options that say which runs.", metavar="[RUN_ID]")
    ] = "",
    state: States = "",
    task: Task = "",
    schedule: OfSchedule = "",
    queue: Queue = "",
    since: Since = "",
    until: Until = "",
    rate: Annotated[str, typer.Option(help="At most so many runs: 50/s, 3000/m.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is meant.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many runs it would be.")] = False,
    note: Note = "",
    by: By = "",
    json: AsJson = False,
) -> None:
    """End runs that are not finished: one, or all that the options mean.

    One that is running is marked: its task sees it, and its next failure ends it. Without --state those are meant that
    wait: queued, delayed, blocked. It may be interrupted and done again.

    Example: `anp runs cancel cache.warm#nightly --note "wrong site"`
    Example: `anp runs cancel --task content.import --state queued,delayed,blocked --note "sent by mistake"`
    """
    options = {"state": state, "task": task, "schedule": schedule, "queue": queue, "since": since, "until": until}
    if run_id:
        if given := [f"--{name}" for name, value in options.items() if value]:
            raise BadUsage("A run's id says which run it is", expected="the id alone", given=", ".join(given))
        _operate(run_id, "cancel", by, note, json=json)
        return
    pace = flood.a_second(rate)
    with ledger(to_read=dry_run) as found:
        wanted = flood.chosen(found, **options)
        ids, done = found.ids(wanted), 0
        if not dry_run:
            flood.confirm(len(ids), yes=yes, ask=not json)
            done = flood.cancel(found, ids, wanted.states, operator(by), note, pace)
    if json:
        printing.as_json({"matched": len(ids), "cancelled": done, "dry_run": dry_run})
    elif dry_run:
        printing.say(f"would cancel {len(ids)} runs")
    else:
        left = len(ids) - done
        printing.say(f"{done} runs are cancelled" + (f"; {left} had gone on meanwhile and were left" if left else ""))


@app.command("resolve")
def resolve(
    run_id: RunId,
    note: Annotated[str, typer.Option(help="What was done by hand; it is kept in the run's history.")],
    by: By = "",
    json: AsJson = False,
) -> None:
    """Say that a run whose rollback failed was put right by hand; its lock goes on.

    Example: `anp runs resolve content.import#7 --note "rows removed by hand"`
    """
    _operate(run_id, "resolve", by, note, json=json)


@app.command("unreadable")
def unreadable(
    limit: Limit = 50,
    drop: Annotated[bool, typer.Option("--drop", help="Drop what is shown, and all before it.")] = False,
    json: AsJson = False,
) -> None:
    """Show the messages that no worker could read and that were set aside, the newest first.

    Example: `anp runs unreadable --drop`
    """
    with ledger(to_read=not drop) as found:
        store = Unreadable(found.store)
        kept = store.newest(limit)
        dropped = store.drop(kept[0].number) if drop and kept else 0
    if json:
        printing.as_json({"dropped": dropped, "messages": [one.public() for one in kept]})
        return
    rows = [(printing.clock(one.at), one.list, one.bytes, one.reason, printing.short(one.text)) for one in kept]
    printing.table(("set aside", "queue", "bytes", "because", "begins with"), rows)
    if drop:
        printing.say(f"dropped {dropped}")


def _operate(run_id: str, what: Operation, by: str, note: str, *, json: bool) -> None:
    with ledger(to_read=False) as found:
        run = found.operate(run_id, what, operator(by), note)
    tell_state(run, json=json)


def _row(run: Run) -> tuple[object, ...]:
    unread = f"unreadable: {', '.join(run.unreadable)}; " if run.unreadable else ""
    reason = printing.short(unread + run.reason, 40)
    started, took, late = (
        printing.clock(run.started_at),
        printing.ago(run.runtime),
        printing.ago(run.lateness),
    )
    return run.run_id, run.task, run.state, reason, started, took, late, printing.short(outcome(run))
