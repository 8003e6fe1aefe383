"""Where the benchmarks run: a Redis of their own, set up as the ledger's is, and the settings that name it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from celery_anp.local.embedded.server import LEDGER, RedisServer
from celery_anp.settings import read
from tests.support.eventually import eventually

#: Seconds of the lease that workers get here: short, so that recovery is measured quickly.
LEASE = 3.0
#: A rewrite of the append-only file forks a large Redis in the middle of a measurement.
CONFIG = {**LEDGER, "auto-aof-rewrite-percentage": "0"}


@dataclass(frozen=True)
class Place:
    """The Redis, a folder, and how thorough to be."""

    server: RedisServer
    redis: Redis
    folder: Path
    quick: bool

    def clear(self) -> None:
        """Empty Redis; the next measurement finds nothing of the last one."""
        self.redis.flushall(asynchronous=True)  # a million rows take longer to free than a command may take
        eventually(lambda: not self.redis.info("memory")["lazyfree_pending_objects"], 60, "memory to be free")

    def either(self, quick: int, thorough: int) -> int:
        """A size: the first with `--quick`, the second without."""
        return quick if self.quick else thorough


@contextmanager
def prepared(quick: bool) -> Iterator[Place]:
    """Start Redis and name it in the environment; the settings that started it are forgotten."""
    with tempfile.TemporaryDirectory(prefix="anp-bench-") as name:
        folder = Path(name)
        with RedisServer(folder / "redis", CONFIG, password="bench") as server:
            for setting in [setting for setting in os.environ if setting.startswith("ANP_")]:
                del os.environ[setting]
            os.environ["ANP_REDIS_URL"] = server.url
            os.environ["ANP_TASKS"] = "tests.bench.noop,tests.support.probe"
            os.environ["ANP_LEASE"] = f"{LEASE:g}"
            read.cache_clear()
            client = Redis.from_url(server.url, decode_responses=True, socket_timeout=60)
            yield Place(server, client, folder, quick)
            client.close()
