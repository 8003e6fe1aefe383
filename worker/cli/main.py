"""`anp`: every command, and how an error becomes a message and an exit code.

0 fine, 1 a problem was found or the thing failed, 2 bad usage or input.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from worker import log
from worker.cli import cache, check, database, health, processes, runs, schedules, status, tasks, up
from worker.errors import AnpError, BadUsage

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Scheduled work that can be trusted, on Celery and Redis.\n\n"
    "Begin with `anp up`: it starts everything on this machine and shows what happens. "
    "In another terminal: `anp runs list`, `anp schedules list`, `anp status`.",
)
app.command("up")(up.up)
app.command("status")(status.status)
app.add_typer(schedules.app, name="schedules")
app.add_typer(runs.app, name="runs")
app.add_typer(tasks.app, name="tasks")
app.add_typer(cache.app, name="cache")
app.add_typer(database.app, name="db")
processes.add_to(app)
app.command("health")(health.health)
app.command("check")(check.check)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"anp {version('anp')}\n")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    log.setup()


def main() -> None:
    """Run the command line of this process and exit."""
    try:
        app()
    except AnpError as error:
        sys.stderr.write(f"anp: {error}\n")
        sys.exit(2 if isinstance(error, BadUsage) else 1)
    except Exception as error:
        sys.stderr.write(f"anp: {type(error).__name__}: {error}\n")
        if logging.getLogger().level == logging.DEBUG:
            raise
        sys.stderr.write("anp: this was not foreseen. ANP_LOG_LEVEL=DEBUG shows where it happened.\n")
        sys.exit(1)
