"""A real site for each test: its own database, two Redis servers that are shared and emptied, and a server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from celery_anp.local.embedded import RedisServer
from celery_anp.settings import environment, read
from tests.support.eventually import eventually
from worker.demo import content
from worker.settings import Settings, settings
from worker.site.object_cache import ObjectCache
from worker.site.posts import Posts

#: Before every due time of the seeded posts.
NOW = datetime.fromisoformat("2026-11-21 20:00")


@pytest.fixture(scope="session")
def cache_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The cache's Redis; the broker's is the one of the whole test run."""
    with RedisServer.cache(tmp_path_factory.mktemp("redis") / "cache") as server:
        yield server


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled database, to be copied."""
    path = tmp_path_factory.mktemp("seed") / "site.sqlite3"
    content.seed(f"sqlite:///{path}", NOW)
    return path


@pytest.fixture
def known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_server: RedisServer, cache_server: RedisServer, seeded: Path
) -> Iterator[Settings]:
    """Settings of a site of this test's own, also for `settings()`."""
    for server in (redis_server, cache_server):
        with server.client() as client:
            client.flushall()
    database = tmp_path / "site.sqlite3"
    database.write_bytes(seeded.read_bytes())
    values = {
        "cache_url": cache_server.url,
        "database_url": f"sqlite:///{database}",
        "site_url": f"http://127.0.0.1:{free_port()}",
        "state": str(tmp_path),
    }
    for name, value in environment(**values).items():
        monkeypatch.setenv(name, value)
    read.cache_clear()
    yield settings()
    read.cache_clear()


@pytest.fixture
def posts(known: Settings) -> Posts:
    return Posts.connect(known)


@pytest.fixture
def cache(known: Settings) -> ObjectCache:
    return ObjectCache.connect(known)


@pytest.fixture
def reader(known: Settings) -> Iterator[httpx.Client]:
    """A reader of the site, which is served by a process of its own."""
    with served(known) as client:
        yield client


@contextmanager
def served(known: Settings, **changes: str) -> Iterator[httpx.Client]:
    """The demo site while the block runs, with changed settings; it must end by itself on SIGTERM."""
    port = known.site_url.rpartition(":")[2]
    process = subprocess.Popen([sys.executable, "-m", "worker.demo", "--port", port], env=environment(**changes))
    try:
        with httpx.Client(base_url=known.site_url, timeout=10) as client:
            eventually(lambda: client.get("/healthz").is_success, 20, "the demo site answers")
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
