"""A WordPress: its own code publishes, its object cache and the web server's page cache are cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Engine

from celery_anp.errors import BadSetting
from worker.settings import Settings
from worker.site import audit, clearing, purging
from worker.site.affected import Shown
from worker.site.flight import Flights
from worker.site.importing import gone
from worker.site.object_cache import ObjectCache
from worker.site.outcomes import Cleared, Live, Refreshed
from worker.site.posts import Post
from worker.site.purging import PageCache
from worker.site.served.site import Record
from worker.site.wordpress import caches, publishing, ways
from worker.site.wordpress.caches import KeptFile
from worker.site.wordpress.objects import KeptObject, Objects
from worker.site.wordpress.publishing import Orders
from worker.site.wordpress.site import Site as Database

#: Keys that a preview of a group shows at most.
MOST = 1_000_000


@dataclass(frozen=True)
class WordPress:
    """The WordPress that the settings name."""

    known: Settings

    @cached_property
    def database(self) -> Database:
        """Its tables."""
        return Database.connect(self.known)

    def due(self, batch: int, at: datetime) -> list[int]:
        return publishing.due(self.database, batch, at)

    def count_due(self, at: datetime) -> int:
        return publishing.count_due(self.database, at)

    def publish(self, ids: Sequence[int], orders: Orders) -> list[Live]:
        return publishing.publish(self.database, ways.chosen(self.known), ids, orders)

    def unpublish(self, ids: Sequence[int], orders: Orders) -> bool:
        return bool(publishing.unpublish(self.database, ways.chosen(self.known), ids, orders))

    def refresh(self) -> Refreshed:
        return publishing.clear(self.database)

    def refresh_imported(self, engine: Engine) -> Refreshed:
        """Limit: the lists of the author and the categories of a post that was removed keep it until their time is
        over."""
        shown = Shown.connect(self.known)

        def remove(posts: Sequence[Post]) -> None:
            caches.clear(self.known, [post.id for post in posts], shown.as_they_were(posts))

        left = gone.clear(engine, remove)
        done = publishing.clear(self.database)
        return Refreshed(done.pages, done.left + left)

    def refuse_import(self) -> None:
        if self.known.wordpress_table_prefix != "wp_":
            raise BadSetting(
                "Nothing was imported: the tables of this WordPress have other names",
                expected="ANP_WORDPRESS_TABLE_PREFIX to be wp_; imports write no others yet",
                given=self.known.wordpress_table_prefix,
            )

    def check(self, wanted: Mapping[str, Any]) -> None:
        caches.target(self.known, **wanted)

    def preview(self, wanted: Mapping[str, Any]) -> list[str]:
        what = caches.target(self.known, **wanted)
        if what.group is None:
            return caches.preview(self.known, what.posts, what.paths)
        cache = self.cache()
        return [name for name in audit.names(cache, MOST) if name.startswith(f"{cache.root}{what.group}:")]

    def clear(self, wanted: Mapping[str, Any], record: Record, keep: int) -> Cleared:
        what = caches.target(self.known, **wanted)
        if what.group is not None:
            return Cleared(0, objects=caches.clear_group(self.known, what.group))

        def note(objects: list[KeptObject], files: list[KeptFile], changed: str) -> None:
            record("wordpress", {"objects": objects, "files": files, "changed": changed})

        return caches.clear(self.known, what.posts, what.paths, record=note, keep=keep)

    def restore(self, data: Mapping[str, Any]) -> Mapping[str, int]:
        return caches.restore(self.known, data["objects"], data["files"], data["changed"])

    def cache(self) -> ObjectCache:
        cache = clearing.connect(self.known)
        return ObjectCache(cache.client, Objects.of(cache.client, self.known).root)

    def page_cache(self) -> PageCache:
        return purging.web_server(self.known)

    def flights(self) -> Flights | None:
        """None where the settings name no Redis of its cache."""
        return Flights.connect(self.known, "ask") if "cache_url" in self.known.model_fields_set else None
