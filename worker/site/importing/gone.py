"""Pages of posts as they were: removed, renamed or with other tags. `stale` finds pages by what a post is now."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime

import redis
from sqlalchemy import Connection, Engine, delete, insert, select

from worker.site import clearing, database, pages
from worker.site.importing.tables import changes
from worker.site.object_cache import ObjectCache
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


def clear(engine: Engine, cache: ObjectCache) -> int:
    """Clear the pages of all that was noted, by any run; how many posts are left because the cache is away."""
    query = select(changes.c.id, changes.c.item, changes.c.kept).where(changes.c.kind == GONE).limit(BATCH)
    while True:
        with database.reading(engine) as connection:
            noted = {row.id: _post(row.item, row.kept) for row in connection.execute(query)}
        if not noted:
            return 0
        try:
            clearing.clear_tags(cache, pages.cache_tags(list(noted.values())))
        except redis.RedisError as error:
            log.warning("The object cache does not answer; the next import clears what is left: %s", error)
            return len(noted)
        with database.writing(engine) as connection:
            connection.execute(delete(changes).where(changes.c.id.in_(list(noted))))


def _kept(post: Post) -> dict[str, object]:
    return {"slug": post.slug, "date": post.date.isoformat(), "tags": list(post.tags)}


def _post(number: int, text: str) -> Post:
    kept = json.loads(text)
    return Post(number, kept["slug"], datetime.fromisoformat(kept["date"]), tuple(kept["tags"]))
