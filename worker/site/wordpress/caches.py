"""What a post's change makes old in the caches of a WordPress: its objects, and the pages that the site declares.

Objects first, so that a page that is rendered anew does not read the old ones.
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

from celery_anp.errors import BadInput
from worker.settings import Settings
from worker.site import purging, separation
from worker.site.affected import Shown
from worker.site.object_cache import ObjectCache
from worker.site.outcomes import Cleared
from worker.site.purging import Files, PageCache
from worker.site.sweep import sweep
from worker.site.wordpress.objects import KeptObject, Objects, of_posts

#: Bytes of one entry of kept things; below the limit of an undo entry, with room for its other fields.
CHUNK = 48 * 1024


class KeptFile(TypedDict):
    """A page as nginx kept it, in JSON's types."""

    #: Path of the page.
    path: str
    #: The file, compressed, base64.
    content: str
    #: Its user and group.
    owner: tuple[int, int]


#: Called with what is kept for a rollback, before anything is removed, and with the `last_changed` of the clearing.
Record = Callable[[list[KeptObject], list[KeptFile], str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What to clear on a WordPress. Made by `target`."""

    #: Posts whose objects are meant.
    posts: list[int]
    #: Pages.
    paths: list[str]
    #: Or a group of the object cache.
    group: str | None = None


def clear_posts(known: Settings, ids: list[int]) -> int:
    """Clear what the caches keep of these posts: their objects, and the pages that the declaration says show them.

    Args:
        known: the settings.
        ids: wp_posts.ID.

    Returns:
        Pages and keys removed.

    Raises:
        redis.RedisError: the object cache does not answer.
        NotPurged: the page cache does not answer, or refuses.
        Refused: the cache is the broker's Redis.
    """
    done = clear(known, ids, Shown.connect(known).by(ids)) if ids else Cleared(0)
    return done.pages + done.objects


def target(
    known: Settings,
    *,
    post: int | None = None,
    tag: str | None = None,
    prefix: str | None = None,
    group: str | None = None,
) -> Target:
    """Check what is to be cleared; exactly one must be given.

    Raises:
        BadInput: none or several were given, there is no such post or tag, or this site cannot clear so.
    """
    given = {"post": post, "tag": tag, "prefix": prefix, "group": group}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1 or prefix is not None:
        raise BadInput(
            "This cannot be cleared on a WordPress",
            expected="exactly one of post, tag and group",
            given=", ".join(named) or "none of them",
        )
    if group is not None:
        return Target([], [], group)
    shown = Shown.connect(known)
    paths = shown.by([post]) if post is not None else shown.of_tag(tag or "")
    if not paths:
        raise BadInput("The declaration names no page for this", expected="a post or tag of the site", given=named[0])
    return Target([post] if post is not None else [], paths)


def clear(
    known: Settings, ids: Sequence[int], paths: Sequence[str], *, record: Record | None = None, keep: int = 0
) -> Cleared:
    """Clear the objects of posts, and pages. Doing it twice is harmless.

    Args:
        known: the settings.
        ids: posts whose objects are meant; empty for pages alone.
        paths: the pages.
        record: called before the removal with what `restore` needs, again and again.
        keep: bytes to keep at most.

    Raises:
        redis.RedisError, NotPurged, Refused: as `clear_posts`.
    """
    pages, objects = purging.web_server(known), _objects(known)
    names: list[str] = []
    if ids and objects is not None:
        shown = Shown.connect(known)
        names = of_posts(shown.tables, shown.engine, ids)
    kept = size = 0
    changed = ""
    if objects is not None:
        changed = objects.stamp() if names else objects.last_changed()
        if record is not None:
            kept, size = _keep(_keepable(objects, names, pages, paths), keep, partial(_record, record, changed))
    removed = objects.clear(names, changed) if objects is not None and names else 0
    return Cleared(pages.purge(paths), removed, kept, size)


def preview(known: Settings, ids: Sequence[int], paths: Sequence[str]) -> list[str]:
    """What `clear` would remove now: names of keys that are there, and paths (of nginx' files those that are)."""
    pages, objects = purging.web_server(known), _objects(known)
    found = [path for path in paths if not isinstance(pages, Files) or pages.file(path).exists()]
    if not ids or objects is None:
        return found
    shown = Shown.connect(known)
    names = of_posts(shown.tables, shown.engine, ids)
    with objects.client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.exists(objects.root + name)
        there = pipe.execute()
    return [objects.root + name for name, yes in zip(names, there, strict=True) if yes] + found


def clear_group(known: Settings, group: str) -> int:
    """Remove one group of the object cache, such as `post-queries`; by name, in bounded batches.

    Returns:
        Keys removed.

    Raises:
        redis.RedisError, Refused: as `clear_posts`.
    """
    objects = _objects(known)
    if objects is None:
        return 0
    return sweep(objects.client, objects.root, f"{group}:")


def restore(known: Settings, objects: Sequence[KeptObject], files: Sequence[KeptFile], changed: str) -> Counter[str]:
    """Put back what a clearing kept, unless something newer is known about it.

    Args:
        known: the settings.
        objects: as `record` got them.
        files: the same.
        changed: the same.

    Returns:
        How many were `restored`, are there anew (`newer`), `ended`, or must not come back (`changed`).
    """
    there, pages = _objects(known), purging.web_server(known)
    if there is None:
        return Counter(changed=len(objects) + len(files))
    outcomes = Counter(there.restore(objects, changed))
    for entry in files:
        if not isinstance(pages, Files) or there.last_changed() != changed:
            outcomes["changed"] += 1
            continue
        content = zlib.decompress(base64.b64decode(entry["content"]))
        outcomes["restored" if pages.put_back(entry["path"], content, entry["owner"]) else "newer"] += 1
    return outcomes


def _objects(known: Settings) -> Objects | None:
    """The object cache, after both servers were asked whether they are one; None where the settings name none."""
    if "cache_url" not in known.model_fields_set:
        return None
    cache = ObjectCache.connect(known)
    separation.require_live(known.redis_url, cache.client)
    return Objects.of(cache.client, known)


def _keepable(objects: Objects, names: Sequence[str], pages: PageCache, paths: Sequence[str]) -> Iterator[Any]:
    """What can be put back: objects, then nginx' files."""
    if names:
        yield from objects.read(names)
    if isinstance(pages, Files):
        yield from _files(pages, paths)


def _keep(things: Iterator[Any], limit: int, record: Callable[[list[Any]], None]) -> tuple[int, int]:
    """Record things in portions; what is larger than a portion, or beyond the limit, is left out."""
    kept = size = filled = 0
    portion: list[Any] = []
    for thing in things:
        more = len(thing.get("dump", "")) + len(thing.get("content", "")) + 200  # 200: names and quotes in JSON
        if more > CHUNK:
            continue
        if size + more > limit:
            break
        if filled + more > CHUNK:
            record(portion)
            portion, filled = [], 0
        portion.append(thing)
        kept, size, filled = kept + 1, size + more, filled + more
    if portion:
        record(portion)
    return kept, size


def _record(record: Record, changed: str, portion: list[Any]) -> None:
    record([one for one in portion if "dump" in one], [one for one in portion if "content" in one], changed)


def _files(pages: Files, paths: Sequence[str]) -> Iterator[KeptFile]:
    for path in paths:
        place = pages.file(path)
        try:
            content, owner = place.read_bytes(), place.stat()
        except OSError:
            continue
        packed = base64.b64encode(zlib.compress(content)).decode()
        yield KeptFile(path=path, content=packed, owner=(owner.st_uid, owner.st_gid))
