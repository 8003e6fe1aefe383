"""Who is late and who fails too often: the scripts on a real Redis with a moved clock."""

from __future__ import annotations

from celery_anp.reliability.live import Live
from celery_anp.reliability.overrides import Overrides
from celery_anp.reliability.records import Decision
from tests.support.moved import NODE, Moved, begin, new, settle
from tests.support.told import START, alerts, decide, go, kinds, run, tick


def test_a_tick_without_success_in_its_time_is_told_once_and_its_end_once(ledger: Moved) -> None:
    seen = decide(ledger, tick(0), after=60)
    go(ledger, 9)
    assert kinds(ledger) == []
    go(ledger, 20)
    assert kinds(ledger) == ["late"]
    assert ledger.late() == {"s": (START + 10) * 1000}
    decide(ledger, tick(60), after=120, seen=seen)
    go(ledger, 100)
    assert kinds(ledger) == ["late"]
    run(ledger, "s@0")
    assert (kinds(ledger), ledger.late()) == (["late", "late_over"], {})


def test_a_success_in_time_tells_nothing_and_is_asked_for_again_at_the_next_tick(ledger: Moved) -> None:
    decide(ledger, tick(0), after=60)
    run(ledger, "s@0")
    go(ledger, 69)
    assert kinds(ledger) == []
    go(ledger, 1)
    assert kinds(ledger) == ["late"], "no beat decided the tick after, and nobody would have heard of it"


def test_a_success_that_did_not_meet_its_expectation_is_none(ledger: Moved) -> None:
    decide(ledger, tick(0), after=60)
    begin(ledger, "s@0")
    settle(ledger, "s@0", as_expected=0)
    go(ledger, 11)
    assert kinds(ledger) == ["late"]


def test_a_run_by_hand_ends_the_lateness_of_its_schedule(ledger: Moved) -> None:
    decide(ledger, tick(0), after=60)
    go(ledger, 11)
    ledger.plan([new("task#1", stands_for="s")])
    run(ledger, "task#1", "failed")
    assert kinds(ledger) == ["late"]
    ledger.plan([new("task#2", stands_for="s")])
    run(ledger, "task#2")
    assert (kinds(ledger), ledger.late()) == (["late", "late_over"], {})


def test_a_tick_skipped_for_overlap_is_late_all_the_same(ledger: Moved) -> None:
    ledger.plan([new("holder", lock="l")])
    decide(ledger, tick(0, lock="l", overlap="skip"), after=60)
    go(ledger, 11)
    assert kinds(ledger) == ["late"]


def test_a_paused_schedule_does_not_become_late_and_is_watched_again_after(ledger: Moved) -> None:
    seen = decide(ledger, tick(0), after=60)
    overrides = Overrides(ledger.store)
    overrides.apply("s", "pause", "ada")
    go(ledger, 60)
    seen = decide(ledger, tick(60), after=120, seen=seen)
    go(ledger, 60)
    assert kinds(ledger) == []
    overrides.apply("s", "resume", "ada")
    decide(ledger, tick(120), after=180, seen=seen)
    go(ledger, 11)
    assert kinds(ledger) == ["late"]


def test_a_tick_that_is_skipped_after_the_pause_it_fell_into_is_not_late(ledger: Moved) -> None:
    seen = decide(ledger, after=50)
    Overrides(ledger.store).apply("s", "pause", "ada", seconds=55)
    go(ledger, 56)
    decide(ledger, tick(50), after=110, seen=seen)
    go(ledger, 10)
    assert kinds(ledger) == []


def test_a_pause_that_ends_by_itself_hides_no_dead_beat(ledger: Moved) -> None:
    seen = decide(ledger, tick(0), after=60)
    Overrides(ledger.store).apply("s", "pause", "ada", seconds=100)
    decide(ledger, tick(60), after=120, seen=seen)
    go(ledger, 129)
    assert kinds(ledger) == []
    go(ledger, 2)
    assert ledger.late() == {"s": (START + 130) * 1000}, "the tick after the pause was due, and nobody decided it"


def test_what_falls_due_during_a_pause_is_asked_for_by_the_tick_after_it(ledger: Moved) -> None:
    decide(ledger, tick(0), after=60)
    Overrides(ledger.store).apply("s", "pause", "ada", seconds=30)
    go(ledger, 69)
    assert kinds(ledger) == []
    go(ledger, 2)
    assert ledger.late() == {"s": (START + 70) * 1000}


def test_a_resumed_schedule_is_late_when_no_beat_decides_its_next_tick(ledger: Moved) -> None:
    decide(ledger, tick(0), after=60)
    overrides = Overrides(ledger.store)
    overrides.apply("s", "pause", "ada")
    go(ledger, 40)
    overrides.apply("s", "resume", "ada")
    go(ledger, 29)
    assert kinds(ledger) == []
    go(ledger, 2)
    assert kinds(ledger) == ["late"]


def test_a_schedule_with_another_timing_is_not_late_for_a_tick_that_it_no_longer_has(ledger: Moved) -> None:
    seen = decide(ledger, tick(0), after=60)
    run(ledger, "s@0")
    decide(ledger, after=1000, seen=seen)
    go(ledger, 1009)
    assert kinds(ledger) == []
    go(ledger, 2)
    assert kinds(ledger) == ["late"]


def test_another_timing_does_not_make_up_for_a_tick_that_has_not_succeeded(ledger: Moved) -> None:
    seen = decide(ledger, tick(0), after=60)
    decide(ledger, after=1000, seen=seen)
    go(ledger, 11)
    assert kinds(ledger) == ["late"]


def test_a_schedule_that_no_longer_promises_a_time_is_not_late(ledger: Moved) -> None:
    seen = decide(ledger, tick(0), after=60)
    go(ledger, 11)
    ledger.decide([Decision("s", seen, seen)])
    assert ledger.late(), "a decision about nothing says nothing of it"
    ledger.decide([Decision("s", seen, "c2", late=0)])
    assert ledger.late() == {}
    go(ledger, 100)
    assert kinds(ledger) == ["late"]


def test_so_many_failures_in_a_row_pause_the_schedule(ledger: Moved) -> None:
    for number in range(1, 4):
        ledger.plan([tick(number, pause_after=3)])
        run(ledger, f"s@{number}", "failed")
        assert bool(Overrides(ledger.store).on("s")) == (number == 3)
    held = Overrides(ledger.store).on("s")
    assert held
    assert (held.kind, held.by, held.note, held.until) == ("paused", "anp", "3 failures in a row, the last s@3", None)
    assert kinds(ledger) == ["paused"]
    assert Overrides(ledger.store).history("s")[0].by == "anp"


def test_a_success_between_begins_the_count_anew(ledger: Moved) -> None:
    for number, outcome in enumerate(["failed", "failed", "succeeded", "failed", "failed"]):
        ledger.plan([tick(number, pause_after=3)])
        run(ledger, f"s@{number}", outcome)
    assert Overrides(ledger.store).on("s") is None


def test_a_failure_and_its_rollback_are_one_failure(ledger: Moved) -> None:
    ledger.plan([tick(1, pause_after=2, hook=True)])
    run(ledger, "s@1", "failed")
    run(ledger, "s@1", "rolled_back")
    assert ledger.run("s@1").state == "rolled_back"
    ledger.operate("s@1", "retry", "ada")
    assert Overrides(ledger.store).on("s") is None
    run(ledger, "s@1", "failed")
    run(ledger, "s@1", "rolled_back")
    assert Overrides(ledger.store).on("s")


def test_a_rollback_that_failed_and_is_done_again_is_no_second_failure(ledger: Moved) -> None:
    ledger.plan([tick(1, pause_after=2, hook=True)])
    run(ledger, "s@1", "failed")
    run(ledger, "s@1", "rollback_failed")
    ledger.operate("s@1", "rollback", "ada")
    run(ledger, "s@1", "rolled_back")
    assert Overrides(ledger.store).on("s") is None


def test_a_cancelled_run_that_was_undone_is_no_failure(ledger: Moved) -> None:
    ledger.plan([tick(1, pause_after=1, hook=True, ping="http://nowhere")])
    run(ledger, "s@1", "cancelled")
    run(ledger, "s@1", "rolled_back")
    assert (ledger.run("s@1").state, kinds(ledger)) == ("rolled_back", ["start"])
    assert Overrides(ledger.store).on("s") is None


def test_a_run_that_takes_its_worker_down_too_often_is_told_once(ledger: Moved) -> None:
    ledger.plan([new("a", hook=True)])
    for _ in range(3):
        fence = begin(ledger, "a", token=str(_)).fence
        ledger.lose("a", NODE, fence, "child", "its child died")
    assert [(item["kind"], item["run"]) for item in alerts(ledger)] == [("quarantined", "a")]
    begin(ledger, "a")
    settle(ledger, "a", "rollback_failed")
    assert kinds(ledger) == ["quarantined", "rollback_failed"]


def test_a_beat_left_over_from_an_earlier_release_is_told_once_and_one_that_goes_in_time_is_not(ledger: Moved) -> None:
    live = Live(ledger.store)
    live.adopt("old", "r1", fresh=True)
    live.adopt("new", "r2", fresh=True)
    for _ in range(59):
        assert live.adopt("old", "r1", fresh=False).word == "retired"
        ledger.go(1)
    assert kinds(ledger) == []
    for _ in range(60):
        ledger.go(1)
        live.adopt("old", "r1", fresh=False)
    assert kinds(ledger) == ["retired"]
    assert "release r1" in alerts(ledger)[0]["text"]
