"""A look over a WordPress: what is overdue, lost, missed, drifted or too big, and whether its object cache is alone.

Limit: keys are read by SCAN, so some that come or go meanwhile may be missed; term counts are checked for categories
and tags, whose counts are those of public posts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import redis
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt
from sqlalchemy import Select, and_, func, select

from worker.site.object_cache import ObjectCache
from worker.site.posts import utc_now
from worker.site.wordpress import due, publishing, register
from worker.site.wordpress.cron import CorruptCron
from worker.site.wordpress.ran import Trouble
from worker.site.wordpress.site import Site

#: Seconds that an event or a post may be late.
LATE = 120
#: Bytes of autoloaded options that WordPress' own site health warns at.
AUTOLOADED = 800_000
#: Words for "autoloaded" in the options table, old and new.
LOADED = ("yes", "on", "auto-on", "auto")
#: Types of posts that no category or tag counts.
UNCOUNTED = ("page", "attachment", "revision")
BATCH = 1000


class Drifted(BaseModel):
    """A term whose count is not that of its public posts."""

    model_config = ConfigDict(frozen=True)

    term: int
    taxonomy: str
    count: int
    public: int


class Option(BaseModel):
    """An option that every request loads."""

    model_config = ConfigDict(frozen=True)

    name: str
    size: NonNegativeInt


class Cache(BaseModel):
    """The Redis of the object cache."""

    #: Keys of the site.
    keys: NonNegativeInt = 0
    #: Of them, without an end.
    without_end: NonNegativeInt = 0
    #: Keys in the same database that are not the site's, and some of their names.
    foreign: NonNegativeInt = 0
    foreign_names: list[str] = []
    #: maxmemory-policy; empty where we may not ask.
    policy: str = ""
    #: False when there are more keys than were looked at.
    complete: bool = True


class Audit(BaseModel):
    """What was seen. `troubles` says in sentences what is wrong; empty is good."""

    troubles: list[str]
    #: Events that are overdue by more than two minutes, the first ones.
    overdue_events: list[Trouble]
    #: Seconds that the longest waiting event is overdue.
    overdue: NonNegativeFloat
    #: Events that were lost or failed, the newest ones.
    lost_events: list[Trouble]
    #: Posts whose time came more than two minutes ago and that are not live, the first ones.
    missed_posts: list[int]
    drifted_terms: list[Drifted]
    #: Bytes of options that every request loads, and the biggest.
    autoloaded: NonNegativeInt
    biggest_options: list[Option]
    #: None: there is no object cache, or it does not answer.
    cache: Cache | None


def audit(site: Site, *, top: int = 10, limit: int = 1_000_000) -> Audit:
    """Look over everything; changes nothing.

    Args:
        site: the WordPress.
        top: how many of each kind to name.
        limit: keys of the object cache to look at, at most.

    Raises:
        SiteUnavailable: the database does not answer.
    """
    late, unreadable = _overdue(site)
    lost = [Trouble(hook=row.hook, due=row.due, why=row.note) for row in register.troubled(site, top)]
    total, biggest = _autoloaded(site, top)
    cache, silent = _cache(site, top, limit)
    seen = Audit(
        troubles=[*unreadable, *silent],
        overdue_events=late[:top],
        overdue=max((time.time() - event.due for event in late), default=0.0),
        lost_events=lost,
        missed_posts=publishing.due(site, top, utc_now() - timedelta(seconds=LATE)),
        drifted_terms=_drifted(site, top),
        autoloaded=total,
        biggest_options=biggest,
        cache=cache,
    )
    seen.troubles.extend(_told(seen))
    return seen


def _told(seen: Audit) -> Iterator[str]:
    if seen.overdue_events:
        hooks = ", ".join(sorted({event.hook for event in seen.overdue_events}))
        yield f"events are overdue by up to {seen.overdue:.0f} s: {hooks}"
    if seen.lost_events:
        yield f"{len(seen.lost_events)} events were lost or failed, the last one of {seen.lost_events[0].hook}"
    if seen.missed_posts:
        yield f"posts are due and not live: {', '.join(map(str, seen.missed_posts))}"
    if seen.drifted_terms:
        yield f"{len(seen.drifted_terms)} terms have a count that is not that of their public posts"
    if seen.autoloaded > AUTOLOADED:
        yield f"every request loads {seen.autoloaded} bytes of options, most of them {seen.biggest_options[0].name}"
    if seen.cache and seen.cache.foreign:
        yield (
            f"the object cache shares its database with {seen.cache.foreign} other keys "
            f"({', '.join(seen.cache.foreign_names)}): WordPress flushes it with FLUSHDB"
        )
    if seen.cache and seen.cache.without_end and seen.cache.policy.startswith("volatile"):
        yield f"{seen.cache.without_end} keys have no end, and maxmemory-policy {seen.cache.policy} never evicts them"


def _overdue(site: Site) -> tuple[list[Trouble], list[str]]:
    try:
        before = time.time() - LATE
        found = [event for event in due.scheduled(site) if event.due < before]
    except CorruptCron as error:
        return [], [str(error)]
    return [Trouble(hook=event.hook, due=event.due, why="nobody ran it") for event in found], []


def _drifted(site: Site, top: int) -> list[Drifted]:
    terms, links, posts = site.tables.term_taxonomy, site.tables.term_relationships, site.tables.posts
    public = and_(posts.c.post_status == "publish", posts.c.post_type.not_in(UNCOUNTED))
    joined = terms.outerjoin(links, links.c.term_taxonomy_id == terms.c.term_taxonomy_id)
    joined = joined.outerjoin(posts, and_(links.c.object_id == posts.c.ID, public))
    columns = (terms.c.term_taxonomy_id, terms.c.taxonomy, terms.c["count"])
    real = func.count(posts.c.ID)
    query: Select[Any] = select(*columns, real.label("public")).select_from(joined)
    query = query.where(terms.c.taxonomy.in_(("category", "post_tag")))
    query = query.group_by(*columns).having(terms.c["count"] != real).limit(top)
    with site.asked() as connection:
        rows = connection.execute(query).all()
    return [Drifted(term=row[0], taxonomy=row[1], count=row[2], public=row[3]) for row in rows]


def _autoloaded(site: Site, top: int) -> tuple[int, list[Option]]:
    options = site.tables.options
    size, loaded = func.octet_length(options.c.option_value), options.c.autoload.in_(LOADED)
    with site.asked() as connection:
        total = connection.scalar(select(func.coalesce(func.sum(size), 0)).where(loaded)) or 0
        rows = connection.execute(select(options.c.option_name, size).where(loaded).order_by(size.desc()).limit(top))
        return int(total), [Option(name=row[0], size=row[1]) for row in rows]


def _cache(site: Site, top: int, limit: int) -> tuple[Cache | None, list[str]]:
    """The object cache, where the settings name one."""
    if "cache_url" not in site.known.model_fields_set:
        return None, []
    seen, client = Cache(), ObjectCache.connect(site.known).client
    own = tuple(f"{site.known.prefix}:{name}:".encode() for name in (site.tables.prefix.rstrip("_"), "site"))
    keys: list[bytes] = []
    try:
        for key in client.scan_iter(count=BATCH):
            if key.startswith(own):
                keys.append(key)
            else:
                seen.foreign += 1
                seen.foreign_names += [key.decode(errors="replace")] if seen.foreign <= top else []
            if len(keys) + seen.foreign >= limit:
                seen.complete = False
                break
        seen.keys = len(keys)
        for start in range(0, len(keys), BATCH):
            with client.pipeline(transaction=False) as pipe:
                for key in keys[start : start + BATCH]:
                    pipe.ttl(key)
                seen.without_end += pipe.execute().count(-1)
        seen.policy = _policy(client)
    except redis.RedisError as error:
        return None, [f"the object cache does not answer: {error}"]
    return seen, []


def _policy(client: redis.Redis) -> str:
    try:
        return str(client.info("memory").get("maxmemory_policy", ""))
    except redis.ResponseError:
        return ""
