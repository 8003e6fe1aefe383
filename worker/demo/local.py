"""The demo site as a part of `anp up`: a Redis for its cache, its database, and the site itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from celery_anp.errors import AnpError
from celery_anp.local.embedded import RedisServer
from celery_anp.local.parts import Launch, Parts
from celery_anp.local.state_folder import StateFolder
from celery_anp.process.port import HOST, free
from celery_anp.process.service import Service
from celery_anp.process.supervisor import Part

#: The port people expect; another is taken when it is in use.
PORT = 8000


class Demo(Parts):
    """A small real site to work on."""

    grace: Mapping[str, float] = {"site": 3.0, "cache": 5.0}

    def __init__(self, state: StateFolder) -> None:
        super().__init__(state)
        self.cache = RedisServer.cache(state.path / "cache")
        self.url = f"http://{HOST}:{free(PORT)}"
        self.database_url = f"sqlite:///{state.path / 'site.sqlite3'}"

    def servers(self) -> Mapping[str, Part]:
        """The cache."""
        return {"cache": self.cache}

    def settings(self) -> Mapping[str, str]:
        """Where the site, its cache and its database are."""
        return {"cache_url": self.cache.url, "database_url": self.database_url, "site_url": self.url}

    def prepare(self) -> None:
        """Make the database, or plan its posts anew."""
        from worker.demo import content

        try:
            content.seed(self.database_url).dispose()
        except (OSError, SQLAlchemyError) as error:
            raise AnpError(
                "The demo site's database cannot be made", expected="space to write", given=str(error)
            ) from None

    def services(self, launch: Launch) -> Mapping[str, Service]:
        """The site."""
        answers: Callable[[], bool] = lambda: httpx.get(self.url, timeout=5).status_code == 200  # noqa: E731
        return {"site": launch("site", ["-m", "worker.demo", "--port", self.url.rpartition(":")[2]], answers)}

    def heading(self) -> Sequence[str]:
        """Where it is."""
        return [f"site    {self.url}"]

    def figure(self) -> str:
        """The share of reads that the cache has answered."""
        try:
            told = self.cache.client().info("stats")
        except RedisError:
            return "cache hits -"
        hits, misses = int(told["keyspace_hits"]), int(told["keyspace_misses"])
        return f"cache hits {hits / (hits + misses):.0%}" if hits + misses else "cache hits -"
