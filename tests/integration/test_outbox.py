"""What waits to be told: limits, claims, pings; the scripts on a real Redis with a moved clock."""

from __future__ import annotations

import json

import pytest

from tests.support.moved import CLOCK, NODE, Moved, begin, new, settle
from tests.support.told import alerts, go, kinds, run, tick


def test_a_storm_of_alerts_is_thirty_a_minute_and_one_that_counts_the_others(ledger: Moved) -> None:
    for number in range(100):
        run_id = f"r{number}"
        ledger.plan([new(run_id, hook=True)])
        run(ledger, run_id, "failed")
        run(ledger, run_id, "rollback_failed")
    assert len(alerts(ledger)) == 30
    go(ledger, 60)
    assert len(alerts(ledger)) == 31
    assert alerts(ledger)[-1]["text"].startswith("70 more alerts")


def test_the_outbox_has_a_limit_and_counts_what_it_drops(ledger: Moved) -> None:
    for number in range(1_005):
        ledger.plan([tick(number, ping="http://nowhere", late=0)])
        run(ledger, f"s@{number}", "failed")
    counts = ledger.store.client.hgetall(ledger.store.key("outbox:counts"))
    assert (len(alerts(ledger)), int(counts["dropped"])) == (1000, 1010)


def test_pings_that_wait_take_no_place_from_alerts(ledger: Moved) -> None:
    for number in range(501):
        ledger.plan([tick(number, ping="http://nowhere", late=0, pause_after=501)])
        run(ledger, f"s@{number}", "failed")
    assert kinds(ledger).count("paused") == 1
    assert len(alerts(ledger)) == 1001


def test_an_alerts_number_is_not_given_again_after_redis_lost_everything(ledger: Moved) -> None:
    def number() -> str:
        ledger.plan([tick(0, ping="http://nowhere")])
        begin(ledger, "s@0")
        return str(ledger.store.call("outbox", "claim", "ping", 5, 90_000)[0])

    first, clock = number(), int(ledger.store.client.get(CLOCK) or 0)
    ledger.store.client.flushdb()
    ledger.store.client.set(CLOCK, clock + 1)
    ledger.heartbeat(NODE, {"kind": "worker"})
    assert int(number()) > int(first)


def test_what_one_node_has_claimed_no_other_gets_until_the_claim_is_over(ledger: Moved) -> None:
    ledger.plan([tick(1, ping="http://nowhere")])
    begin(ledger, "s@1")
    first = ledger.store.call("outbox", "claim", "ping", 5, 90_000)
    assert len(first) == 2
    assert ledger.store.call("outbox", "claim", "ping", 5, 90_000) == []
    ledger.go(91)
    again = ledger.store.call("outbox", "claim", "ping", 5, 90_000)
    assert [json.loads(text)["attempts"] for text in (first[1], again[1])] == [1, 2]
    ledger.store.call("outbox", "sent", "ping", again[0])
    assert alerts(ledger) == []


@pytest.mark.parametrize(
    ("outcome", "told"), [("succeeded", ["start", "success"]), ("failed", ["start", "fail"]), ("retry", ["start"])]
)
def test_a_run_is_pinged_at_its_start_and_at_its_end(ledger: Moved, outcome: str, told: list[str]) -> None:
    ledger.plan([tick(1, ping="http://nowhere/x")])
    begin(ledger, "s@1")
    settle(ledger, "s@1", outcome, delay=0)
    if outcome == "retry":
        ledger.promote()
        begin(ledger, "s@1", token="t2")
    assert kinds(ledger) == told


def test_a_run_without_its_expected_result_is_pinged_as_failed(ledger: Moved) -> None:
    ledger.plan([tick(1, ping="http://nowhere/x")])
    begin(ledger, "s@1")
    settle(ledger, "s@1", as_expected=0)
    assert kinds(ledger) == ["start", "fail"]


def test_a_failure_that_was_undone_is_told_with_its_own_reason(ledger: Moved) -> None:
    ledger.plan([tick(1, ping="http://nowhere/x", hook=True, pause_after=1)])
    begin(ledger, "s@1")
    settle(ledger, "s@1", "failed", reason="no route to host")
    run(ledger, "s@1", "rolled_back")
    paused, fail = alerts(ledger)[1:]
    assert fail["text"] == "failed: no route to host; rolled_back"
    assert paused["text"].endswith("the last s@1; failed: no route to host; rolled_back")
