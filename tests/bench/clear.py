"""Clearing a large cache beside KEYS and DEL, and how long others wait for the cache meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from celery_anp.local.embedded.server import CACHE, RedisServer
from tests.bench.place import Place
from tests.bench.rounds import middle
from tests.bench.table import Line
from tests.support.eventually import eventually
from worker.settings import Settings
from worker.site import clearing
from worker.site.object_cache import ObjectCache
from worker.site.sweep import sweep
from worker.site.wordpress.objects import Objects

ROUNDS = 3
#: Keys a second, and milliseconds: what is promised.
RATE, PAUSE = 50_000, 5
#: Bytes of a page here: the keys are what counts.
BODY = "x" * 200
BATCH = 5_000
#: Times that a reader asks while nobody clears.
ASKS = 1_000
#: Asks for one key again and again from a process of its own, so that it sees the cache and not our own work.
READER = """
import sys, json, threading, time, redis
client = redis.Redis.from_url(sys.argv[1]); client.ping(); print("ready", flush=True)
waits, end = [], threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
while not end.wait(0.0005):
    began = time.perf_counter(); client.get("anp:site:page:/kept/"); waits.append((time.perf_counter() - began) * 1000)
print(json.dumps(waits))
"""


@dataclass(frozen=True)
class Round:
    """One clearing."""

    #: Keys a second.
    rate: float
    #: Milliseconds that a reader waited: the 99th percentile, and the longest.
    p99: float
    longest: float
    #: Milliseconds that Redis itself was busy with one command, at most: by its own slow log.
    command: float


def lines(place: Place) -> list[Line]:
    """Keys a second, and what a reader waits meanwhile."""
    count = place.either(100_000, 200_000)
    with RedisServer(place.folder / "cache", {**CACHE, "maxmemory": "2gb", "slowlog-log-slower-than": "200"}) as server:
        known = Settings(redis_url=place.server.url, cache_url=server.url, site_kind="wordpress")
        cache = ObjectCache.connect(known)
        sides: dict[str, tuple[Callable[[], None], Callable[[], int]]] = {
            "pages": (lambda: _fill_pages(cache, count), lambda: _pages(cache)),
            "group": (lambda: _fill_group(cache, known, count), lambda: _group(cache, known)),
            "idle": (lambda: None, lambda: _nothing(cache, count)),
            "naive": (lambda: _fill_pages(cache, count), lambda: _naive(cache)),
        }
        rounds: dict[str, list[Round]] = {name: [] for name in sides}
        for _ in range(place.either(1, ROUNDS)):
            for name, (fill, clear) in sides.items():
                cache.client.flushall()
                fill()
                rounds[name].append(_measured(cache, server.url, count, clear))
    rate, p99, longest, command = (
        {name: middle([getattr(one, what) for one in rounds[name]]) for name in sides}
        for what in ("rate", "p99", "longest", "command")
    )
    naive = "KEYS and DEL"
    return [
        Line(f"clear {count:,} pages", rate["pages"], unit="keys/s", target=RATE),
        Line("the same, beside", rate["pages"], rate["naive"], "keys/s", naive),
        Line(f"clear a group of {count:,} objects", rate["group"], unit="keys/s", target=RATE),
        Line("a reader's wait meanwhile, p99", p99["pages"], unit="ms", better="smaller", target=PAUSE),
        Line("the same for a group, p99", p99["group"], unit="ms", better="smaller", target=PAUSE),
        Line("the same while nobody clears, p99", p99["idle"], unit="ms", better="smaller"),
        Line("Redis' longest command meanwhile", command["pages"], command["naive"], "ms", naive, better="smaller"),
        Line("a reader's longest wait", longest["pages"], longest["naive"], "ms", naive, better="smaller"),
    ]


def _measured(cache: ObjectCache, url: str, count: int, clear: Callable[[], int]) -> Round:
    command = [sys.executable, "-c", READER, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        cache.client.slowlog_reset()
        began = time.perf_counter()
        cleared = clear()
        seconds = time.perf_counter() - began
        assert cleared >= count, f"{cleared} of {count} keys were cleared"
        waits = sorted(json.loads(reader.communicate("")[0]))
    slowest = max((entry["duration"] / 1000 for entry in cache.client.slowlog_get(128)), default=0.0)
    return Round(count / seconds, quantiles(waits, n=100)[98], waits[-1], slowest)


def _fill_pages(cache: ObjectCache, count: int) -> None:
    _fill(cache, count, lambda pipe, n: pipe.hset(cache.key("page", f"/{n}/"), mapping={"body": BODY, "tags": ""}))


def _fill_group(cache: ObjectCache, known: Settings, count: int) -> None:
    root = Objects.of(cache.client, known).root
    _fill(cache, count, lambda pipe, n: pipe.set(f"{root}post-queries:wp_query-{n:032x}", BODY))


def _fill(cache: ObjectCache, count: int, put: Callable[[Any, int], object]) -> None:
    for first in range(0, count, BATCH):
        with cache.client.pipeline(transaction=False) as pipe:
            for number in range(first, first + BATCH):
                put(pipe, number)
            pipe.execute()


def _pages(cache: ObjectCache) -> int:
    return clearing.clear(cache, clearing.target(cache, prefix="/")).pages


def _group(cache: ObjectCache, known: Settings) -> int:
    return sweep(cache.client, Objects.of(cache.client, known).root, "post-queries:")


def _nothing(cache: ObjectCache, count: int) -> int:
    """What a reader waits on this machine anyway, until it has asked often enough."""
    wanted = _asked(cache) + ASKS
    eventually(lambda: _asked(cache) >= wanted, 60, "the reader to have asked")
    return count


def _asked(cache: ObjectCache) -> int:
    """How many keys Redis was asked for, one by one."""
    told: Any = cache.client.info("commandstats")
    return int(told.get("cmdstat_get", {}).get("calls", 0))


def _naive(cache: ObjectCache) -> int:
    return int(cache.client.delete(*cache.client.keys(cache.key("page", "*"))))
