"""What follows a run, where its body changes that, where it takes its time, and where part of it cannot be sent.

All are started at once and looked at by one test, when upkeep has had its time to send what it should not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, group

from tests.support.eventually import eventually
from tests.support.following import adds, slow, stops, told
from tests.support.severed import step, strict, total
from tests.support.stack import Stack, on_empty_redis
from tests.support.started import Started

#: Seconds until the slowest errback and a claim of Celery's are over, and upkeep has looked twice.
LONG = 30

ELSEWHERE = """
from celery import Celery, Task
from celery_anp.app import guard

app = Celery("elsewhere", broker="{url}", backend="{backend}")
guard(app)

@app.task(base=Task)
def tell(*told, name):
    with open("{journal}", "a") as file:
        file.write('{{"event": "told", "name": "%s"}}\\n' % name)

@app.task
def one(fails=False):
    return 1 / 0 if fails else 1
"""


@pytest.fixture
def started(redis_server: Any, tmp_path: Path) -> Iterator[Started]:
    tasks = "tests.support.probe,tests.support.severed,tests.support.following"
    with on_empty_redis(tmp_path, {"tasks": tasks}) as stack:
        started = Started(stack)
        begin(started)
        stack.worker(concurrency=4)
        eventually(lambda: started.told("slow"), LONG, "the slow errback")
        eventually(started.quiet, 2 * LONG, "all to be confirmed")
        yield started


def begin(started: Started) -> None:
    dies = started.dies

    def telling(name: str) -> Any:
        return told.s(name=name, path=started.path)

    for cut in ({}, dies("chain", "settled")):
        chain(stops.s(1, "chain", **cut), telling("taken out"))()
    for cut in ({}, dies("callbacks", "settled")):
        stops.apply_async((1, "callbacks"), cut, link=telling("taken out"))
    chain(stops.s(1, "ignore"), telling("ignored"))()
    stops.apply_async((1, "ignore"), link=telling("ignored"), link_error=telling("ignored"))
    step.apply_async((1,), {"fails": "KeyError"}, link_error=slow.s(path=started.path, name="slow"))
    first, second = started.hearing("first of two"), started.hearing("second of two")
    chain(step.s(1), strict.s().on_error(first).on_error(second))()
    stops.delay(1, "links", link=telling("put in"))
    stops.delay(1, "links", link=started.passing("put in and cut off"), **dies("put in", "confirming"))
    started.results = {
        "an ignored part": chord([stops.s(1, "ignore"), step.s(1)], telling("after an ignored part"))(),
        "children": chain(step.s(1), step.s(), step.s())(),
        "linked": step.apply_async((1,), link=step.s()),
        "counted": chord([adds.s(started.path, **dies("counted", "counted")), step.s(1)], total.s())(),
        "added": chord([adds.s(started.path, **dies("added", "added")), step.s(1)], total.s())(),
    }
    chord([step.s(1), step.s(2)], group(telling("good"), strict.s(), telling("good")))()
    foreign = Celery("foreign", broker=started.stack.redis_url, set_as_current=False)
    link = started.passing("foreign")
    dying = dies("foreign", "confirming")
    foreign.send_task("severed.step", (1,), dying, link=link.set(queue="default"), queue="default")
    foreign.close()


def test_what_follows_runs_as_often_as_it_should(started: Started) -> None:
    once = ("slow", "after an ignored part", "first of two", "second of two", "foreign", "put in", "put in and cut off")
    often = {"taken out": 0, "ignored": 0, "good": 2, **dict.fromkeys(once, 1)}
    assert {name: started.told(name) for name in often} == often
    assert started.stack.lines("told", name="after an ignored part")[0]["told"] == "([None, 2],)"
    assert [value for _, value in started.results["linked"].collect()] == [2, 3]
    assert [value for _, value in started.results["children"].parent.parent.collect()] == [2, 3, 4]
    # The adder died before it sent the part, which so is that of its second attempt; or after, and it is the first's.
    assert [started.results[name].get(timeout=5) for name in ("counted", "added")] == [100 + 2 + 3, 100 + 2 + 2]


def test_links_are_sent_once_where_results_are_kept_elsewhere(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "ANP_TASKS", "")
    url = stack.redis_url
    backend = url.rpartition("/")[0] + "/5"
    text = ELSEWHERE.format(url=url, backend=backend, journal=stack.journal)
    (stack.folder / "elsewhere.py").write_text(text)
    stack.worker(app="elsewhere")
    theirs = Celery("theirs", broker=url, backend=backend, set_as_current=False)

    def tell(name: str) -> Any:
        return theirs.signature("elsewhere.tell", kwargs={"name": name})

    assert theirs.send_task("elsewhere.one", link=tell("link")).get(timeout=20) == 1
    theirs.send_task("elsewhere.one", (True,), link_error=tell("errback"))
    eventually(lambda: stack.lines("told", name="errback"), 20, "the errback")
    links = stack.ledger.store.key("links")
    eventually(lambda: not stack.ledger.store.client.zcard(links), 3, "upkeep to have nothing to send")
    assert len(stack.lines("told")) == 2
    theirs.close()
