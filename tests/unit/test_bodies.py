"""What the fault suite calls one body too many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from celery_anp.reliability.run import Run, Step
from tests.faults.bodies import Deaths, entered_too_often, nobody, went_on
from tests.support.journal import Line


def run(*history: tuple[float, str, str, str], failures: int = 0) -> Run:
    """A row with its steps: when, from, to, why."""
    steps = [Step(datetime.fromtimestamp(at, UTC), before, after, "n", why) for at, before, after, why in history]

    class Row:
        rollback_failures = 0

    Row.failures, Row.history = failures, steps  # type: ignore[attr-defined]
    return cast("Run", Row())


def line(event: str, at: float, fence: int, **more: Any) -> Line:
    return {"event": event, "at": at, "fence": fence, "run": "r", "pid": fence, "parent": 1, **more}


TWICE = [line("begin", 1, 1), line("begin", 2, 2)]
GIVEN_AWAY = (
    (1.0, "queued", "running", "attempt 1"),
    (1.5, "running", "queued", "its worker was shut down"),
    (2.0, "queued", "running", "attempt 2"),
    (9.0, "running", "succeeded", ""),
)


def test_a_second_body_is_explained_by_a_failure_or_a_death_and_by_nothing_else() -> None:
    assert list(entered_too_often(run(), TWICE, nobody)) == ["begin 2 times, with 0 failures and 0 deaths of a process"]
    assert not list(entered_too_often(run(failures=1), TWICE, nobody))
    assert not list(entered_too_often(run(), TWICE, lambda before, _: bool(before["pid"] == 1)))
    assert list(entered_too_often(run(failures=1), [*TWICE, line("begin", 3, 3)], nobody))


def test_a_hook_that_follows_its_body_is_entered_once() -> None:
    body_and_hook = [line("begin", 1, 1), line("rollback", 2, 2)]
    assert not list(entered_too_often(run(), body_and_hook, nobody))
    assert list(entered_too_often(run(), [*body_and_hook, line("rollback", 3, 3)], nobody))


def test_a_log_tells_of_the_deaths_that_a_node_caused_and_not_of_goodbyes() -> None:
    told = Deaths(
        ["killing child 1, which runs r: its lease had ended\nr: its worker was shut down: its child is gone"]
    )
    assert told.tell(line("begin", 1, 1))
    assert not told.tell(line("begin", 1, 2))
    assert Deaths(["r ended but could not settle; its node's lease decides: away"]).tell(line("begin", 1, 2))


def test_a_body_that_goes_on_after_its_node_gave_it_away_is_wrong() -> None:
    assert list(went_on(run(*GIVEN_AWAY), [*TWICE, line("end", 5, 1)])) == [
        "'its worker was shut down', but its body went on: ['end']"
    ]
    assert not list(went_on(run(*GIVEN_AWAY), [*TWICE, line("end", 5, 2)]))


def test_a_body_that_was_stopped_past_its_lease_may_wake_up_late() -> None:
    reaped = run((1.0, "queued", "running", "attempt 1"), (1.5, "running", "queued", "its node n died"))
    assert not list(went_on(reaped, [*TWICE, line("end", 5, 1)]))
