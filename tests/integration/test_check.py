"""`anp check` on a setup that is anything but ready for production: each line says how to mend it, nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from celery_anp.app import GuardedApp
from celery_anp.checklist import redis as servers
from celery_anp.checklist import setup
from celery_anp.checklist.point import Point
from celery_anp.settings import sources
from celery_anp.task import ReliableTask
from tests.support.stack import Stack
from worker.settings import Settings

SCHEDULE = '[[schedule]]\nname = "s"\ntask = "probe.add"\nevery = "1m"\ninput = { x = 1, y = 2 }\n'


def failed(points: Any) -> dict[str, str]:
    return {point.what: point.wrong for point in points if not point.ok}


def test_a_lax_setup_fails_with_a_mend_on_each_line_and_nothing_is_changed(stack: Stack) -> None:
    stack.settings["cache_url"] = stack.redis_url
    (stack.folder / "schedules.toml").write_text(SCHEDULE, encoding="utf-8")
    stack.ledger.store.client.set("somebodys", "key")
    done = stack.anp("check", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["env"]) == (1, False, "development")
    wrong = {point["what"]: point["wrong"] for point in document["points"] if not point["ok"]}
    for what in (
        "ANP_ENV is production", "ANP_RELEASE names this deploy", "ANP_REDIS_URL comes from a file",
        "our user may not flush, configure, list keys or shut down", "our user writes only its own keys",
        "the cache is another server than the ledger", "a worker may die: there are at least two",
        "the password of ANP_REDIS_URL is hard to guess",
    ):  # fmt: skip
        assert wrong[what], what
    assert all(point["mend"] for point in document["points"] if not point["ok"])
    assert "FLUSHALL" in wrong["our user may not flush, configure, list keys or shut down"]
    assert stack.ledger.store.client.get("somebodys") == "key"
    told = stack.anp("check")
    assert "FAIL  settings" in told.stdout
    assert "this is development" in told.stdout
    assert "loopback" not in told.stdout


def test_a_secret_that_others_can_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "url"
    file.write_text("redis://anp:0123456789abcdef0123@redis/0", encoding="utf-8")
    monkeypatch.delenv("ANP_REDIS_URL")
    monkeypatch.setenv("ANP_REDIS_URL_FILE", str(file))
    assert sources() == {"redis_url": str(file)}
    file.chmod(0o644)
    assert failed(setup.secrets(Settings())) == {"only its owner reads the file of ANP_REDIS_URL": "its mode is 644"}
    file.chmod(0o600)
    assert failed(setup.secrets(Settings())) == {}


def test_a_redis_that_is_not_there_is_one_line() -> None:
    points = list(servers.ledger("redis://127.0.0.1:1/0"))
    assert [point.ok for point in points] == [False]


def test_a_task_that_lacks_what_it_must_say_is_named() -> None:
    app = GuardedApp("bare", task_cls=ReliableTask, set_as_current=False)

    @app.task(name="bare.t", expects="x")
    def t(site):  # type: ignore[no-untyped-def]
        return site

    (point,) = setup.tasks({"t": app.tasks["bare.t"]})
    assert isinstance(point, Point)
    for word in ("owner", "time_limit", "rollback hook", "a type for site"):
        assert word in point.wrong
