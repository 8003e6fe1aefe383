"""The WordPress that everything else here is tested on does what the tests take for granted."""

from __future__ import annotations

import httpx

from tests.wordpress.lab import Lab


def test_a_post_that_is_due_stays_future_while_nothing_triggers(lab: Lab) -> None:
    ids = lab.future(2, -60)
    assert httpx.get(f"{lab.url}/").status_code == 200
    assert lab.statuses(ids) == ["future", "future"]
