"""Celery's results wherever and however a team keeps them: the body runs once, and `.get()` returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from celery_anp.errors import RunEnded
from celery_anp.local.embedded.server import RedisServer
from tests.support import results_project
from tests.support.eventually import eventually
from tests.support.stack import Stack, on_empty_redis

#: How results are kept: their backend, and what else is configured.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("{redis}", {}),
    "compressed": ("{redis}", {"result_compression": "gzip"}),
    "pickled": ("{redis}", {"result_serializer": "pickle"}),
    "signed": ("{redis}", {"result_serializer": "signed"}),
    "on another database": ("{other}", {}),
    "pickled on another database": ("{other}", {"result_serializer": "pickle"}),
    "in SQL": ("db+sqlite:///{folder}/results.sqlite3", {}),
}


class Team:
    """The project's worker, and a producer of it that knows nothing of us."""

    def __init__(self, stack: Stack, backend: str, conf: dict[str, Any]) -> None:
        self.stack = stack
        name = results_project.write(stack.folder, stack.redis_url, backend, conf)
        self.worker = stack.worker(app=name, concurrency=4)
        self.app: Celery = results_project.made(stack.redis_url, backend, conf)

    def call(self, *args: Any, name: str = "ends", **options: Any) -> AsyncResult:
        """A call of one of its tasks."""
        return self.app.send_task(name, args, **options)

    def began(self, result: AsyncResult) -> int:
        """How often the body of a call has begun."""
        return len(self.stack.lines("began", run=result.id))


@pytest.fixture(params=WAYS)
def team(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    monkeypatch.setitem(os.environ, "ANP_TASKS", "")
    backend, conf = WAYS[request.param]
    with on_empty_redis(tmp_path) as stack:
        other = stack.redis_url.rpartition("/")[0] + "/5"
        made = Team(stack, backend.format(redis=stack.redis_url, other=other, folder=tmp_path), conf)
        yield made
        made.app.close()


def test_every_end_is_told_to_who_waits(team: Team) -> None:
    ledger = team.stack.ledger
    waits = team.call("waits")
    later = team.call("later", countdown=300)
    limited = team.call("sleeps", time_limit=1)
    dies = team.call("dies")
    expired = team.call("never", expires=0.2, countdown=0.5)
    succeeds, fails = team.call("works"), team.call("fails")
    linked = team.call("works", link=team.app.signature("after"))
    assert succeeds.get(timeout=20) == ["works", 1]
    with pytest.raises(ValueError, match="fails"):
        fails.get(timeout=20)
    eventually(lambda: team.began(waits), 20, "the body that waits")
    ledger.operate(waits.id, "cancel", "tests")
    eventually(lambda: ledger.find(later.id), 20, "the row of the late one")
    later.revoke()
    (team.stack.folder / "journal.go").touch()
    for revoked in (waits, later, expired):
        with pytest.raises(TaskRevokedError):
            revoked.get(timeout=20)
    with pytest.raises(RunEnded, match="hard time limit"):
        limited.get(timeout=20)
    with pytest.raises(RunEnded, match="took its worker down too often"):
        dies.get(timeout=30)
    assert [team.began(one) for one in (succeeds, fails, linked, waits, limited)] == [1] * 5
    eventually(lambda: team.stack.lines("after", value=["works", 1]), 20, "what is linked")
    assert len(team.stack.lines("after")) == 1
    eventually(lambda: not ledger.store.client.zcard(ledger.store.key("links")), 10, "nothing left to tell")
