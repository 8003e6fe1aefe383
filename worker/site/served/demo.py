"""The demo: posts in SQL, pages in its object cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Engine

from celery_anp.errors import BadInput
from worker.settings import Settings
from worker.site import clearing, kept, pages, publishing, stale
from worker.site.flight import Flights
from worker.site.importing import gone
from worker.site.kept import Kept
from worker.site.object_cache import ObjectCache
from worker.site.outcomes import Cleared, Live, Refreshed
from worker.site.posts import Posts
from worker.site.purging import Kept as KeptPages
from worker.site.purging import PageCache
from worker.site.served.site import Record
from worker.site.wordpress.publishing import Orders


@dataclass(frozen=True)
class Demo:
    """The demo site that the settings name."""

    known: Settings

    @cached_property
    def posts(self) -> Posts:
        """Its posts."""
        return Posts.connect(self.known)

    def due(self, batch: int, at: datetime) -> list[int]:
        return self.posts.due(batch, at)

    def count_due(self, at: datetime) -> int:
        return self.posts.count_due(at)

    def publish(self, ids: Sequence[int], orders: Orders) -> list[Live]:
        return publishing.publish(self.posts.engine, ids, **_owned(orders))

    def unpublish(self, ids: Sequence[int], orders: Orders) -> bool:
        publishing.unpublish(self.posts.engine, ids, **_owned(orders))
        return True

    def refresh(self) -> Refreshed:
        return stale.clear(self.posts.engine, ObjectCache.connect(self.known))

    def refresh_imported(self, engine: Engine) -> Refreshed:
        cache = ObjectCache.connect(self.known)
        left = gone.clear(engine, lambda posts: clearing.clear_tags(cache, pages.cache_tags(posts)))
        done = stale.clear(engine, cache)
        return Refreshed(done.pages, done.left + left)

    def refuse_import(self) -> None:
        """Its tables have the names that imports write."""

    def check(self, wanted: Mapping[str, Any]) -> None:
        self._target(wanted)

    def preview(self, wanted: Mapping[str, Any]) -> list[str]:
        cache, target = self._target(wanted)
        return clearing.preview(cache, target)

    def clear(self, wanted: Mapping[str, Any], record: Record, keep: int) -> Cleared:
        cache, target = self._target(wanted)

        def note(removed: Sequence[Kept], at: int) -> None:
            record("pages", {"at": at, "pages": list(removed)})

        return clearing.clear(cache, target, record=note, keep=keep)

    def restore(self, data: Mapping[str, Any]) -> Mapping[str, int]:
        return kept.restore(clearing.connect(self.known), data["pages"], data["at"])

    def cache(self) -> ObjectCache:
        return clearing.connect(self.known)

    def page_cache(self) -> PageCache:
        return KeptPages(ObjectCache.connect(self.known))

    def flights(self) -> Flights | None:
        return Flights.connect(self.known, "ask")

    def _target(self, wanted: Mapping[str, Any]) -> tuple[ObjectCache, clearing.Target]:
        if wanted.get("group") is not None:
            raise BadInput(
                "This cannot be cleared on the demo site", expected="exactly one of post, tag and prefix", given="group"
            )
        cache = clearing.connect(self.known)
        return cache, clearing.target(cache, **{name: wanted[name] for name in ("post", "tag", "prefix")})


def _owned(orders: Orders) -> dict[str, Any]:
    name, number = orders.fenced
    return {"site": name.partition(":")[2], "run": orders.run, "fence_number": number}
