"""The demo's way to the object cache: a cache that is away must never break or slow down a page."""

from __future__ import annotations

import logging
import time
from typing import Literal

import redis

from worker.settings import Settings
from worker.site.flight import Flights
from worker.site.object_cache import Looked, ObjectCache, Page

log = logging.getLogger(__name__)
#: Seconds to wait for the cache; a page takes a few milliseconds to render.
PATIENCE = 0.25
#: Seconds without a further try after the cache did not answer.
PAUSE = 1.0
#: Seconds to wait for another reader's rendering of the same page.
LONGEST_WAIT = 5.0


class PageStore:
    """Looks for pages and keeps them, as long as the cache answers.

    Args:
        settings: of this process.

    Raises:
        Refused: the cache is the broker's Redis.
    """

    def __init__(self, settings: Settings) -> None:
        self.cache = ObjectCache.connect(settings, timeout=PATIENCE, retries=0)
        self.flights = Flights(self.cache.client, self.cache.root, "render")
        self._again_at = 0.0

    def look(self, path: str) -> tuple[Looked | None, Literal["MISS", "BYPASS"]]:
        """What is kept for a path; None with BYPASS when the cache does not answer."""
        if time.monotonic() < self._again_at:
            return None, "BYPASS"
        try:
            return self.cache.get(path), "MISS"
        except redis.RedisError as error:
            self._away(error)
            return None, "BYPASS"

    def keep(self, path: str, page: Page, since: int) -> None:
        """Keep a page if the cache answers."""
        try:
            self.cache.put(path, page, since=since)
        except redis.RedisError as error:
            self._away(error)

    def looked_again(self, path: str) -> Looked | None:
        """What another reader's rendering left, after waiting for it; None when it left nothing in time."""
        self.flights.landed(path, LONGEST_WAIT)
        looked, _ = self.look(path)
        return looked if looked is not None and looked.page is not None else None

    def answers(self) -> bool:
        """Whether the cache answers now."""
        try:
            return bool(self.cache.client.ping())
        except redis.RedisError:
            return False

    def _away(self, error: redis.RedisError) -> None:
        self._again_at = time.monotonic() + PAUSE
        log.warning("The object cache does not answer, pages are rendered each time: %s", error)
