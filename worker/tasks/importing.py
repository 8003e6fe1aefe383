"""The editors' imports: rows from a file or an address become posts, once, and go again."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uuid_utils
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints

from celery_anp.errors import BadInput, BadRows, BadSource, RunEnded
from celery_anp.reliability.retry import Retries
from worker.app import app
from worker.settings import settings
from worker.site.importing import chunks, download, reading, tables, undoing
from worker.site.importing.checkpoint import Checkpoint
from worker.site.importing.chunks import Job
from worker.site.importing.location import Opened, changed, opened
from worker.site.importing.reading import Format, Found, Manner
from worker.site.importing.records import Layout
from worker.site.importing.rows import FIELDS, BadRow
from worker.site.importing.trouble import spoken
from worker.site.posts import Posts
from worker.site.served.chosen import chosen

log = logging.getLogger(__name__)
#: Bad rows that an error repeats, one by one.
REPEATED = 10


def _no_login(location: str) -> str:
    """Refuses when enqueued what would put a login into the ledger."""
    if "://" in location:
        try:
            download.check(location)
        except BadSource as error:
            # No ValueError: what pydantic is told of one repeats the address.
            raise BadInput(error.failed, error.expected, error.given) from None
    return location


def _known_fields(columns: dict[str, str]) -> dict[str, str]:
    for column, name in columns.items():
        if name and name not in FIELDS:
            raise ValueError(
                f"{column!r} cannot be {name!r}: a field is one of {', '.join(FIELDS)}, or '' to leave it out"
            )
    return columns


def _is_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a zone like Europe/Berlin") from None
    return name


SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Place = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_no_login)]
Columns = Annotated[dict[str, str], AfterValidator(_known_fields)]
Zone = Annotated[str, AfterValidator(_is_zone)]
Delimiter = Annotated[str, StringConstraints(pattern=r"^[,;\t|]$")]


class Imported(BaseModel):
    """What became of a source's records."""

    model_config = ConfigDict(frozen=True)

    #: Records of the source.
    records: NonNegativeInt
    added: NonNegativeInt
    changed: NonNegativeInt
    #: Rows that were on the site as they are.
    same: NonNegativeInt
    #: Rows that were left out because they are wrong.
    bad: NonNegativeInt
    #: Records that are no posts: attachments, menus and revisions of an export.
    passed_over: NonNegativeInt
    #: The first of the bad rows.
    bad_rows: list[BadRow]
    #: Record at which this attempt took the run up; 0 unless an earlier one was cut off.
    resumed_at: NonNegativeInt
    #: Pages removed from the cache.
    pages_cleared: NonNegativeInt
    #: Posts whose old pages are still kept, because the cache does not answer; the next run clears them.
    stale: NonNegativeInt


@app.task(
    bind=True,
    name="content.import",
    owner="editorial",
    expects="every right row of the source is on the site, once, and no old page of it is kept",
    lock="import:{source}",
    retries=Retries(max=8, first=2, ceiling=60),
    time_limit=3600,
    confirm=lambda result: not result.stale,
)
def import_content(  # noqa: PLR0913, PLR0917  its input
    self: Any,
    source: SourceName,
    location: Place,
    format: Format,  # noqa: A002  what it is called
    skip_bad: NonNegativeInt = 0,
    columns: Columns = {},  # noqa: B006  never changed
    timezone: Zone | None = None,
    delimiter: Delimiter = ",",
    author: NonNegativeInt = 0,
    chunk: Annotated[int, Field(ge=10, le=1000)] = 500,
) -> Imported:
    """Bring the rows of a source onto the site: new ones are added, changed ones changed, the same ones left alone.

    Args:
        source: its name; with a row's id it says which post the row is, so keep it.
        location: a file below the folder of imports, or an https address.
        format: of the file.
        skip_bad: bad rows that may be left out; with more, nothing is imported at all.
        columns: our field by the source's column; '' leaves a column out.
        timezone: of dates without a zone; without it they are bad rows.
        delimiter: of a CSV file.
        author: wp_users.ID of who new posts are by.
        chunk: rows in one transaction.

    Raises:
        BadSetting: the tables of this WordPress are not the ones that imports write.
        BadSource, LimitExceeded: the source cannot be had or read, or is too large; nothing was written.
        BadRows: more rows are bad than may be left out.
        DatabaseTrouble: the database does not answer or has no room.
    """
    known = settings()
    chosen(known).refuse_import()
    posts = Posts.connect(known)
    manner = Manner(format, Layout(columns, delimiter), ZoneInfo(timezone) if timezone else None)
    with opened(location, known) as at:
        if self.step("look", lambda: at.digest) != at.digest:
            raise changed()
        found = Found(**self.step("check", _look_over, self, at, manner, skip_bad))
        with spoken():
            tables.prepare(posts.engine)
        self.step("record", lambda: self.undo("import", source=source))
        job = Job(posts.engine, _run_of(self), source, self.fence, chunk, author)
        began = chunks.begin(job)
        point = chunks.write(job, began, reading.read(at.file, manner), _Watch(self, at, found.total, skip_bad))
    chunks.finish(job, point, known.keep_failed_days)
    cleared = chosen(known).refresh_imported(posts.engine)
    return Imported(
        records=point.position, added=point.added, changed=point.changed, same=point.same, bad=point.bad,
        passed_over=point.passed, bad_rows=[BadRow(**row) for row in point.bad_rows], resumed_at=began.position,
        pages_cleared=cleared.pages, stale=cleared.left,
    )  # fmt: skip


@import_content.on_rollback(
    "Removes the posts that the run added and gives those it changed what they had before. A post that was changed "
    "since then stays as it is."
)
def take_back(self: Any, undo: Any, source: str, **_input: Any) -> None:
    """Take the run's posts back."""
    known = settings()
    posts = Posts.connect(known)
    for entry in undo:
        with spoken():
            tables.prepare(posts.engine)
        undone = undoing.undo(Job(posts.engine, _run_of(self), source, self.fence), self.progress)
        chosen(known).refresh_imported(posts.engine)
        log.info("%s: %s removed, %s restored, %s left", self.run_id, undone.removed, undone.restored, undone.left)
        if undone.left and not (undone.removed or undone.restored):
            entry.skip(f"all {undone.left} posts of the run were changed since; they stay")
        elif not undone.any:
            entry.skip("the run had written nothing, or nothing is left of it")


def _run_of(task: Any) -> str:
    """The run that the records are kept under; a direct call gets a name of its own, so it finds no checkpoint."""
    return task.run_id or f"by hand {uuid_utils.uuid7()}"


@dataclass(frozen=True, slots=True)
class _Watch:
    """Between two chunks: may the run go on?"""

    task: Any
    at: Opened
    total: int
    skip_bad: int

    def __call__(self, point: Checkpoint) -> None:
        """Tell how far it is.

        Raises:
            BadSource: somebody writes the source.
            BadRows: too many rows are bad.
            LostOwnership, RunEnded: the run is another's, or shall end.
        """
        self.at.require_unchanged()
        self.task.progress(point.position, self.total)
        _require_wanted(self.task)
        _require_few(point.bad, point.bad_rows, self.skip_bad)


def _look_over(task: Any, at: Opened, manner: Manner, skip_bad: int) -> dict[str, Any]:
    found = reading.look_over(at.file, manner, lambda: _require_wanted(task))
    _require_few(found.bad, found.bad_rows, skip_bad)
    return asdict(found)


def _require_wanted(task: Any) -> None:
    if task.cancelled:
        raise RunEnded("The import was cancelled", given="what it had written is taken back")


def _require_few(bad: int, rows: list[dict[str, Any]], most: int) -> None:
    if bad > most:
        told = "; ".join(str(BadRow(**row)) for row in rows[:REPEATED])
        raise BadRows(
            f"{bad} rows are bad: {told}" + ("; …" if bad > REPEATED else ""),
            expected=f"at most {most} (`skip_bad`); nothing of the source is kept otherwise",
        )
