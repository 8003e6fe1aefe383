"""`anp`: every command, and how an error becomes a message and an exit code.

0 fine, 1 a problem was found or the thing failed, 2 bad usage or input. A command's module is imported when it is
called, so that the small ones stay small.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from celery_anp.cli import which_app
from celery_anp.errors import AnpError, BadUsage, UnknownName, did_you_mean
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
    "health": "celery_anp.cli.health:health",
    "check": "celery_anp.cli.check:check",
}
#: What stands behind these is for Celery, or for Flower.
FURTHER = frozenset({"worker", "beat", "flower"})


class Commands(TyperGroup):
    """The engine's commands, and those that the app's deployment adds."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  click's signature
        """All names, ours first."""
        return [*COMMANDS, *_deployments()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  click's signature
        """One command, imported now.

        Raises:
            UnknownName: there is no such one.
        """
        where = COMMANDS.get(cmd_name) or _deployments().get(cmd_name)
        if where is None:
            hint = did_you_mean(cmd_name, [*COMMANDS, *_deployments()])
            raise UnknownName(f"There is no command {cmd_name!r}.{hint}", expected="one that `anp --help` shows")
        return _loaded(cmd_name, where)


def _deployments() -> Mapping[str, str]:
    """The commands of the app that is named; none where none is."""
    if not which_app.named():
        return {}
    commands: Mapping[str, str] = which_app.chosen().deployment.commands
    return commands


def _loaded(name: str, where: str) -> Any:
    module, _, attribute = where.partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        options = {"allow_extra_args": True, "ignore_unknown_options": True} if name in FURTHER else {}
        alone = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown")
        alone.command(name, context_settings=options)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command


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
        from importlib.metadata import version

        sys.stdout.write(f"anp {version('celery-anp')}\n")
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
