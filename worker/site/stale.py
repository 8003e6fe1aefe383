"""Posts whose pages in the cache are older than the post: noted with the change, and cleared as soon as may be.

The note is written in the transaction that changes the post. So a clearing that was cut off, or found no
cache, is made up for by the next one, and a cache that is away keeps no post from going live.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import redis
from sqlalchemy import Connection, Engine, delete, insert, select

from worker.site import clearing, database, pages
from worker.site.object_cache import ObjectCache
from worker.site.outcomes import Refreshed
from worker.site.posts import described
from worker.site.tables import postmeta

log = logging.getLogger(__name__)
NOTE = "_anp_stale"
BATCH = 500


def note(connection: Connection, ids: Sequence[int]) -> None:
    """Note, in the caller's transaction, that the pages with these posts are stale."""
    if ids:
        rows = [{"post_id": post_id, "meta_key": NOTE, "meta_value": ""} for post_id in ids]
        connection.execute(insert(postmeta), rows)


def clear(engine: Engine, cache: ObjectCache) -> Refreshed:
    """Clear every stale page: of the posts noted, the lists they are on, and the feed.

    Args:
        engine: of the site's database.
        cache: the site's.

    Returns:
        What was cleared, and what is left for the next time.
    """
    removed = 0
    while notes := _noted(engine):
        with database.reading(engine) as connection:
            posts = described(connection, list(set(notes.values())))
        try:
            removed += clearing.clear_tags(cache, pages.cache_tags(posts))
        except redis.RedisError as error:
            log.warning("The object cache does not answer; stale pages are cleared by the next run: %s", error)
            return Refreshed(removed, len(posts))
        with database.writing(engine) as connection:
            connection.execute(delete(postmeta).where(postmeta.c.meta_id.in_(list(notes))))
    return Refreshed(removed, 0)


def _noted(engine: Engine) -> dict[int, int]:
    """Some of the notes: meta_id and the post's id."""
    query = select(postmeta.c.meta_id, postmeta.c.post_id).where(postmeta.c.meta_key == NOTE).limit(BATCH)
    with database.reading(engine) as connection:
        return {row.meta_id: row.post_id for row in connection.execute(query)}
