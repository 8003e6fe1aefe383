"""What a format yields: one record, with the line it begins on; nothing in it is checked yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, Any

from celery_anp.errors import LimitExceeded

#: A cell that holds several tags.
TAG_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a source's columns are to be read; decided where the import is declared."""

    #: Our field by the source's column; an empty field leaves the column out.
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: Between two cells of a CSV file.
    delimiter: str = ","

    def renamed(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields under our names."""
        if not self.columns:
            return dict(fields)
        named = ((self.columns.get(name, name), value) for name, value in fields.items())
        return {name: value for name, value in named if name}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a source."""

    #: Where it begins, from 1.
    line: int
    #: By our names. None: it cannot be read (`problem`), or is no post and is passed over.
    fields: dict[str, Any] | None
    #: Why it cannot be read.
    problem: str = ""


def lines(file: IO[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1, never more than one of them in memory.

    Raises:
        LimitExceeded: a line is longer than `limit` bytes.
    """
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if len(line) > limit:
            raise too_long(number, limit)
        yield number, line


def too_long(line: int, limit: int) -> LimitExceeded:
    """The record that begins at this line is larger than a record may be."""
    return LimitExceeded(
        f"Line {line}: the record is too large", expected=f"at most {limit} bytes (IMPORT_RECORD_LIMIT)"
    )
