"""One WordPress for all tests here; each test finds it without anything due."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from celery_anp.local.embedded import RedisServer
from tests.wordpress import lab as labs
from tests.wordpress.lab import Lab
from worker.settings import Settings

SECRET = "a secret of the tests only"
PLUGIN = Path(__file__).parents[2] / "deploy" / "wordpress" / "anp.php"
#: An object cache for the tests.
DROP_IN = Path(__file__).with_name("object-cache.php")
#: Hooks of the tests, and a line in the lab's log for each post that becomes public.
HOOKS = """<?php // Plugin Name: hooks of anp's tests
define('ANP_SECRET', '%s');
add_filter('pre_schedule_event', function ($pre, $event) { // WordPress' own, which come by themselves
    return preg_match('/^(wp_|recovery_mode|delete_expired)/', $event->hook) ? false : $pre;
}, 10, 2);
add_action('transition_post_status', function ($new, $old, $post) {
    if ($new === 'publish' && $old !== 'publish') lab_log("post $post->ID", 'live');
    if ($post->post_title === 'anp: exit on publish') exit(255);
}, 10, 3);
add_action('anp_fine', function ($token) { lab_log($token, 'start'); lab_log($token, 'end'); });
add_action('anp_exits', function ($token) { lab_log($token, 'start'); exit(255); });
add_action('anp_throws', function ($token) { lab_log($token, 'start'); throw new RuntimeException('as asked'); });
add_action('anp_eats', function ($token) {
    lab_log($token, 'start'); ini_set('memory_limit', '64M'); str_repeat('x', 1 << 30);
});
add_action('anp_never_ends', function ($token) { lab_log($token, 'start'); while (true) sleep(1); });
add_action('anp_schedules', function ($token) {
    lab_log($token, 'start'); usleep(1500000); wp_schedule_single_event(time(), 'lab_work', ["$token child", 0]);
    lab_log($token, 'end');
});
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a WordPress the tests are skipped with the reason, unless it is required."""
    wanted = config.getoption("--wordpress")
    missing = "it takes minutes: make site-test" if wanted == "off" else labs.missing()
    if missing and wanted == "required":
        raise pytest.UsageError(f"a WordPress is required here, and {missing}")
    for item in items:
        if "tests/wordpress/" in item.path.as_posix() and "lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.wordpress)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"WordPress: {missing}"))


@pytest.fixture(scope="session")
def running_lab() -> Lab:
    """The WordPress, running. Who started it ends it."""
    return Lab.up()


@pytest.fixture(scope="session")
def _plugins(running_lab: Lab) -> Iterator[Path]:
    """The tests' hooks are in the WordPress."""
    folder = running_lab.path / "wp-content" / "mu-plugins"
    (folder / "0-anp-tests.php").write_text(HOOKS % SECRET, encoding="utf-8")
    yield folder
    (folder / "0-anp-tests.php").unlink()


@pytest.fixture
def plugin(_plugins: Path) -> Iterator[Path]:
    """Our plugin is in the WordPress."""
    shutil.copy(PLUGIN, _plugins / "anp.php")
    yield _plugins / "anp.php"
    (_plugins / "anp.php").unlink(missing_ok=True)


@pytest.fixture
def php(lab: Lab, redis_server: object) -> Settings:
    """The settings of the way by php."""
    return known(lab, wordpress_path=lab.path)


@pytest.fixture
def http(lab: Lab, plugin: Path, redis_server: object) -> Settings:
    """The settings of the way by the plugin."""
    return known(lab, wordpress_secret=SECRET)


@pytest.fixture(params=["php", "http"])
def way(request: pytest.FixtureRequest) -> Settings:
    """The settings of each way in turn."""
    found: Settings = request.getfixturevalue(request.param)
    return found


def known(lab: Lab, **changes: object) -> Settings:
    """Settings for this WordPress."""
    own = {"site_kind": "wordpress", "site_url": lab.url, "database_url": lab.database_url}
    return Settings(**own, **changes)


@pytest.fixture
def lab(running_lab: Lab, _plugins: Path) -> Iterator[Lab]:
    """The WordPress, with nothing due."""
    running_lab.tidy()
    yield running_lab
    running_lab.tidy()


@pytest.fixture(scope="module")  # no longer: with it, what WordPress reads is not what the other tests write to SQL
def _object_cache(running_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of the WordPress' own, and a drop-in that keeps its objects there."""
    place = running_lab.path / "wp-content" / "object-cache.php"
    with RedisServer.cache(tmp_path_factory.mktemp("redis") / "objects") as server:
        said = urlsplit(server.url)
        text = DROP_IN.read_text(encoding="utf-8").replace("%PORT%", str(said.port))
        place.write_text(text.replace("%PASSWORD%", said.password or ""), encoding="utf-8")
        yield server
        place.unlink()


@pytest.fixture
def cached(lab: Lab, _object_cache: RedisServer, redis_server: object) -> Settings:
    """The settings of a WordPress with an empty object cache, and nginx' page cache as files."""
    with _object_cache.client() as client:
        client.flushall()
    return known(
        lab, wordpress_path=lab.path, cache_url=_object_cache.url, page_cache="files", page_cache_folder=lab.pages
    )
