"""WordPress' cron option as bytes: its events in order, and a clear error for what is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from worker.site.wordpress import cron, lost
from worker.site.wordpress.register import Row

OPTION = (
    b'a:3:{i:200;a:1:{s:8:"do_pings";a:1:{s:32:"40cd750bba9870f18aada2478b24840a";'
    b'a:2:{s:8:"schedule";b:0;s:4:"args";a:0:{}}}}'
    b'i:100;a:1:{s:5:"hour\xc3";a:1:{s:1:"k";a:3:{s:8:"schedule";s:6:"hourly";s:4:"args";a:1:{i:0;s:4:"'
    + "\N{GRINNING FACE}".encode()
    + b'";}s:8:"interval";i:3600;}}}s:7:"version";i:2;}'
)
ROW = Row("k", "hook", 1, None, "begun", 1, 60, "", "", datetime(2026, 1, 1), "")  # noqa: DTZ001  as SQL gives it


def test_events_come_in_the_order_they_are_due() -> None:
    first, second = cron.events(OPTION)
    assert (first.due, first.hook, first.sig, first.recurrence) == (100, "hour\N{REPLACEMENT CHARACTER}", "k", "hourly")
    assert (second.due, second.hook, second.recurrence) == (200, "do_pings", None)
    assert second.key == cron.events(OPTION)[1].key != replace(second, due=201).key


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (OPTION[:-5], "cannot be read: PHP-serialised data is broken at byte"),
        (b"b:1;", "not laid out"),
        (b'a:1:{s:3:"odd";a:0:{}}', "not laid out"),
        (b'a:1:{i:1;a:1:{s:1:"h";i:5;}}', "not laid out"),
        (b'a:1:{i:1;a:1:{s:1:"h";a:1:{s:1:"k";i:5;}}}', "not laid out"),
    ],
)
def test_what_is_no_cron_option_is_told(option: bytes, said: str) -> None:
    with pytest.raises(cron.CorruptCron, match=said):
        cron.events(option)


@pytest.mark.parametrize(
    ("row", "again", "why"),
    [
        (ROW, True, "run again"),
        (replace(ROW, attempts=lost.TRIES), False, "tried 3 times"),
        (replace(ROW, hook="other"), False, "not declared repeatable"),
        (replace(ROW, recurrence="hourly"), False, "next time"),
    ],
)
def test_a_dead_event_runs_again_only_where_that_is_declared(row: Row, again: bool, why: str) -> None:
    decided = lost.decide(row, {"hook"})
    assert decided.again is again
    assert why in decided.why
