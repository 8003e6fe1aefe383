"""Canvas as users write it: signatures used twice, chords in chords, groups behind what fails, and links of links.

All are started at once and each test looks at its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import VERSION, chain, chord, group
from celery.result import AsyncResult

from celery_anp.errors import BadUsage
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import noted, probe
from tests.support.severed import body, exits, plain, step, strict, total
from tests.support.stack import on_empty_redis
from tests.support.started import Started

#: Seconds for a claim of Celery's to run out (6), and for upkeep to look twice (5 each).
LONG = 25


@pytest.fixture(scope="module")
def started(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    tasks = "tests.support.probe,tests.support.severed"
    with on_empty_redis(tmp_path_factory.mktemp("canvas"), {"tasks": tasks}) as stack:
        started = Started(stack)
        begin(started)
        stack.worker(concurrency=3)
        yield started


def begin(started: Started) -> None:
    path, dies, passing, hearing = started.path, started.dies, started.passing, started.hearing
    callback, errback, linked = passing("link"), hearing("errback"), step.s(5).set(link=[passing("of its own")])
    for number in range(2):
        step.apply_async((number,), link=callback)
        step.apply_async((number,), {"fails": "KeyError"}, link_error=errback)
        linked.delay()
    fails = step.s(1, fails="KeyError")
    inner = chord([step.s(1), step.s(2)], strict.s())
    behind = chain(fails, group(step.s(), step.s()))
    ends_in_a_group = chain(step.s(), step.s(), group(step.s(), step.s()))
    deadly = probe.si(path, [["undo", "e"], ["die"]], lock="deadly")
    started.results = {
        "behind": behind(),
        "behind, in a chord": chord([behind.clone(), step.s(1)], total.s())(),
        "behind a chord": chord([step.s(1), fails], ends_in_a_group)(),
        "inner fails": chord([chord([fails, step.s(2)], total.s()), step.s(3)], total.s())(),
        "in one again": chord(
            [chord([chord([fails, step.s(2)], total.s()), step.s(2)], total.s()), step.s(3)],
            total.s().on_error(hearing("of the outermost")),
        )(),
        "of two": chord(
            [chord([fails, step.s(2)], total.s()), step.s(1, fails="KeyError")], total.s().on_error(hearing("of both"))
        )(),
        "of all": chord([chord([fails, step.s(2)], total.s()), step.s(3)], total.s())
        .on_error(hearing("of all"))
        .delay(),
        "inner has a bad body": chord([inner, step.s(3)], total.s())(),
        "counting": chord([step.s(n, **dies(f"c{n}", "counting")) for n in range(2)], total.s())(),
        "keeping": chord([step.s(n, **dies(f"k{n}", "keeping")) for n in range(2)], total.s())(),
        "failing": chord(
            [step.s(n, **dies(f"f{n}", "failing", fails=n * "KeyError")) for n in range(2)],
            total.s().on_error(hearing("of a chord")),
        )(),
        "quarantined": chord([deadly, step.s(1)], total.s())(),
    }
    chain(step.s(1), step.s(**dies("second", "confirming")).set(link=[passing("of the second")]))()
    chain(step.s(1), step.s(**dies("failed", "confirming", fails="KeyError")).on_error(hearing("of the failed")))()
    chord([step.s(1), step.s(2)], body.s(**dies("body", "confirming")).set(link=[passing("of the body")]))()


def ended(result: Any) -> str:
    """How a result ended, without a look at its parents."""
    alone = AsyncResult(result.id)
    eventually(alone.ready, LONG, f"{result.id} to end")
    return str(alone.state)


@pytest.mark.parametrize("name", ["link", "errback", "of its own"])
def test_a_signature_that_is_used_twice_is_called_twice(started: Started, name: str) -> None:
    eventually(lambda: started.told(name) >= 2, LONG, "both calls")
    eventually(started.quiet, LONG, "all runs to end")
    assert started.told(name) == 2


@pytest.mark.parametrize(
    "name", ["of the second", "of the failed", "of the body", "of a chord", "of the outermost", "of both", "of all"]
)
def test_a_link_is_called_once_when_the_child_dies_before_it_confirms(started: Started, name: str) -> None:
    eventually(lambda: started.told(name), LONG, "the call")
    eventually(started.quiet, 2 * LONG, "all runs to end")
    assert started.told(name) == 1


@pytest.mark.parametrize("name", ["behind", "behind a chord"])
def test_who_waits_for_a_group_behind_a_failed_run_hears_of_it(started: Started, name: str) -> None:
    waits = started.results[name]
    assert [ended(one) for one in waits.results] == ["FAILURE", "FAILURE"]


@pytest.mark.parametrize("name", ["behind, in a chord", "inner fails", "inner has a bad body", "failing"])
def test_a_chord_fails_when_something_in_it_does(started: Started, name: str) -> None:
    assert ended(started.results[name]) == "FAILURE"


@pytest.mark.parametrize(("name", "expected"), [("counting", 3), ("keeping", 3)])
def test_a_chord_goes_on_whatever_meets_the_child_that_counts(started: Started, name: str, expected: int) -> None:
    assert AsyncResult(started.results[name].id).get(timeout=LONG) == expected
    left = list(started.stack.folder.glob(f"?[01].{name}"))
    assert len(left) == 1, "one of the two was cut off"


def test_the_errback_of_a_chord_is_among_the_children_of_its_body(started: Started) -> None:
    parts = [step.s(1), step.s(2, fails="KeyError")]
    failed = chord(parts, total.s().on_error(started.hearing("a child")))()
    assert ended(failed) == "FAILURE"
    children = AsyncResult(failed.id).children
    assert children is not None
    (errback,) = children[0].children
    assert errback.get(timeout=LONG) is None
    assert started.stack.lines("heard", name="a child")[0]["failed"] == failed.id


def test_a_chord_says_why_its_part_failed_and_not_that_it_was_undone(started: Started) -> None:
    assert ended(started.results["quarantined"]) == "FAILURE"
    error = AsyncResult(started.results["quarantined"].id).result
    assert "ended as quarantined: took its worker down" in str(error)


def test_a_canvas_that_is_sent_twice_runs_twice(started: Started) -> None:
    twice = chain(step.s(1), started.passing("twice"))
    sums = chord([step.s(1), step.s(2)], total.s())
    frozen = chord([step.s(1) | step.s(), step.s(2)], total.s() | step.s())
    first = frozen.freeze()
    ends = [one.delay() for one in (twice, sums, frozen, twice, sums, frozen)]
    assert [end.get(timeout=LONG) for end in ends] == [2, 5, 7, 2, 5, 7]
    assert started.told("twice") == 2
    assert len({end.id for end in ends}) == 6
    assert first.id == ends[2].id


def test_a_chain_of_chords_is_made_anew_and_sent_once(started: Started) -> None:
    for _ in range(3):
        several = [group(step.s(), step.s()) | total.s() for _ in range(3)]
        chords = group(step.s(1), step.s(2)) | total.s() | several[0] | several[1] | several[2]
        assert chords.delay().get(timeout=LONG) == 54
    inner = group(step.s(1), step.s(2)) | total.s() | group(step.s(), step.s()) | total.s()
    assert chord([inner, step.s(1)], total.s())().get(timeout=LONG) == 14


@pytest.fixture
def protocol_1() -> Iterator[None]:
    app = step.app
    app.conf.task_protocol = 1
    app.amqp.__dict__.pop("create_task_message", None)  # kept once it was made
    yield
    app.conf.task_protocol = 2


@pytest.mark.skipif(VERSION < (5, 7), reason="refused at start before Celery 5.7")
@pytest.mark.usefixtures("protocol_1")
def test_a_canvas_of_protocol_1_comes_to_its_end(started: Started) -> None:
    chords = group(step.s(1), step.s(2)) | total.s() | group(step.s(), step.s()) | total.s()
    assert chords.delay().get(timeout=LONG) == 12
    assert chain(step.s(1), step.s(), step.s()).delay().get(timeout=LONG) == 4


def test_a_task_id_is_one_run(started: Started) -> None:
    frozen = step.s(1)
    frozen.freeze()
    results = [frozen.delay(), frozen.delay(), step.apply_async((8,), task_id=frozen.id)]
    assert [result.get(timeout=LONG) for result in results] == [2, 2, 2]
    assert len({result.id for result in results}) == 1


def test_a_run_is_not_taken_into_another_canvas(started: Started) -> None:
    frozen = step.s(1)
    frozen.freeze()
    assert frozen.delay().get(timeout=LONG) == 2
    for other in (chain(frozen, step.s()), chord([frozen, step.s(1)], total.s())):
        with pytest.raises(BadUsage, match=rf"{frozen.id} has run in another chain or chord"):
            other.delay()


def test_a_full_ledger_keeps_back_errbacks_and_changes_no_error(started: Started) -> None:
    stack, path = started.stack, started.path
    errbacks = [noted.s(path=path), started.hearing("full")]
    failed = step.apply_async((1,), {"path": path, "gate": "full", "fails": "KeyError"}, link_error=errbacks)
    part = step.s(1, path=path, gate="full", fails="KeyError")
    failed_chord = chord([part, step.s(2)], total.s().on_error(started.hearing("full chord")))()
    unguarded = chord([plain.s(n, path, "full") for n in range(1)] + [plain.s(1, path, "full")], total.s())()

    def refused() -> bool:
        stack.ledger.set_full(True)  # again and again: upkeep sees that there is room
        return failed.ready() and f"what follows {failed.id} is left to upkeep" in stack.processes[0].said()

    eventually(lambda: len(Journal(path).lines("at", name="full")) >= 3, LONG, "three to stand at the gate")
    stack.ledger.set_full(True)
    Journal(path).open("full")
    eventually(refused, LONG, "the errback to be refused")
    assert ended(unguarded) == "FAILURE"
    stack.ledger.set_full(False)
    eventually(started.quiet, 2 * LONG, "all runs to end")
    assert [started.told(name) for name in ("full", "full chord")] == [1, 1]
    for waits, error in ((failed, "as asked"), (failed_chord, "as asked")):
        assert error in str(AsyncResult(waits.id).result)
    assert "Pool callback raised exception" not in stack.processes[0].said()


@pytest.mark.long
def test_errbacks_that_do_not_end_or_exit_hold_up_no_other_links(started: Started) -> None:
    stack, path = started.stack, started.path
    errbacks = [noted.s(path=path, gate="held"), exits.s(path=path)] * 6
    for number, errback in enumerate(errbacks):
        step.apply_async((1,), started.dies(f"held {number}", "settled", fails="KeyError"), link_error=errback)
    eventually(lambda: len(Journal(path).lines("at", name="held")) >= 5, 2 * LONG, "more to hang than threads")
    following = chain(step.s(1, **started.dies("beside", "settled")), step.s())()
    assert following.get(timeout=LONG) == 3
    Journal(path).open("held")
    eventually(started.quiet, LONG, "all to be confirmed")
    assert len(stack.lines("exits")) == 6
