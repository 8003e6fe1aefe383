"""`anp up`: the whole stack on this machine, from one command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from schedules.schedule import Schedule
from worker.cli import printing
from worker.cli.assembly import Assembly
from worker.cli.board import Board, Lines, Screen
from worker.cli.catalog import catalog
from worker.cli.session import PAUSE, Session
from worker.cli.stopping import Stopping
from worker.settings import settings
from worker.stack import StateFolder


def up(
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="Stop after so many seconds.")] = None,
    state: Annotated[Path | None, typer.Option(help="State folder; otherwise ANP_STATE.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines instead of the live table.")] = False,
) -> None:
    """Start everything on this machine and show what happens: Redis, a demo site, a worker, beat, Flower.

    Ctrl-C stops all of it and leaves no process (twice: at once); what happened stays in the state folder.
    With `--for` the exit code is 0 only if every schedule that had a tick met its expected result.

    Example: `anp up --for 60`
    """
    chosen = settings()
    schedules = catalog()
    folder = StateFolder(state or chosen.state)
    folder.hold()
    stopping = Stopping()
    assembly = Assembly(folder, chosen)
    stopping.on_hurry = assembly.hurry
    try:
        problems = _live(assembly, schedules, stopping, seconds, plain=plain or not sys.stdout.isatty())
    finally:
        _quiet()
        assembly.stop()
        folder.release()
    _conclude(problems, seconds)


def _live(
    assembly: Assembly,
    schedules: Mapping[str, Schedule],
    stopping: Stopping,
    seconds: float | None,
    *,
    plain: bool,
) -> list[str]:
    """The life of a stack, from its start to the verdict."""
    printing.say("starting Redis, the site, a worker, beat and Flower …")
    assembly.start(stopping.going_on)
    began = assembly.ledger.now()
    end = time.monotonic() + (seconds or float("inf"))
    session = Session(assembly, schedules, began)
    heading = _heading(assembly)
    screen: Screen = Lines(heading) if plain else Board(heading)
    with screen:
        while stopping.going_on() and time.monotonic() < end:
            session.show(screen)
            stopping.wait(min(PAUSE, max(0.0, end - time.monotonic())))
        if seconds is None:
            return []
        if time.monotonic() < end:
            return ["stopped before the time was over"]
        return session.finish(screen, stopping)


def _heading(assembly: Assembly) -> list[str]:
    password = assembly.password if assembly.password_is_new else f"in {assembly.state.path / 'flower-password'}"
    return [
        f"site    {assembly.settings.site_url}",
        f"Flower  {assembly.flower_url}  user {assembly.settings.flower_user}  password {password}",
        f"logs    {assembly.state.log('*')}",
        "",
    ]


def _quiet() -> None:
    """A terminal that is gone must not end the stop half way."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _conclude(problems: list[str], seconds: float | None) -> None:
    if problems:
        for problem in problems:
            printing.say(f"! {problem}")
        raise typer.Exit(1)
    printing.say("stopped" if seconds is None else "stopped; every schedule that had a tick met its expected result")
