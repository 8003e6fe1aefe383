"""An app of somebody else's: guarded with one call, and its beat taken over with one flag."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery
from redis import Redis

from celery_anp.app import guard
from celery_anp.contract.complete import check_tasks
from celery_anp.errors import BadDeclaration, BadInput
from celery_anp.seams.configuration import SOCKETS
from tests.support import team
from tests.support.eventually import eventually
from tests.support.stack import Stack
from worker.app import app

GUARDED = """
from celery import Celery, Task
from celery_anp.app import guard

app = Celery("theirs", broker="{url}", backend="{url}")
guard(app)

@app.task
def hello(name, times=1):
    return f"hello {{name}}" * times

@app.task(base=Task)
def plain(name):
    open("{journal}", "a").write('{{"event": "plain"}}\\n')

app.conf.beat_schedule = {{
    "greet": {{"task": "guarded_app.hello", "schedule": 1.0, "args": ("ann",), "kwargs": {{"times": 2}}}},
    "note": {{"task": "guarded_app.plain", "schedule": 2.0, "args": ("ann",)}},
}}
"""
PLAIN = """
from celery import Celery

app = Celery("theirs", broker="{url}", backend="{url}")

@app.task
def hello(name):
    open("{journal}", "a").write('{{"event": "hello"}}\\n')

app.conf.beat_schedule = {{"greet": {{"task": "plain_app.hello", "schedule": 1.0, "args": ("ann",)}}}}
"""


def write(stack: Stack, name: str, text: str) -> str:
    (stack.folder / f"{name}.py").write_text(text.format(url=stack.redis_url, journal=stack.journal))
    return name


@pytest.fixture(autouse=True)
def _only_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "ANP_TASKS", "")


def test_one_call_guards_an_existing_app_and_its_beat_schedule(stack: Stack) -> None:
    name = write(stack, "guarded_app", GUARDED)
    stack.worker(app=name)
    stack.start("beat", "-A", name, "beat", "-S", "celery_anp.beat:Scheduler", "-l", "INFO")
    run = eventually(lambda: [r for r in stack.ledger.runs(50, schedule="greet") if r.state == "succeeded"], 30)[0]
    assert run.result == "hello annhello ann"
    assert run.input == {"name": "ann", "times": 2}
    eventually(lambda: [r for r in stack.ledger.runs(50, schedule="note") if r.state == "sent"], 20, "a sent tick")
    eventually(lambda: stack.lines("plain"), 20, "the task that is not guarded to run")


def test_one_flag_takes_over_the_beat_of_an_app_that_is_not_guarded(stack: Stack) -> None:
    name = write(stack, "plain_app", PLAIN)
    stack.worker(app=name)
    stack.start("beat", "-A", name, "beat", "-S", "celery_anp.beat:Scheduler", "-l", "INFO")
    eventually(lambda: stack.lines("hello"), 30, "its task to run")
    sent = eventually(lambda: [r for r in stack.ledger.runs(50, schedule="greet") if r.state == "sent"], 20)
    assert len(stack.lines("hello")) <= len(stack.ledger.runs(50, schedule="greet"))
    assert sent[0].run_id.startswith("greet@")


def test_guard_refuses_an_app_that_it_would_guard_only_in_part() -> None:
    made = Celery("late", set_as_current=False)
    made.finalize()
    with pytest.raises(BadDeclaration, match="too late"):
        guard(made)


def test_the_connections_of_a_guarded_app_give_up_on_a_peer_that_does_not_answer() -> None:
    made = guard(Celery("sockets", broker="redis://127.0.0.1:1", set_as_current=False))
    assert made.conf.redis_socket_timeout == SOCKETS["socket_timeout"]
    assert made.conf.redis_socket_keepalive is True
    assert made.connection_for_write().transport_options == SOCKETS
    own = guard(Celery("own sockets", broker="redis://127.0.0.1:1", set_as_current=False))
    own.conf.update(redis_socket_timeout=3, broker_transport_options={"socket_timeout": 4, "visibility_timeout": 60})
    assert own.conf.redis_socket_timeout == 3
    merged = {**SOCKETS, "socket_timeout": 4, "visibility_timeout": 60}
    assert own.connection_for_read().transport_options == merged


def test_a_send_by_name_is_guarded_before_the_app_has_made_its_tasks(redis: Redis) -> None:
    made = guard(Celery("lazy", broker=os.environ["ANP_REDIS_URL"], set_as_current=False), typed=True)

    def twice(x: int) -> int:
        return x * 2

    made.task(name="lazy.twice", shared=False)(twice)
    with pytest.raises(BadInput):
        made.send_task("lazy.twice", ("two",))
    assert made.send_task("lazy.twice", (2,), key="once").id == "lazy.twice#once"
    assert made.ledger.run("lazy.twice#once").state == "queued"


def test_an_unknown_option_is_refused_with_a_hint() -> None:
    with pytest.raises(BadDeclaration, match="Did you mean 'owner'"):
        app._task_from_fun(lambda: None, name="t.unknown", ownr="me")
    with pytest.raises(BadDeclaration, match="overlap"):
        app._task_from_fun(lambda: None, name="t.overlap", overlap="sometimes")


@pytest.mark.parametrize("limit", [0, 1_000_001, "5", 2.0, True, None])
def test_a_limit_of_waiting_runs_that_cannot_be_is_refused(limit: object) -> None:
    with pytest.raises(BadDeclaration, match="from 1 to 1,000,000"):
        app._task_from_fun(lambda: None, name="t.limit", limit=limit)


def test_a_lock_that_names_no_field_is_refused() -> None:
    def body(site: str) -> None:
        return None

    with pytest.raises(BadDeclaration, match="Did you mean 'site'"):
        app._task_from_fun(body, name="t.lock", lock="warm:{sit}")
    del app._tasks["t.lock"]


def test_a_strict_app_refuses_tasks_without_owner_expectation_and_rollback() -> None:
    made = guard(Celery("strict", set_as_current=False), strict=True)

    def nobody() -> None:
        return None

    made.task(name="nobody", shared=False)(nobody)
    with pytest.raises(BadDeclaration, match="nobody: owner, expects, a rollback hook"):
        check_tasks(made)
    check_tasks(guard(Celery("lenient", set_as_current=False)))


def test_every_shipped_task_says_what_it_must() -> None:
    # in a process of its own: pytest-celery's plugin brings shared tasks of its own into this one
    check = "from worker.app import app; from celery_anp.contract.complete import check_tasks; check_tasks(app)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("schedules/site.toml").exists()


def test_flasks_recipe_of_old_begins_once(stack: Stack) -> None:
    pytest.importorskip("flask")  # not among the oldest of everything
    name = team.write(stack.folder, "old", team.OLD, stack.redis_url)
    stack.worker(app=name)
    producer = Celery("producer", broker=stack.redis_url, backend=stack.redis_url, set_as_current=False)
    run_id = str(uuid4())
    called = producer.send_task("old", (1,), task_id=run_id)  # one that knows nothing of us
    assert stack.ends(called.id).result == "old 1"
    assert len(stack.lines("old")) == 1


def test_a_worker_on_rabbitmq_says_what_to_mend_and_ends(stack: Stack) -> None:
    pytest.importorskip("flask")  # not among the oldest of everything
    name = team.write(stack.folder, "rabbit", team.OLD, "amqp://guest@127.0.0.1//")
    worker = stack.worker(app=name, wait=False)
    assert worker.process.wait(timeout=30) == 1
    assert "its broker is amqp, and rows need Redis (set broker_url" in worker.said()
    assert "Traceback" not in worker.said()


def test_without_results_runs_have_their_rows_and_a_worker_tells_what_is_missing(stack: Stack) -> None:
    name = write(stack, "no_results", GUARDED.replace(', backend="{url}"', ""))
    worker = stack.worker(app=name)
    producer = Celery("producer", broker=stack.redis_url, set_as_current=False)
    called = producer.send_task("no_results.hello", ("ann",), task_id=str(uuid4()))
    assert stack.ends(called.id).result == "hello ann"
    assert "there is no result backend: get() and chords cannot work" in worker.said()
