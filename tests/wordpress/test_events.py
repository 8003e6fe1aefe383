"""Due events run once, each in its own process, whatever becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wordpress.lab import Lab
from worker.settings import Settings
from worker.site.wordpress import due, events, ways
from worker.site.wordpress.events import Orders
from worker.site.wordpress.ran import Ran
from worker.site.wordpress.site import Site


def run(known: Settings, **changes: Any) -> Ran:
    """Run what is due, as the task does."""
    recorded: list[Any] = []
    given = {"run": "test", "fenced": ("events:test", None), "record": recorded.append, "stop": lambda: False}
    return events.run(Site.connect(known), ways.chosen(known), Orders(**{**given, **changes}))


def schedule(lab: Lab, hook: str, token: str, seconds: int = -5, recurrence: str = "") -> None:
    """Schedule one event of the tests' hooks."""
    how = "wp_schedule_event($t, $argv[4], $argv[1], [$argv[2]])" if recurrence else (
        "wp_schedule_single_event($t, $argv[1], [$argv[2]])")  # fmt: skip
    code = f"$t = time() + (int) $argv[3]; if (!{how}) exit(3);"
    lab.wp(code, hook, token, seconds, recurrence)


def test_due_events_run_once_and_others_do_not(lab: Lab, way: Settings) -> None:
    lab.event(-30, 0, "a")
    lab.event(-20, 0, "b")
    lab.event(600, 0, "later")
    found = run(way)
    assert (found.ran, found.failed, found.lost, found.overdue, found.busy) == (2, [], [], 0, None)
    assert run(way).ran == 0
    assert [lab.logged(token, "end") for token in ("a", "b", "later")] == [1, 1, 0]


def test_a_recurring_event_is_due_again_at_its_next_time(lab: Lab, way: Settings) -> None:
    schedule(lab, "anp_fine", "r", recurrence="hourly")
    found = run(way)
    assert (found.ran, run(way).ran) == (1, 0)
    (event,) = [event for event in due.scheduled(Site.connect(way)) if event.hook == "anp_fine"]
    assert event.recurrence == "hourly"


@pytest.mark.parametrize("hook", ["anp_exits", "anp_throws", "anp_eats"])
def test_a_hook_that_ends_its_process_fails_and_the_rest_still_run(lab: Lab, way: Settings, hook: str) -> None:
    schedule(lab, hook, "bad", -60)
    lab.event(-30, 0, "after")
    found = run(way)
    assert found.ran == 1
    (trouble,) = found.failed
    assert trouble.hook == hook
    assert "not declared repeatable" in trouble.why
    assert (lab.logged("bad"), lab.logged("after", "end")) == (1, 1)
    assert run(way).ran == 0
    assert lab.logged("bad") == 1


def test_a_repeatable_hook_that_fails_is_tried_three_times(lab: Lab, php: Settings) -> None:
    schedule(lab, "anp_throws", "bad")
    repeatable = frozenset({"anp_throws"})
    assert "RuntimeException: as asked" in run(php, repeatable=repeatable).failed[0].why
    found = run(php, repeatable=repeatable)
    assert "tried 3 times" in found.failed[0].why
    assert run(php, repeatable=repeatable) == Ran()
    assert lab.logged("bad") == 3


def test_a_hook_that_never_ends_is_ended_and_the_rest_still_run(lab: Lab, php: Settings) -> None:
    schedule(lab, "anp_never_ends", "stuck", -60)
    lab.event(-30, 0, "after")
    found = run(php, limit=2)
    (trouble,) = found.lost
    assert "limit of 2 s" in trouble.why
    assert (found.ran, lab.logged("after", "end")) == (1, 1)
