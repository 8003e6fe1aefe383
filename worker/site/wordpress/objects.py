"""WordPress' object cache as its Redis drop-ins write it, and what WordPress itself invalidates for a post.

Keys are `<prefix>:<table prefix without its _>:<group>:<key>`, plain strings. Never a flush: a drop-in's is FLUSHDB.

Keys (`<root>` is `anp:wp:`):
`<root>posts:<ID>` `<root>post_meta:<ID>` `<root>posts:post_parent-<ID>` the post ·
`<root><taxonomy>_relationships:<ID>` its terms · `<root>terms:<term>` a term with its count ·
`<root>timeinfo:lastpost…` `<root>general:wp_get_archives` `<root>calendar:get_calendar` what lists show ·
`<root>posts:last_changed` `<root>terms:last_changed` part of every query's key: a new value makes the old results
unreachable.
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from sqlalchemy import select

from worker.settings import Settings
from worker.site import database
from worker.site.object_cache import script
from worker.site.prefixed import Tables

OF_POST = ("posts:{id}", "posts:post_parent-{id}", "post_meta:{id}")
SHARED = ("posts:all_page_ids", "general:wp_get_archives", "calendar:get_calendar")
ZONES = ("server", "gmt", "blog")
TIMES = ("lastpostmodified-{zone}", "lastpostdate-{zone}", "lastpostdate-{zone}-post", "lastpostdate-{zone}-page")
#: WordPress' own taxonomies; others that the site has are added from its database.
TAXONOMIES = frozenset({"category", "post_tag", "post_format"})
LAST_CHANGED = ("posts:last_changed", "terms:last_changed")


class KeptObject(TypedDict):
    """An object as it was cleared, in JSON's types."""

    #: Its name below the root.
    name: str
    #: Redis' DUMP of it, compressed, base64.
    dump: str
    #: When it would have ended, ms since 1970; 0 for never.
    until: int


class Objects:
    """The object cache of one WordPress.

    Args:
        client: a redis client with `decode_responses=False`.
        root: first part of every key, with its closing colon.
    """

    def __init__(self, client: Any, root: str) -> None:
        self.client = client
        self.root = root

    @classmethod
    def of(cls, client: Any, known: Settings) -> Objects:
        """The object cache of the WordPress that the settings name."""
        return cls(client, f"{known.prefix}:{known.wordpress_table_prefix.strip('_')}:")

    def stamp(self) -> str:
        """A new `last_changed`, as PHP's microtime() writes it."""
        seconds, micros = self.client.time()
        return f"{micros / 1_000_000:.8f} {seconds}"

    def clear(self, names: Sequence[str], changed: str) -> int:
        """Remove objects, and make every result of a query unreachable, in one transaction.

        Args:
            names: below the root, from `of_posts`.
            changed: from `stamp`.

        Returns:
            Keys removed.

        Raises:
            redis.RedisError: the cache does not answer.
        """
        with self.client.pipeline(transaction=True) as pipe:
            pipe.unlink(*(self.root + name for name in names))
            for name in LAST_CHANGED:
                pipe.set(self.root + name, changed, keepttl=True)
            removed, *_ = pipe.execute()
        return int(removed)

    def last_changed(self) -> str:
        """When WordPress last published or edited a post, as it writes that; empty when it does not say."""
        return (self.client.get(self.root + LAST_CHANGED[0]) or b"").decode()

    def read(self, names: Sequence[str]) -> Iterator[KeptObject]:
        """The objects of these names, as they can be put back."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.time()
            for name in names:
                pipe.dump(self.root + name).pttl(self.root + name)
            (seconds, micros), *answers = pipe.execute()
        now_ms = seconds * 1000 + micros // 1000
        for name, dump, left_ms in zip(names, answers[::2], answers[1::2], strict=True):
            if dump is not None:
                packed = base64.b64encode(zlib.compress(dump)).decode()
                yield KeptObject(name=name, dump=packed, until=now_ms + left_ms if left_ms > 0 else 0)

    def restore(self, kept: Sequence[KeptObject], changed: str) -> Counter[str]:
        """Put cleared objects back, unless WordPress has a newer one or something was published or edited since.

        Args:
            kept: what `read` gave.
            changed: the `last_changed` that the clearing set.

        Returns:
            How many were `restored`, are there anew (`newer`), `ended`, or must not come back (`changed`).
        """
        put_back = self.client.register_script(script("restore_object"))
        outcomes: Counter[str] = Counter()
        for entry in kept:
            keys = [self.root + entry["name"], self.root + LAST_CHANGED[0]]
            dump = zlib.decompress(base64.b64decode(entry["dump"]))
            outcomes[put_back(keys=keys, args=[changed, entry["until"], dump]).decode()] += 1
        return outcomes


def of_posts(tables: Tables, engine: Any, ids: Sequence[int]) -> list[str]:
    """Names of the objects that WordPress itself deletes when these posts appear, change or go.

    Args:
        tables: of the WordPress.
        engine: of its database.
        ids: wp_posts.ID.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    kind, relation = tables.term_taxonomy, tables.term_relationships
    used = select(kind.c.term_id, kind.c.taxonomy).distinct()
    used = used.join(relation, relation.c.term_taxonomy_id == kind.c.term_taxonomy_id)
    with database.reading(engine) as connection:
        terms = connection.execute(used.where(relation.c.object_id.in_(ids)).order_by(kind.c.term_id)).all()
    taxonomies = sorted(TAXONOMIES | {row.taxonomy for row in terms})
    names = [form.format(id=post_id) for post_id in ids for form in OF_POST]
    names += [f"{taxonomy}_relationships:{post_id}" for post_id in ids for taxonomy in taxonomies]
    names += [f"terms:{row.term_id}" for row in terms]
    names += [f"{row}:{key}" for row in sorted({row.taxonomy for row in terms}) for key in ("all_ids", "get")]
    names += [f"timeinfo:{form.format(zone=zone)}" for zone in ZONES for form in TIMES]
    return [*names, *SHARED]
