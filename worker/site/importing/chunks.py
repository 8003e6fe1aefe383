"""The chunks of an import: each is one transaction behind the fence, with the checkpoint in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from sqlalchemy import Connection, Engine

from worker.site import database, fence, stale
from worker.site.importing import checkpoint, columns, tagging, upsert
from worker.site.importing.checkpoint import Checkpoint
from worker.site.importing.rows import BadRow, Row
from worker.site.importing.trouble import spoken
from worker.site.posts import utc_now

#: Characters of content at which a chunk ends before it has all its rows: one statement must fit into a packet.
CHUNK_TEXT = 2_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of a run, and where it writes."""

    engine: Engine
    #: The run's id.
    run: str
    #: Name of the source.
    source: str
    #: This attempt's fence; None is not guarded.
    fence: int | None
    #: Rows in one transaction.
    rows: int = 500
    #: wp_users.ID of who new posts are by.
    author: int = 0

    def guard(self, connection: Connection) -> None:
        """Refuse the transaction of an attempt that is too late; see `fence.guard`."""
        fence.guard(connection, f"import:{self.source}", self.fence)


@dataclass(slots=True)
class Chunk:
    """Records that are written together."""

    rows: list[tuple[int, Row]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    passed: int = 0
    text: int = 0

    @property
    def records(self) -> int:
        """How far it moves the checkpoint."""
        return len(self.rows) + len(self.bad) + self.passed

    def take(self, line: int, row: Row | BadRow | None) -> None:
        """One more record."""
        if row is None:
            self.passed += 1
        elif isinstance(row, BadRow):
            self.bad.append(row)
        else:
            self.rows.append((line, row))
            self.text += len(row.content) + len(row.excerpt)


def begin(job: Job) -> Checkpoint:
    """Take the run up where it stands.

    Raises:
        LostOwnership: a later attempt has written.
        DatabaseTrouble: the database cannot.
    """
    with spoken(), database.writing(job.engine) as connection:
        job.guard(connection)
        return checkpoint.take_up(connection, job.run, job.source)


def write(
    job: Job,
    point: Checkpoint,
    records: Iterator[tuple[int, Row | BadRow | None]],
    going_on: Callable[[Checkpoint], None],
) -> Checkpoint:
    """Write all records behind the checkpoint, chunk by chunk.

    Args:
        job: where they are written.
        point: what was done before.
        records: of the whole source, from its beginning.
        going_on: called after each chunk with what is done; raises where the run must not go on.

    Returns:
        What is done now.

    Raises:
        LostOwnership: a later attempt has written; the chunk was refused.
        DatabaseTrouble: the database cannot; the chunk was rolled back.
    """
    for chunk in _chunks(islice(records, point.position, None), job.rows):
        point = write_one(job, point, chunk)
        going_on(point)
    return point


def write_one(job: Job, point: Checkpoint, chunk: Chunk) -> Checkpoint:
    """Write one chunk and move the checkpoint behind it, both or neither."""
    after = replace(point, position=point.position + chunk.records, bad_rows=list(point.bad_rows))
    with spoken(), database.writing(job.engine) as connection:
        job.guard(connection)
        # Imports of two sources at once would both make a tag that both miss, or both take a slug.
        fence.guard(connection, "import", 0)
        place = upsert.Place(job.run, job.source, utc_now(), columns.site_zone(connection), job.author)
        applied = upsert.apply(connection, place, chunk.rows)
        after.added += applied.added
        after.changed += applied.changed
        after.same += applied.same
        after.passed += chunk.passed
        after.note_bad([*chunk.bad, *applied.bad])
        checkpoint.move(connection, job.run, point.position, after)
        stale.note(connection, applied.stale)
    return after


def finish(job: Job, point: Checkpoint, keep_days: float) -> None:
    """Count the tags' posts anew and close the run; runs that nobody can roll back any more are forgotten."""
    with spoken(), database.writing(job.engine) as connection:
        job.guard(connection)
        if point.added or point.changed:
            tagging.recount(connection)
        checkpoint.move(connection, job.run, point.position, replace(point, state=checkpoint.DONE))
        checkpoint.forget(connection, keep_days)


def _chunks(records: Iterator[tuple[int, Row | BadRow | None]], size: int) -> Iterator[Chunk]:
    chunk = Chunk()
    for line, row in records:
        chunk.take(line, row)
        if chunk.records >= size or chunk.text >= CHUNK_TEXT:
            yield chunk
            chunk = Chunk()
    if chunk.records:
        yield chunk
