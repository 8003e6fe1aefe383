"""`anp schedules import-cron`: a crontab becomes schedules and an allow-list of commands."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from celery_anp.cli import printing
from celery_anp.cli.printing import AsJson
from celery_anp.errors import BadInput, BadUsage

if TYPE_CHECKING:
    from celery_anp.beat.crontab.convert import Converted

SCHEDULES, COMMANDS = "crontab.toml", "commands.toml"
#: Where cron keeps the crontab of a user.
_SPOOLED = re.compile(r"/var/spool/cron/(?:crontabs/|tabs/)?(?P<user>[\w.-]+)")


def import_cron(
    file: Annotated[str, typer.Argument(help="The crontab; - reads standard input.")],
    user_column: Annotated[
        bool,
        typer.Option("--user-column", help="A user stands before the command, as in /etc/crontab."),
    ] = False,
    allow_shell: Annotated[
        bool, typer.Option("--allow-shell", help="Lines that need a shell become /bin/sh -c ….")
    ] = False,
    timezone: Annotated[
        str, typer.Option(help="Zone of cron's clock, such as Europe/Berlin; this machine's unless said.")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option("--to", help=f"Folder for {SCHEDULES} and {COMMANDS}; otherwise they are printed."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Turn a crontab into TOML entries, and say which lines have no equal here.

    Exit code 1 if there are such lines. Example: `crontab -l | anp schedules import-cron - --to imported`
    """
    from celery_anp.beat.crontab import machine
    from celery_anp.beat.crontab.convert import convert

    zone = _zone(timezone)
    user_column = user_column or file == "/etc/crontab" or file.startswith("/etc/cron.d/")
    spooled = _SPOOLED.fullmatch(file)
    converted = convert(
        _read(file),
        user_column=user_column,
        allow_shell=allow_shell,
        timezone=zone,
        home=lambda user: machine.home(user or (spooled["user"] if spooled else "")),
    )
    printing.note(
        f"cron's clock is that of {zone}" + ("" if timezone else ", this machine's; --timezone names another")
    )
    if to is not None:
        _write(to, converted)
    if json:
        printing.as_json(asdict(converted))
    elif to is None:
        sys.stdout.write(f"# {SCHEDULES}\n{converted.toml_entries}\n# {COMMANDS}\n{converted.command_entries}")
    _report(converted, to)


def _zone(asked: str) -> str:
    from celery_anp.beat.crontab import machine
    from celery_anp.beat.zone import named

    if not asked and (own := machine.zone()) is not None:
        return own
    try:
        return named(asked).key
    except ValueError as error:
        failed = "--timezone cannot be used" if asked else "The zone of this machine's clock has no name"
        raise BadInput(failed, expected=f"--timezone with {error}", given=asked or "no --timezone") from None


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput("The crontab cannot be read", expected="a file", given=f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput("The crontab cannot be read", expected="text in UTF-8", given=file) from None


def _write(folder: Path, converted: Converted) -> None:
    """Write both files, or neither if one is there already."""
    texts = {SCHEDULES: converted.toml_entries, COMMANDS: converted.command_entries}
    for name in texts:
        if (folder / name).exists():
            raise BadUsage("Nothing was written", expected="a folder without these files", given=str(folder / name))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadUsage("The files cannot be written", expected="a folder to write to", given=str(error)) from None


def _report(converted: Converted, to: Path | None) -> None:
    printing.note(f"{converted.count} lines became schedules")
    if to is not None:
        printing.note(f"use them with ANP_SCHEDULES={to / SCHEDULES} and ANP_COMMANDS={to / COMMANDS}")
    for line in converted.unconverted:
        printing.note(f"line {line.line}: {line.reason}: {line.text}")
    if converted.unconverted:
        raise typer.Exit(1)
