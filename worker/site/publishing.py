"""Publishing posts whose time has come, once, and taking that back.

Each post that a run publishes is marked with the run's id in the same transaction. So a second attempt
knows what the first one did, and a rollback touches nothing that an editor published meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update

from worker.site import database, fence, stale, tags
from worker.site.outcomes import Live
from worker.site.posts import Post, described, is_due, is_status, utc_now
from worker.site.tables import postmeta, posts

#: Hidden in WordPress' editor because of the leading underscore.
MARK = "_anp_published"
NO_RUN = "by hand"


def publish(
    engine: Engine,
    ids: Sequence[int],
    *,
    site: str,
    run: str | None,
    fence_number: int | None,
    now: datetime | None = None,
) -> list[Live]:
    """Make these posts public, those of them that are due and still `future`, in one transaction.

    Args:
        engine: of the site's database.
        ids: wp_posts.ID of posts that were found due.
        site: the site's name, part of the fence's name.
        run: the run id that is written beside each post; None on a direct call.
        fence_number: this attempt's fence; None is not guarded.
        now: UTC without a zone; the host's clock when left out.

    Returns:
        The posts that this run made public, in this attempt or an earlier one.

    Raises:
        LostOwnership: a later attempt wrote already; nothing was changed.
    """
    at, name = now or utc_now(), run or NO_RUN
    with database.writing(engine) as connection:
        fence.guard(connection, _fence_name(site), fence_number)
        _make_public(connection, ids, name, at)
        tags.recount(connection, ids)
        times = _marked(connection, ids, name)
        stale.note(connection, list(times))
        return [
            Live(post.id, (times[post.id] - post.date).total_seconds()) for post in described(connection, list(times))
        ]


def unpublish(
    engine: Engine, ids: Sequence[int], *, site: str, run: str | None, fence_number: int | None
) -> list[Post]:
    """Put back to `future` what this run made public. Doing it twice changes nothing more.

    Args:
        engine: of the site's database.
        ids: wp_posts.ID of the posts to look at.
        site: the site's name, part of the fence's name.
        run: the run id whose posts are put back.
        fence_number: this attempt's fence; None is not guarded.

    Returns:
        The posts that were put back.

    Raises:
        LostOwnership: a later attempt wrote already; nothing was changed.
    """
    with database.writing(engine) as connection:
        fence.guard(connection, _fence_name(site), fence_number)
        marked = list(_marked(connection, ids, run or NO_RUN))
        connection.execute(
            update(posts).where(posts.c.ID.in_(marked), is_status("publish")).values(post_status="future")
        )
        connection.execute(delete(postmeta).where(postmeta.c.post_id.in_(marked), postmeta.c.meta_key == MARK))
        tags.recount(connection, ids)
        stale.note(connection, marked)
        return described(connection, marked)


def _make_public(connection: Connection, ids: Sequence[int], run: str, at: datetime) -> None:
    due = select(posts.c.ID).where(posts.c.ID.in_(ids), is_due(at)).with_for_update()
    found = list(connection.scalars(due))
    if not found:
        return
    connection.execute(update(posts).where(posts.c.ID.in_(found)).values(post_status="publish"))
    mark = json.dumps({"run": run, "at": at.isoformat()})
    connection.execute(
        insert(postmeta),
        [{"post_id": post_id, "meta_key": MARK, "meta_value": mark} for post_id in found],
    )


def _marked(connection: Connection, ids: Sequence[int], run: str) -> dict[int, datetime]:
    """When this run published which of these posts."""
    query = select(postmeta.c.post_id, postmeta.c.meta_value)
    query = query.where(postmeta.c.post_id.in_(ids), postmeta.c.meta_key == MARK)
    marks = {post_id: json.loads(value) for post_id, value in connection.execute(query)}
    return {post_id: datetime.fromisoformat(mark["at"]) for post_id, mark in marks.items() if mark["run"] == run}


def _fence_name(site: str) -> str:
    return f"publish:{site}"
