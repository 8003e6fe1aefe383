"""Overrides, backfills and generations: the scripts, one promise at a time, on a real Redis."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from celery_anp.errors import Refused, Retired, StateLost
from celery_anp.reliability.live import Live
from celery_anp.reliability.overrides import Backfill, Overrides
from celery_anp.reliability.records import Decision, End, NewRun
from tests.support.moved import NODE, Moved, begin, new, settle, state

START = 1_000_000


def tick(at: int, **fields: Any) -> NewRun:
    """A tick that many seconds after the clock's start."""
    fields = {"lock": "l", "overlap": "skip", **fields}
    return new(f"s@{at}", schedule="s", tick=(START + at) * 1000, **fields)


def decide(ledger: Moved, *ticks: NewRun, seen: str = "", cursor: str = "c") -> list[tuple[str, str]]:
    """What became of some ticks: state and reason."""
    decided = ledger.decide([Decision("s", seen, cursor, ticks)])
    assert not decided[0].moved
    return [(planned.state, planned.reason) for planned in decided[0].planned]


def waiting(one: NewRun) -> NewRun:
    """A tick as a backfill plans it."""
    assert one.tick is not None
    lock = replace(one.lock, overlap="buffer_all", limit=9)
    return replace(one, lock=lock, tick=replace(one.tick, backfill=True))


def backfill(ledger: Moved, todo: Backfill, *ticks: NewRun, last: bool = True) -> None:
    """One step of a backfill over some ticks."""
    now = Overrides(ledger.store).backfills().get("s", todo)
    specs = [json.dumps(ledger.spec(waiting(one))) for one in ticks]
    ledger.store.call("backfill", "s", now.id, now.reached, int(last), *specs)


def ordered(ledger: Moved, rate: int = 60) -> Backfill:
    """A backfill that was just ordered."""
    todo = Backfill("b1", START - 1, START + 100, rate, "ada")
    Overrides(ledger.store).order("s", todo, "")
    return todo


def test_a_tick_of_a_paused_schedule_is_skipped_and_says_by_whom_and_why(ledger: Moved) -> None:
    Overrides(ledger.store).apply("s", "pause", "ada", "database upgrade", seconds=60)
    assert decide(ledger, tick(1)) == [("skipped", "paused: by ada, database upgrade")]


def test_a_pause_ends_by_itself(ledger: Moved) -> None:
    Overrides(ledger.store).apply("s", "pause", "ada", seconds=60)
    ledger.go(60)
    assert decide(ledger, tick(60))[0][0] == "queued"


def test_a_tick_of_the_pause_that_nobody_decided_until_its_end_is_skipped_all_the_same(ledger: Moved) -> None:
    Overrides(ledger.store).apply("s", "pause", "ada", seconds=60)
    ledger.go(90)
    assert [what for what, _ in decide(ledger, tick(59), tick(60))] == ["skipped", "queued"]


def test_resume_lets_the_next_tick_run_and_no_earlier_one(ledger: Moved) -> None:
    overrides = Overrides(ledger.store)
    overrides.apply("s", "pause", "ada")
    ledger.go(30)
    overrides.apply("s", "resume", "bob")
    assert [what for what, _ in decide(ledger, tick(29), tick(30))] == ["skipped", "queued"]
    assert [(deed.what, deed.by) for deed in overrides.history("s")] == [("resume", "bob"), ("pause", "ada")]


def test_a_missed_tick_from_before_a_pause_does_not_run_while_it_lasts(ledger: Moved) -> None:
    ledger.go(50)
    Overrides(ledger.store).apply("s", "pause", "ada")
    assert decide(ledger, tick(10))[0][0] == "skipped"


def test_disable_outlasts_everything_until_it_is_enabled(ledger: Moved) -> None:
    overrides = Overrides(ledger.store)
    overrides.apply("s", "disable", "ada")
    ledger.go(400 * 86_400)
    assert decide(ledger, tick(5))[0] == ("skipped", "disabled: by ada")
    overrides.apply("s", "enable", "ada")
    assert decide(ledger, tick(400 * 86_400), seen="c")[0][0] == "queued"


@pytest.mark.parametrize(
    ("before", "what"), [("", "resume"), ("", "enable"), ("disable", "pause"), ("pause", "enable")]
)
def test_a_move_that_does_not_fit_is_refused_and_changes_nothing(ledger: Moved, before: Any, what: Any) -> None:
    overrides = Overrides(ledger.store)
    if before:
        overrides.apply("s", before, "ada")
    held = overrides.on("s")
    with pytest.raises(Refused):
        overrides.apply("s", what, "bob")
    assert overrides.on("s") == held
    assert len(overrides.history("s")) == bool(before)


def test_a_replayed_request_is_one_line_and_does_not_move_the_end(ledger: Moved) -> None:
    request = ("hand", "s", "pause", "ada", "", 60_000, "token")
    first = ledger.store.call(*request)
    ledger.go(10)
    assert ledger.store.call(*request) == first
    assert len(Overrides(ledger.store).history("s")) == 1


def test_a_second_pause_moves_the_end_and_keeps_the_beginning(ledger: Moved) -> None:
    overrides = Overrides(ledger.store)
    first = overrides.apply("s", "pause", "ada", seconds=60)
    ledger.go(30)
    second = overrides.apply("s", "pause", "bob", seconds=60)
    assert second.since == first.since
    assert second.until
    assert first.until
    assert (second.until - first.until).total_seconds() == 30


def test_a_backfill_runs_what_was_skipped_and_leaves_what_ran(ledger: Moved) -> None:
    Overrides(ledger.store).apply("s", "pause", "ada", seconds=10)
    decide(ledger, tick(1), tick(2))
    ledger.go(20)
    ledger.heartbeat(NODE)
    decide(ledger, tick(20), seen="c")
    begin(ledger, "s@20")
    settle(ledger, "s@20")
    todo = ordered(ledger, 6000)
    backfill(ledger, todo, tick(1), last=False)
    assert state(ledger, "s@1") == "queued"
    assert ledger.run("s@1").history[-1].reason == "holds l"
    begin(ledger, "s@1")
    settle(ledger, "s@1")
    backfill(ledger, todo, tick(20))
    assert (state(ledger, "s@1"), state(ledger, "s@20")) == ("succeeded", "succeeded")
    assert Overrides(ledger.store).backfills() == {}
    assert Overrides(ledger.store).history("s")[0].note == "ran 1, left 1 as they were"


def test_a_backfill_has_one_run_under_way_and_a_live_tick_waits_for_it_and_is_not_skipped(ledger: Moved) -> None:
    todo = ordered(ledger, 6000)
    backfill(ledger, todo, tick(1), tick(2), tick(3))
    assert [one.run_id for one in ledger.runs()] == ["s@1"]
    assert decide(ledger, tick(50)) == [("blocked", "waits for l, held by s@1")]
    backfill(ledger, todo, tick(2), tick(3))
    begin(ledger, "s@1")
    settle(ledger, "s@1")
    assert state(ledger, "s@50") == "queued"
    backfill(ledger, todo, tick(2), tick(3))
    assert sorted(one.run_id for one in ledger.runs()) == ["s@1", "s@50"], "none while the live tick holds the lock"
    begin(ledger, "s@50")
    settle(ledger, "s@50")
    ledger.go(1)
    backfill(ledger, todo, tick(2), tick(3))
    assert state(ledger, "s@2") == "queued"


def test_a_backfill_keeps_to_its_rate(ledger: Moved) -> None:
    todo, loose = ordered(ledger, 60), {"lock": "", "overlap": "allow_all"}
    backfill(ledger, todo, *(tick(at, **loose) for at in range(1, 6)))
    assert len(ledger.runs()) == 1
    backfill(ledger, todo, *(tick(at, **loose) for at in range(2, 6)))
    assert len(ledger.runs()) == 1
    ledger.go(1)
    backfill(ledger, todo, *(tick(at, **loose) for at in range(2, 6)))
    assert len(ledger.runs()) == 2


def test_a_step_that_another_beat_took_is_not_taken_again(ledger: Moved) -> None:
    todo = ordered(ledger, 6000)
    specs = [json.dumps(ledger.spec(tick(1, lock="", backfill=True)))]
    for _ in range(2):
        ledger.store.call("backfill", "s", todo.id, todo.reached, 0, *specs)
    now = Overrides(ledger.store).backfills()["s"]
    assert (now.planned, now.left) == (1, 0)


def test_a_second_backfill_of_a_schedule_is_refused_until_the_first_is_stopped(ledger: Moved) -> None:
    ordered(ledger)
    overrides, other = Overrides(ledger.store), Backfill("b2", 1, 2, 60, "bob")
    with pytest.raises(Refused):
        overrides.order("s", other, "")
    overrides.stop("s", "bob", "wrong range")
    overrides.order("s", other, "")
    assert overrides.backfills()["s"].id == "b2"


def test_a_tick_that_was_only_counted_cannot_be_retried(ledger: Moved) -> None:
    counted = replace(tick(1), message=None, end=End("skipped", "catchup: 9 ticks"))
    decide(ledger, counted)
    with pytest.raises(Refused):
        ledger.operate("s@1", "retry", "ada")


# -- generations --------------------------------------------------------------------------------------------------


def words(live: Live, *asked: tuple[str, str, bool]) -> list[str]:
    """The answers to a row of requests: digest, release, fresh."""
    return [live.adopt(digest, release, fresh=fresh).word for digest, release, fresh in asked]


def test_a_new_release_takes_over_and_an_earlier_one_never_comes_back(ledger: Moved) -> None:
    live = Live(ledger.store)
    asked = [("a", "r1", True), ("b", "r2", True), ("a", "r1", True), ("a", "r1", False), ("b", "r2", False)]
    assert words(live, *asked) == ["taken", "taken", "retired", "retired", "current"]


def test_a_rollback_is_a_release_of_its_own(ledger: Moved) -> None:
    live = Live(ledger.store)
    asked = [("a", "r1", True), ("b", "r2", True), ("a", "r1-again", True), ("b", "r2", True)]
    assert words(live, *asked) == ["taken", "taken", "taken", "retired"]
    current = live.current()
    assert current
    assert (current.number, current.digest) == (3, "a")


def test_in_development_what_was_just_read_takes_over(ledger: Moved) -> None:
    live = Live(ledger.store)
    assert words(live, ("a", "", True), ("b", "", True), ("a", "", False), ("a", "", True)) == [
        "taken", "taken", "retired", "taken",
    ]  # fmt: skip


def test_an_edit_within_a_release_replaces_what_was_live(ledger: Moved) -> None:
    live = Live(ledger.store)
    assert words(live, ("a", "r1", True), ("b", "r1", True), ("a", "r1", False)) == ["taken", "taken", "retired"]


def test_plans_worked_out_from_other_schedules_than_the_live_ones_are_refused(ledger: Moved) -> None:
    with pytest.raises(StateLost):
        ledger.decide([Decision("s", "", "c", (tick(1),))], "a")
    Live(ledger.store).adopt("a", "r1", fresh=True)
    Live(ledger.store).adopt("b", "r2", fresh=True)
    with pytest.raises(Retired):
        ledger.decide([Decision("s", "", "c", (tick(1),))], "a")
    assert ledger.runs() == []
    assert ledger.cursors() == {}
    assert ledger.decide([Decision("s", "", "c", (tick(1),))], "b")[0].planned[0].created


def test_a_schedule_that_is_gone_takes_its_cursor_along(ledger: Moved) -> None:
    live = Live(ledger.store)
    live.adopt("a", "", fresh=True)
    decide(ledger, tick(1))
    assert live.publish("a", "files", [("s", "{}", "")])
    assert live.publish("a", "files", [("s", "", "no longer declared")])
    assert (live.declared(), ledger.cursors()) == ({}, {})
    assert not live.publish("b", "files", [("s", "{}", "")]), "others are live"


def test_a_renamed_schedule_keeps_cursor_pause_and_history_and_is_renamed_once(ledger: Moved) -> None:
    live, overrides = Live(ledger.store), Overrides(ledger.store)
    decide(ledger, tick(1), cursor="1000|t")
    overrides.apply("s", "pause", "ada")
    assert live.rename("new", "s")
    assert not live.rename("new", "s")
    assert ledger.cursors() == {"new": "1000|t"}
    assert overrides.on("s") is None
    assert overrides.on("new")
    assert [deed.what for deed in overrides.history("new")] == ["renamed", "pause"]
