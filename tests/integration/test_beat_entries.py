"""One flag, `-S anp`, runs the periodic tasks of an app as it stands, and an operator steers them by their names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from celery_anp.reliability.run import Run
from tests.support.eventually import eventually
from tests.support.stack import Stack, on_empty_redis

pytestmark = pytest.mark.long

#: The example of Celery's documentation ("Entries"), with what this test needs around it.
APP = """
from celery import Celery
from celery.schedules import crontab, schedule
from datetime import datetime, timezone
{imports}

app = Celery("theirs", broker="{url}", backend="{url}")
{guard}
app.conf.timezone = "UTC"

class EverySecond(schedule):
    def is_due(self, last_run_at):
        due = (datetime.now(timezone.utc) - last_run_at).total_seconds() >= 1
        return due, 0.5

@app.on_after_configure.connect
def setup_periodic_tasks(sender: Celery, **kwargs):
    # Calls test('hello') every 10 seconds.
    sender.add_periodic_task(10.0, test.s('hello'), name='add every 10')

    # Calls test('world') every 30 seconds
    sender.add_periodic_task(30.0, test.s('world'), expires=10)

    # Executes every Monday morning at 7:30 a.m.
    sender.add_periodic_task(
        crontab(hour=7, minute=30, day_of_week=1),
        test.s('Happy Mondays!'),
    )
    sender.add_periodic_task(0.5, test.s('half'), name="it's 50% @ half, |#?")
    sender.add_periodic_task(EverySecond(1), test.s('own'), name='own')
    sender.add_periodic_task(1.0, test.s('linked').set(link=note.si('after')), name='linked')
    sender.conf.beat_schedule['by name'] = {{'task': 'elsewhere.work', 'schedule': 1.0}}
    sender.conf.beat_schedule['bad one'] = {{'task': 'tasks.test', 'schedule': 'daily'}}

@app.task
def test(arg):
    write(arg)

@app.task(bind=True)
def note(self, arg):
    write(arg)

def write(arg):
    open("{journal}", "a").write('{{"event": "%s"}}\\n' % arg)
"""
ELSEWHERE = """
from tasks import app, write

@app.task(name="elsewhere.work")
def work():
    write("by name")
"""
NAME = "it's 50% @ half, |#?"
KEPT = "it's 50%25 %40 half, %7C%23%3F"


@pytest.fixture(scope="module", params=["plain", "guarded"])
def entries(
    redis_server: object, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    kind, folder = str(request.param), tmp_path_factory.mktemp(f"entries_{request.param}")
    guarded = kind == "guarded"
    text = APP.format(
        url=os.environ["ANP_REDIS_URL"], journal=folder / "journal",
        imports="from celery_anp import guard" if guarded else "", guard="guard(app)" if guarded else "",
    )  # fmt: skip
    (folder / "tasks.py").write_text(text)
    (folder / "elsewhere.py").write_text(ELSEWHERE)
    with on_empty_redis(folder, {"tasks": "", "app": "tasks"}) as stack:
        stack.variables = {"KIND_OF_APP": kind}
        stack.worker(app="elsewhere", concurrency=1)
        beat = stack.start("beat", "-A", "tasks", "beat", "-S", "anp", "-l", "INFO")
        eventually(lambda: "beat has " in beat.said(), 30, "beat to have its schedules")
        yield stack


def ticks(stack: Stack, schedule: str) -> list[Run]:
    return [run for run in stack.ledger.runs(50, schedule=schedule) if run.state in {"sent", "succeeded"}]


def anp(stack: Stack, *arguments: str) -> str:
    done = stack.anp(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_celerys_documentation_example_runs_under_its_default_name(entries: Stack) -> None:
    shown = json.loads(anp(entries, "schedules", "show", "tasks.test('world')", "--json"))
    assert (shown["name"], shown["every"], shown["overlap"]) == ("tasks.test('world')", "30s", "allow_all")
    anp(entries, "schedules", "trigger", "tasks.test('world')")
    eventually(lambda: entries.lines("world"), 20, "the task to run")
    eventually(lambda: ticks(entries, "add every 10") and entries.lines("hello"), 25, "its tick")


def test_half_a_second_is_two_ticks_a_second_with_milliseconds_in_their_ids(entries: Stack) -> None:
    eventually(lambda: len(ticks(entries, KEPT)) >= 8, 20, "its ticks")
    found = ticks(entries, KEPT)
    ends = sorted(run.run_id.rpartition("@")[2][-5:] for run in found)
    assert set(ends) == {".000Z", ".500Z"}
    ids = [run.run_id for run in found]
    assert all(run_id.startswith(f"{KEPT}@") for run_id in ids)
    eventually(lambda: len(entries.lines("half")) >= 8, 20, "its bodies")


def test_an_operator_steers_an_awkward_name_in_both_of_its_forms(entries: Stack) -> None:
    eventually(lambda: ticks(entries, KEPT), 20, "its first tick")
    paused = json.loads(anp(entries, "schedules", "pause", NAME, "--for", "10m", "--json"))
    assert (paused["schedule"], paused["in_force"]) == (KEPT, True)
    eventually(lambda: [r for r in entries.ledger.runs(50, schedule=KEPT) if r.state == "skipped"], 20, "a skip")
    ran = json.loads(anp(entries, "schedules", "trigger", KEPT, "--json"))
    eventually(lambda: entries.ledger.run(ran["run_id"]).state in {"sent", "succeeded"}, 20, "its run by hand")
    anp(entries, "schedules", "resume", KEPT)
    tick = ticks(entries, KEPT)[0].run_id.partition("@")[2]
    assert "decided at" in anp(entries, "schedules", "show", NAME, "--tick", tick)
    assert KEPT in anp(entries, "schedules", "list")


def test_its_own_class_its_link_and_a_task_known_by_name_run(entries: Stack) -> None:
    eventually(lambda: len(ticks(entries, "own")) >= 2 and entries.lines("own"), 20, "the schedule of its own class")
    eventually(lambda: entries.lines("linked") and entries.lines("after"), 20, "the link")
    eventually(lambda: [r for r in ticks(entries, "by name") if r.state == "sent"], 20, "the tick by name")
    eventually(lambda: entries.lines("by name"), 20, "the task that beat does not know")
    if entries.variables["KIND_OF_APP"] == "guarded":
        there = [run for run in entries.ledger.runs(200) if run.task == "elsewhere.work" and run.schedule is None]
        assert {run.state for run in there} <= {"succeeded", "running", "queued"}
        assert there


def test_the_one_that_cannot_be_taken_is_told_and_left_out(entries: Stack) -> None:
    said = entries.processes[-1].said()
    assert 'left out, all others run: beat_schedule, schedule "bad one"' in said
    assert "Given: 'daily'" in said
    assert not entries.ledger.runs(10, schedule="bad one")
