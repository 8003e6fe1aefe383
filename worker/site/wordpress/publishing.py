"""Publishing a WordPress' due posts, by its own code and on the word of `wp_posts`.

A bare UPDATE would miss term counts, hooks and pings, and leave a cached 404; the cron option forgets posts. So the ids
come from the rows, the work is WordPress' `check_and_publish_future_post` under a lock for each post, and the rows say
afterwards what is live. Each post carries the run that published it, so that a rollback takes back nothing else.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
from sqlalchemy import delete, func, insert, select

from celery_anp.errors import AnpError, LostOwnership
from worker.site import fence
from worker.site.outcomes import Live, Refreshed
from worker.site.publishing import MARK, NO_RUN
from worker.site.stale import NOTE
from worker.site.wordpress import caches
from worker.site.wordpress.site import Site, SiteUnavailable
from worker.site.wordpress.way import Told, Way

log = logging.getLogger(__name__)
#: Posts that one process publishes.
BATCH = 25
#: Seconds for such a process, and for a post that has one of its own.
LIMIT, LIMIT_ALONE = 60.0, 20.0
#: Processes in a row that may end without an answer; then it is the site, and not a post.
BARREN = 3
#: Seconds to wait for another run of anp that publishes.
PATIENCE = 20


@dataclass(frozen=True)
class Orders:
    """Whose work it is."""

    run: str | None
    #: The name under which the fence is kept, and the attempt's fence.
    fenced: tuple[str, int | None]
    stop: Callable[[], bool] = lambda: False

    def job(self, do: str, ids: Sequence[int]) -> dict[str, Any]:
        """The piece of work as anp.php reads it."""
        name, number = self.fenced
        return {"do": do, "ids": list(ids), "run": self.run or NO_RUN, "fence": number, "fence_name": name}


def due(site: Site, batch: int, at: datetime) -> list[int]:
    """Posts, of every type, whose time has come and that are not live, the longest overdue first."""
    posts = site.tables.posts
    query = select(posts.c.ID).where(posts.c.post_status == "future", posts.c.post_date_gmt <= at)
    with site.asked() as connection:
        return list(connection.scalars(query.order_by(posts.c.post_date_gmt, posts.c.ID).limit(batch)))


def count_due(site: Site, at: datetime) -> int:
    """How many posts should be live at that time and are not."""
    posts = site.tables.posts
    query = select(func.count()).where(posts.c.post_status == "future", posts.c.post_date_gmt <= at)
    with site.asked() as connection:
        return connection.scalar(query) or 0


def publish(site: Site, way: Way, ids: Sequence[int], orders: Orders) -> list[Live]:
    """Make these posts public, those of them that are due and still `future`.

    A post whose hooks end the process does not keep the others back: what a batch leaves gets processes of its own.

    Returns:
        The posts that this run made public, in this attempt or an earlier one.

    Raises:
        LostOwnership: a later attempt has begun.
        SiteUnavailable: WordPress' code does not come to its work, or another run of anp publishes.
    """
    with site.locked("publish", PATIENCE) as held:
        if held is None:
            raise SiteUnavailable("Another run of anp publishes this site's posts", expected="one at a time")
        _note(site, ids, orders)
        told, silent = Told("", "", ended=True), 0
        for group, limit in _groups(site, ids):
            if orders.stop() or silent > BARREN:
                break
            held.check()
            told = way.ask(orders.job("publish", group), limit=limit, stop=orders.stop)
            silent = 0 if told.state else silent + 1
            _refused(told)
        live = _marked(site, ids, orders.run or NO_RUN)
    if ids and not live and not told.state:
        raise SiteUnavailable(
            "WordPress' code published nothing; the posts stay due",
            expected="a WordPress that loads, with its database",
            given=told.why,
        )
    return live


def unpublish(site: Site, way: Way, ids: Sequence[int], orders: Orders) -> list[int]:
    """Put back to `future` what this run made public. Doing it twice changes nothing more.

    Returns:
        Posts of this run that are still public; empty when all were put back.
    """
    with site.locked("publish", PATIENCE) as held:
        if held is None:
            raise SiteUnavailable("Another run of anp publishes this site's posts", expected="one at a time")
        mine = [one.id for one in _marked(site, ids, orders.run or NO_RUN)]
        _note(site, mine, orders)
        if mine:
            told = way.ask(orders.job("unpublish", mine), limit=LIMIT)
            _refused(told)
            if left := [one.id for one in _marked(site, mine, orders.run or NO_RUN)]:
                raise SiteUnavailable(
                    f"{len(left)} of {len(mine)} posts are still public",
                    expected="each put back to 'future'",
                    given=told.why or told.state,
                )
    return mine


def clear(site: Site, batch: int = 500) -> Refreshed:
    """Clear what the caches keep of each post that was noted; what does not answer is left for the next run."""
    meta, removed = site.tables.postmeta, 0
    noted = select(meta.c.meta_id, meta.c.post_id).where(meta.c.meta_key == NOTE).limit(batch)
    while True:
        with site.asked() as connection:
            notes = {row.meta_id: row.post_id for row in connection.execute(noted)}
        if not notes:
            return Refreshed(removed, 0)
        ids = sorted(set(notes.values()))
        try:
            removed += caches.clear_posts(site.known, ids)
        except (redis.RedisError, AnpError, OSError) as error:
            # Also where trying again will not help (a bad ANP_PAGES): a run that fails here would take its posts back.
            log.warning("A cache was not cleared; the next run tries again: %s", error)
            return Refreshed(removed, len(ids))
        with site.asked(write=True) as connection:
            connection.execute(delete(meta).where(meta.c.meta_id.in_(list(notes))))


def note(site: Site, ids: Sequence[int]) -> None:
    """Note that the pages with these posts are stale, for `clear`."""
    if ids:
        with site.asked(write=True) as connection:
            rows = [{"post_id": post_id, "meta_key": NOTE, "meta_value": ""} for post_id in ids]
            connection.execute(insert(site.tables.postmeta), rows)


def _note(site: Site, ids: Sequence[int], orders: Orders) -> None:
    """Fenced, and before PHP's writes: a run that dies between leaves a note too many, never one too few."""
    with site.asked(write=True) as connection:
        fence.guard(connection, *orders.fenced)
    note(site, ids)


def _groups(site: Site, ids: Sequence[int]) -> Iterator[tuple[list[int], float]]:
    """Batches, then alone what is still waiting after its batch; each with its limit in seconds."""
    for start in range(0, len(ids), BATCH):
        yield _waiting(site, ids[start : start + BATCH]), LIMIT
    for post_id in _waiting(site, ids):
        yield [post_id], LIMIT_ALONE


def _waiting(site: Site, ids: Sequence[int]) -> list[int]:
    posts = site.tables.posts
    query = select(posts.c.ID).where(posts.c.ID.in_(ids), posts.c.post_status == "future").order_by(posts.c.ID)
    with site.asked() as connection:
        return list(connection.scalars(query))


def _marked(site: Site, ids: Sequence[int], run: str) -> list[Live]:
    """Of these posts the public ones that this run published."""
    posts, meta = site.tables.posts, site.tables.postmeta
    query = select(posts.c.ID, posts.c.post_date_gmt, meta.c.meta_value).join(meta, meta.c.post_id == posts.c.ID)
    query = query.where(posts.c.ID.in_(ids), posts.c.post_status == "publish", meta.c.meta_key == MARK)
    with site.asked() as connection:
        rows = [(row.ID, row.post_date_gmt, json.loads(row.meta_value)) for row in connection.execute(query)]
    return [
        Live(post_id, (datetime.fromisoformat(mark["at"]) - date).total_seconds())
        for post_id, date, mark in rows
        if mark["run"] == run
    ]


def _refused(told: Told) -> None:
    if told.state == "refused":
        raise LostOwnership("The posts were not touched", expected="the latest attempt", given=told.why)
