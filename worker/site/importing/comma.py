"""CSV: the first line names the columns; an empty cell is a field that is not given; tags are parted by `|`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import IO

from celery_anp.errors import BadSource, did_you_mean
from worker.site.importing.records import TAG_SEPARATOR, Layout, Record, lines


def records(file: IO[bytes], layout: Layout, limit: int, known: Sequence[str]) -> Iterator[Record]:
    """The records of a CSV file in UTF-8.

    Args:
        file: at its beginning.
        layout: names of the columns, and what parts them.
        limit: bytes of one line and characters of one cell.
        known: our fields.

    Raises:
        BadSource: a column is unknown or named twice, a quote does not end, or the file is not UTF-8.
        LimitExceeded: a line is too long.
    """
    csv.field_size_limit(limit)
    reader = csv.reader(_decoded(file, limit), delimiter=layout.delimiter, strict=True)
    names: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadSource(
                f"Line {line}: not CSV", expected="cells as RFC 4180 writes them", given=str(error)
            ) from None
        if names is None:
            names = _header(cells, layout, known)
        elif cells:
            yield _record(line, names, cells)


def _decoded(file: IO[bytes], limit: int) -> Iterator[str]:
    for number, line in lines(file, limit):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadSource(
                f"Line {number}: the file is not UTF-8", given=f"byte 0x{line[error.start]:02x} at {error.start + 1}"
            ) from None


def _header(cells: list[str], layout: Layout, known: Sequence[str]) -> list[str]:
    names = [layout.columns.get(cell.strip(), cell.strip()) for cell in cells]
    for cell, name in zip(cells, names, strict=True):
        if name and name not in known:
            raise BadSource(
                f"Line 1: the column {cell.strip()!r} is unknown.{did_you_mean(cell.strip(), known)}",
                expected=f"{', '.join(known)}; or `columns` that says what it is ('' leaves it out)",
            )
        if name and names.count(name) > 1:
            raise BadSource(f"Line 1: two columns are {name!r}", given=", ".join(cells))
    return names


def _record(line: int, names: list[str], cells: list[str]) -> Record:
    if len(cells) != len(names):
        return Record(line, None, f"{len(cells)} cells where the first line has {len(names)}")
    given = {name: cell for name, cell in zip(names, cells, strict=True) if name and cell}
    if "tags" in names:
        parts = given.get("tags", "").split(TAG_SEPARATOR)
        return Record(line, {**given, "tags": [part.strip() for part in parts if part.strip()]})
    return Record(line, dict(given))
