"""What a [[schedule]] entry may say, and what its error says when it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from celery_anp import duration
from celery_anp.beat.cron import normal
from celery_anp.beat.schedule import Schedule


def schedule(**entry: Any) -> Schedule:
    return Schedule.model_validate({"name": "probe", "task": "probe.run", **entry})


def problem(**entry: Any) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        schedule(**entry)
    first = caught.value.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"]


@pytest.mark.parametrize(
    ("text", "length"),
    [("30s", 30), ("5m", 300), ("1h30m", 5_400), ("2d", 172_800), ("1d1h1m1s", 90_061), ("0s", 0), (45, 45)],
)
def test_a_duration_is_read_as_whole_seconds(text: object, length: int) -> None:
    assert duration.seconds(text) == length
    assert duration.seconds(duration.text(length)) == length


@pytest.mark.parametrize(
    "text", ["", "30", "1.5s", "5 m", "m", "1m1h", "-5s", -5, 1.5, True, None, "500ms", "99999d", "٣s"]
)
def test_what_is_no_duration_in_whole_seconds_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        duration.seconds(text)


@pytest.mark.parametrize(
    ("entry", "field", "said"),
    [
        ({}, "cron", "one of every"),
        ({"every": "1m", "cron": "* * * * *"}, "cron", "not both"),
        ({"every": "0s"}, "every", "at least one second"),
        ({"every": "1.5s"}, "every", "whole seconds"),
        ({"cron": "* * * *"}, "cron", "five fields"),
        ({"cron": "* * * * * *"}, "cron", "needs seconds = true"),
        ({"cron": "* * * * *", "seconds": True}, "cron", "six fields"),
        ({"cron": "* * * * * * *", "seconds": True}, "cron", "six fields"),
        ({"cron": "0 0 30 2 *"}, "cron", "can never occur"),
        ({"cron": "0 0 31 4,6 *"}, "cron", "can never occur"),
        ({"cron": "61 * * * *"}, "cron", "can be read"),
        ({"cron": "*/61 * * * *"}, "cron", "a step of at most 60 in the field minute"),
        ({"cron": "0 */25 * * *"}, "cron", "at most 24 in the field hour"),
        ({"cron": "R * * * *"}, "cron", "fixed times"),
        ({"cron": "0 R(1-3) * * *"}, "cron", "fixed times"),
        ({"cron": "@reboot"}, "cron", "never comes"),
        ({"cron": "0 0 * * funday"}, "cron", "can be read"),
        ({"cron": "0 0 1,15 * fri#1"}, "cron", "with # beside another"),
        ({"cron": "0 0 1 * mon#1"}, "cron", "with # beside another"),
        ({"cron": "0 0 1-7 * */7"}, "cron", "with / beside another"),
        ({"cron": "0 0 */2 * mon"}, "cron", "with / beside another"),
        ({"cron": "0 0 */1 * mon"}, "cron", "with / beside another"),
        ({"cron": "0 0 1-31/2 * mon"}, "cron", "with / beside another"),
        ({"cron": "0 0 H/7 * mon"}, "cron", "with / beside another"),
        ({"cron": "0 0 l * mon"}, "cron", "with L beside another"),
        ({"cron": "0 0 1 * L5"}, "cron", "with L beside another"),
        ({"every": "1m", "timezone": "Europe/Berln"}, "timezone", "Did you mean 'Europe/Berlin'"),
        ({"every": "1m", "timezone": "../../etc/passwd"}, "timezone", "IANA"),
        ({"every": "30s", "jitter": "30s"}, "jitter", "less than the interval, which is 30s"),
        ({"cron": "0,10 * * * *", "jitter": "10m"}, "jitter", "which is 10m"),
        ({"cron": "* * * * * 0,5", "seconds": True, "jitter": "5s"}, "jitter", "which is 5s"),
        ({"every": "1m", "catchup_window": "0s"}, "catchup_window", 'a window such as "1h"'),
        ({"every": "1m", "overlap_limit": 5}, "overlap_limit", "buffer_all"),
        ({"every": "1m", "jitter": "20s", "start_deadline": "20s"}, "start_deadline", "longer than the jitter"),
        ({"every": "1m", "late_after": "0s"}, "late_after", "longer than the jitter"),
        ({"every": "1m", "overlap": "skp"}, "overlap", "'skip'"),
        ({"every": "1m", "enabled": "yes"}, "enabled", "boolean"),
        ({"every": "1m", "priority": 10}, "priority", "less than or equal to 9"),
        ({"every": "1m", "ping_url": "hc-ping.com/x"}, "ping_url", "pattern"),
        ({"every": "1m", "name": "a@b"}, "name", "pattern"),
        ({"every": "1m", "name": "a#b"}, "name", "pattern"),
        ({"every": "1m", "name": "a\n"}, "name", "pattern"),
        ({"every": "1m", "name": ""}, "name", "pattern"),
        ({"every": "1m", "input": {"share": float("nan")}}, "input", "JSON"),
        ({"every": "1m", "evry": 1}, "evry", "Extra inputs"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_field(entry: dict[str, Any], field: str, said: str) -> None:
    where, message = problem(**entry)
    assert where == field
    assert said in message


@pytest.mark.parametrize(
    "entry",
    [
        {"cron": "0 0 29 2 *"},
        {"cron": "H H(0-5) * * mon-fri"},
        {"cron": "0 22-2 * * *"},
        {"cron": "0 0 l * *"},
        {"cron": "0 9 * * 1#1"},
        {"cron": "0 9 * * L5"},
        {"cron": "0 9 ? * mon#1"},
        {"cron": "0 9 */2 * *"},
        {"cron": "0 9 1-7 * mon"},
        {"cron": "0 9 1-31 * mon"},
        {"cron": "0 9 *,5 * mon"},
        {"cron": "0 9 */2 * mon", "both_days": True},
        {"cron": "*/10 * * * * 5,35", "seconds": True},
        {"cron": "@daily"},
        {"every": "30s", "jitter": "29s"},
        {"cron": "0,10 * * * *", "jitter": "599s"},
        {"every": "1m", "catchup": "skip", "catchup_window": "0s"},
        {"every": "1m", "overlap": "buffer_all", "overlap_limit": 5},
        {"every": "1m", "name": "tasks.add every 30 (old)"},
    ],
)
def test_what_can_be_right_is_accepted(entry: dict[str, Any]) -> None:
    assert schedule(**entry).when


def test_defaults_are_those_of_the_contract() -> None:
    plain = schedule(every="1m")
    assert (plain.overlap, plain.catchup, plain.catchup_window, plain.catchup_limit) == ("skip", "latest", 3_600, 100)
    assert (plain.jitter, plain.timezone, plain.enabled) == (0, "UTC", True)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("@Daily", "0 0 * * *"),
        ("  5  4 *\t* * ", "5 4 * * *"),
        ("5-5 0-0/2 1,3-3 * mon-MON", "5 0 1,3 * mon"),
        ("15-5 1-11 * 10-1 *", "15-5 1-11 * 10-1 *"),
    ],
)
def test_a_cron_line_has_one_normal_form(written: str, read: str) -> None:
    assert normal(written) == read


def test_the_same_timing_has_the_same_digest_however_it_is_written() -> None:
    assert schedule(cron="@hourly").timing == schedule(cron="0  * * * *", name="other", owner="me").timing
    assert schedule(every="60s").timing == schedule(every="1m", timezone="Europe/Berlin").timing


@pytest.mark.parametrize(
    "changed",
    [
        {"cron": "1 * * * *"},
        {"cron": "0 * * * *", "timezone": "Europe/Berlin"},
        {"cron": "0 * * * *", "jitter": "5s"},
        {"cron": "0 * * * * 0", "seconds": True},
        {"every": "1h"},
    ],
)
def test_another_timing_has_another_digest(changed: dict[str, Any]) -> None:
    assert schedule(**changed).timing != schedule(cron="0 * * * *").timing


def test_a_name_is_part_of_the_timing_only_where_it_is_hashed() -> None:
    assert schedule(cron="H * * * *").timing != schedule(cron="H * * * *", name="other").timing


def test_dates_in_the_input_become_texts() -> None:
    from datetime import date

    assert schedule(every="1m", input={"days": [date(2026, 11, 21)]}).input == {"days": ["2026-11-21"]}


def test_a_schedule_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        schedule(every="1m").enabled = False  # type: ignore[misc]
