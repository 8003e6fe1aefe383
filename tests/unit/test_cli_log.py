"""Logs: UTC, a line a record, no password in any of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery._state import _task_stack

from celery_anp import log
from tests.support.probe import secretive
from worker.settings import Settings

Written = Callable[..., io.StringIO]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def written(**chosen: Any) -> io.StringIO:
        log.setup(Settings(**chosen))
        stream = io.StringIO()
        monkeypatch.setattr(root.handlers[0], "stream", stream)
        return stream

    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def test_production_logs_are_json_in_utc_with_extra_fields(lines: Written) -> None:
    out = lines(env="production")
    logging.getLogger("some").warning("late by %d s", 3, extra={"schedule": "warm"})
    entry = json.loads(out.getvalue())
    assert entry["time"].endswith("+00:00")
    told = {name: entry[name] for name in ("level", "logger", "message", "schedule", "run_id")}
    assert told == {
        "level": "WARNING", "logger": "some", "message": "late by 3 s", "schedule": "warm", "run_id": None,
    }  # fmt: skip


@pytest.mark.parametrize("env", ["production", "development"])
def test_a_password_in_a_url_is_masked_also_in_a_traceback(lines: Written, env: str) -> None:
    out = lines(env=env)
    try:
        raise ValueError("redis://user:hunter2@host/0")
    except ValueError:
        logging.getLogger("some").exception("cannot reach redis://:hunter2@host:6379/0")
    assert "hunter2" not in out.getvalue()
    assert "(secret)@host" in out.getvalue()


@pytest.mark.parametrize("env", ["production", "development"])
def test_the_secret_input_of_the_run_that_logs_is_not_told(lines: Written, env: str) -> None:
    out = lines(env=env)
    task = secretive
    task.push_request(id="r1", kwargs={"password": '"e', "user": "ann"})
    _task_stack.push(task)
    try:
        raise ValueError('it was "e')
    except ValueError:
        logging.getLogger("some").exception('ann says "e', extra={"login": {"with": ['"e']}})
    finally:
        _task_stack.pop()
        task.pop_request()
    said = out.getvalue()
    assert said.count("(secret)") >= 2
    if env == "production":
        entry = json.loads(said)
        assert (entry["message"], entry["run_id"]) == ("ann says (secret)", "r1")
        assert entry["login"] == {"with": ["(secret)"]}
        said = entry["error"]
    assert "it was (secret)" in said
    assert '"e' not in said


def test_a_line_for_people_begins_with_the_utc_time(lines: Written) -> None:
    out = lines()
    logging.getLogger("some").info("hello")
    assert out.getvalue().split()[0].endswith("Z")
    assert "some: hello" in out.getvalue()


def test_the_level_follows_the_setting(lines: Written) -> None:
    out = lines(log_level="ERROR")
    logging.getLogger("some").warning("not shown")
    assert out.getvalue() == ""
