"""Which pages a post is on."""

from __future__ import annotations

from datetime import datetime

import pytest

from worker.site import pages
from worker.site.posts import Post

POST = Post(7, "a-slow-count", datetime.fromisoformat("2026-11-21"), ("postgresql", "sql"))


def test_a_post_touches_its_page_every_page_of_its_lists_and_the_feed() -> None:
    found = pages.paths(POST, public=25, by_tag={"postgresql": 11, "sql": 3}, per_page=10)
    assert sorted(found) == [
        "/",
        "/a-slow-count/",
        "/feed/",
        "/page/2/",
        "/page/3/",
        "/tag/postgresql/",
        "/tag/postgresql/page/2/",
        "/tag/sql/",
    ]


def test_a_full_last_page_is_not_followed_by_an_empty_one() -> None:
    assert pages.list_paths("/", 20, 10) == ("/", "/page/2/")


def test_an_empty_list_still_has_its_first_page() -> None:
    assert pages.list_paths("/tag/go/", 0, 10) == ("/tag/go/",)


def test_cache_tags_name_the_post_its_lists_and_no_other() -> None:
    assert pages.cache_tags([POST]) == ("feed", "list:front", "post:7", "tag:postgresql", "tag:sql")


def test_a_slug_with_letters_that_a_url_cannot_hold_is_quoted() -> None:
    assert pages.post_path("größe") == "/gr%C3%B6%C3%9Fe/"


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/", "front"),
        ("/page/3/", "front"),
        ("/tag/sql/page/2/", "tag"),
        ("/feed/", "feed"),
        ("/sitemap-2.xml", "sitemap"),
        ("/a-slow-count/", "post"),
        ("/page/", "post"),
    ],
)
def test_each_path_belongs_to_one_group(path: str, group: str) -> None:
    assert pages.group(path) == group
