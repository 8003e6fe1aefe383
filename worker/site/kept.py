"""Cleared pages that can be put back: their DUMP and their end, small enough for undo entries.

Limit: a page is put back only while nothing newer is known about it; otherwise it is rendered again on demand.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from worker.site.object_cache import ANY, ObjectCache, script

#: Bytes of one chunk of kept pages; below the limit of an undo entry, with room for its other fields.
CHUNK = 48 * 1024


class Kept(TypedDict):
    """A page as it was cleared, in JSON's types."""

    #: Path of the page.
    path: str
    #: Its cache tags.
    tags: list[str]
    #: Redis' DUMP of it, base64.
    dump: str
    #: When it would have ended, ms since 1970 on Redis' clock.
    until: int


def read(cache: ObjectCache, keys: Sequence[bytes]) -> Iterator[Kept]:
    """The pages under these keys, as they can be put back; those that ended are left out.

    Raises:
        redis.RedisError: the cache does not answer.
    """
    with cache.client.pipeline(transaction=False) as pipe:
        pipe.time()
        for key in keys:
            pipe.dump(key).pttl(key).hget(key, "tags")
        (seconds, micros), *answers = pipe.execute()
    now_ms = seconds * 1000 + micros // 1000
    page = cache.key("page", "")
    triples: Iterator[tuple[Any, Any, Any]] = zip(*[iter(answers)] * 3, strict=True)
    for key, (dump, left_ms, tags) in zip(keys, triples, strict=True):
        if dump is not None and left_ms > 0:
            yield Kept(
                path=key.decode().removeprefix(page),
                tags=(tags or b"").decode().split(),
                dump=base64.b64encode(dump).decode(),
                until=now_ms + left_ms,
            )


def chunks(entries: Iterator[Kept], limit: int) -> Iterator[list[Kept]]:
    """Lists of at most `CHUNK` bytes, `limit` bytes in all; a page larger than a chunk is left out."""
    chunk: list[Kept] = []
    filled = 0
    for entry in entries:
        more = size(entry)
        limit -= more
        if limit < 0:
            break
        if more > CHUNK:
            continue
        if filled + more > CHUNK:
            yield chunk
            chunk, filled = [], 0
        chunk.append(entry)
        filled += more
    if chunk:
        yield chunk


def size(entry: Kept) -> int:
    """Bytes that an entry takes in JSON, about."""
    # 64: the names, quotes and braces of one entry in JSON.
    return len(entry["dump"]) + len(entry["path"]) + sum(len(tag) + 4 for tag in entry["tags"]) + 64


def restore(cache: ObjectCache, kept: Sequence[Kept], at: int) -> Counter[str]:
    """Put cleared pages back. A page that something newer is known about stays as it is.

    Args:
        cache: the site's.
        kept: what `clearing.clear` gave to `record`.
        at: the time that came with it, µs.

    Returns:
        How many were `restored`, `rendered` meanwhile, `ended`, or `cleared` again later.

    Raises:
        redis.RedisError: the cache does not answer.
    """
    put_back = cache.client.register_script(script("restore_page"))
    outcomes: Counter[str] = Counter()
    for entry in kept:
        marks = [cache.key("cleared", tag) for tag in (ANY, *entry["tags"])]
        answer = put_back(
            keys=[cache.key("page", entry["path"]), *marks],
            args=[at, entry["until"], base64.b64decode(entry["dump"])],
        )
        outcomes[answer.decode()] += 1
    return outcomes
