"""A site that is imported into by real workers: its database, a cache, and a folder with sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from celery_anp.local.embedded.server import RedisServer
from celery_anp.reliability.records import Operation
from celery_anp.reliability.run import Run
from tests.support import feed
from tests.support.eventually import eventually
from tests.support.stack import Process, Stack
from worker.site import database
from worker.site.importing import checkpoint, tables
from worker.site.importing.checkpoint import Checkpoint
from worker.tasks.importing import import_content

QUEUES = "default,imports"


@dataclass
class ImportSite:
    """What a test acts on."""

    stack: Stack
    engine: Engine
    folder: Path

    def worker(self) -> Process:
        """A worker with one child, for imports and the rest."""
        return self.stack.worker("-Q", QUEUES, concurrency=1)

    def source(self, name: str, rows: Iterator[dict[str, Any]]) -> str:
        """A source in the folder of imports."""
        feed.ndjson(self.folder / name, rows)
        return name

    def begin(self, location: str, source: str = "feed", **given: Any) -> str:
        """Enqueue an import; its run id."""
        kwargs = {"source": source, "location": location, "format": "ndjson", **given}
        return str(import_content.apply_async(kwargs=kwargs).id)

    def ends(self, run_id: str, timeout: float = 120) -> Run:
        """The run once it is final."""
        return self.stack.ends(run_id, timeout)

    def operate(self, run_id: str, what: Operation) -> None:
        """An operator asks for something."""
        self.stack.ledger.operate(run_id, what, "tests")

    def rolled_back(self, run_id: str, timeout: float = 120) -> Run:
        """The run once an operator's rollback of it is through."""
        self.operate(run_id, "rollback")
        return self.stack.reaches(run_id, {"rolled_back", "rollback_failed"}, timeout)

    def point(self, run_id: str) -> Checkpoint:
        """How far the run is, as the database says."""
        with database.reading(self.engine) as connection:
            return checkpoint.read(connection, run_id) or Checkpoint()

    def passes(self, run_id: str, position: int, timeout: float = 60) -> None:
        """Wait until the run is beyond a record."""
        eventually(lambda: self.point(run_id).position > position, timeout, f"{run_id} to pass {position}")


@contextmanager
def import_site(folder: Path, redis_url: str, url: str) -> Iterator[ImportSite]:
    """A site with some posts; its workers are gone when it is left."""
    engine = feed.site(url)
    tables.prepare(engine)
    with RedisServer.cache(folder / "cache") as cache:
        settings = {
            "database_url": url, "cache_url": cache.url, "state": str(folder / "state"),
            "imports": str(folder / "imports"), "tasks": "tests.support.held",
        }  # fmt: skip
        with Stack(folder, redis_url, settings) as stack:
            yield ImportSite(stack, engine, folder / "imports")


Killed = Callable[[ImportSite, Process], None]
