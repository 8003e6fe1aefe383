"""`self.replace`: the run goes on as what its body put in its place, in one row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain, chord
from celery.result import AsyncResult

from tests.support.eventually import eventually
from tests.support.replacing import add, by, counts, holds, leaves, total
from tests.support.stack import Stack, on_empty_redis

#: Seconds for whatever is sent by upkeep (5), and for what follows.
LONG = 25


@pytest.fixture(scope="module")
def stack(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with on_empty_redis(tmp_path_factory.mktemp("replace"), {"tasks": "tests.support.replacing"}) as stack:
        stack.worker(concurrency=2)
        yield stack


def states(stack: Stack, run_id: str) -> list[str]:
    return [step.after for step in stack.ledger.run(run_id).history]


@pytest.mark.parametrize(
    ("how", "value"),
    [
        ("one", 2), ("chain", 4), ("chord", 6), ("group", [2, 4]), ("chain that ends in a group", [3, 4]),
        ("another", 4),
    ],
)  # fmt: skip
def test_a_run_goes_on_as_what_it_was_replaced_by(stack: Stack, how: str, value: Any) -> None:
    result = by.delay(how)
    assert result.get(timeout=LONG) == value
    run = stack.ledger.run(result.id)
    assert (run.state, run.result) == ("succeeded", value)
    assert run.task != by.name
    assert states(stack, run.run_id).count("delayed") == (2 if how == "another" else 1)


@pytest.mark.parametrize("how", ["plain", "chain to a plain one"])
def test_a_run_that_is_replaced_by_a_task_that_is_not_guarded_ends_as_sent(stack: Stack, how: str) -> None:
    result = by.delay(how)
    assert result.get(timeout=LONG) in (2, 3)
    eventually(lambda: stack.ledger.run(result.id).state == "sent", LONG, "the run to end")


@pytest.mark.parametrize("how", ["one that fails", "chain that fails", "chord that fails", "bad input"])
def test_a_run_fails_with_what_it_was_replaced_by(stack: Stack, how: str) -> None:
    result = by.apply_async((how,), link_error=add.si(7, 7, path=str(stack.journal)))
    eventually(lambda: AsyncResult(result.id).state == "FAILURE", LONG, "the run to fail")
    run = stack.ledger.run(result.id)
    assert run.state == "failed"
    assert run.error
    eventually(lambda: stack.lines("added", x=7, y=7), LONG, "the errback")
    stack.journal.write_text("", encoding="utf-8")


@pytest.mark.parametrize("how", ["one", "chain", "chord"])
def test_what_follows_a_run_follows_its_replacement(stack: Stack, how: str) -> None:
    value = {"one": 2, "chain": 4, "chord": 6}[how]
    assert chain(by.si(how), add.s(10), add.s(1))().get(timeout=LONG) == value + 11
    assert chord([by.si(how), add.s(1, 1)], total.s())().get(timeout=LONG) == value + 2


@pytest.mark.parametrize("how", ["one", "chain"])
def test_upkeep_sends_it_where_the_child_dies_before(stack: Stack, how: str) -> None:
    stack.journal.write_text("", encoding="utf-8")
    mark = stack.folder / f"dies.{how}"
    mark.touch()
    result = by.delay(how, path=str(stack.journal), dies=str(mark))
    assert result.get(timeout=LONG) == {"one": 2, "chain": 4}[how]
    assert len(stack.lines("body")) == 1
    assert len(stack.lines("added")) == 1


@pytest.mark.parametrize("apart", [False, True])
def test_what_it_is_replaced_by_may_want_its_lock(stack: Stack, apart: bool) -> None:
    results = [holds.delay(f"lock {apart}", apart) for _ in range(2)]
    assert [result.get(timeout=LONG) for result in results] == [2 + apart] * 2


def test_a_task_may_put_itself_in_its_place(stack: Stack) -> None:
    result = counts.delay(3)
    assert result.get(timeout=LONG) == "done"
    run = stack.ledger.run(result.id)
    assert (run.attempts, len(run.undo), run.failures) == (4, 4, 0)


def test_a_run_with_undo_entries_does_not_go_on_as_another_task(stack: Stack) -> None:
    result = leaves.delay(str(stack.journal))
    with pytest.raises(Exception, match="undo entries"):
        result.get(timeout=LONG)
    eventually(lambda: stack.ledger.run(result.id).state == "rolled_back", LONG, "the rollback")
    assert stack.lines("undone", name="effect")
