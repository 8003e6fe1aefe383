"""WordPress' objects are cleared by WordPress' own names, only those of the post, and come back by a rollback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from redis import Redis

from celery_anp.errors import Refused
from tests.support.eventually import eventually
from tests.wordpress.lab import Lab
from worker.settings import Settings
from worker.site.affected import Shown
from worker.site.wordpress import caches
from worker.site.wordpress.objects import LAST_CHANGED, Objects, of_posts


@contextmanager
def heard(client: Redis) -> Iterator[list[str]]:
    """Every key that is deleted while the block runs, as Redis heard it."""
    found: list[str] = []
    with client.monitor() as monitor:

        def listen() -> None:
            while True:
                command = str(monitor.next_command()["command"])
                if "the end" in command:
                    return
                if command.upper().startswith(("DEL ", "UNLINK ")):
                    found.extend(command.split()[1:])

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            client.echo("the end")
            thread.join(10)


def page(lab: Lab, post: int) -> int:
    """Status of a post's own page, rendered now."""
    slug = lab.sql("SELECT post_name FROM wp_posts WHERE ID = :id", id=post)[0][0]
    return httpx.get(f"{lab.url}/{slug}/", headers={"X-Refresh": "1"}, trust_env=False, timeout=30).status_code


def objects(known: Settings) -> Objects:
    return Objects.of(Redis.from_url(known.cache_url), known)


def test_a_post_changed_in_sql_is_seen_once_its_objects_are_cleared(lab: Lab, cached: Settings) -> None:
    [post] = lab.future(1, -90)
    assert page(lab, post) == 404
    lab.sql("UPDATE wp_posts SET post_status = 'publish' WHERE ID = :id", id=post)
    assert page(lab, post) != 200  # what WordPress keeps of it says 'future'
    assert caches.clear_posts(cached, [post]) >= 2
    assert page(lab, post) == 200


def test_all_that_wordpress_deletes_at_a_publish_is_deleted(lab: Lab, cached: Settings) -> None:
    [post] = lab.future(1, -90)
    page(lab, post)
    found = objects(cached)
    with heard(found.client) as deleted:
        lab.wp("wp_publish_post((int) $argv[1]);", post)
    shown = Shown.connect(cached)
    ours = {found.root + name for name in of_posts(shown.tables, shown.engine, [post])}
    own = {name for name in deleted if not _passing(name)}
    assert f"anp:wp:posts:{post}" in own
    [revision] = lab.sql("SELECT ID FROM wp_posts WHERE post_type = 'revision' AND post_parent = :id", id=post)
    assert {name for name in own - ours if not name.endswith(str(revision[0]))} == set()


def _passing(name: str) -> bool:
    """What a publish deletes for other reasons: options that it writes, its pings."""
    return any(part in name for part in (":options:", "notoptions", ":users", ":user_meta", ":transient"))


def test_nothing_else_in_that_redis_is_touched(lab: Lab, cached: Settings) -> None:
    [post, other] = lab.future(2, -90)
    page(lab, post)
    page(lab, other)
    found = objects(cached)
    strangers = ["celery", "anp:ledger:runs", "anp:site:page:/", f"wp:posts:{post}", f"anp:wp2:posts:{post}"]
    found.client.mset(dict.fromkeys(strangers, 1))
    before = set(found.client.keys("*"))
    old = found.client.get(f"anp:wp:{LAST_CHANGED[0]}")
    caches.clear_posts(cached, [post])
    gone = {name.decode() for name in before - set(found.client.keys("*"))}
    assert f"anp:wp:posts:{post}" in gone
    assert not gone.intersection([*strangers, f"anp:wp:posts:{other}"])
    assert all(name.startswith("anp:wp:") for name in gone)
    new = found.client.get(f"anp:wp:{LAST_CHANGED[0]}")
    assert new not in (None, old)  # so results of queries from before are not found any more
    micros, seconds = new.decode().split()
    assert 0 <= float(micros) < 1
    assert int(seconds) > 1_700_000_000


def test_a_group_is_cleared_and_no_other(lab: Lab, cached: Settings) -> None:
    httpx.get(f"{lab.url}/", headers={"X-Refresh": "1"}, trust_env=False, timeout=30)
    client = objects(cached).client
    queries, others = client.keys("anp:wp:post-queries:*"), client.keys("anp:wp:posts:*")
    assert queries
    assert others
    assert caches.clear_group(cached, "post-queries") == len(queries)
    assert client.keys("anp:wp:post-queries:*") == []
    assert client.keys("anp:wp:posts:*") == others


@pytest.mark.parametrize("since", ["nothing", "a newer object", "an edit"])
def test_objects_come_back_unless_something_newer_is_known(lab: Lab, cached: Settings, since: str) -> None:
    [post] = lab.future(1, -90)
    page(lab, post)
    client, name = objects(cached).client, f"anp:wp:posts:{post}"
    value, kept = client.get(name), []

    def record(*portion: Any) -> None:
        kept.append(portion)

    caches.clear(cached, [post], [], record=record, keep=100_000)
    assert client.get(name) is None
    if since == "a newer object":
        client.set(name, "newer")
    if since == "an edit":
        lab.wp("wp_update_post(['ID' => 1, 'post_title' => 'edited']);")
    outcomes = [caches.restore(cached, *portion) for portion in kept]
    if since == "nothing":
        assert client.get(name) == value
    elif since == "a newer object":
        assert client.get(name) == b"newer"
    else:
        assert client.get(name) is None
        assert not any(outcome["restored"] for outcome in outcomes)


def test_the_broker_is_no_object_cache(lab: Lab, cached: Settings) -> None:
    broker = cached.model_copy(update={"cache_url": cached.redis_url.replace("127.0.0.1", "127.1")})
    with pytest.raises(Refused, match="is the broker's Redis"):
        caches.clear_posts(broker, [1])


def test_a_cache_that_is_away_leaves_a_note_and_the_next_run_clears(lab: Lab, cached: Settings) -> None:
    from worker.site.wordpress import publishing
    from worker.site.wordpress.site import Site

    [post] = lab.future(1, -90)
    page(lab, post)
    publishing.note(Site.connect(cached), [post])
    away = cached.model_copy(update={"cache_url": "redis://127.0.0.1:1/0"})
    assert publishing.clear(Site.connect(away)).left >= 1
    gone = cached.model_copy(update={"page_cache_folder": lab.pages / "not there"})
    assert publishing.clear(Site.connect(gone)).left >= 1
    done = publishing.clear(Site.connect(cached))
    assert (done.left, done.pages > 0) == (0, True)
    eventually(lambda: objects(cached).client.get(f"anp:wp:posts:{post}") is None, 5)
