"""Rendered pages, kept in the cache Redis until their time is over or a clearing takes them.

Every key is under `<prefix>:site:` and has an end. A page that was cleared while it was being rendered is
not kept, so that a reader never gets a page older than the last publish. Limit: that holds while the mark of
the clearing is there; a Redis that is so full that it evicts marks can keep an old page for one lifetime.

Keys (`<root>` is `<prefix>:site:`):
`<root>page:<path>` hash body, type, tags · `<root>tag:<cache tag>` set of paths ·
`<root>cleared:<cache tag>` time of the last clearing, µs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from celery_anp import security
from worker.settings import Settings
from worker.site import separation

#: Seconds that a page is kept.
LIFETIME = 600.0
#: Part of a lifetime by which it differs from page to page, so that pages do not all end at once.
SPREAD = 0.1
#: Milliseconds that the mark of a clearing is kept: longer than any page.
MARK_MS = 86_400_000
ANY = "any"


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page."""

    body: str
    #: Its Content-Type.
    type: str = "text/html; charset=utf-8"
    #: Cache tags under which it can be cleared.
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look into the cache found."""

    #: The page, or None.
    page: Page | None
    #: Redis' time in µs, to be given to `put`.
    at: int


def script(name: str) -> str:
    """The text of one of the site's Lua scripts."""
    return (files("worker.site") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")


class ObjectCache:
    """The site's page cache.

    Args:
        client: a redis client with `decode_responses=False`.
        root: first part of every key, with its closing colon.
    """

    def __init__(self, client: Any, root: str) -> None:
        self.client = client
        self.root = root
        self._put = client.register_script(script("put_page"))

    @classmethod
    def connect(cls, settings: Settings, *, timeout: float = 5.0, retries: int = 3) -> ObjectCache:
        """The cache that the settings name. Nothing is sent yet.

        Args:
            settings: of this process.
            timeout: seconds to wait for an answer.
            retries: how often a command is repeated when the connection breaks.

        Raises:
            Refused: the cache is the broker's Redis.
        """
        separation.require(settings.redis_url, settings.cache_url)
        retry = Retry(ExponentialBackoff(cap=1.0), retries) if retries else Retry(NoBackoff(), 0)
        client = redis.Redis.from_url(
            settings.cache_url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            socket_keepalive=True,
            retry=retry,
            **security.tls(settings.cache_url, settings),
        )
        return cls(client, f"{settings.prefix}:site:")

    def key(self, kind: str, name: str) -> str:
        """The full key of a `page` (by path), a `tag` or a `cleared` mark (by cache tag)."""
        return f"{self.root}{kind}:{name}"

    def get(self, path: str) -> Looked:
        """Look for a page.

        Raises:
            redis.RedisError: the cache does not answer.
        """
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hgetall(self.key("page", path))
            pipe.time()
            fields, (seconds, micros) = pipe.execute()
        return Looked(_page(fields), seconds * 1_000_000 + micros)

    def put(self, path: str, page: Page, *, since: int, lifetime: float = LIFETIME) -> bool:
        """Keep a page, unless a clearing touched it after `since`.

        Args:
            path: path and query under which it is asked for.
            page: the page with its cache tags.
            since: `Looked.at` from before its content was read.
            lifetime: seconds to keep it, give or take `SPREAD`.

        Returns:
            Whether it was kept.

        Raises:
            redis.RedisError: the cache does not answer.
        """
        spread = 1 + SPREAD * (2 * random.random() - 1)  # noqa: S311  no secret, only a spread
        keep_ms = max(1, min(int(lifetime * spread * 1000), MARK_MS))
        keys = [self.key("page", path), self.key("cleared", ANY)]
        for tag in page.tags:
            keys += [self.key("cleared", tag), self.key("tag", tag)]
        tags = " ".join(page.tags)
        return bool(self._put(keys=keys, args=[since, keep_ms, path, page.body, page.type, tags]))

    def mark(self, cache_tags: Sequence[str]) -> int:
        """Note that the pages under these tags are being cleared now; renderings under way are not kept.

        Args:
            cache_tags: the tags, or `ANY` for a clearing by path.

        Returns:
            The time of the mark, µs on Redis' clock.

        Raises:
            redis.RedisError: the cache does not answer.
        """
        seconds, micros = self.client.time()
        at: int = seconds * 1_000_000 + micros
        with self.client.pipeline(transaction=False) as pipe:
            for tag in cache_tags:
                pipe.set(self.key("cleared", tag), at, px=MARK_MS)
            pipe.execute()
        return at


def _page(fields: dict[bytes, bytes]) -> Page | None:
    if b"body" not in fields:
        return None
    tags = fields.get(b"tags", b"").decode().split()
    return Page(fields[b"body"].decode(), fields.get(b"type", b"text/html").decode(), tuple(tags))
