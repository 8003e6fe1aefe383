"""All schedules are read and checked at start, and one error tells all that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task
from celery.schedules import crontab, schedule
from pydantic import PositiveInt

from celery_anp.app import guard
from celery_anp.beat import occurrences
from celery_anp.beat.catalog import Catalog, load
from celery_anp.errors import BadDeclaration
from celery_anp.settings import read

GOOD = '[[schedule]]\nname = "one"\ntask = "site.publish"\nevery = "30s"\ninput = { site = "main" }\n'


@pytest.fixture
def app() -> Iterator[Celery]:
    made = guard(Celery("catalog", broker="redis://127.0.0.1:1/0", set_as_current=False), typed=True)
    made.conf.timezone = "Europe/Berlin"

    @made.task(name="site.publish", owner="editorial", expects="posts are live", no_rollback="reads only", shared=False)
    def publish(site: str, batch: PositiveInt = 100) -> int:
        return batch

    @made.task(name="site.undescribed", shared=False)
    def undescribed() -> None:
        """Says nothing about itself."""

    @made.task(name="plain.add", base=Task, shared=False)
    def add(x: int, y: int = 0) -> int:
        return x + y

    @made.task(name="plain.any", base=Task, shared=False)
    def anything(*values: int) -> int:
        return sum(values)

    yield made
    made.close()


def files(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def refusal(app: Celery, *paths: Path) -> str:
    with pytest.raises(BadDeclaration) as caught:
        load(paths, app)
    return str(caught.value)


def test_a_schedule_takes_owner_expects_and_rollback_from_its_task(app: Celery, tmp_path: Path) -> None:
    one = load([files(tmp_path, a=GOOD)], app)["one"]
    assert (one.owner, one.expects, one.rollback) == ("editorial", "posts are live", "none: reads only")
    assert one.file == str(tmp_path / "a.toml")


def test_a_schedule_says_it_better_than_its_task(app: Celery, tmp_path: Path) -> None:
    text = GOOD + 'owner = "night shift"\nrollback = "call the night shift"\n'
    one = load([files(tmp_path, a=text)], app)["one"]
    assert (one.owner, one.expects, one.rollback) == ("night shift", "posts are live", "call the night shift")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("every", "evry"), "evry is not a key of a schedule. Did you mean 'every'?"),
        (GOOD.replace("site.publish", "site.publsh"), "no such task. Did you mean 'site.publish'"),
        (GOOD.replace("site.publish", "plain.add"), "not guarded"),
        (GOOD.replace('site = "main"', 'sit = "main"'), "Did you mean 'site'?"),
        (GOOD.replace('site = "main"', 'site = "main", batch = 0'), "batch"),
        (GOOD.replace('every = "30s"', 'cron = "0 0 30 2 *"'), "cron cannot be used"),
        (GOOD.replace('name = "one"\n', ""), 'schedule "#1": name is missing'),
        (GOOD.replace("site.publish", "site.undescribed").replace('site = "main"', ""), "owner is missing"),
        (GOOD + 'args = ["x"]\n', "args is not a key of a schedule"),
        (GOOD + 'catchup_window = "30d"\n', "less than ANP_KEEP_DAYS, which is 7d"),
        (GOOD + 'renamed_from = "one"\n', "still declared"),
        (GOOD.replace("[[schedule]]", "[[schedules]]"), "Did you mean 'schedule'?"),
        (GOOD.replace("[[schedule]]", "[schedule]"), "double brackets"),
        ("schedule = [1]", "is not a table"),
        ("schedule = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_hint(app: Celery, tmp_path: Path, text: str, said: str) -> None:
    message = refusal(app, files(tmp_path, a=text))
    assert said in message
    assert str(tmp_path / "a.toml") in message


def test_everything_wrong_in_all_files_is_told_at_once(app: Celery, tmp_path: Path) -> None:
    bad = GOOD.replace("30s", "half a minute").replace("site.publish", "site.publsh")
    message = refusal(app, files(tmp_path, a=bad, b=GOOD + GOOD, c="x = "), tmp_path / "missing.toml")
    assert "5 things are wrong" in message
    for said in ("every cannot be used", "no such task", "declared twice", "is not TOML", "No such file"):
        assert said in message


def test_two_files_that_declare_one_name_are_both_named(app: Celery, tmp_path: Path) -> None:
    message = refusal(app, files(tmp_path, a=GOOD, b=GOOD))
    assert f"in {tmp_path / 'a.toml'} and in {tmp_path / 'b.toml'}" in message


def test_two_heirs_of_one_name_are_refused(app: Celery, tmp_path: Path) -> None:
    one = GOOD + 'renamed_from = "old"\n'
    assert "also by" in refusal(app, files(tmp_path, a=one + one.replace('"one"', '"two"')))


def test_an_empty_folder_is_refused_as_it_may_be_a_lost_mount(app: Celery, tmp_path: Path) -> None:
    assert "the folder has no schedules" in refusal(app, tmp_path)


def test_a_file_that_is_named_twice_is_read_once(app: Celery, tmp_path: Path) -> None:
    files(tmp_path, a=GOOD)
    assert list(load([tmp_path, tmp_path / "a.toml"], app)) == ["one"]


def test_the_digest_follows_what_is_declared_and_not_where(app: Celery, tmp_path: Path) -> None:
    two = GOOD.replace('"one"', '"two"')
    for folder in ("first", "second", "third"):
        (tmp_path / folder).mkdir()
    first = load([files(tmp_path / "first", a=GOOD, b=two)], app)
    second = load([files(tmp_path / "second", z=two + GOOD)], app)
    third = load([files(tmp_path / "third", a=GOOD, b=two.replace("30s", "31s"))], app)
    assert first.digest == second.digest != third.digest


def test_the_digest_is_the_same_in_two_beats_whose_sets_stand_in_another_order(app: Celery) -> None:
    digests = set()
    for pages in ([0, 8], [8, 0]):  # in one bucket: a set keeps the order in which they came
        kwargs = {"x": 1, "y": set(pages)}
        entry = {"task": "plain.add", "schedule": 60.0, "kwargs": kwargs}
        app.conf.beat_schedule = {"adds": entry}
        digests.add(load([], app).digest)
    assert list({0, 8}) != list(set([8, 0]))  # noqa: C405  so that this test tests something
    assert len(digests) == 1


def beat(app: Celery, tmp_path: Path, **entry: Any) -> Catalog:
    app.conf.beat_schedule = {"theirs": {"task": "plain.add", "args": (1,), **entry}}
    return load([files(tmp_path, a=GOOD)], app)


@pytest.mark.parametrize("when", [30, 30.0, timedelta(seconds=30), schedule(30)])
def test_an_interval_of_beat_becomes_every(app: Celery, tmp_path: Path, when: Any) -> None:
    theirs = beat(app, tmp_path, schedule=when, kwargs={"y": 2})["theirs"]
    assert (theirs.every, theirs.input, theirs.args) == (30, {"x": 1, "y": 2}, ())


@pytest.mark.parametrize(
    ("when", "line"),
    [
        (crontab(), "* * * * *"),
        (crontab(minute="*/15", hour="*/2"), "*/15 */2 * * *"),
        (crontab(minute=0, hour=[7, 19]), "0 7,19 * * *"),
        (crontab(minute="0", hour="8-10", day_of_week="mon-fri"), "0 8,9,10 * * 1,2,3,4,5"),
        (crontab(minute="0", hour="0", day_of_month="1", month_of_year="*/3"), "0 0 1 */3 *"),
    ],
)
def test_a_crontab_of_beat_becomes_cron_in_the_apps_zone(app: Celery, tmp_path: Path, when: crontab, line: str) -> None:
    theirs = beat(app, tmp_path, schedule=when)["theirs"]
    assert (theirs.cron, theirs.timezone) == (line, "Europe/Berlin")


def test_the_day_fields_of_beat_must_both_fit(app: Celery, tmp_path: Path) -> None:
    first_monday = crontab(minute=0, hour=9, day_of_month="1-7", day_of_week="mon")
    theirs = beat(app, tmp_path, schedule=first_monday)["theirs"]
    start = 1_780_000_000
    ticks = list(occurrences.ticks(theirs, start, start + 366 * 86_400))
    assert len(ticks) == 12


def test_positional_input_without_names_stays_positional(app: Celery, tmp_path: Path) -> None:
    theirs = beat(app, tmp_path, task="plain.any", args=(1, 2), schedule=30)["theirs"]
    assert (theirs.args, theirs.input) == ((1, 2), {})


@pytest.mark.parametrize(
    ("kind", "there", "not_there"),
    [("demo", "rebuild-sitemap", "run-due-events"), ("wordpress", "run-due-events", "rebuild-sitemap")],
)
def test_the_shipped_schedules_are_those_of_the_kind_of_site(
    monkeypatch: pytest.MonkeyPatch, kind: str, there: str, not_there: str
) -> None:
    from celery_anp.beat.files import chosen
    from worker.app import app as ours

    monkeypatch.setenv("ANP_SITE_KIND", kind)
    read.cache_clear()
    try:
        names = set(load(chosen(ours), ours))
    finally:
        monkeypatch.undo()
        read.cache_clear()
    assert {there, "publish-due-posts", "prune-ledger"} <= names
    assert not_there not in names
