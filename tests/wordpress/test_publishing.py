"""Posts whose time has come are live, by WordPress' own code, each once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from celery_anp.errors import LostOwnership
from tests.wordpress.lab import Lab
from worker.settings import Settings
from worker.site import database, fence
from worker.site.posts import utc_now
from worker.site.wordpress import publishing, ways
from worker.site.wordpress.publishing import Orders
from worker.site.wordpress.site import Site

ORDERS = Orders("run-1", ("publish:test", None))
DRIFTED = """
    SELECT count(*) FROM wp_term_taxonomy t WHERE taxonomy IN ('category', 'post_tag') AND count <> (
      SELECT count(*) FROM wp_term_relationships r JOIN wp_posts p ON p.ID = r.object_id
      WHERE r.term_taxonomy_id = t.term_taxonomy_id AND p.post_status = 'publish' AND p.post_type = 'post')
"""


def publish(known: Settings, ids: list[int], orders: Orders = ORDERS) -> list[int]:
    site = Site.connect(known)
    return sorted(one.id for one in publishing.publish(site, ways.chosen(known), ids, orders))


def test_due_posts_are_published_with_all_that_hangs_on_it(lab: Lab, way: Settings) -> None:
    lab.seed(3)
    ids, later = lab.future(3, -90), lab.future(1, 600)
    site = Site.connect(way)
    assert publishing.due(site, 100, utc_now()) == ids
    assert publish(way, ids + later) == ids
    assert lab.statuses(ids + later) == ["publish"] * 3 + ["future"]
    assert [lab.logged(f"post {post}", "live") for post in ids] == [1, 1, 1]
    assert lab.sql(DRIFTED) == [(0,)]
    assert publishing.count_due(site, utc_now()) == 0
    # do_pings is scheduled, as WordPress does, and nothing is left of the posts' own events
    option = str(site.option("cron"))
    assert "do_pings" in option
    assert [post for post in ids if f"i:0;i:{post};" in option] == []


def test_publishing_again_changes_nothing(lab: Lab, way: Settings) -> None:
    ids = lab.future(2, -90)
    assert publish(way, ids) == publish(way, ids) == ids
    assert [lab.logged(f"post {post}", "live") for post in ids] == [1, 1]


def test_a_rollback_puts_back_what_this_run_published_and_nothing_else(lab: Lab, way: Settings) -> None:
    mine, other = lab.future(2, -90), lab.future(1, -90)
    publish(way, mine)
    publish(way, other, Orders("another", ("publish:test", None)))
    site = Site.connect(way)
    assert sorted(publishing.unpublish(site, ways.chosen(way), mine + other, ORDERS)) == mine
    assert lab.statuses(mine + other) == ["future", "future", "publish"]
    assert lab.sql(DRIFTED) == [(0,)]
    assert publishing.unpublish(site, ways.chosen(way), mine + other, ORDERS) == []
    body = lab.sql("SELECT post_content FROM wp_posts WHERE ID = :id", id=mine[0])[0][0]
    assert '<pre class="wp-block-code">' in body  # nobody's filters touched it


def test_an_attempt_that_was_overtaken_publishes_nothing(lab: Lab, way: Settings) -> None:
    ids = lab.future(1, -90)
    site = Site.connect(way)
    lab.sql("DELETE FROM anp_fence WHERE name = 'publish:overtaken'")
    with database.writing(site.engine) as connection:
        fence.guard(connection, "publish:overtaken", 20)
    with pytest.raises(LostOwnership):
        publish(way, ids, Orders("old", ("publish:overtaken", 10)))
    # and in PHP too, where the later attempt came between our look and its work
    told = ways.chosen(way).ask(Orders("old", ("publish:overtaken", 10)).job("publish", ids), limit=20)
    assert (told.state, lab.statuses(ids)) == ("refused", ["future"])
    assert publish(way, ids, Orders("new", ("publish:overtaken", 30))) == ids


def test_a_post_whose_hooks_end_the_process_keeps_no_other_back(lab: Lab, way: Settings) -> None:
    ids = lab.future(3, -90)
    lab.sql("UPDATE wp_posts SET post_title = 'anp: exit on publish' WHERE ID = :id", id=ids[1])
    assert publish(way, ids) == ids
    assert lab.statuses(ids) == ["publish"] * 3


def test_pages_and_posts_without_their_event_are_published_too(lab: Lab, php: Settings) -> None:
    ids = lab.future(2, -90)
    lab.sql("UPDATE wp_posts SET post_type = 'page' WHERE ID = :id", id=ids[1])
    lab.sql("UPDATE wp_options SET option_value = 'a:0:{}' WHERE option_name = 'cron'")
    site = Site.connect(php)
    assert publishing.due(site, 1, utc_now()) == ids[:1]
    assert publishing.due(site, 100, utc_now() - timedelta(hours=1)) == []
    assert publish(php, publishing.due(site, 100, utc_now())) == ids


def test_a_post_that_another_process_publishes_is_left_to_it(lab: Lab, way: Settings) -> None:
    ids = lab.future(2, -90)
    with Site.connect(way).locked(f"post:{ids[0]}"):
        assert publish(way, ids) == ids[1:]
    assert publish(way, ids) == ids
