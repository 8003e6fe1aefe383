"""Celery's results wherever and however a team keeps them: the body runs once, and `.get()` returns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.exceptions import TaskRevokedError

from celery_anp.errors import RunEnded
from celery_anp.local.embedded.server import RedisServer
from tests.support.eventually import eventually
from tests.support.results_team import WAYS, Team, at_work


@pytest.fixture(params=WAYS)
def team(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[Team]:
    with at_work(tmp_path, request.param) as made:
        yield made


def test_every_end_is_told_to_who_waits(team: Team) -> None:
    ledger = team.stack.ledger
    waits = team.call("waits")
    later = team.call("later", countdown=300)
    limited = team.call("sleeps", time_limit=1)
    dies = team.call("dies")
    expired = team.call("never", expires=0.2, countdown=0.5)
    succeeds, fails = team.call("works"), team.call("fails")
    large, ignores = team.call("large"), team.call("ignores")
    tells, tells_failure = team.call("tells"), team.call("tells a failure")
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
    assert len(large.get(timeout=20)) == 300_000
    assert ignores.get(timeout=20) is None
    assert [team.began(one) for one in (succeeds, fails, linked, waits, limited)] == [1] * 5
    eventually(lambda: team.stack.lines("after", value=["works", 1]), 20, "what is linked")
    assert len(team.stack.lines("after")) == 1
    eventually(lambda: not ledger.store.client.zcard(ledger.store.key("links")), 20, "nothing left to tell")
    assert {team.stack.ends(one.id).state for one in (tells, tells_failure)} == {"succeeded"}
    if not team.app.conf.result_backend.startswith("rpc"):  # a message that has come is gone
        assert (tells.state, tells.info) == ("HALTED", {"at": 7})
    with pytest.raises(KeyError, match="as told"):
        tells_failure.get(timeout=5)


def test_a_child_that_dies_before_it_stores_a_result_loses_none(redis_server: RedisServer, tmp_path: Path) -> None:
    with at_work(tmp_path, "dying") as team:
        called = team.call("works")
        assert called.get(timeout=20) == ["works", 1]
        assert team.began(called) == 1
        assert team.stack.run(called.id).losses == 0
