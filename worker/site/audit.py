"""A look over the site's cache: how many keys, how much memory, how long they last, what stands out.

Limit: everything is by SCAN, so keys that come or go meanwhile may be missed or seen twice; above
`MEASURED` keys memory is measured on a sample and scaled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice

from worker.site import pages
from worker.site.object_cache import ObjectCache

BATCH = 500
#: Up to this many keys each one is measured; above it each nth.
MEASURED = 20_000
#: Upper ends of the classes of remaining time, in seconds, and their names.
CLASSES = ((60, "under 1 min"), (300, "1-5 min"), (600, "5-10 min"), (3600, "10-60 min"))
LONGEST = "over 1 h"
WITHOUT = "no end"


@dataclass(slots=True)
class Group:
    """The keys of one kind: `front`, `post`, `tag`, `feed`, `sitemap` pages; `tag sets`; `marks`; `flights`. On a
    WordPress its groups.
    """

    #: Keys seen.
    keys: int = 0
    #: Bytes in Redis' memory; scaled up from the sample.
    memory: int = 0
    #: Keys by how long they still last.
    ends: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Audit:
    """What was seen."""

    #: Keys of the site.
    keys: int = 0
    #: Keys in the same database that are not the site's.
    foreign: int = 0
    #: Bytes that the site's keys take; scaled up from the sample.
    memory: int = 0
    #: Keys that were measured for `memory` and `biggest`.
    measured: int = 0
    #: Keys that would stay for ever.
    without_end: int = 0
    #: Some of their names.
    without_end_names: list[str] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    #: The biggest keys that were measured, biggest first: (name, bytes).
    biggest: list[tuple[str, int]] = field(default_factory=list)
    #: False when there are more keys than `limit`.
    complete: bool = True


def audit(cache: ObjectCache, *, limit: int = 1_000_000, top: int = 10) -> Audit:
    """Look over every key of the site.

    Args:
        cache: the site's.
        limit: keys to look at, at most.
        top: how many of the biggest keys, and of those without an end, to name.

    Returns:
        The figures.

    Raises:
        redis.RedisError: the cache does not answer.
    """
    size = cache.client.dbsize()
    every = max(1, size // MEASURED)
    seen = Audit()
    for keys in _batches(cache, limit):
        _add(cache, seen, keys, every, top)
    seen.complete = seen.keys < limit
    seen.foreign = max(0, size - seen.keys) if seen.complete else 0
    return seen


def names(cache: ObjectCache, limit: int) -> list[str]:
    """Names of the site's keys, at most `limit`, sorted."""
    return sorted(key.decode() for keys in _batches(cache, limit) for key in keys)


def _batches(cache: ObjectCache, limit: int) -> Iterator[list[bytes]]:
    found = islice(cache.client.scan_iter(match=f"{cache.root}*", count=BATCH), limit)
    while batch := list(islice(found, BATCH)):
        yield batch


def _add(cache: ObjectCache, seen: Audit, keys: list[bytes], every: int, top: int) -> None:
    with cache.client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.pttl(key)
        for key in keys[::every]:
            pipe.memory_usage(key)
        answers = pipe.execute()
    left = dict(zip(keys, answers, strict=False))
    sizes = dict(zip(keys[::every], answers[len(keys) :], strict=True))
    for key, left_ms in left.items():
        if left_ms == -2:  # gone since it was found
            continue
        _count(seen, key.decode().removeprefix(cache.root), left_ms, (sizes.get(key) or 0) * every, top)
    seen.measured += len(sizes)
    measured = [(key.decode(), size or 0) for key, size in sizes.items()]
    seen.biggest = nlargest(top, seen.biggest + measured, key=lambda entry: entry[1])


def _count(seen: Audit, name: str, left_ms: int, memory: int, top: int) -> None:
    group = seen.groups.setdefault(_group(name), Group())
    seen.keys += 1
    seen.memory += memory
    group.keys += 1
    group.memory += memory
    ends = _class(left_ms)
    group.ends[ends] = group.ends.get(ends, 0) + 1
    if left_ms == -1:
        seen.without_end += 1
        if len(seen.without_end_names) < top:
            seen.without_end_names.append(name)


def _group(name: str) -> str:
    kind, _, rest = name.partition(":")
    if kind == "page":
        return pages.group(rest)
    return {"tag": "tag sets", "cleared": "marks", "flight": "flights"}.get(kind, kind if rest else "unknown")


def _class(left_ms: int) -> str:
    if left_ms == -1:
        return WITHOUT
    return next((name for seconds, name in CLASSES if left_ms <= seconds * 1000), LONGEST)
