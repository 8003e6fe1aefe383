"""Single flight: of all processes that want a page at once, one does the work, and the others wait for it.

Limit: it saves work and promises nothing. A flight ends by itself after its time, and where the cache's Redis does not
answer everybody flies.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import redis

from worker.settings import Settings
from worker.site.object_cache import ObjectCache, script

#: Seconds after which a flight is over, whatever became of who began it.
LONGEST = 30.0
#: Seconds between two looks of who waits.
PAUSE = 0.02
#: Seconds without a further try after the cache did not answer.
REST = 5.0
#: Seconds to wait for the cache.
PATIENCE = 0.25

Kind = Literal["render", "ask"]


class Flights:
    """The flights of one site.

    Args:
        client: of the cache's Redis.
        root: first part of every key, with its closing colon.
        kind: `render` in the site itself, `ask` for who asks the site (the site's own flight must not wait for it).
    """

    def __init__(self, client: Any, root: str, kind: Kind) -> None:
        self._client = client
        self._name = f"{root}flight:{kind}:"
        self._end = client.register_script(script("end_flight"))
        self._again_at = 0.0

    @classmethod
    def connect(cls, known: Settings, kind: Kind) -> Flights:
        """The flights of the site that the settings name. Nothing is sent yet.

        Raises:
            Refused: the cache is the broker's Redis.
        """
        cache = ObjectCache.connect(known, timeout=PATIENCE, retries=0)
        return cls(cache.client, cache.root, kind)

    @contextmanager
    def flight(self, path: str) -> Iterator[bool]:
        """Do the work inside if True; if False another is doing it, and `landed` waits for its end.

        Args:
            path: of the page.

        Yields:
            Whether it is ours.
        """
        token = secrets.token_hex(8)
        ours = self._begin(path, token)
        try:
            yield ours
        finally:
            if ours:
                self._try(lambda: self._end(keys=[self._name + path], args=[token]), None)

    def flying(self, path: str) -> bool:
        """Whether somebody is at this page."""
        return bool(self._try(lambda: self._client.exists(self._name + path), 0))

    def landed(self, path: str, timeout: float) -> bool:
        """Wait for the end of a flight.

        Args:
            path: of the page.
            timeout: seconds to wait at most.

        Returns:
            Whether it ended in that time.
        """
        deadline = time.monotonic() + timeout
        while self.flying(path):
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE)
        return True

    def _begin(self, path: str, token: str) -> bool:
        longest = int(LONGEST * 1000)
        return bool(self._try(lambda: self._client.set(self._name + path, token, nx=True, px=longest), True))

    def _try(self, ask: Any, otherwise: Any) -> Any:
        if time.monotonic() < self._again_at:
            return otherwise
        try:
            return ask()
        except redis.RedisError:
            self._again_at = time.monotonic() + REST
            return otherwise
