"""Pages are kept, cleared by name, and put back; nothing else is touched."""

from __future__ import annotations

import threading

import pytest
import redis

from celery_anp.errors import Refused
from worker.settings import Settings
from worker.site import audit, clearing
from worker.site.clearing import clear, target
from worker.site.kept import Kept, restore
from worker.site.object_cache import ObjectCache, Page
from worker.site.outcomes import Cleared
from worker.site.sweep import sweep

pytestmark = pytest.mark.long


def put(cache: ObjectCache, path: str, *tags: str, lifetime: float = 600) -> None:
    assert cache.put(path, Page(f"<p>{path}</p>", tags=tags), since=cache.get(path).at, lifetime=lifetime)


def paths(cache: ObjectCache) -> list[str]:
    return [name.partition("page:")[2] for name in audit.names(cache, 10_000) if ":page:" in name]


def test_a_page_comes_back_as_it_was_kept_and_has_an_end(cache: ObjectCache) -> None:
    page = Page("<p>größe</p>", "text/html; charset=utf-8", ("post:1", "feed"))
    assert cache.put("/a/", page, since=cache.get("/a/").at, lifetime=600)
    assert cache.get("/a/").page == page
    assert 540_000 <= cache.client.pttl("anp:site:page:/a/") <= 660_000


def test_every_key_has_an_end_also_the_sets_and_marks(cache: ObjectCache) -> None:
    put(cache, "/a/", "post:1", "list:front")
    clear(cache, target(cache, post=1))
    put(cache, "/a/", "post:1", lifetime=5)
    assert [key for key in cache.client.keys("*") if cache.client.ttl(key) < 0] == []
    assert audit.audit(cache).without_end == 0


def test_a_tag_set_lasts_as_long_as_its_longest_page(cache: ObjectCache) -> None:
    put(cache, "/a/", "feed", lifetime=1000)
    put(cache, "/b/", "feed", lifetime=10)
    assert cache.client.ttl("anp:site:tag:feed") > 800


def test_a_page_rendered_while_it_was_being_cleared_is_not_kept(cache: ObjectCache) -> None:
    began = cache.get("/a/").at
    clearing.clear_tags(cache, ["post:1"])
    assert not cache.put("/a/", Page("old", tags=["list:front", "post:1"]), since=began)
    assert cache.get("/a/").page is None
    assert cache.put("/a/", Page("new", tags=["post:1"]), since=cache.get("/a/").at)


def test_a_clearing_by_path_also_stops_pages_that_are_being_rendered(cache: ObjectCache) -> None:
    began = cache.get("/a/").at
    clear(cache, target(cache, prefix="/a/"))
    assert not cache.put("/a/", Page("old"), since=began)


def test_clearing_a_post_takes_every_page_that_shows_it_and_no_other(cache: ObjectCache) -> None:
    put(cache, "/a/", "post:1")
    put(cache, "/", "list:front", "post:1", "post:2")
    put(cache, "/b/", "post:2")
    put(cache, "/c/", "post:11")
    assert clear(cache, target(cache, post=1)).pages == 2
    assert paths(cache) == ["/b/", "/c/"]


def test_clearing_a_tag_takes_the_pages_of_its_list(cache: ObjectCache) -> None:
    put(cache, "/tag/go/", "tag:go", "post:1")
    put(cache, "/tag/go/page/2/", "tag:go")
    put(cache, "/tag/golang/", "tag:golang")
    assert clearing.preview(cache, target(cache, tag="go")) == ["/tag/go/", "/tag/go/page/2/"]
    assert clear(cache, target(cache, tag="go")).pages == 2
    assert paths(cache) == ["/tag/golang/"]


def test_clearing_by_path_reaches_no_key_of_others(cache: ObjectCache) -> None:
    for number in range(1200):
        put(cache, f"/tag/t{number}/", f"tag:t{number}")
    put(cache, "/a/")
    for other in ("celery", "anp:sitemap", "anp:wp:posts:1", "x:anp:site:page:/tag/z/"):
        cache.client.set(other, 1)
    sets = len(cache.client.keys("anp:site:tag:*"))
    assert clear(cache, target(cache, prefix="/tag/")).pages == 1200
    assert paths(cache) == ["/a/"]
    assert len(cache.client.keys("anp:site:tag:*")) == sets
    assert cache.client.exists("celery", "anp:sitemap", "anp:wp:posts:1", "x:anp:site:page:/tag/z/") == 4


def kept_by_clearing(cache: ObjectCache, prefix: str, keep: int) -> tuple[Cleared, list[tuple[list[Kept], int]]]:
    records: list[tuple[list[Kept], int]] = []
    done = clear(cache, target(cache, prefix=prefix), record=lambda kept, at: records.append((kept, at)), keep=keep)
    return done, records


def test_cleared_pages_come_back_with_the_rest_of_their_time_and_can_be_cleared_again(cache: ObjectCache) -> None:
    put(cache, "/a/", "post:1", lifetime=100)
    before = cache.get("/a/").page
    done, [(kept, at)] = kept_by_clearing(cache, "/", 100_000)
    assert (done.pages, done.kept) == (1, 1)
    assert restore(cache, kept, at) == {"restored": 1}
    assert cache.get("/a/").page == before
    assert 0 < cache.client.ttl("anp:site:page:/a/") <= 110
    assert clear(cache, target(cache, post=1)).pages == 1


def test_a_page_is_recorded_before_it_is_removed(cache: ObjectCache) -> None:
    put(cache, "/a/")

    def record(kept: list[Kept], at: int) -> None:
        assert cache.client.exists("anp:site:page:/a/")
        raise ConnectionError("the ledger is away")

    with pytest.raises(ConnectionError):
        clear(cache, target(cache, prefix="/"), record=record, keep=100_000)
    assert cache.client.exists("anp:site:page:/a/")


def test_a_newer_page_is_not_overwritten_by_putting_back(cache: ObjectCache) -> None:
    put(cache, "/a/")
    _, [(kept, at)] = kept_by_clearing(cache, "/", 100_000)
    cache.put("/a/", Page("newer"), since=cache.get("/a/").at)
    assert restore(cache, kept, at) == {"rendered": 1}
    page = cache.get("/a/").page
    assert page is not None
    assert page.body == "newer"


def test_a_page_whose_post_changed_since_is_not_put_back(cache: ObjectCache) -> None:
    put(cache, "/a/", "post:1")
    _, [(kept, at)] = kept_by_clearing(cache, "/", 100_000)
    clearing.clear_tags(cache, ["post:1"])
    assert restore(cache, kept, at) == {"cleared": 1}
    assert cache.get("/a/").page is None


def test_beyond_the_limit_pages_are_removed_without_being_kept(cache: ObjectCache) -> None:
    for number in range(50):
        put(cache, f"/p{number}/")
    done, records = kept_by_clearing(cache, "/", 2_000)
    assert done.pages == 50
    assert 0 < done.kept < 50
    assert done.kept_bytes <= 2_000
    assert sum(len(kept) for kept, _ in records) == done.kept


def test_the_broker_is_refused_under_any_of_its_names(known: Settings) -> None:
    for host in ("127.0.0.1", "localhost", "127.1"):
        name = known.redis_url.replace("127.0.0.1", host)
        with pytest.raises(Refused, match="is the broker's Redis"):
            clearing.connect(known.model_copy(update={"cache_url": name}))


def test_an_audit_counts_by_group_and_finds_what_stands_out(cache: ObjectCache) -> None:
    put(cache, "/a/", "post:1", lifetime=30)
    put(cache, "/", "list:front", lifetime=500)
    cache.put("/big/", Page("x" * 50_000), since=cache.get("/big/").at)
    cache.client.set("anp:site:forgotten", 1)
    cache.client.set("another:key", 1)
    seen = audit.audit(cache)
    assert (seen.keys, seen.foreign, seen.without_end) == (6, 1, 1)
    assert seen.without_end_names == ["forgotten"]
    assert seen.groups["post"].ends["under 1 min"] == 1
    assert (seen.groups["front"].keys, seen.groups["tag sets"].keys) == (1, 2)
    assert seen.biggest[0][0] == "anp:site:page:/big/"
    assert seen.biggest[0][1] > 50_000
    assert seen.memory >= seen.biggest[0][1]


def test_an_audit_is_bounded_and_says_when_it_did_not_see_all(cache: ObjectCache) -> None:
    for number in range(20):
        put(cache, f"/p{number}/")
    seen = audit.audit(cache, limit=5)
    assert (seen.keys, seen.complete) == (5, False)


def test_a_clearing_does_not_hold_up_readers(cache: ObjectCache) -> None:
    with cache.client.pipeline(transaction=False) as pipe:
        for number in range(30_000):
            pipe.hset(f"anp:site:page:/tag/{number}/", mapping={"body": "x" * 50, "tags": ""})
        pipe.execute()
    cache.client.config_set("slowlog-log-slower-than", 20_000)
    cache.client.slowlog_reset()
    clearer = threading.Thread(target=clear, args=(cache, target(cache, prefix="/tag/")))
    clearer.start()
    clearer.join()
    slow = [entry["command"][:40] for entry in cache.client.slowlog_get()]
    assert paths(cache) == []
    assert slow == []


def test_a_cache_that_is_away_is_an_error_of_redis_and_nothing_hangs(known: Settings) -> None:
    away = ObjectCache.connect(known.model_copy(update={"cache_url": "redis://127.0.0.1:1/0"}), retries=0)
    with pytest.raises(redis.ConnectionError):
        clearing.clear_tags(away, ["feed"])


@pytest.mark.parametrize(("root", "beginning"), [("anp:site:", "*"), ("anp:site:", "page:[a"), ("*:", "a"), ("", "a")])
def test_a_sweep_takes_no_pattern_and_no_empty_root(cache: ObjectCache, root: str, beginning: str) -> None:
    cache.client.set("another:key", 1)
    with pytest.raises(Refused):
        sweep(cache.client, root, beginning)
    assert cache.client.exists("another:key")


def test_a_sweep_takes_what_begins_so_and_nothing_else(cache: ObjectCache) -> None:
    keys = [f"anp:wp:post-queries:{number}" for number in range(3000)]
    others = ["anp:wp:post-queries2:1", "anp:wp:posts:1", "xanp:wp:post-queries:1", "anp:wp:post_queries:1"]
    cache.client.mset(dict.fromkeys(keys + others, 1))
    assert sweep(cache.client, "anp:wp:", "post-queries:") == 3000
    assert cache.client.exists(*others) == 4
    assert cache.client.dbsize() == 4
