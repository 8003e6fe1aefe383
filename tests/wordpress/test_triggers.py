"""Other triggers of the same events, and other writers of the cron option, at the same time."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support.eventually import eventually
from tests.wordpress.lab import Lab
from tests.wordpress.test_events import run, schedule
from worker.settings import Settings
from worker.site.wordpress import due
from worker.site.wordpress.site import Site

OWN_LOCK = (
    "REPLACE INTO wp_options (option_name, option_value, autoload) VALUES ('_transient_doing_cron', :value, 'on')"
)


def visit(lab: Lab) -> int:
    """What a visitor's page load does."""
    return httpx.get(f"{lab.url}/wp-cron.php", timeout=60).status_code


def trigger(lab: Lab) -> int:
    """What a line in a crontab does."""
    return subprocess.run(["php", "wp-cron.php"], cwd=lab.path, check=False, capture_output=True).returncode


def test_anp_visitors_and_a_crontab_together_run_each_event_once(lab: Lab, plugin: Path, way: Settings) -> None:
    for token in ("a", "b", "c", "d", "e"):
        lab.event(-60, 0, token)
        # An old lock is read with all options when a process starts, so that many find it free.
        lab.sql(OWN_LOCK, value=time.time() - 100)
        with ThreadPoolExecutor(8) as pool:
            mine = [pool.submit(run, way) for _ in range(2)]
            others = [pool.submit(what, lab) for what in (visit, trigger, trigger, visit, trigger, trigger)]
            found = [future.result() for future in mine]
            assert len([future.result() for future in others]) == 6
        assert not [trouble for one in found for trouble in (*one.lost, *one.failed)]
        run(way)  # where all of them met another at work
        assert (lab.logged(token), lab.logged(token, "end")) == (1, 1)


def test_one_run_of_anp_at_a_time(lab: Lab, php: Settings) -> None:
    lab.event(-30, 0, "a")
    site = Site.connect(php)
    with site.locked("events") as held:
        assert held
        found = run(php)
        assert "another run of anp" in (found.busy or "")
        assert found.overdue >= 30
    assert run(php).ran == 1


def test_no_event_is_claimed_while_a_guarded_trigger_is_at_work(lab: Lab, way: Settings) -> None:
    lab.event(-30, 0, "a")
    with Site.connect(way).locked("cron") as held:
        assert held
        assert run(way).busy == "another process runs events"
    assert lab.logged("a") == 0
    assert run(way).ran == 1


def test_wordpress_own_lock_is_waited_for_where_its_holder_may_live(lab: Lab, php: Settings) -> None:
    lab.event(-30, 0, "a")
    lab.sql(OWN_LOCK, value=f"{time.time():.22f}")
    found = run(php)
    assert "WordPress' own lock" in (found.busy or "")
    assert (found.ran, found.left) == (0, 1)
    lab.sql(
        "UPDATE wp_options SET option_value = :old WHERE option_name = '_transient_doing_cron'", old=time.time() - 61
    )
    assert run(php).ran == 1


def test_an_orphaned_lock_is_removed_where_wp_cron_is_guarded(lab: Lab, plugin: Path, way: Settings) -> None:
    lab.event(-30, 0, "a")
    lab.sql(OWN_LOCK, value=f"{time.time():.22f}")
    assert run(way).ran == 1
    assert lab.sql("SELECT 1 FROM wp_options WHERE option_name = '_transient_doing_cron'") == []


def test_an_event_scheduled_while_another_runs_is_kept(lab: Lab, way: Settings) -> None:
    schedule(lab, "anp_schedules", "parent", -60)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(run, way)
        eventually(lambda: lab.logged("parent"), 10, "the event to run")
        lab.event(600, 0, "meanwhile")
        assert running.result().ran == 1
    option = str(Site.connect(way).option("cron"))
    assert "meanwhile" in option
    assert "parent child" in option


def test_events_scheduled_by_many_processes_at_once_are_all_kept(lab: Lab, plugin: Path) -> None:
    code = "for ($n = 0; $n < 5; $n++) wp_schedule_single_event(time() + 900, 'anp_fine', [\"$argv[1] $n\"]);"
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: lab.wp(code, number), range(6)))
    kept = [event for event in due.scheduled(Site.connect(_settings(lab))) if event.hook == "anp_fine"]
    assert len(kept) == 30


def test_a_write_that_changes_nothing_holds_nobody_up(lab: Lab, plugin: Path) -> None:
    code = """
        $at = time() + 900; wp_schedule_single_event($at, 'anp_fine', ['x']); get_option('cron');
        $wpdb->query("UPDATE wp_options SET option_value = 'a:1:{s:7:\\"version\\";i:2;}' WHERE option_name = 'cron'");
        wp_unschedule_event($at, 'anp_fine', ['x']); // another process was first
        echo $wpdb->get_var($wpdb->prepare('SELECT IS_FREE_LOCK(%s)', $argv[1]));
    """
    assert lab.wp(code, Site.connect(_settings(lab)).lock_name("option")) == "1"
    assert due.scheduled(Site.connect(_settings(lab))) == []


def _settings(lab: Lab) -> Settings:
    return Settings(site_kind="wordpress", database_url=lab.database_url)
