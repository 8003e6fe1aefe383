"""`anp up`: the whole stack on this machine, from one command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from kombu.utils.imports import symbol_by_name

from celery_anp.beat.schedule import Schedule
from celery_anp.cli import printing, which_app
from celery_anp.cli.schedules.declared import catalog
from celery_anp.cli.up.board import Board, Lines, Screen
from celery_anp.cli.up.session import PAUSE, Session
from celery_anp.cli.up.stopping import Stopping
from celery_anp.local.assembly import Assembly
from celery_anp.local.parts import Parts
from celery_anp.local.state_folder import StateFolder
from celery_anp.settings import settings


def up(
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="Stop after so many seconds.")] = None,
    state: Annotated[Path | None, typer.Option(help="State folder; otherwise ANP_STATE.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines instead of the live table.")] = False,
) -> None:
    """Start everything on this machine and show what happens: Redis, a site if there is one, a worker, beat, Flower.

    Ctrl-C stops all of it and leaves no process (twice: at once); what happened stays in the state folder.
    With `--for` the exit code is 0 only if every schedule that had a tick met its expected result.

    Example: `anp up --for 60`
    """
    chosen = settings()
    schedules = catalog()
    folder = StateFolder(state or chosen.state)
    folder.hold()
    stopping = Stopping()
    assembly = Assembly(folder, chosen, _parts(folder))
    stopping.on_hurry = assembly.hurry
    try:
        problems = _live(assembly, schedules, stopping, seconds, plain=plain or not sys.stdout.isatty())
    finally:
        _quiet()
        assembly.stop()
        folder.release()
    _conclude(problems, seconds)


def _parts(folder: StateFolder) -> Parts:
    named = which_app.chosen().deployment.local
    made: Parts = symbol_by_name(named)(folder) if named else Parts(folder)
    return made


def _live(
    assembly: Assembly,
    schedules: Mapping[str, Schedule],
    stopping: Stopping,
    seconds: float | None,
    *,
    plain: bool,
) -> list[str]:
    """The life of a stack, from its start to the verdict."""
    printing.say("starting " + ", ".join(["Redis", *assembly.servers, "a worker, beat and Flower …"]))
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
        *assembly.parts.heading(),
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
