"""`anp tasks`: what can be run, and running it by hand."""

from __future__ import annotations

import json as json_module
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer

from celery_anp.cli import printing, which_app
from celery_anp.cli.following import follow, tell_end
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import ledger
from celery_anp.cli.story import tell_state
from celery_anp.errors import BadInput, BadUsage, UnknownName, did_you_mean

if TYPE_CHECKING:
    from celery_anp.task import ReliableTask

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What can be run: list, show, run.")

Name = Annotated[str, typer.Argument(help="The task's name, as `anp tasks list` shows it.")]


@app.command("list")
def list_tasks(json: AsJson = False) -> None:
    """Show every task with its owner and expected result.

    Example: `anp tasks list`
    """
    tasks = [described(task) for _, task in sorted(_guarded(which_app.chosen()).items())]
    if json:
        printing.as_json(tasks)
        return
    columns = ("name", "owner", "expects", "rollback")
    printing.table(columns, [[task[column] for column in columns] for task in tasks])


@app.command("show")
def show(name: Name, json: AsJson = False) -> None:
    """Show one task: its input, owner, expected result, lock, retries and how it is undone.

    Example: `anp tasks show content.publish_due`
    """
    known = described(task_named(name))
    if json:
        printing.as_json(known)
        return
    printing.fields({field: value for field, value in known.items() if field != "input"})
    printing.say("\ninput")
    fields = [(field["name"], field["type"], field["default"]) for field in known["input"]]
    printing.table(("field", "type", "default"), fields)


@app.command("run")
def run(
    name: Name,
    values: Annotated[list[str] | None, typer.Argument(metavar="FIELD=VALUE...", help="The input.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key runs once.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 1 unless it succeeds.")] = False,
    json: AsJson = False,
) -> None:
    """Run a task now. A value is read as JSON where it can be, else as text.

    Example: `anp tasks run cache.warm pages=50 --wait`
    """
    task = task_named(name)
    given = parsed(values or [], texts=[field for field, kind, _ in task.signature_help() if kind.startswith("str")])
    task.validate_input((), given)
    with ledger(to_read=False) as found:
        options: dict[str, Any] = {} if key is None else {"key": key}
        run_id = task.apply_async(kwargs=given, **options).id
        if wait:
            tell_end(follow(found, run_id), json=json)
        else:
            tell_state(found.run(run_id), json=json)


def parsed(values: list[str], texts: Collection[str] = ()) -> dict[str, Any]:
    """The input from the command line.

    Args:
        values: `field=value` each.
        texts: fields that are texts, whatever they look like: a tag may be called 2024.

    Returns:
        Values by field: JSON where they are JSON, else text.

    Raises:
        BadInput: one has no `=`, or a field is given twice.
    """
    found: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name or name in found:
            raise BadInput("The input cannot be read", expected="field=value, each field once", given=value)
        try:
            found[name] = text if name in texts else json_module.loads(text)
        except ValueError:
            found[name] = text
    return found


def task_named(name: str) -> ReliableTask:
    """A task by its name.

    Raises:
        UnknownName: there is none; says which are near.
        BadUsage: it is there and is not guarded.
    """
    app = which_app.chosen()
    known = _guarded(app)
    if name not in known and name in app.tasks:
        raise BadUsage(f"The task {name!r} is not guarded, so it is Celery's to send", expected="a guarded task")
    if name not in known:
        hint = did_you_mean(name, known)
        raise UnknownName(f"There is no task {name!r}.{hint}", expected="a name that `anp tasks list` shows")
    return known[name]


def described(task: ReliableTask) -> dict[str, Any]:
    """A task as JSON shows it."""
    retries = task.retries
    return {
        "name": task.name,
        "about": (task.__doc__ or "").strip().split("\n\n")[0] or None,
        "owner": task.owner or None,
        "expects": task.expects or None,
        "rollback": task.rollback_said,
        "lock": task.lock,
        "overlap": task.overlap,
        "limit": task.limit,
        "retries": f"{retries.max}, first after {retries.first:g} s, at most {retries.ceiling:g} s apart",
        "time_limit": task.time_limit,
        "input": [{"name": field, "type": kind, "default": default} for field, kind, default in task.signature_help()],
    }


def _guarded(app: Any) -> dict[str, ReliableTask]:
    from celery_anp.contract.complete import guarded_tasks

    return guarded_tasks(app)
