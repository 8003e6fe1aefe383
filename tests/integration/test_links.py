"""The next links of runs whose worker died first, of runs that never began, and links that cannot be sent.

All wait for upkeep's grace, so all are started at once and each test looks at its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError
from celery.result import AsyncResult

from celery_anp.errors import BadInput, RunEnded
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import noted, probe, skipping
from tests.support.severed import heard, mark, step, strict, total
from tests.support.stack import Stack, on_empty_redis

#: Seconds for a claim of Celery's to run out (6), and for upkeep to look twice (5 each).
LONG = 25


@dataclass
class Started:
    """What the tests look at: results by name."""

    stack: Stack
    results: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.results[name]

    def heard(self, name: str) -> list[dict[str, Any]]:
        """What an errback wrote."""
        return self.stack.lines("heard", name=name)

    def left(self) -> set[str]:
        """The runs whose links are not confirmed."""
        store = self.stack.ledger.store
        return set(store.client.zrange(store.key("links"), 0, -1))

    def confirmed(self) -> bool:
        """Every child that should die once it has settled has died, and all links that can be sent are confirmed.

        Raises:
            AssertionError: not yet; says what is left.
        """
        marks = list(self.stack.folder.glob("*.settled"))
        assert (marks, self.left()) == ([], {"0-broken"})
        return True


@pytest.fixture(scope="module")
def started(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    tasks = "tests.support.probe,tests.support.severed"
    with on_empty_redis(tmp_path_factory.mktemp("links"), {"tasks": tasks}) as stack:
        yield Started(stack, begin(stack))


def begin(stack: Stack) -> dict[str, Any]:
    path = str(stack.journal)

    def dies(name: str, where: str = "settled", **more: Any) -> dict[str, Any]:
        return {"dies": mark(stack.folder, name, where), **more}

    def tells(name: str) -> Any:
        return heard.s(name=name, path=path)

    def waits(task_id: str) -> Any:
        return step.s(1).set(countdown=60, task_id=task_id)

    holder = probe.delay(path, [["gate", "held"]], lock="held")
    linked, bad, good, sent_bad, sent_good = step.s(), strict.s(), step.s(), strict.s(), step.s()
    bad_errback = total.s()
    for signature in (linked, bad, good, sent_bad, sent_good, bad_errback):
        signature.freeze()
    results = {
        "broken": chain(waits("0-broken"), step.s())(),
        "chain": chain(step.s(1, **dies("chain")), step.s(), step.s())(),
        "link": step.apply_async((1,), dies("link"), link=linked),
        "errback": step.apply_async(
            (1,), dies("errback", fails="KeyError"), link_error=[bad_errback, tells("errback")]
        ),
        "chord": chord([step.s(1), step.s(2, **dies("chord"))], total.s())(),
        "failed chord": chord([step.s(1), step.s(2, **dies("failed chord", fails="KeyError"))], total.s())(),
        "claimed chord": chord([step.s(n, **dies(f"c{n}", "claimed")) for n in range(2)], total.s())(),
        "failed claimed chord": chord(
            [step.s(n, **dies(f"f{n}", "claimed", fails=n * "KeyError")) for n in range(2)],
            total.s().on_error(tells("failed claimed chord")),
        )(),
        "joined later": chord([step.s(n, **dies(f"j{n}", "joining")) for n in range(2)], total.s())(),
        "told later": chord(
            [step.s(n, **dies(f"t{n}", "failing", fails=n * "KeyError")) for n in range(2)], total.s()
        )(),
        "failed with Redis' own error": chord(
            [step.s(1), chain(step.s(1), group(step.s(), step.s(fails="ConnectionError")))], total.s()
        )(),
        "group": chain(step.s(1, **dies("group")), group(step.s(), step.s()))(),
        "bad": chain(step.s(1, **dies("bad")), strict.s().on_error(tells("bad")), step.s())(),
        "bad beside good": step.apply_async((1,), dies("beside"), link=[bad, good]),
        "bad in a group": chain(
            step.s(1, **dies("in a group")), group(step.s(path=path, gate="good"), strict.s(), step.s())
        )(),
        "bad, sent by the child": chain(step.s(1), strict.s(), step.s())(),
        "bad beside good, sent by the child": step.apply_async((1,), link=[sent_bad, sent_good]),
        "cancelled": chain(waits("cancelled"), step.s(), group(step.s(), step.s()))(),
        "cancelled in a chord": chord([chain(waits("in-a-chord"), step.s()), step.s(1)], total.s())(),
        "skipped": chain(skipping.si("held"), step.si(1), step.s())(),
    }
    named = {
        "linked": linked,
        "bad link": bad,
        "good link": good,
        "sent bad": sent_bad,
        "sent good": sent_good,
        "bad errback": bad_errback,
    }
    results |= {name: AsyncResult(signature.id) for name, signature in named.items()}
    for run_id in ("0-broken", "cancelled", "in-a-chord"):
        stack.ledger.operate(run_id, "cancel", "test")
    stack.ledger.store.client.hset(stack.ledger.store.key("run:0-broken"), "message", "{")
    stack.worker(concurrency=3)
    Journal(path).open("held")
    stack.ends(holder.id)
    return results


def said(stack: Stack) -> str:
    """What the worker has logged."""
    return stack.processes[0].said()


def alone(result: Any) -> Any:
    """A result that does not look at its parents: theirs is raised first."""
    return AsyncResult(result.id)


def head(result: Any) -> Any:
    """The first result of a chain."""
    return head(result.parent) if result.parent else result


@pytest.mark.parametrize(
    ("name", "expected"),
    [("chain", 4), ("linked", 3), ("chord", 5), ("claimed chord", 3), ("joined later", 3), ("group", [3, 3])],
)
def test_what_follows_a_run_whose_child_died_is_sent_by_upkeep(started: Started, name: str, expected: Any) -> None:
    assert started[name].get(timeout=LONG) == expected


def test_an_errback_of_a_run_whose_child_died_is_called(started: Started) -> None:
    line = eventually(lambda: started.heard("errback"), LONG)
    assert [one["failed"] for one in line] == [started["errback"].id]
    with pytest.raises(BadInput, match="numbers"):
        started["bad errback"].get(timeout=LONG)


@pytest.mark.parametrize("name", ["failed chord", "failed claimed chord", "told later", "failed with Redis' own error"])
def test_a_chord_fails_when_the_child_of_its_failed_part_died(started: Started, name: str) -> None:
    with pytest.raises(ChordError, match=r"as asked|ended as failed|ConnectionError"):
        alone(started[name]).get(timeout=LONG)


def test_the_errback_of_a_failed_chord_is_called_once(started: Started) -> None:
    eventually(lambda: started.heard("failed claimed chord"), LONG)
    eventually(started.confirmed, LONG, "every run to have its links confirmed")
    assert len(started.heard("failed claimed chord")) == 1


@pytest.mark.parametrize("name", ["bad", "bad, sent by the child"])
def test_a_successor_with_a_bad_input_fails_and_what_follows_it(started: Started, name: str) -> None:
    for failed in (started[name], started[name].parent):
        with pytest.raises(BadInput, match="name"):
            alone(failed).get(timeout=LONG)
    assert head(started[name]).state == "SUCCESS"
    assert started.stack.ledger.find(started[name].parent.id) is None


def test_the_errback_of_a_successor_with_a_bad_input_is_called_once(started: Started) -> None:
    eventually(lambda: started.heard("bad"), LONG)
    eventually(started.confirmed, LONG, "every run to have its links confirmed")
    assert [line["failed"] for line in started.heard("bad")] == [started["bad"].parent.id]


@pytest.mark.parametrize(("bad", "good"), [("bad link", "good link"), ("sent bad", "sent good")])
def test_a_bad_link_holds_up_no_good_one(started: Started, bad: str, good: str) -> None:
    assert started[good].get(timeout=LONG) == 3
    with pytest.raises(BadInput, match="name"):
        started[bad].get(timeout=LONG)


def test_a_bad_task_of_a_group_fails_alone(started: Started) -> None:
    good, bad, last = started["bad in a group"].results
    with pytest.raises(BadInput, match="name"):
        bad.get(timeout=LONG)
    assert last.get(timeout=LONG) == 3
    assert good.state == "PENDING"
    Journal(started.stack.journal).open("good")
    assert good.get(timeout=LONG) == 3


def test_the_rest_of_a_chain_fails_with_its_cancelled_head(started: Started) -> None:
    for result in (*started["cancelled"].results, started["cancelled"].parent):
        with pytest.raises(RunEnded, match="ended as cancelled"):
            alone(result).get(timeout=LONG)
    with pytest.raises(ChordError, match="ended as cancelled"):
        alone(started["cancelled in a chord"]).get(timeout=LONG)


def test_the_rest_of_a_chain_fails_with_its_skipped_head(started: Started) -> None:
    for result in (started["skipped"], started["skipped"].parent):
        with pytest.raises(RunEnded, match="ended as skipped"):
            alone(result).get(timeout=LONG)


def test_links_that_cannot_be_sent_hold_up_no_others(started: Started) -> None:
    eventually(started.confirmed, LONG, "every other run to have its links confirmed")
    assert "the next links of 0-broken are not all sent" in said(started.stack)
    left = sorted(path.suffix for path in started.stack.folder.glob("?[01].*"))
    assert left == [".claimed", ".claimed", ".failing", ".joining"], "and one of each chord was cut off"


def test_what_a_full_ledger_refused_is_sent_later(started: Started) -> None:
    eventually(started.confirmed, LONG, "the links of the other tests to be sent")
    stack, following = started.stack, chain(step.s(1, path=str(started.stack.journal), gate="full"), step.s())()

    def refused() -> bool:
        stack.ledger.set_full(True)  # again and again: upkeep sees that there is room
        return f"the next links of {following.parent.id} are not all sent" in said(stack)

    stack.reaches(following.parent.id, "running")
    stack.ledger.set_full(True)
    Journal(stack.journal).open("full")
    eventually(refused, LONG, "the child and then upkeep to be refused")
    stack.ledger.set_full(False)
    assert following.get(timeout=LONG) == 3


def test_a_chord_whose_body_a_full_ledger_refused_goes_on_later(started: Started) -> None:
    stack = started.stack
    body = probe.si(str(stack.journal), [["gate sending", "body"], ["effect", "e"]], lock="body")
    following = chord([step.s(1), step.s(2)], body)()

    def refused() -> bool:
        stack.ledger.set_full(True)  # again and again: upkeep sees that there is room
        return bool(re.search(r"the next links of \S+ are not all sent|left to upkeep", said(stack)[before:]))

    eventually(lambda: Journal(stack.journal).lines("at", name="body"), LONG, "the body to be sent")
    before = len(said(stack))
    stack.ledger.set_full(True)
    Journal(stack.journal).open("body")
    eventually(refused, LONG, "the body to be refused")
    stack.ledger.set_full(False)
    assert following.get(timeout=LONG) == {"attempt": 1}


def test_an_errback_that_does_not_end_holds_up_nothing_else(started: Started) -> None:
    stack, path = started.stack, str(started.stack.journal)
    dies = {name: mark(stack.folder, name, "settled") for name in ("unending", "beside")}
    errback = noted.s(path=path, gate="errback")
    step.apply_async((1,), {"dies": dies["unending"], "fails": "KeyError"}, link_error=errback)
    eventually(lambda: Journal(path).lines("at", name="errback"), LONG, "upkeep to call the errback")
    following = chain(step.s(1, dies=dies["beside"]), step.s())()
    later = probe.apply_async((path, [["effect", "later"]]), {"lock": "later"}, countdown=1)
    assert later.get(timeout=LONG) == {"attempt": 1}
    assert following.get(timeout=LONG) == 3
    assert len(Journal(path).lines("at", name="errback")) == 1
    Journal(path).open("errback")
    eventually(started.confirmed, LONG, "the links of both to be confirmed")
