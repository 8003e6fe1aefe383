"""A team's project at work: its worker, and the ways in which it may keep its results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult

from tests.support import results_project
from tests.support.stack import Stack, on_empty_redis

#: How results are kept: their backend, and what else is configured.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("{redis}", {}),
    "compressed": ("{redis}", {"result_compression": "gzip"}),
    "pickled": ("{redis}", {"result_serializer": "pickle"}),
    "signed": ("{redis}", {"result_serializer": "signed"}),
    "on another database": ("{other}", {}),
    "pickled on another database": ("{other}", {"result_serializer": "pickle"}),
    "as messages": ("rpc://", {}),
    "in SQL": ("db+sqlite:///{folder}/results.sqlite3", {}),
}
DYING = ("tests.support.results_project:DyingOnce+{other}", dict[str, Any]())


class Team:
    """The project's worker, and a producer of it that knows nothing of us."""

    def __init__(self, stack: Stack, backend: str, conf: dict[str, Any]) -> None:
        self.stack = stack
        name = results_project.write(stack.folder, stack.redis_url, backend, conf)
        self.worker = stack.worker(app=name, concurrency=4)
        self.app: Celery = results_project.made(stack.redis_url, backend, conf)

    @cached_property
    def guarded(self) -> Celery:
        """The project itself, as a producer of its own has it."""
        return results_project.imported(self.stack.folder)

    def call(self, *args: Any, name: str = "ends", **options: Any) -> AsyncResult:
        """A call of one of its tasks."""
        return self.app.send_task(name, args, **options)

    def began(self, result: AsyncResult) -> int:
        """How often the body of a call has begun."""
        return len(self.stack.lines("began", run=result.id))


@contextmanager
def at_work(folder: Path, way: str) -> Iterator[Team]:
    """The project with its results kept in one of the ways; on this test run's Redis, which is emptied before."""
    backend, conf = WAYS.get(way, DYING)
    with pytest.MonkeyPatch.context() as patch, on_empty_redis(folder) as stack:
        patch.setitem(os.environ, "ANP_TASKS", "")
        other = stack.redis_url.rpartition("/")[0] + "/5"
        made = Team(stack, backend.format(redis=stack.redis_url, other=other, folder=folder), conf)
        yield made
        for app in (made.app, made.guarded):  # a result that outlives Redis has nothing to unsubscribe from
            app.backend.remove_pending_result = lambda result: result
