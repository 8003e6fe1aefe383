"""What dies, stands still or is not there: told clearly, nothing half done, and the rest still runs."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from celery_anp.errors import BadSetting
from tests.support.eventually import eventually
from tests.wordpress.conftest import known
from tests.wordpress.lab import Lab
from tests.wordpress.test_events import run, schedule
from tests.wordpress.test_publishing import publish
from worker.settings import Settings
from worker.site import database
from worker.site.wordpress import due, register, ways
from worker.site.wordpress.cron import CorruptCron
from worker.site.wordpress.ran import Ran
from worker.site.wordpress.site import Site, SiteUnavailable


def process_of(lab: Lab, token: str) -> int:
    """The php that runs an event, once it does."""
    eventually(lambda: lab.logged(token), 10, f"{token} to run")
    return int(lab.sql("SELECT max(pid) FROM wp_lab_log WHERE token = :token", token=token)[0][0])


@pytest.mark.parametrize("again", [True, False], ids=["repeatable", "not repeatable"])
def test_php_is_killed_in_the_middle_of_an_event(lab: Lab, way: Settings, again: bool) -> None:
    lab.event(-60, 3, "killed")
    lab.event(-30, 0, "after")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, way, repeatable=frozenset({"lab_work"} if again else ()))
        os.kill(process_of(lab, "killed"), signal.SIGKILL)
        found: Ran = running.result()
    assert lab.logged("after", "end") == 1
    assert (found.again, len(found.lost)) == ((1, 0) if again else (0, 1))
    assert (lab.logged("killed"), lab.logged("killed", "end")) == ((2, 1) if again else (1, 0))
    assert found.ran == (2 if again else 1)
    if not again:
        assert "not declared repeatable" in found.lost[0].why
    assert run(way, repeatable=frozenset({"lab_work"})) == Ran()  # told once, and never run again


def test_a_hook_that_never_ends_over_http_is_told_as_running_and_the_rest_still_run(lab: Lab, http: Settings) -> None:
    schedule(lab, "anp_never_ends", "stuck", -60)
    lab.event(-30, 0, "after")
    found = run(http, limit=1)
    assert (found.running, found.ran, lab.logged("after", "end")) == (["anp_never_ends"], 1, 1)
    lab.sql("UPDATE wp_anp_event SET began = UTC_TIMESTAMP() - INTERVAL 80 SECOND WHERE state = 'begun'")
    assert run(http).running == ["anp_never_ends"]  # however long ago: its process holds its lock
    os.kill(process_of(lab, "stuck"), signal.SIGKILL)
    eventually(lambda: run(http).lost, 10, "its death to be told")
    assert lab.logged("stuck") == 1


def test_a_killed_recurring_event_runs_at_its_next_time(lab: Lab, php: Settings) -> None:
    schedule(lab, "anp_never_ends", "stuck", -60, recurrence="hourly")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, php)
        os.kill(process_of(lab, "stuck"), signal.SIGKILL)
        found: Ran = running.result()
    assert ["runs at its next time" in trouble.why for trouble in found.failed] == [True]
    assert (found.lost, found.overdue) == ([], 0)


def test_an_event_that_an_earlier_run_left_is_settled_once_it_is_known_to_be_dead(lab: Lab, php: Settings) -> None:
    lab.event(-60, 0, "left")
    run(php)
    begun = (
        "UPDATE wp_anp_event SET state = 'begun', began = UTC_TIMESTAMP() WHERE hook = 'lab_work' AND state = 'done'"
    )
    lab.sql(begun)
    site = Site.connect(php)
    assert run(php).running == ["lab_work"]  # its time is not over: it may run on another machine
    lab.sql("UPDATE wp_anp_event SET began = UTC_TIMESTAMP() - INTERVAL 80 SECOND WHERE state = 'begun'")
    (row,) = register.unended(site)
    with site.locked(f"event:{row.key}"):
        assert run(php).running == ["lab_work"]  # its process holds its lock: it lives
    assert run(php, repeatable=frozenset({"lab_work"})).again == 1
    assert lab.logged("left", "end") == 2


def test_a_lock_whose_process_died_before_it_took_the_event_out_is_removed(lab: Lab, php: Settings) -> None:
    lab.event(-60, 0, "unclaimed")
    run(php)
    assert lab.logged("unclaimed") == 1
    lock = f"{time.time():.22f}"
    # as it is left by a process killed between its claim and its first write of the option
    lab.event(-60, 0, "waiting")
    site = Site.connect(php)
    (event,) = [event for event in due.scheduled(site) if event.hook == "lab_work"]
    register.plan(site, event, run="dead", fenced=("events:test", None), limit=1)
    lab.sql(
        "UPDATE wp_anp_event SET state = 'begun', wp_lock = :lock, began = UTC_TIMESTAMP() - INTERVAL 20 SECOND "
        "WHERE event = :key",
        lock=lock,
        key=event.key,
    )
    lab.sql("INSERT INTO wp_options (option_name, option_value) VALUES ('_transient_doing_cron', :lock)", lock=lock)
    found = run(php)
    assert (found.ran, found.busy) == (1, None)
    assert lab.logged("waiting", "end") == 1


def test_mariadb_stopped_in_the_middle_of_an_event(lab: Lab, way: Settings) -> None:
    lab.event(-60, 2, "cut")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, way)
        process_of(lab, "cut")
        with lab.without_database():
            with pytest.raises(SiteUnavailable, match="database of the WordPress") as told:
                running.result()
            assert told.value.retry_safe
            with pytest.raises(SiteUnavailable, match="does not answer"):
                run(way)
    # Its hook may have ended, but nobody could write that down: told as lost, and not as done.
    lab.sql("UPDATE wp_anp_event SET began = UTC_TIMESTAMP() - INTERVAL 80 SECOND WHERE state = 'begun'")
    assert len(run(way).lost) == 1
    assert lab.logged("cut") == 1


def test_mariadb_frozen_for_a_while(lab: Lab, way: Settings) -> None:
    lab.event(-60, 1, "slow")
    lab.event(-30, 0, "after")
    ids = lab.future(2, -20)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(run, way)
        process_of(lab, "slow")
        with lab.frozen("db"):
            publishing = pool.submit(publish, way, ids)
            time.sleep(2)  # longer than the hook: it ends while nobody answers
        assert running.result().ran == 2
        assert publishing.result() == ids
    assert [lab.logged(token, "end") for token in ("slow", "after")] == [1, 1]


def test_mariadb_frozen_for_longer_than_anybody_waits(lab: Lab, php: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database._MARIADB_TIMEOUTS, "read_timeout", 1)
    impatient = php.model_copy(update={"database_url": php.database_url + "?charset=utf8mb4"})
    lab.event(-60, 0, "a")
    Site.connect(impatient)
    with lab.frozen("db"), pytest.raises(SiteUnavailable, match="does not answer"):
        run(impatient)
    assert run(impatient).ran == 1


def test_no_database(lab: Lab, php: Settings) -> None:
    nowhere = php.model_copy(update={"database_url": "mysql+pymysql://wp:hidden@127.0.0.1:1/wp"})
    with pytest.raises(SiteUnavailable, match=r"does not answer.*127\.0\.0\.1:1/wp") as told:
        run(nowhere)
    assert "hidden" not in str(told.value)


def test_a_wrong_table_prefix_is_told_with_the_ones_that_are_there(lab: Lab, php: Settings) -> None:
    with pytest.raises(BadSetting, match=r"no table blog_posts.*begin with wp_.*Given: blog_"):
        run(php.model_copy(update={"wordpress_table_prefix": "blog_"}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wordpress_php": "php-not-here"}, r"no php to run.*php-not-here"),
        ({"wordpress_path": Path("/nowhere")}, r"is no WordPress.*wp-load\.php.*/nowhere"),
        ({"wordpress_path": None}, "There is no way to run WordPress' code"),
        ({"database_url": "sqlite:///x"}, "needs its database"),
    ],
)
def test_a_setting_that_cannot_be_right(lab: Lab, php: Settings, changes: dict[str, object], said: str) -> None:
    lab.event(-60, 0, "a")
    with pytest.raises(BadSetting, match=said):
        run(php.model_copy(update=changes))
    assert register.unended(Site.connect(php)) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ('a:1:{i:1;a:1:{s:3:"x', "broken at byte"),
        ('s:1:"x";', "not laid out"),
    ],
)
def test_a_corrupt_cron_option_is_told_and_posts_are_published_all_the_same(
    lab: Lab, php: Settings, option: str, said: str
) -> None:
    ids = lab.future(2, -90)
    lab.sql("UPDATE wp_options SET option_value = :option WHERE option_name = 'cron'", option=option)
    with pytest.raises(CorruptCron, match=said):
        run(php)
    assert lab.sql("SELECT option_value FROM wp_options WHERE option_name = 'cron'") == [(option,)]
    assert publish(php, ids) == ids


def test_an_object_among_the_arguments_of_an_event_keeps_no_event_back(lab: Lab, way: Settings) -> None:
    lab.wp("wp_schedule_single_event(time() - 60, 'anp_fine', ['odd', (object) ['a' => 1]]);")
    lab.event(-30, 0, "after")
    assert run(way).ran == 2
    assert (lab.logged("odd", "end"), lab.logged("after", "end")) == (1, 1)


def test_a_site_that_answers_500_or_nothing(lab: Lab, http: Settings, plugin: Path) -> None:
    lab.event(-60, 0, "a")
    ids = lab.future(1, -20)
    broken = plugin.with_name("broken.php")
    broken.write_text("<?php throw new Error('broken');")
    try:
        with pytest.raises(SiteUnavailable, match=r"did not come to its work.*answered 500"):
            run(http)
        with pytest.raises(SiteUnavailable, match=r"published nothing.*answered 500"):
            publish(http, ids)
    finally:
        broken.unlink()
    with pytest.raises(SiteUnavailable, match="does not answer"):
        run(http.model_copy(update={"site_url": "http://127.0.0.1:1"}))
    plugin.unlink()
    with pytest.raises(SiteUnavailable, match=r"is deploy/wordpress/anp.php in its wp-content/mu-plugins"):
        run(http)
    assert lab.statuses(ids) == ["future"]
    assert lab.logged("a") == 0
    assert run(known(lab, wordpress_path=lab.path)).ran == 1


def test_php_that_finds_no_database_is_told_with_its_words(lab: Lab, php: Settings, tmp_path: Path) -> None:
    lab.event(-60, 0, "a")
    for name in lab.path.iterdir():
        (tmp_path / name.name).symlink_to(name)
    (tmp_path / "wp-load.php").unlink()
    (tmp_path / "wp-load.php").write_text(
        "<?php define('ABSPATH', __DIR__ . '/'); define('DB_NAME', 'x'); define('DB_USER', 'x');"
        "define('DB_PASSWORD', 'x'); define('DB_HOST', '127.0.0.1:1'); $table_prefix = 'wp_';"
        "require __DIR__ . '/wp-settings.php';"
    )
    with pytest.raises(SiteUnavailable, match=r"did not come to its work.*database"):
        run(php.model_copy(update={"wordpress_path": tmp_path}))
    assert run(php).ran == 1


def test_the_way_is_named_by_the_settings(lab: Lab, php: Settings, http: Settings) -> None:
    names = [type(ways.chosen(one)).__name__ for one in (php, http)]
    assert names == ["Php", "Plugin"]
