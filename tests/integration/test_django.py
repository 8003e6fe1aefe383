"""A Django project is guarded with one line, and keeps what Django and django-celery-results give it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support import django_project
from tests.support.stack import Stack, on_empty_redis

pytestmark = pytest.mark.long


def manage(stack: Stack, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=stack.folder, env=stack.environment(), capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(redis_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, dict[str, Any]]]:
    """The project with its database and a worker, and what a view of it said."""
    pytest.importorskip("django_celery_results")  # not among the oldest of everything
    with on_empty_redis(tmp_path_factory.mktemp("django")) as stack:
        django_project.write(stack.folder, stack.redis_url)
        manage(stack, "migrate", "--run-syncdb", "-v", "0")
        stack.worker(app="proj")
        yield stack, json.loads(manage(stack, "shell", "-v", "0", "-c", django_project.VIEW))


def rows(stack: Stack, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(stack.folder / "db.sqlite3")) as database:
        return database.execute(query).fetchall()


def test_what_is_sent_on_commit_has_rows_and_what_is_rolled_back_has_none(
    project: tuple[Stack, dict[str, Any]],
) -> None:
    stack, said = project
    sent = stack.ledger.runs(50, task="shop.tasks.ship")
    shipped = [stack.ends(run.run_id) for run in sent]
    assert [(run.state, run.result, run.input["args"]) for run in shipped] == [("succeeded", "kept", [said["pk"]])] * 2
    assert rows(stack, "SELECT name, shipped FROM shop_order") == [("kept", 2)]


def test_results_are_in_its_database(project: tuple[Stack, dict[str, Any]]) -> None:
    stack, said = project
    assert (said["again"], said["wrong"], said["summed"]) == (said["pk"], "ValueError('as asked')", 3)
    kept = rows(stack, "SELECT task_id, task_name, status FROM django_celery_results_taskresult")
    names = {run_id: name for name, run_id in said["ids"].items()}
    assert {names[run_id]: (task, status) for run_id, task, status in kept if run_id in names} == {
        "again": ("shop.tasks.flaky", "SUCCESS"), "wrong": ("shop.tasks.refuse", "FAILURE"),
        "summed": ("shop.tasks.total", "SUCCESS"),
    }  # fmt: skip
    run = stack.ends(said["ids"]["again"])
    assert (run.state, run.attempts) == ("succeeded", 2)


def test_an_operator_sees_its_runs_and_its_tasks(project: tuple[Stack, dict[str, Any]]) -> None:
    stack, _ = project
    listed = json.loads(stack.anp("-A", "proj", "runs", "list", "--json").stdout)
    assert {run["task"] for run in listed} == {f"shop.tasks.{name}" for name in ("ship", "flaky", "refuse", "total")}
    tasks = json.loads(stack.anp("-A", "proj", "tasks", "list", "--json").stdout)
    assert {"shop.tasks.ship", "proj.celery.debug_task"} <= {task["name"] for task in tasks}
    assert "there is no result backend" not in stack.processes[0].said()
