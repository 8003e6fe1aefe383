"""Taking pages out of the cache: by post, by tag or by path prefix.

Bounded batches, and a `sweep` for what need not be kept; never a pattern given from outside, never a whole database.
Tag sets stay (they end by themselves), so that a page that is put back can still be cleared by its tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from celery_anp.errors import BadInput, Refused
from worker.settings import Settings
from worker.site import kept as kept_pages
from worker.site import pages, separation
from worker.site.kept import Kept
from worker.site.object_cache import ANY, ObjectCache
from worker.site.outcomes import Cleared
from worker.site.sweep import sweep

BATCH = 500
_PATH = re.compile(r"/[A-Za-z0-9%._~!$&'()+,;=:@/-]*")
_SLUG = re.compile(r"[A-Za-z0-9%_-]{1,200}")


#: Called with pages and the time of the clearing (µs) before those pages are removed.
Record = Callable[[list[Kept], int], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What to clear: pages that show a post, a tag's list, or all below a path. Made by `target`."""

    #: Cache tag, or None for a clearing by path.
    tag: str | None
    #: Beginning of the paths, or None for a clearing by tag.
    prefix: str | None


def connect(settings: Settings) -> ObjectCache:
    """The cache, after both servers were asked whether they are one.

    Raises:
        Refused: the cache is the broker's Redis, whatever its name.
        redis.RedisError: the cache does not answer.
    """
    cache = ObjectCache.connect(settings)
    separation.require_live(settings.redis_url, cache.client)
    return cache


def target(cache: ObjectCache, *, post: int | None = None, tag: str | None = None, prefix: str | None = None) -> Target:
    """Check what is to be cleared; exactly one must be given.

    Args:
        cache: whose keys are meant.
        post: wp_posts.ID: every page that shows it.
        tag: slug of a tag: every page of its list.
        prefix: beginning of paths, such as `/tag/python/`; a full key below the cache's root will do too.

    Raises:
        BadInput: none or several were given, or a slug or path that cannot be one.
        Refused: a pattern, or a key outside the site's pages.
    """
    given = {"post": post, "tag": tag, "prefix": prefix}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise BadInput(
            "What to clear is not clear",
            expected="exactly one of post, tag and prefix",
            given=", ".join(named) or "none of them",
        )
    if post is not None:
        return Target(pages.post_tag(post), None)
    if tag is not None:
        return Target(pages.list_tag(_slug(tag)), None)
    return Target(None, _path(cache, prefix or ""))


def _slug(tag: str) -> str:
    if not _SLUG.fullmatch(tag):
        raise BadInput("This is not a tag", expected="the slug of a tag, such as python", given=repr(tag))
    return tag


def _path(cache: ObjectCache, prefix: str) -> str:
    path = prefix.removeprefix(cache.key("page", ""))
    if not _PATH.fullmatch(path):
        raise Refused(
            "This prefix is a pattern, or could reach keys that are not pages of the site",
            expected=f"a path such as /tag/python/, or a key that begins with {cache.key('page', '/')}",
            given=repr(prefix),
        )
    return path


def clear(cache: ObjectCache, what: Target, *, record: Record | None = None, keep: int = 0) -> Cleared:
    """Remove pages. Doing it twice is harmless.

    Args:
        cache: the site's.
        what: from `target`.
        record: called before each removal with what `kept.restore` needs; more than `keep` is removed without
            being recorded, and will be rendered again.
        keep: bytes to keep at most.

    Returns:
        How many pages were removed and kept.

    Raises:
        redis.RedisError: the cache does not answer.
    """
    at = cache.mark([what.tag or ANY])
    removed = kept = size = 0
    for keys in matching(cache, what):
        if what.prefix is not None and (record is None or size >= keep):
            removed += sweep(cache.client, cache.key("page", ""), what.prefix)
            break
        if record and size < keep:
            for chunk in kept_pages.chunks(kept_pages.read(cache, keys), keep - size):
                record(chunk, at)
                kept, size = kept + len(chunk), size + sum(map(kept_pages.size, chunk))
        removed += cache.client.unlink(*keys)
    return Cleared(removed, kept=kept, kept_bytes=size)


def clear_tags(cache: ObjectCache, cache_tags: Sequence[str]) -> int:
    """Remove every page under these cache tags; nothing is kept.

    Returns:
        Pages removed.

    Raises:
        redis.RedisError: the cache does not answer.
    """
    cache.mark(cache_tags)
    batches = (keys for tag in cache_tags for keys in matching(cache, Target(tag, None)))
    return sum(cache.client.unlink(*keys) for keys in batches)


def preview(cache: ObjectCache, what: Target) -> list[str]:
    """The paths that `clear` would remove now, sorted."""
    found = set()
    for keys in matching(cache, what):
        with cache.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.exists(key)
            found |= {key for key, there in zip(keys, pipe.execute(), strict=True) if there}
    return sorted(key.decode().removeprefix(cache.key("page", "")) for key in found)


def matching(cache: ObjectCache, what: Target) -> Iterator[list[bytes]]:
    """Keys of the pages that a target names, in batches of at most `BATCH`; some may have ended already."""
    page = cache.key("page", "").encode()
    found: Iterator[bytes]
    if what.tag is not None:
        paths = cache.client.sscan_iter(cache.key("tag", what.tag), count=BATCH)
        found = (page + path for path in paths)
    else:
        found = cache.client.scan_iter(match=cache.key("page", f"{what.prefix}*"), count=BATCH)
    while batch := list(islice(found, BATCH)):
        yield batch
