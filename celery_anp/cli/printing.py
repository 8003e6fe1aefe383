"""What commands print: one JSON document, a table, or fields; nothing else goes to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")]

#: Colours of a run's state: only what wants a look is bright.
STYLES = {
    "succeeded": "green", "running": "cyan", "failed": "bold red", "rollback_failed": "bold red",
    "quarantined": "bold red", "parked": "bold yellow", "expired": "yellow", "skipped": "dim",
    "rolled_back": "yellow", "cancelled": "yellow", "rolling_back": "yellow",
}  # fmt: skip


def console() -> Console:
    """Stdout: as wide as the terminal, or as wide as needed when it is a pipe or a file."""
    return Console() if sys.stdout.isatty() else Console(width=100_000)


def as_json(document: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; values of a column called "state" are coloured."""
    found = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        found.add_row(*(_cell(name, value) for name, value in zip(columns, row, strict=True)))
    _without_padding(found)


def fields(values: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    found = Table(box=None, show_header=False, pad_edge=False)
    for name, value in values.items():
        found.add_row(f"[bold]{escape(name)}[/bold]", _cell(name, value))
    _without_padding(found)


def say(text: str) -> None:
    """Print a line for people on stdout."""
    console().print(escape(text), highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a remark on stderr, where it disturbs no document."""
    Console(stderr=True).print(escape(text), style="dim", highlight=False, soft_wrap=True)


def short(value: object, width: int = 60) -> str:
    """A value on one line.

    Args:
        value: anything that JSON knows.
        width: longest text in characters.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def clock(moment: datetime | None) -> str:
    """A time as `2026-11-21 21:55:00Z`, or a dash."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if moment else "-"


def moment_of(milliseconds: int) -> datetime:
    """A time of the ledger (ms) as a datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def ago(seconds: float | None) -> str:
    """A duration for people: `0.3 s`, `42 s`, `5 min`, `3.1 h`; a dash when unknown."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _cell(name: str, value: object) -> str:
    text = escape("-" if value is None or value == "" else str(value))
    style = STYLES.get(str(value)) if name == "state" else None
    return f"[{style}]{text}[/{style}]" if style else text


def _without_padding(found: Table) -> None:
    out = console()
    if out.is_terminal:
        out.print(found)
        return
    with out.capture() as capture:
        out.print(found)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))
