"""The records of a source, checked, always the same ones in the same order: so a count is a place to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import IO, Any, Literal

from celery_anp.errors import LimitExceeded
from celery_anp.security import IMPORT_RECORD_LIMIT, IMPORT_ROW_LIMIT
from worker.site.importing import comma, ndjson, wxr
from worker.site.importing.records import Layout, Record
from worker.site.importing.rows import FIELDS, BadRow, Row, check
from worker.site.importing.seen import Seen

Format = Literal["ndjson", "csv", "wxr"]
#: Records between two words about how far a check is.
EVERY = 5_000
#: Bad rows that are told, one by one.
TOLD = 100


@dataclass(frozen=True, slots=True)
class Manner:
    """How a source is to be read."""

    format: Format
    layout: Layout = field(default_factory=Layout)
    #: Of dates that carry none.
    zone: tzinfo | None = None
    #: Records, at most.
    row_limit: int = IMPORT_ROW_LIMIT
    #: Bytes of one record.
    record_limit: int = IMPORT_RECORD_LIMIT


@dataclass(slots=True)
class Found:
    """What a source holds."""

    rows: int = 0
    bad: int = 0
    #: Records that are no posts.
    passed: int = 0
    #: The first of the bad ones.
    bad_rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Records of every kind."""
        return self.rows + self.bad + self.passed


def read(file: IO[bytes], manner: Manner) -> Iterator[tuple[int, Row | BadRow | None]]:
    """Each record as its line and a row, a bad row, or None for what is no post.

    Raises:
        BadSource: the whole file cannot be read.
        LimitExceeded: it has too many records, or one is too large.
    """
    file.seek(0)
    with Seen() as seen:
        for number, record in enumerate(_records(file, manner), start=1):
            if number > manner.row_limit:
                raise LimitExceeded(
                    f"Line {record.line}: the source has too many rows",
                    expected=f"at most {manner.row_limit} (IMPORT_ROW_LIMIT)",
                )
            yield record.line, _checked(record, manner, seen)


def look_over(file: IO[bytes], manner: Manner, going_on: Callable[[], None]) -> Found:
    """Check every record and write nothing.

    Args:
        file: the source.
        manner: how it is read.
        going_on: called now and then; raises where the run must not go on.

    Raises:
        BadSource, LimitExceeded: the whole file cannot be read.
    """
    found = Found()
    for number, (_, row) in enumerate(read(file, manner), start=1):
        if row is None:
            found.passed += 1
        elif isinstance(row, BadRow):
            found.bad += 1
            if found.bad <= TOLD:
                found.bad_rows.append(row.model_dump())
        else:
            found.rows += 1
        if not number % EVERY:
            going_on()
    return found


def _records(file: IO[bytes], manner: Manner) -> Iterator[Record]:
    if manner.format == "csv":
        return comma.records(file, manner.layout, manner.record_limit, FIELDS)
    records = ndjson.records if manner.format == "ndjson" else wxr.records
    return records(file, manner.layout, manner.record_limit)


def _checked(record: Record, manner: Manner, seen: Seen) -> Row | BadRow | None:
    if record.fields is None and not record.problem:
        return None
    row = check(record, manner.zone)
    if isinstance(row, Row) and (first := seen.before(row.id, record.line)) is not None:
        return BadRow(line=record.line, field="id", reason=f"was on line {first} already", given=repr(row.id))
    return row
