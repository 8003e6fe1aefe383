"""`anp runs`: what happened, and what an operator can do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from celery_anp.cli import printing
from celery_anp.cli.by import By, operator
from celery_anp.cli.printing import AsJson, Limit
from celery_anp.cli.reach import ledger
from celery_anp.cli.story import outcome, tell, tell_state
from celery_anp.reliability.records import Operation
from celery_anp.reliability.run import Run

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="What happened: list, show, rollback, retry, cancel, resolve."
)

RunId = Annotated[str, typer.Argument(help="The run's id, as `anp runs list` shows it.", metavar="RUN_ID")]
Note = Annotated[str, typer.Option("--note", help="Why; kept in the run's history.")]


@app.command("list")
def list_runs(
    limit: Limit = 50,
    state: Annotated[str | None, typer.Option(help="Only runs in this state.")] = None,
    task: Annotated[str | None, typer.Option(help="Only runs of this task.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Only ticks of this schedule.")] = None,
    json: AsJson = False,
) -> None:
    """Show runs, the newest first.

    Example: `anp runs list --state failed --limit 20`
    """
    with ledger() as found:
        runs = found.runs(limit, state=state, task=task, schedule=schedule)
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
def cancel(run_id: RunId, note: Note = "", by: By = "", json: AsJson = False) -> None:
    """End a run that is not finished. One that is running is marked: its task sees it, and its next failure ends it.

    Example: `anp runs cancel cache.warm#nightly --note "wrong site"`
    """
    _operate(run_id, "cancel", by, note, json=json)


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
