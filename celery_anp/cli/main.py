"""`anp`: every command. What runs all the time on every host does not come here: see `entry`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from celery_anp.cli import which_app
from celery_anp.cli.coercion import lighten
from celery_anp.cli.lazy import Lazy
from celery_anp.settings import name_app

#: The engine's own commands: `module:attribute` of a function, or of a typer app.
COMMANDS = {
    "up": "celery_anp.cli.up.command:up",
    "status": "celery_anp.cli.status.command:status",
    "schedules": "celery_anp.cli.schedules.group:app",
    "runs": "celery_anp.cli.runs:app",
    "tasks": "celery_anp.cli.tasks:app",
    "worker": "celery_anp.cli.processes:worker",
    "beat": "celery_anp.cli.processes:beat",
    "flower": "celery_anp.cli.processes:flower",
    "metrics": "celery_anp.cli.processes:metrics",
    "health": "celery_anp.cli.health.command:health",
    "check": "celery_anp.cli.check:check",
}


class Commands(Lazy):
    """The engine's commands, and those that the app's deployment adds."""

    at = COMMANDS

    def table(self) -> Mapping[str, str]:
        """All of them, ours first."""
        return {**COMMANDS, **_deployments()}


def _deployments() -> Mapping[str, str]:
    """The commands of the app that is named; none where none is."""
    if not which_app.named():
        return {}
    commands: Mapping[str, str] = which_app.chosen().deployment.commands
    return commands


lighten()
app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Scheduled work that can be trusted, on Celery and Redis.\n\n"
    "Begin with `anp up`: it starts everything on this machine and shows what happens. "
    "In another terminal: `anp runs list`, `anp schedules list`, `anp status`.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from celery_anp.cli.version import tell

        tell()
        raise typer.Exit


def _name_app(name: str) -> str:
    if name:
        name_app(name)
    return name


@app.callback()
def _options(
    _app: Annotated[
        str,
        typer.Option(
            "--app", "-A", callback=_name_app, is_eager=True, metavar="MODULE[:ATTRIBUTE]",
            help="The Celery app, as Celery takes it; otherwise ANP_APP, or [tool.anp] of ./pyproject.toml.",
        ),
    ] = "",
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:  # fmt: skip
    from celery_anp import log

    log.setup()
