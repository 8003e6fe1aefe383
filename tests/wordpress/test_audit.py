"""The audit of a WordPress: silent while all is well, and a sentence for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from celery_anp.local.embedded.server import CACHE, RedisServer
from tests.wordpress.conftest import known
from tests.wordpress.lab import Lab
from tests.wordpress.test_events import run, schedule
from worker.checks.wordpress import wordpress
from worker.settings import Settings
from worker.site.wordpress.audit import Audit, audit
from worker.site.wordpress.site import Site


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for the object cache."""
    with RedisServer(tmp_path / "cache", CACHE) as server:
        yield server


def look(settings: Settings) -> Audit:
    return audit(Site.connect(settings))


def test_a_site_without_trouble(lab: Lab, php: Settings) -> None:
    lab.seed(2)
    lab.future(1, 600)
    lab.event(600, 0, "later")
    seen = look(php)
    assert seen.troubles == []
    assert seen.cache is None
    assert 0 < seen.biggest_options[0].size <= seen.autoloaded


def test_each_trouble_is_a_sentence(lab: Lab, php: Settings) -> None:
    lab.seed(2)
    schedule(lab, "anp_throws", "bad", -5)
    assert len(run(php).failed) == 1
    ids = lab.future(2, -300)
    lab.event(-300, 0, "overdue")
    lab.sql("UPDATE wp_term_taxonomy SET count = count + 1 WHERE taxonomy = 'category' AND count > 0 LIMIT 1")
    lab.sql("INSERT INTO wp_options (option_name, option_value, autoload) VALUES ('huge', :x, 'on')", x="x" * 900_000)
    try:
        seen = look(php)
    finally:
        lab.sql("DELETE FROM wp_options WHERE option_name = 'huge'")
        back = "UPDATE wp_term_taxonomy SET count = count - 1 WHERE term_taxonomy_id = :id"
        lab.sql(back, id=seen.drifted_terms[0].term)
    assert seen.missed_posts == ids
    assert [one.hook for one in seen.lost_events] == ["anp_throws"]
    assert "as asked" in seen.lost_events[0].why
    assert seen.overdue > 290
    assert [(one.count - one.public) for one in seen.drifted_terms] == [1]
    assert seen.biggest_options[0].name == "huge"
    words = ("overdue by up to", "lost or failed", "due and not live", "terms have a count", "every request loads")
    assert [word for word in words if not any(word in trouble for trouble in seen.troubles)] == []


def test_audit_and_check_make_no_table(lab: Lab, php: Settings) -> None:
    lab.sql("DROP TABLE IF EXISTS wp_anp_event")
    site = Site.connect(php, prepare=False)
    assert audit(site).lost_events == []
    assert all(point.ok for point in wordpress(php) if "tables" in point.what)
    assert lab.sql("SHOW TABLES LIKE 'wp_anp_event'") == []


def test_a_corrupt_cron_option_is_one_of_the_troubles(lab: Lab, php: Settings) -> None:
    lab.sql("UPDATE wp_options SET option_value = 'a:1:{' WHERE option_name = 'cron'")
    assert "cron option cannot be read" in look(php).troubles[0]


def test_an_object_cache_that_is_not_alone(lab: Lab, redis_server: object, cache: RedisServer) -> None:
    settings = known(lab, wordpress_path=lab.path, cache_url=cache.url)
    with Redis.from_url(cache.url) as client:
        client.set("anp:wp:posts:1", "x")
        client.set("anp:wp:transient:t", "x", ex=60)
        assert look(settings).troubles == []
        client.set("celery", "a message")
        seen = look(settings)
        assert seen.cache is not None
        assert (seen.cache.keys, seen.cache.without_end, seen.cache.foreign) == (2, 1, 1)
        assert "shares its database with 1 other keys (celery)" in seen.troubles[0]
        client.delete("celery")
        client.config_set("maxmemory-policy", "volatile-lru")
        assert "volatile-lru never evicts" in look(settings).troubles[0]


def test_an_object_cache_that_does_not_answer_is_told(lab: Lab, redis_server: object) -> None:
    seen = look(known(lab, wordpress_path=lab.path, cache_url="redis://127.0.0.1:1/0"))
    assert "object cache does not answer" in seen.troubles[0]
