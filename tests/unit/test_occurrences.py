"""When a schedule is due, compared minute by minute with a reading of cron written apart from ours."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_anp.beat import occurrences
from celery_anp.beat.schedule import Schedule

DAYS = 2
MINUTE, DAY = 60, 86_400

AROUND = [
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2025-10-26"),
    ("America/New_York", "2025-03-09"),
    ("America/New_York", "2025-11-02"),
    ("Europe/London", "2025-03-30"),
    ("Europe/London", "2025-10-26"),
    ("Australia/Lord_Howe", "2025-10-05"),
    ("Australia/Lord_Howe", "2025-04-06"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("Europe/Dublin", "2025-10-26"),
    ("Africa/Casablanca", "2025-02-23"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Kathmandu", "2025-03-30"),
    ("UTC", "2025-03-30"),
]
LINES = [
    "0 * * * *",
    "*/15 * * * *",
    "45 */2 * * *",
    "0 0-23 * * *",
    "30 1 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "30 1,2,3 * * *",
    "*/20 2 * * *",
    "* 1-3 * * *",
    "0 0 * * *",
    "30 23 * * *",
    "15 0 * * 0",
    "40 23 * * 6",
    "5 2 30 3 *",
]


def schedule(**entry: object) -> Schedule:
    return Schedule.model_validate({"name": "probe", "task": "probe.run", **entry})


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@cache
def field_fits(field: str, value: int, lowest: int) -> bool:
    return any(part_fits(part, value, lowest) for part in field.split(","))


def part_fits(part: str, value: int, lowest: int) -> bool:
    span, _, step = part.partition("/")
    if span == "*":
        return (value - lowest) % int(step or 1) == 0
    first, _, last = span.partition("-")
    return int(first) <= value <= int(last or first)


def line_fits(line: str, wall: datetime) -> bool:
    shown = (wall.minute, wall.hour, wall.day, wall.month, wall.isoweekday() % 7)
    return all(map(field_fits, line.split(), shown, (0, 0, 1, 1, 0)))


@cache
def walls(zone: str, start: int, end: int) -> list[tuple[int, datetime]]:
    clock = ZoneInfo(zone)
    return [(t, datetime.fromtimestamp(t, clock).replace(tzinfo=None)) for t in range(start, end, MINUTE)]


def expected_ticks(line: str, zone: str, start: int, end: int) -> list[int]:
    """Real time where the hour is a wildcard; else each local time once: its first instant or the gap's end."""
    shown = walls(zone, start - 2 * DAY, end)
    if line.split()[1] in ("*", "*/2", "0-23"):
        found = {t for t, wall in shown if line_fits(line, wall)}
    else:
        found = first_instants(line, shown)
    return sorted(t for t in found if start < t < end)


def first_instants(line: str, shown: list[tuple[int, datetime]]) -> set[int]:
    found, seen = set(), set()
    for (_, before), (t, now) in pairwise(shown):
        jumped = int((now - before).total_seconds()) - MINUTE
        for skipped in range(0, max(jumped, 0), MINUTE):
            wall = datetime.fromtimestamp(before.replace(tzinfo=UTC).timestamp() + MINUTE + skipped, UTC)
            if line_fits(line, wall):
                found.add(t)
        if now not in seen and line_fits(line, now):
            found.add(t)
        seen.add(now)
    return found


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(("zone", "day"), AROUND)
def test_ticks_around_a_clock_change_are_those_of_a_minute_by_minute_reading(line: str, zone: str, day: str) -> None:
    middle = at(f"{day}T12:00+00:00")
    start, end = middle - DAYS * DAY, middle + DAYS * DAY
    ticks = list(occurrences.ticks(schedule(cron=line, timezone=zone), start, end - 1))
    assert ticks == expected_ticks(line, zone, start, end)


@pytest.mark.parametrize(("zone", "day"), AROUND[:10])
@pytest.mark.parametrize("line", ["30 2 * * *", "*/20 2 * * *", "0 0 * * *", "*/15 * * * *"])
def test_every_minute_asks_for_the_same_next_tick(line: str, zone: str, day: str) -> None:
    middle = at(f"{day}T06:00+00:00")
    due = schedule(cron=line, timezone=zone)
    ticks = expected_ticks(line, zone, middle - DAY, middle + 3 * DAY)
    for after in range(middle - DAY, middle + DAY, 7 * MINUTE + 13):
        assert occurrences.next_tick(due, after) == min(t for t in ticks if t > after)


@pytest.mark.parametrize(
    ("line", "zone", "day", "local"),
    [
        ("30 2 * * *", "Europe/Berlin", "2025-03-30", ["03:00+02:00"]),
        ("30 2 * * *", "Europe/Berlin", "2025-10-26", ["02:30+02:00"]),
        ("*/20 2 * * *", "Europe/Berlin", "2025-03-30", ["03:00+02:00"]),
        ("30 1 * * *", "America/New_York", "2025-11-02", ["01:30-04:00"]),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-04", ["01:00-02:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2025-10-05", ["02:30+11:00"]),
        ("0 1-3 * * *", "Europe/Berlin", "2025-10-26", ["01:00+02:00", "02:00+02:00", "03:00+01:00"]),
        ("30 */1 * * *", "Europe/Berlin", "2025-03-30", None),
    ],
)
def test_a_fixed_local_time_is_due_once_a_day(line: str, zone: str, day: str, local: list[str] | None) -> None:
    clock = ZoneInfo(zone)
    start = int(datetime.fromisoformat(day).replace(tzinfo=clock).timestamp())
    end = int(datetime.fromisoformat(f"{day}T23:59").replace(tzinfo=clock).timestamp())
    ticks = occurrences.ticks(schedule(cron=line, timezone=zone), start - 1, end)
    shown = [datetime.fromtimestamp(t, clock).isoformat(timespec="minutes").partition("T")[2] for t in ticks]
    assert shown == local if local is not None else len(shown) == 23


def test_every_is_counted_from_the_epoch() -> None:
    due = schedule(every="1h30m")
    assert occurrences.next_tick(due, 0) == 5_400
    assert occurrences.next_tick(due, 5_399) == 5_400
    assert occurrences.next_tick(due, 5_400) == 10_800


def test_a_sixth_field_is_the_second() -> None:
    due = schedule(cron="*/10 * * * * 5,35", seconds=True)
    assert list(occurrences.ticks(due, 0, 1_300)) == [5, 35, 605, 635, 1_205, 1_235]


def test_the_29th_of_february_comes_in_leap_years_only() -> None:
    due = schedule(cron="0 0 29 2 *")
    assert occurrences.next_tick(due, at("2025-01-01T00:00+00:00")) == at("2028-02-29T00:00+00:00")


def test_both_days_narrows_to_the_first_monday() -> None:
    either = schedule(cron="0 9 1-7 * 1")
    both = schedule(cron="0 9 1-7 * 1", both_days=True)
    start = at("2026-06-01T09:00+00:00")
    assert occurrences.next_tick(either, start) == at("2026-06-02T09:00+00:00")
    assert occurrences.next_tick(both, start) == at("2026-07-06T09:00+00:00")


def test_h_spreads_by_name_and_stays() -> None:
    names = [f"job-{number}" for number in range(50)]
    first = [occurrences.next_tick(schedule(name=name, cron="H H * * *"), 0) for name in names]
    again = [occurrences.next_tick(schedule(name=name, cron="H H * * *"), 0) for name in names]
    assert first == again
    assert len(set(first)) > 40


def test_jitter_is_fixed_per_tick_and_stays_below_its_limit() -> None:
    due = schedule(every="1m", jitter="20s")
    drawn = [occurrences.jitter(due, tick) for tick in range(0, 60_000, 60)]
    assert drawn == [occurrences.jitter(due, tick) for tick in range(0, 60_000, 60)]
    assert all(0 <= delay < 20 for delay in drawn)
    assert min(drawn) < 1
    assert max(drawn) > 19
    assert occurrences.jitter(schedule(every="1m"), 60) == 0


def test_a_jittered_tick_starts_before_the_next_one_also_where_clocks_change() -> None:
    near = schedule(cron="10,30 2-3 * * *", timezone="Europe/Berlin", jitter="19m")
    ticks = list(occurrences.ticks(near, at("2025-03-29T12:00+00:00"), at("2025-03-30T12:00+00:00")))
    assert [b - a for a, b in pairwise(ticks)] == [600, 1_200]
    names = [near.model_copy(update={"name": f"job-{number}"}) for number in range(50)]
    assert all(a + occurrences.jitter(one, a) < b for one in names for a, b in pairwise(ticks))


ZONES = st.sampled_from(sorted({zone for zone, _ in AROUND} | {"Asia/Tehran", "America/Havana", "Asia/Gaza"}))
INSTANTS = st.integers(at("1995-01-01T00:00+00:00"), at("2036-01-01T00:00+00:00"))


def _fields(lowest: int, highest: int) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    return st.one_of(st.just("*"), number.map(str), span, st.integers(2, 7).map(lambda step: f"*/{step}"))


CRONS = st.tuples(_fields(0, 59), _fields(0, 23), _fields(1, 28), _fields(1, 12), st.just("*")).map(" ".join)
SCHEDULES = st.one_of(
    st.builds(lambda line, zone: schedule(cron=line, timezone=zone), CRONS, ZONES),
    st.integers(1, 200_000).map(lambda seconds: schedule(every=seconds)),
)


@given(SCHEDULES, INSTANTS, st.floats(0, 1, exclude_max=True))
@settings(max_examples=300, deadline=None)
def test_no_instant_between_two_ticks_knows_another_tick(due: Schedule, after: int, part: float) -> None:
    tick = occurrences.next_tick(due, after)
    assert tick is not None
    assert tick > after
    assert occurrences.next_tick(due, after + int((tick - after) * part)) == tick


@given(SCHEDULES, INSTANTS, st.integers(0, 9), st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_a_span_cut_in_two_has_the_same_ticks(due: Schedule, after: int, here: int, shift: int) -> None:
    following = list(islice(occurrences.ticks(due, after, after + 100 * 366 * DAY), 10))
    assert all(first < second for first, second in pairwise(following))
    cut, until = following[here] - shift, following[-1]
    first_part = list(occurrences.ticks(due, after, cut))
    assert first_part + list(occurrences.ticks(due, max(cut, after), until)) == following


@given(CRONS, ZONES, INSTANTS)
@settings(max_examples=300, deadline=None)
def test_a_tick_shows_a_fitting_local_time_or_ends_a_gap(line: str, zone: str, after: int) -> None:
    tick = occurrences.next_tick(schedule(cron=line, timezone=zone), after)
    assert tick is not None
    (_, before), (_, wall) = walls(zone, tick - MINUTE, tick + MINUTE)
    assert line_fits(line, wall) or (wall - before).total_seconds() > MINUTE
