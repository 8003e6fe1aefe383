"""Tables on a terminal: as wide as it, and what wants a look is bright."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

#: Colours of a run's state: only what wants a look is bright.
STYLES = {
    "succeeded": "green", "running": "cyan", "failed": "bold red", "rollback_failed": "bold red",
    "quarantined": "bold red", "parked": "bold yellow", "expired": "yellow", "skipped": "dim",
    "rolled_back": "yellow", "cancelled": "yellow", "rolling_back": "yellow",
}  # fmt: skip


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; values of a column called "state" are coloured."""
    found = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        found.add_row(*(_styled(name, value) for name, value in zip(columns, row, strict=True)))
    Console().print(found)


def fields(rows: Sequence[Sequence[str]]) -> None:
    """Print names and values, one a line."""
    found = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        found.add_row(f"[bold]{escape(name)}[/bold]", escape(value))
    Console().print(found)


def _styled(name: str, value: str) -> str:
    style = STYLES.get(value) if name == "state" else None
    return f"[{style}]{escape(value)}[/{style}]" if style else escape(value)
