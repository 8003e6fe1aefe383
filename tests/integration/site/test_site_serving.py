"""The demo site over HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from xml.etree import ElementTree as ET

import httpx
import pytest
from sqlalchemy import Connection
from starlette.applications import Starlette

from tests.integration.site.conftest import NOW, served
from tests.support.eventually import eventually
from worker.demo.site import DemoSite
from worker.settings import Settings
from worker.site import builds, pages, publishing, sitemap, stale, warm
from worker.site.object_cache import ObjectCache, Page
from worker.site.posts import Posts
from worker.site.warm import Manners

pytestmark = pytest.mark.long

SOON = NOW + timedelta(seconds=35)


def cost(answer: httpx.Response) -> tuple[str, int]:
    return answer.headers["X-Cache"], int(answer.headers["X-DB-Queries"])


def asked(app: Starlette, path: str) -> httpx.Response:
    """The answer of a site in this process."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_the_first_reader_pays_and_the_second_gets_the_same_page_from_the_cache(reader: httpx.Client) -> None:
    first, second = reader.get("/"), reader.get("/")
    assert cost(first)[0] == "MISS"
    assert cost(first)[1] > 0
    assert "db;dur=" in first.headers["Server-Timing"]
    assert cost(second) == ("HIT", 0)
    assert second.headers["Server-Timing"].startswith("cache;dur=")
    assert first.text == second.text


def test_every_answer_carries_the_security_headers(reader: httpx.Client) -> None:
    for path in ("/", "/feed/", "/nothing/", "/healthz", "/page/0002/"):
        headers = reader.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Referrer-Policy" in headers


def test_a_post_that_is_not_due_is_not_found_and_that_is_not_kept(
    reader: httpx.Client, posts: Posts, cache: ObjectCache
) -> None:
    post = posts.describe(posts.due(1, SOON))[0]
    path = pages.post_path(post.slug)
    assert reader.get(path).status_code == 404
    publishing.publish(posts.engine, [post.id], site="main", run="r1", fence_number=1, now=SOON)
    assert reader.get(path).status_code == 200


def test_a_publish_changes_exactly_the_pages_that_it_names(
    reader: httpx.Client, posts: Posts, cache: ObjectCache
) -> None:
    post = posts.describe(posts.due(1, SOON))[0]
    named = pages.paths(post, public=posts.count(), by_tag=posts.tag_counts(), per_page=posts.per_page())
    other_tag = next(slug for slug in posts.tag_counts() if slug not in post.tags)
    others = [pages.post_path(hot.slug) for hot in posts.hottest(5)] + [pages.tag_path(other_tag)]
    lists = [path for path in named[1:] if not path.startswith("/page/")] + list(pages.list_paths("/", 90, 10))[1:]
    before = {path: reader.get(path).text for path in [*lists, *others]}

    publishing.publish(posts.engine, [post.id], site="main", run="r1", fence_number=1, now=SOON)
    assert stale.clear(posts.engine, cache).pages == len(lists)

    for path in lists:
        answer = reader.get(path)
        assert cost(answer)[0] == "MISS"
        assert answer.text != before[path]
    for path in others:
        answer = reader.get(path)
        assert cost(answer)[0] == "HIT"
    assert post.slug in reader.get("/").text


def test_a_page_that_was_being_rendered_during_a_publish_is_shown_once_and_not_kept(
    posts: Posts, cache: ObjectCache, known: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = DemoSite(known)
    render, post = site._front, posts.describe(posts.due(1, SOON))[0]

    def overtaken(connection: Connection, number: int) -> Page | None:
        page = render(connection, number)
        publishing.publish(posts.engine, [post.id], site="main", run="r1", fence_number=1, now=SOON)
        stale.clear(posts.engine, cache)
        return page

    monkeypatch.setattr(site, "_front", overtaken)
    assert post.slug not in asked(site.app(), "/").text
    monkeypatch.setattr(site, "_front", render)
    assert post.slug in asked(site.app(), "/").text


def test_a_page_has_one_address(reader: httpx.Client) -> None:
    for crooked, straight in (("/page/0002/", "/page/2/"), ("/page/1/", "/"), ("/tag/python/page/1/", "/tag/python/")):
        answer = reader.get(crooked)
        assert (answer.status_code, answer.headers["Location"]) == (301, straight)


def test_pages_that_do_not_exist_are_not_found(reader: httpx.Client) -> None:
    for path in (
        "/page/9999/",
        "/page/0/",
        "/tag/nothing/",
        "/tag/python/page/999/",
        "/a/b/c/",
        "/gr%C3%B6%C3%9Fe/",
        "/a%20b/",
        "/sitemap-1.xml",
    ):
        assert reader.get(path).status_code == 404


def test_a_path_is_shown_as_text_and_never_as_markup(reader: httpx.Client) -> None:
    answer = reader.get("/%3Cscript%3Ealert(1)%3C%2Fscript%3E/")
    assert answer.status_code == 404
    assert "<script" not in answer.text


def test_without_the_cache_pages_are_rendered_each_time(known: Settings) -> None:
    with served(known, cache_url="redis://127.0.0.1:1/0") as reader:
        answers = [reader.get("/") for _ in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert {cost(answer)[0] for answer in answers} == {"BYPASS"}
        assert reader.get("/healthz").json() == {"database": "up", "cache": "down"}


def test_a_frozen_cache_costs_one_short_wait_and_breaks_no_page(reader: httpx.Client, cache: ObjectCache) -> None:
    assert reader.get("/").status_code == 200
    cache.client.execute_command("CLIENT", "PAUSE", "3000", "ALL")
    states = [cost(reader.get("/"))[0] for _ in range(5)]
    assert states == ["BYPASS"] * 5
    eventually(lambda: cost(reader.get("/"))[0] == "HIT", 15, "the cache is used again")


def test_feed_and_sitemap_are_well_formed_and_name_public_posts(
    reader: httpx.Client, posts: Posts, known: Settings
) -> None:
    items = ET.fromstring(reader.get("/feed/").content).findall("channel/item")
    assert len(items) == 20
    home = builds.folder(known)
    built = sitemap.build(posts, home, known.site_url, 500)
    assert (built.parts, built.urls) == (4, 2000)
    assert reader.get("/sitemap.xml").status_code == 404
    builds.publish(posts.engine, home, built.name, site="main", fence_number=1)
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    parts = [node.text or "" for node in ET.fromstring(reader.get("/sitemap.xml").content).iter(f"{space}loc")]
    located = [
        node.text or ""
        for part in parts
        for node in ET.fromstring(reader.get(part.removeprefix(known.site_url)).content).iter(f"{space}loc")
    ]
    assert len(set(located)) == 2000
    assert reader.get(located[0].removeprefix(known.site_url)).status_code == 200


def test_warming_turns_misses_into_hits_and_measures_both(reader: httpx.Client, posts: Posts, known: Settings) -> None:
    wanted = [pages.post_path(post.slug) for post in posts.hottest(20)]
    first, second = (warm.figures(warm.visit(known.site_url, wanted, Manners(3))) for _ in range(2))
    assert (first.misses, first.hits, first.errors) == (20, 0, ())
    assert (second.misses, second.hits, second.database_calls) == (0, 20, 0)
    assert first.database_calls >= 40
    assert 0 < first.p50_ms <= first.p95_ms


def test_a_site_that_is_away_ends_a_round_early(known: Settings) -> None:
    made = warm.visit(known.site_url, [f"/{number}/" for number in range(200)], Manners(2, timeout=2))
    assert warm.too_bad(made, Manners())
    assert len(made) < 200
    assert warm.figures(made).error_rate == 1.0


def test_a_round_ends_when_it_is_told_to(reader: httpx.Client, known: Settings) -> None:
    made = warm.visit(known.site_url, ["/"] * 50, each=lambda done, _total: done >= 5)
    assert (len(made), warm.too_bad(made, Manners())) == (5, False)
