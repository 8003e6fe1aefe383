"""What commands print: one JSON document, a table, or fields; nothing else goes to stdout."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Annotated, Any
from unicodedata import combining, east_asian_width

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
#: What steers a terminal, and half letters.
UNSHOWN = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")]


def as_json(document: Any) -> None:
    """Print one JSON document, which any reader of JSON takes: NaN and the like are texts in it."""
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(_finite(document), indent=2, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # half a letter, or one that this terminal has not
        text = json.dumps(json.loads(text), indent=2)
    sys.stdout.write(text + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: on a terminal as wide as that, with a coloured column "state"; else as wide as needed."""
    cells = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from celery_anp.cli import coloured  # what draws it costs more than most commands do

        coloured.table(columns, cells)
    else:
        _aligned([list(columns), *cells])


def fields(values: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    cells = [[name, _cell(value)] for name, value in values.items()]
    if sys.stdout.isatty():
        from celery_anp.cli import coloured

        coloured.fields(cells)
    else:
        _aligned(cells)


def say(text: str) -> None:
    """Print a line for people on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a remark on stderr, where it disturbs no document."""
    sys.stderr.write(f"\x1b[2m{text}\x1b[0m\n" if sys.stderr.isatty() else f"{text}\n")


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


def _cell(value: object) -> str:
    """A value as a terminal shows it: what would steer the terminal, and half letters, are written out."""
    text = "-" if value is None or value == "" else str(value)
    return re.sub(UNSHOWN, lambda found: found[0].encode("unicode_escape").decode(), text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _aligned(rows: Sequence[Sequence[str]]) -> None:
    lines = [line for row in rows for line in zip_longest(*map(_lines, row), fillvalue="")]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _lines(cell: str) -> list[str]:
    return cell.splitlines() or [""]


def _width(text: str) -> int:
    """Columns that a text takes on a screen: letters of some scripts take two, marks above a letter none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)
