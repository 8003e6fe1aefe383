"""What follows a run, where its body changes that, where it takes its time, and where part of it cannot be sent.

All are started at once, and looked at when upkeep has had its time to send what it should not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group

from tests.support.eventually import eventually
from tests.support.following import adds, slow, stops, told
from tests.support.severed import heard, mark, step, strict, total
from tests.support.stack import Stack, on_empty_redis
from worker.errors import BadUsage

#: Seconds until the slowest errback and a claim of Celery's are over, and upkeep has looked twice.
LONG = 30

ELSEWHERE = """
from celery import Celery, Task
from worker.app import guard

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


class Started:
    """What the tests look at.

    Args:
        stack: with its worker.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.path = str(stack.journal)
        self.results: dict[str, Any] = {}

    def dies(self, name: str, where: str) -> dict[str, str]:
        """The input of a task that is cut off."""
        return {"dies": mark(self.stack.folder, name, where)}

    def telling(self, name: str) -> Any:
        """A link that tells of itself."""
        return told.s(name=name, path=self.path)

    def told(self, name: str) -> int:
        """How often a link was called."""
        return len(self.stack.lines("told", name=name))

    def is_quiet(self) -> bool:
        """Whether every link is confirmed, and every run has ended."""
        store = self.stack.ledger.store
        return not store.client.zcard(store.key("links")) and all(run.final for run in self.stack.ledger.runs(1000))


@pytest.fixture(scope="module")
def started(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    tasks = "tests.support.probe,tests.support.severed,tests.support.following"
    with on_empty_redis(tmp_path_factory.mktemp("following"), {"tasks": tasks}) as stack:
        started = Started(stack)
        begin(started)
        stack.worker(concurrency=4)
        eventually(lambda: started.told("slow"), LONG, "the slow errback")
        eventually(started.is_quiet, 2 * LONG, "all to be confirmed")
        yield started


def begin(started: Started) -> None:
    telling, dies = started.telling, started.dies
    for cut in ({}, dies("chain", "settled")):
        chain(stops.s(1, "chain", **cut), telling("taken out"))()
    for cut in ({}, dies("callbacks", "settled")):
        stops.apply_async((1, "callbacks"), cut, link=telling("taken out"))
    chain(stops.s(1, "ignore"), telling("ignored"))()
    stops.apply_async((1, "ignore"), link=telling("ignored"), link_error=telling("ignored"))
    step.apply_async((1,), {"fails": "KeyError"}, link_error=slow.s(path=started.path, name="slow"))
    names = ("first of two", "second of two")
    errbacks = [heard.s(name=name, path=started.path) for name in names]
    chain(step.s(1), strict.s().on_error(errbacks[0]).on_error(errbacks[1]))()
    started.results = {
        "an ignored part": chord([stops.s(1, "ignore"), step.s(1)], telling("after an ignored part"))(),
        "children": chain(step.s(1), step.s(), step.s())(),
        "linked": step.apply_async((1,), link=step.s()),
        "counted": chord([adds.s(started.path, **dies("counted", "counted")), step.s(1)], total.s())(),
        "added": chord([adds.s(started.path, **dies("added", "added")), step.s(1)], total.s())(),
    }
    chord([step.s(1), step.s(2)], group(telling("good"), strict.s(), telling("good")))()
    foreign = Celery("foreign", broker=started.stack.redis_url, set_as_current=False)
    link = foreign.signature("severed.passes", kwargs={"name": "foreign", "path": started.path})
    dying = dies("foreign", "confirming")
    foreign.send_task("severed.step", (1,), dying, link=link.set(queue="default"), queue="default")
    foreign.close()


def test_what_a_body_takes_out_of_its_canvas_does_not_run(started: Started) -> None:
    assert started.told("taken out") == 0


def test_nothing_follows_a_body_that_raises_ignore_but_its_chord(started: Started) -> None:
    assert started.told("ignored") == 0
    assert [line["told"] for line in started.stack.lines("told", name="after an ignored part")] == ["([None, 2],)"]


def test_an_errback_that_takes_its_time_is_called_once(started: Started) -> None:
    assert started.told("slow") == 1


def test_every_errback_of_a_link_that_cannot_be_sent_is_called(started: Started) -> None:
    assert [line["name"] for line in started.stack.lines("heard")] == ["first of two", "second of two"]


def test_a_bad_input_in_a_group_after_a_chord_fails_alone(started: Started) -> None:
    assert started.told("good") == 2


def test_a_result_knows_what_follows_it(started: Started) -> None:
    head = started.results["children"].parent.parent
    assert [value for _, value in head.collect()] == [2, 3, 4]
    assert [value for _, value in started.results["linked"].collect()] == [2, 3]


@pytest.mark.parametrize("name", ["counted", "added"])
def test_a_part_that_is_added_to_a_chord_counts_once_whenever_its_adder_dies(started: Started, name: str) -> None:
    assert started.results[name].get(timeout=5) in (100 + 2 + 2, 100 + 2 + 3)


def test_a_link_of_a_foreign_producer_runs_once_when_the_child_dies_before_it_confirms(started: Started) -> None:
    assert len(started.stack.lines("passed", name="foreign")) == 1


@pytest.mark.parametrize(
    "made", [lambda: chain(step.s(1), step.s()), lambda: chain(step.s(1), chord([step.s(), step.s()], total.s()))]
)
def test_a_chain_object_that_was_just_sent_is_refused(started: Started, made: Any) -> None:
    once = made()
    first = once()
    with pytest.raises(BadUsage, match="has been sent before"):
        once()
    first.get(timeout=10)
    with pytest.raises(BadUsage, match="has been sent before"):
        once()


def test_a_link_takes_no_idempotency_key(started: Started) -> None:
    with pytest.raises(BadUsage, match="idempotency key"):
        step.apply_async((1,), link=step.s().set(key="once"))


def test_links_are_sent_once_where_results_are_kept_elsewhere(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "ANP_TASKS", "")
    url = stack.redis_url
    text = ELSEWHERE.format(url=url, backend=url.rpartition("/")[0] + "/5", journal=stack.journal)
    (stack.folder / "elsewhere.py").write_text(text)
    stack.worker(app="elsewhere")
    theirs = Celery("theirs", broker=url, backend=url.rpartition("/")[0] + "/5", set_as_current=False)

    def tell(name: str) -> Any:
        return theirs.signature("elsewhere.tell", kwargs={"name": name})

    assert theirs.send_task("elsewhere.one", link=tell("link")).get(timeout=20) == 1
    theirs.send_task("elsewhere.one", (True,), link_error=tell("errback"))
    eventually(lambda: stack.lines("told", name="errback"), 20, "the errback")
    links = stack.ledger.store.key("links")
    eventually(lambda: not stack.ledger.store.client.zcard(links), 3, "upkeep to have nothing to send")
    assert len(stack.lines("told")) == 2
    theirs.close()
