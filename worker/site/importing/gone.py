"""Pages of posts as they were: removed, renamed or with other tags. `stale` finds pages by what a post is now."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

import redis
from sqlalchemy import Connection, Engine, delete, insert, select

from celery_anp.errors import AnpError
from worker.site import database
from worker.site.importing.tables import changes
from worker.site.posts import Post

log = logging.getLogger(__name__)
GONE = "gone"
BATCH = 500


def note(connection: Connection, run: str, posts: Iterable[Post]) -> None:
    """Note, in the caller's transaction, posts as they were: their pages are to be cleared."""
    rows = [
        {"run_id": run, "kind": GONE, "item": post.id, "source_id": "", "kept": json.dumps(_kept(post))}
        for post in posts
    ]
    if rows:
        connection.execute(insert(changes), rows)


def clear(engine: Engine, remove: Callable[[list[Post]], object]) -> int:
    """Clear the pages of all that was noted, by any run.

    Args:
        engine: of the site's database.
        remove: takes the pages that showed some posts, as they were, out of the caches.

    Returns:
        How many posts are left because a cache does not answer.
    """
    query = select(changes.c.id, changes.c.item, changes.c.kept).where(changes.c.kind == GONE).limit(BATCH)
    while True:
        with database.reading(engine) as connection:
            noted = {row.id: _post(row.item, row.kept) for row in connection.execute(query)}
        if not noted:
            return 0
        try:
            remove(list(noted.values()))
        except (redis.RedisError, AnpError, OSError) as error:
            log.warning("A cache was not cleared; the next import clears what is left: %s", error)
            return len(noted)
        with database.writing(engine) as connection:
            connection.execute(delete(changes).where(changes.c.id.in_(list(noted))))


def _kept(post: Post) -> dict[str, object]:
    return {"slug": post.slug, "date": post.date.isoformat(), "tags": list(post.tags)}


def _post(number: int, text: str) -> Post:
    kept = json.loads(text)
    return Post(number, kept["slug"], datetime.fromisoformat(kept["date"]), tuple(kept["tags"]))
