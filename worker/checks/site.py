"""The points of `anp check` that this deployment adds: its secrets, its cache, its WordPress, its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from celery_anp.checklist import redis as servers
from celery_anp.checklist import setup
from celery_anp.checklist.point import Point
from worker.checks import pages
from worker.checks.wordpress import wordpress
from worker.settings import Settings, settings

#: Settings that hold a secret, and those whose password must be hard to guess.
SECRET = ("cache_url", "database_url", "wordpress_secret")
GUESSED = ("cache_url",)
#: What is looked at beside that, by what serves the site.
OF_KIND: dict[str, Callable[[Settings], Iterable[Point]]] = {"demo": lambda _: (), "wordpress": wordpress}


def points() -> Iterator[Point]:
    """Each point, tried now."""
    known = settings()
    yield from setup.secrets(known, SECRET, GUESSED)
    yield from servers.cache(known.cache_url, known.redis_url)
    yield from OF_KIND[known.site_kind](known)
    if "site_url" in known.model_fields_set:
        yield from pages.site(known.site_url)
