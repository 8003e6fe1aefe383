"""The live table of `anp up`, and its plain form for where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from celery_anp.cli import printing
from celery_anp.cli.coloured import STYLES
from celery_anp.cli.story import outcome
from celery_anp.cli.up.view import Line, View
from celery_anp.reliability.run import Run


class Screen(Protocol):
    """Where `anp up` shows what happens."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, view: View, finished: Sequence[Run]) -> None:
        """Show one look, and the runs that finished since the last one."""


class Board:
    """A table that is drawn again each second.

    Args:
        heading: lines above it.
    """

    def __init__(self, heading: Sequence[str]) -> None:
        self._heading = heading
        self._live = Live(console=Console(), auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, view: View, finished: Sequence[Run]) -> None:  # noqa: ARG002  they are in the table
        """Draw it."""
        figure = f"{view.figure} · " if view.figure else ""
        foot = f"{figure}waiting {view.queued} · {printing.clock(view.now)} · Ctrl-C stops all"
        well = [Text("nothing is wrong", "green")]
        wrong = [Text(f"! {said}", "bold red") for said in view.wrong] or well
        head = (Text(line) for line in self._heading)
        self._live.update(Group(*head, _table(view), *wrong, Text(foot, "dim")), refresh=True)


class Lines:
    """One line per finished run, and one when something goes wrong or is well again.

    Args:
        heading: lines printed first.
    """

    def __init__(self, heading: Sequence[str]) -> None:
        self._heading = heading
        self._wrong: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        for line in self._heading:
            printing.say(line)
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, view: View, finished: Sequence[Run]) -> None:
        """Print what is new."""
        for run in finished:
            late = "" if run.lateness is None else f", {printing.ago(run.lateness)} late"
            said = printing.short(outcome(run) or run.reason, 200)
            printing.say(f"{view.now:%H:%M:%S}Z {run.run_id} {run.state}{late}: {said}")
        for said in view.wrong:
            if said not in self._wrong:
                printing.say(f"{view.now:%H:%M:%S}Z ! {said}")
        self._wrong = view.wrong


def _table(view: View) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name in ("schedule", "next", "last", "state", "late"):
        table.add_column(name, no_wrap=True)
    table.add_column("result", ratio=1, no_wrap=True, overflow="ellipsis")
    for line in view.lines:
        table.add_row(escape(line.name), *_cells(line, view))
    return table


def _cells(line: Line, view: View) -> tuple[str, ...]:
    due = f"in {printing.ago((line.due - view.now).total_seconds())}" if line.due else "-"
    run = line.last
    if run is None:
        return due, "-", "-", "-", ""
    when = run.started_at or run.queued_at
    ago = f"{printing.ago((view.now - when).total_seconds())} ago" if when else "-"
    style = STYLES.get(run.state, "default")
    said = escape(printing.short(outcome(run) or run.reason, 200))
    return due, ago, f"[{style}]{run.state}[/{style}]", printing.ago(run.lateness), said
