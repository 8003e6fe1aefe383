"""Takes a run back: removes the posts it added, gives those it changed what they had before, newest first.

Each batch is one transaction behind the fence, and its records go with it: cut off anywhere, the next attempt goes on
behind the last whole batch. A post that somebody changed after the run stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, select

from worker.site import database, stale
from worker.site.importing import checkpoint, columns, gone, tagging
from worker.site.importing.amending import amend
from worker.site.importing.chunks import Job
from worker.site.importing.tables import changes, sources
from worker.site.importing.trouble import spoken
from worker.site.posts import described
from worker.site.tables import postmeta, posts

BATCH = 500
ADDED, CHANGED, TAG = "added", "changed", "tag"


@dataclass(slots=True)
class Undone:
    """What a rollback did."""

    removed: int = 0
    restored: int = 0
    #: Posts that were changed or deleted since, and were left as they are.
    left: int = 0

    @property
    def any(self) -> bool:
        """Whether there was anything to undo."""
        return bool(self.removed or self.restored or self.left)


def undo(job: Job, going_on: Callable[[int, int], None]) -> Undone:
    """Take the job's run back.

    Args:
        job: the run, and this rollback attempt's fence.
        going_on: called after each batch with what is done and the total; raises where it must not go on.

    Raises:
        LostOwnership: a later attempt has written.
        DatabaseTrouble: the database cannot; the batch was rolled back.
    """
    undone, total = Undone(), _count(job)
    while (left := _batch(job, undone)) is not None:
        going_on(total - left, total)
    with spoken(), database.writing(job.engine) as connection:
        job.guard(connection)
        _finish(connection, job.run)
    return undone


def _count(job: Job) -> int:
    query = select(func.count()).select_from(changes).where(*_open(job.run))
    with spoken(), database.reading(job.engine) as connection:
        return connection.scalar(query) or 0


def _open(run: str) -> tuple[Any, ...]:
    return changes.c.run_id == run, changes.c.kind.in_((ADDED, CHANGED))


def _batch(job: Job, undone: Undone) -> int | None:
    """Undo some; how many are left, None when there was nothing more."""
    with spoken(), database.writing(job.engine) as connection:
        job.guard(connection)
        told = connection.execute(select(changes).where(*_open(job.run)).order_by(changes.c.id.desc()).limit(BATCH))
        records = list(told.mappings())
        if not records:
            return None
        now = _as_written(connection, records)
        added = [record for record in records if record["kind"] == ADDED and record["item"] in now]
        changed = [record for record in records if record["kind"] == CHANGED and record["item"] in now]
        _remove(connection, job, added)
        _restore(connection, job, changed)
        connection.execute(delete(changes).where(changes.c.id.in_([record["id"] for record in records])))
        left = connection.scalar(select(func.count()).select_from(changes).where(*_open(job.run))) or 0
    undone.removed += len(added)
    undone.restored += len(changed)
    undone.left += len(records) - len(added) - len(changed)
    return left


def _as_written(connection: Connection, records: Sequence[RowMapping]) -> set[int]:
    """Those of the posts that are still as the run wrote them."""
    query = select(*columns.all_written()).where(posts.c.ID.in_([record["item"] for record in records]))
    now = {row["ID"]: columns.mark(row) for row in connection.execute(query.with_for_update()).mappings()}
    return {record["item"] for record in records if now.get(record["item"]) == json.loads(record["kept"])["mark"]}


def _remove(connection: Connection, job: Job, records: Sequence[RowMapping]) -> None:
    ids = [record["item"] for record in records]
    if not ids:
        return
    gone.note(connection, job.run, described(connection, ids))
    tagging.clear(connection, ids)
    connection.execute(delete(postmeta).where(postmeta.c.post_id.in_(ids)))
    connection.execute(delete(sources).where(sources.c.post_id.in_(ids), sources.c.source == job.source))
    connection.execute(delete(posts).where(posts.c.ID.in_(ids)))


def _restore(connection: Connection, job: Job, records: Sequence[RowMapping]) -> None:
    if not records:
        return
    kept = {record["item"]: json.loads(record["kept"]) for record in records}
    written = described(connection, list(kept))
    amend(connection, posts, [{"ID": post, **columns.put_back(was["before"])} for post, was in kept.items()])
    tagging.replace(connection, {post: was["tags"] for post, was in kept.items()})
    named = [
        {"source_id": record["source_id"], "post_id": record["item"], "digest": kept[record["item"]]["digest"]}
        for record in records
    ]
    amend(connection, sources, [{"source": job.source, **one} for one in named])
    gone.note(connection, job.run, set(written) - set(described(connection, list(kept))))
    stale.note(connection, [post for post, was in kept.items() if was["before"]["post_status"] == "publish"])


def _finish(connection: Connection, run: str) -> None:
    made = (changes.c.run_id == run, changes.c.kind == TAG)
    tagging.remove_unused(connection, list(connection.scalars(select(changes.c.item).where(*made))))
    connection.execute(delete(changes).where(*made))
    tagging.recount(connection)
    point = checkpoint.read(connection, run)
    if point is not None:
        checkpoint.move(connection, run, point.position, replace(point, state=checkpoint.UNDONE))
