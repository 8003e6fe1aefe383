"""Entries of an app's `beat_schedule` are read as Celery reads them; what cannot be taken is told, the others run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery, Task
from celery.schedules import crontab, schedule, solar
from kombu import Exchange, Queue
from pydantic import ValidationError

from celery_anp.app import give_ledger, guard
from celery_anp.beat import occurrences
from celery_anp.beat.adoption import declaration
from celery_anp.beat.catalog import Catalog, load
from celery_anp.beat.name import LONGEST, escaped
from celery_anp.beat.plan import Planner
from celery_anp.beat.schedule import Schedule
from celery_anp.errors import BadDeclaration
from celery_anp.reliability.message import opened
from celery_anp.reliability.records import NewRun
from celery_anp.settings import read

NOW = 1_780_000_000.0
AWKWARD = [
    "it's, a=b",
    "a@b",
    "a#b|c?",
    "grüße täglich",
    "u\u0308",
    " led",
    "-x",
    "100% \\ \n",
    "日本",
    "a" * 300,
    "x..y",
]


class Odd(schedule):
    """A schedule class of somebody's own."""

    def is_due(self, last_run_at: datetime) -> Any:
        if self.run_every == timedelta(seconds=99):
            raise RuntimeError("its database is away")
        due = datetime.now(UTC) - last_run_at > self.run_every
        return due, 7.0


@pytest.fixture(params=["guarded", "plain"])
def app(request: pytest.FixtureRequest) -> Iterator[Celery]:
    made = Celery("theirs", broker="redis://127.0.0.1:1/0", set_as_current=False)
    made.conf.task_queues = [Queue("celery"), Queue("slow", Exchange("media"), routing_key="video")]
    if request.param == "guarded":
        guard(made)
    else:
        give_ledger(made)

    @made.task(name="tasks.test", shared=False, base=None if request.param == "guarded" else Task)
    def test(arg: str) -> str:
        return arg

    yield made
    made.close()


def entry(app: Celery, when: Any = 30.0, **more: Any) -> Schedule:
    app.conf.beat_schedule = {"theirs": {"task": "tasks.test", "schedule": when, "args": ("x",), **more}}
    return load([], app)["theirs"]


def planned(app: Celery, one: Schedule, late: float = 0.0) -> NewRun:
    planner = Planner(app, {one.name: one})
    tick = occurrences.next_tick(one, NOW)
    assert tick is not None
    (run,) = planner.plan(one, f"{int(NOW) * 1000}|{one.timing}", tick + late).runs
    return run


def headers(run: NewRun) -> dict[str, Any]:
    assert run.message is not None
    return opened(run.message.text).headers


def test_the_documentations_example_keeps_its_name_and_its_expiry(app: Celery) -> None:
    test = app.tasks["tasks.test"]
    app.add_periodic_task(10.0, test.s("hello"), name="add every 10")
    app.add_periodic_task(30.0, test.s("world"), expires=10)
    app.add_periodic_task(crontab(hour=7, minute=30, day_of_week=1), test.s("Happy Mondays!"))
    found = load([], app)
    assert list(found) == ["add every 10", "tasks.test('world')", "tasks.test('Happy Mondays!')"]
    run = planned(app, found["tasks.test('world')"])
    assert run.run_id == "tasks.test('world')@2026-05-28T20:27:00Z"
    assert run.timing.deadline == 1_780_000_020_000 + 10_000
    assert run.lock.overlap == "allow_all"


@pytest.mark.parametrize("name", AWKWARD)
def test_any_name_becomes_one_that_ids_can_hold(app: Celery, name: str) -> None:
    app.conf.beat_schedule = {name: {"task": "tasks.test", "schedule": 30, "args": ("x",)}}
    (one,) = load([], app).values()
    assert one.name == escaped(name)
    assert len(one.name) <= LONGEST
    run = planned(app, one)
    before, _, due = run.run_id.partition("@")
    assert (before, due) == (one.name, "2026-05-28T20:27:00Z")
    assert not set(run.run_id) & set("#|?\\\n")


def test_each_name_has_a_form_of_its_own_and_a_plain_one_stays() -> None:
    names = [*AWKWARD, "a%40b", "a" * 301, "a" * 199 + "@"]
    assert len({escaped(name) for name in names}) == len(names)
    for plain in ("tasks.test('world')", "grüße täglich", "a, b", "publish-due-posts", "[x]", '"x"'):
        assert escaped(plain) == plain


@pytest.mark.parametrize("name", ["a%zz", "-a", " a", "a ", "a%4", "a\u00a0b", "a?", "a" * 201])
def test_a_declared_name_that_no_escaping_makes_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Schedule(name=name, task="x", every=30)


@pytest.mark.parametrize(
    ("when", "tick", "named"),
    [
        (0.5, NOW + 0.5, "2026-05-28T20:26:40.500Z"),
        (1.5, NOW + 0.5, "2026-05-28T20:26:40.500Z"),
        (timedelta(milliseconds=250), NOW + 0.25, "2026-05-28T20:26:40.250Z"),
        (1 / 3, NOW + 0.218, "2026-05-28T20:26:40.218Z"),
        (10, NOW + 10, "2026-05-28T20:26:50Z"),
        (timedelta(seconds=30), NOW + 20, "2026-05-28T20:27:00Z"),
        (schedule(timedelta(minutes=1)), NOW + 20, "2026-05-28T20:27:00Z"),
        (timedelta(days=400), None, ""),
    ],
)
def test_an_interval_ticks_to_the_millisecond(app: Celery, when: Any, tick: float | None, named: str) -> None:
    one = entry(app, when)
    assert occurrences.next_tick(one, NOW) is not None
    if tick is not None:
        assert occurrences.next_tick(one, NOW) == pytest.approx(tick, abs=1e-6)
        assert planned(app, one).run_id == f"theirs@{named}"


def test_half_a_second_misses_no_tick_and_none_comes_twice(app: Celery) -> None:
    one = entry(app, 0.5)
    planner = Planner(app, {one.name: one})
    cursor, ids = f"{int(NOW) * 1000}|{one.timing}", list[str]()
    for step in range(1, 61):
        decision = planner.plan(one, cursor, NOW + step * 0.25)
        cursor = decision.cursor
        ids += [run.run_id for run in decision.runs]
    assert len(ids) == len(set(ids)) == 30


@pytest.mark.parametrize("when", [0.5, 30, crontab()])
def test_after_a_stop_one_late_run_follows_whose_expiry_counts_from_then(app: Celery, when: Any) -> None:
    one = entry(app, when, options={"expires": 5})
    now = NOW + 5 * 3600 + 15
    runs = Planner(app, {one.name: one}).plan(one, f"{int(NOW) * 1000}|{one.timing}", now).runs
    ran = [run for run in runs if run.end is None]
    assert len(ran) == 1
    assert ran[0].timing.deadline == round((now + 5) * 1000)
    assert any(run.end and ".." in run.run_id for run in runs)


def test_a_crontab_is_as_late_as_celerys_setting_allows(app: Celery) -> None:
    assert entry(app, crontab(hour="3", minute="0")).catchup_window == 7 * 86_400 - 1
    app.conf.beat_cron_starting_deadline = 600
    one = entry(app, crontab(hour="3", minute="0"))
    due = occurrences.next_tick(one, NOW)
    assert due is not None
    for late, count in ((500, 1), (700, 0)):
        runs = Planner(app, {one.name: one}).plan(one, f"{int(NOW) * 1000}|{one.timing}", due + late).runs
        assert sum(run.end is None for run in runs) == count


@pytest.mark.parametrize(
    ("expires", "deadline"),
    [
        (10, NOW + 30),
        (10.5, NOW + 30.5),
        (timedelta(minutes=1), NOW + 80),
        (datetime(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC).timestamp()),  # noqa: DTZ001  what is tested
        (datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2029, 12, 31, 22, tzinfo=UTC).timestamp()),
        ("2030-01-01T00:00:00+00:00", datetime(2030, 1, 1, tzinfo=UTC).timestamp()),
    ],
)
def test_every_form_of_expires_is_the_runs_deadline(app: Celery, expires: Any, deadline: float) -> None:
    run = planned(app, entry(app, options={"expires": expires}))
    assert run.timing.deadline == round(deadline * 1000)
    told = headers(run)["expires"]
    if run.unguarded:
        assert datetime.fromisoformat(told).timestamp() == pytest.approx(deadline, abs=0.001)


def test_countdown_and_eta_are_waited_for(app: Celery) -> None:
    assert planned(app, entry(app, options={"countdown": 4.5}), late=1).timing.due == round((NOW + 20 + 1 + 4.5) * 1000)
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert planned(app, entry(app, options={"eta": at})).timing.due == round(at.timestamp() * 1000)


def test_what_the_options_say_is_in_the_message(app: Celery) -> None:
    test = app.tasks["tasks.test"]
    options = {
        "link": test.s("after"), "link_error": [test.si("bad")], "headers": {"tenant": "a"}, "time_limit": 60,
        "soft_time_limit": 50, "shadow": "shown", "ignore_result": True, "priority": 12, "queue": "slow",
        "compression": "gzip", "delivery_mode": 1,
    }  # fmt: skip
    run = planned(app, entry(app, options=options))
    assert run.message is not None
    text, told = opened(run.message.text), headers(run)
    assert [link["args"] for link in text.body[2]["callbacks"]] == [["after"]]
    assert [link["args"] for link in text.body[2]["errbacks"]] == [["bad"]]
    assert (told["tenant"], told["celery_beat_task"], told["timelimit"]) == ("a", True, [60, 50])
    assert (told["shadow"], told["ignore_result"], text.priority, text.queue) == ("shown", True, 9, "slow")


def test_links_of_two_ticks_are_two_runs_and_of_one_tick_one(app: Celery) -> None:
    one = entry(app, options={"link": app.tasks["tasks.test"].s()})

    def link(of: NewRun) -> str:
        assert of.message is not None
        return str(opened(of.message.text).body[2]["callbacks"][0]["options"]["task_id"])

    planner = Planner(app, {one.name: one})
    (first,) = planner.plan(one, f"{int(NOW) * 1000}|{one.timing}", NOW + 20).runs
    (second,) = planner.plan(one, f"{int(NOW + 20) * 1000}|{one.timing}", NOW + 50).runs
    assert link(first) == link(planned(app, one)) != link(second)


@pytest.mark.parametrize(
    ("options", "queue"),
    [
        ({"queue": Queue("slow")}, "slow"),
        ({"exchange": "media", "routing_key": "video"}, "slow"),
        ({"exchange": Exchange("media")}, "slow"),
        ({"routing_key": "celery"}, "celery"),
        ({}, "celery"),
    ],
)
def test_a_message_goes_where_kombu_would_put_it(app: Celery, options: dict[str, Any], queue: str) -> None:
    run = planned(app, entry(app, options=options))
    assert run.message is not None
    assert run.message.queue == queue


@pytest.mark.parametrize(
    "make",
    [
        lambda: solar("sunset", -37.81, 144.96),
        lambda: Odd(30),
        lambda: crontab(minute="5", nowfun=lambda: datetime.now(ZoneInfo("Asia/Tokyo"))),
        lambda: schedule(timedelta(days=1), relative=True),
    ],
)
def test_what_only_an_object_knows_is_asked_of_it(app: Celery, make: Callable[[], Any]) -> None:
    one, again = entry(app, make()), entry(app, make())
    assert one.asks
    assert " at 0x" not in one.asks
    assert one.timing == again.timing
    assert Schedule.model_validate_json(declaration(one)).asks == one.asks
    assert occurrences.next_tick(one, NOW) is None


def test_an_object_decides_its_ticks_each_once_and_a_broken_one_only_keeps_itself(app: Celery) -> None:
    one = entry(app, Odd(30))
    planner, now = Planner(app, {one.name: one}), datetime.now(UTC).timestamp()
    cursor = f"{int(now - 60) * 1000}|{one.timing}"
    decision = planner.plan(one, cursor, now)
    assert [run.tick.time for run in decision.runs if run.tick] == [int(now) * 1000]
    assert planner.upcoming.next_tick(one, now) == pytest.approx(now + 7)
    assert not planner.plan(one, decision.cursor, now + 2).runs
    assert not planner.plan(one, decision.cursor, now + 0.1).runs
    broken = entry(app, Odd(99))
    assert not Planner(app, {broken.name: broken}).plan(broken, f"0|{broken.timing}", now).runs


def test_relative_becomes_celerys_own_rounding(app: Celery) -> None:
    assert entry(app, 30.0, relative=True).asks
    assert entry(app, 30.0, relative=False).every == 30


def test_a_crontab_with_a_zone_of_its_own_follows_it(app: Celery) -> None:
    when = crontab(hour="3", minute="0")
    when.tz = ZoneInfo("Asia/Tokyo")
    assert entry(app, when).timezone == "Asia/Tokyo"
    assert entry(app, crontab(hour="3")).timezone == "UTC"


def test_a_task_that_is_not_registered_here_goes_out_by_name_with_an_id_of_its_own(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    one = entry(app, task="elsewhere.work")
    assert "goes out by name" in caplog.text
    run = planned(app, one)
    told = headers(run)
    assert run.unguarded
    assert (told["task"], told["celery_beat_task"]) == ("elsewhere.work", True)
    assert told["id"] != run.run_id
    assert "@" not in told["id"]


def test_an_entry_that_is_switched_off_is_declared_and_does_not_run(app: Celery) -> None:
    assert not entry(app, enabled=False).enabled


BAD: list[tuple[dict[str, Any], str]] = [
    ({"schedule": 0.0001}, "at least a millisecond"),
    ({"schedule": object()}, "a number of seconds, a timedelta, a crontab"),
    ({"schedule": None}, "a number of seconds, a timedelta, a crontab"),
    ({"options": {"task_id": "x"}}, "each tick has one"),
    ({"options": {"expires": "tomorrow"}}, "expires cannot be used"),
    ({"options": {"expires": -1}}, "expires cannot be used"),
    ({"options": {"countdown": float("inf")}}, "countdown cannot be used"),
    ({"options": {"exchange": "nobody"}}, "lead to no queue"),
    ({"options": {"headers": {"x": object()}}}, "an option is no JSON"),
    ({"kwargs": {"x": object()}}, "its input is no JSON"),
    ({"priority": 1}, "cannot be read"),
    ({"task": None}, "task"),
]


@pytest.mark.parametrize(("more", "said"), BAD)
def test_one_that_cannot_be_taken_is_told_and_the_others_run(
    app: Celery, caplog: pytest.LogCaptureFixture, more: dict[str, Any], said: str
) -> None:
    app.conf.beat_schedule = {
        "it's bad": {"task": "tasks.test", "schedule": 30, "args": ("x",), **more},
        "good": {"task": "tasks.test", "schedule": 30, "args": ("x",)},
    }
    assert list(load([], app)) == ["good"]
    assert said in caplog.text
    assert "it's bad" in caplog.text


def test_strict_refuses_all_of_them_at_once(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    app.conf.beat_schedule = {
        f"bad {n}": {"task": "tasks.test", "schedule": 30, **more} for n, (more, _) in enumerate(BAD)
    }
    monkeypatch.setenv("ANP_BEAT_ENTRIES", "strict")
    read.cache_clear()
    try:
        with pytest.raises(BadDeclaration) as caught:
            load([], app)
    finally:
        monkeypatch.undo()
        read.cache_clear()
    for number, (_, said) in enumerate(BAD):
        assert f'"bad {number}"' in str(caught.value)
        assert said in str(caught.value)


def test_the_ledger_keeps_each_of_them_as_json_and_reads_it_back(app: Celery) -> None:
    app.conf.beat_schedule = {
        "all": {
            "task": "tasks.test", "schedule": 0.5, "args": ("x",),
            "options": {"link": app.tasks["tasks.test"].s(), "expires": timedelta(seconds=5), "eta": datetime.now(UTC)},
        }
    }  # fmt: skip
    first: Catalog = load([], app)
    kept = Schedule.model_validate_json(declaration(first["all"]))
    assert (kept.every_ms, kept.expires, kept.name) == (500, 5.0, "all")
    assert planned(app, kept).run_id == planned(app, first["all"]).run_id
    assert load([], app).digest == first.digest


def test_input_that_does_not_fit_a_guarded_task_is_told_and_left_out(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"task": "tasks.test", "schedule": 30}
    app.conf.beat_schedule = {"good": {**given, "args": ("x",)}, "bad": {**given, "kwargs": {"agr": "x"}}}
    guarded = hasattr(app.tasks["tasks.test"], "contract")
    assert set(load([], app)) == ({"good"} if guarded else {"good", "bad"})
    assert ("input does not fit tasks.test" in caplog.text) == guarded
