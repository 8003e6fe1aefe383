"""Which pages show a post: their paths, and the cache tags under which they are kept.

Pure functions. A page is kept under one tag for each post it shows and one for each list it is part of,
so "every page with post 7" and "every page of the list for Python" can be cleared by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from urllib.parse import quote

from worker.site.posts import Post

FRONT = "/"
FEED = "/feed/"
FRONT_TAG = "list:front"
FEED_TAG = "feed"


def post_path(slug: str) -> str:
    """Path of a post's own page."""
    return f"/{quote(slug)}/"


def tag_path(slug: str) -> str:
    """Path of the first page of a tag's list."""
    return f"/tag/{quote(slug)}/"


def list_path(base: str, page: int) -> str:
    """Path of one page of a list; the first page is the list's own path.

    Args:
        base: path of the list, with its closing slash.
        page: from 1.
    """
    return base if page == 1 else f"{base}page/{page}/"


def list_paths(base: str, posts: int, per_page: int) -> tuple[str, ...]:
    """Paths of all pages of a list that holds this many posts (an empty list has one page)."""
    return tuple(list_path(base, page) for page in range(1, max(1, ceil(posts / per_page)) + 1))


def post_tag(post_id: int) -> str:
    """Cache tag of every page that shows this post."""
    return f"post:{post_id}"


def list_tag(slug: str) -> str:
    """Cache tag of every page of the list for a post tag."""
    return f"tag:{slug}"


def cache_tags(posts: Iterable[Post]) -> tuple[str, ...]:
    """The cache tags of every page that changes when these posts appear or go, sorted.

    Every page of a list they are on is among them: one post more shifts the ones after it.
    """
    found = {FRONT_TAG, FEED_TAG}
    for post in posts:
        found |= {post_tag(post.id), *(list_tag(slug) for slug in post.tags)}
    return tuple(sorted(found))


def paths(post: Post, *, public: int, by_tag: Mapping[str, int], per_page: int) -> tuple[str, ...]:
    """The paths of every page that changes when this post appears or goes.

    Args:
        post: the post.
        public: how many public posts there are.
        by_tag: how many of them each tag has.
        per_page: how many a list page shows.

    Returns:
        Its own page, the front page and its tags' lists with all their pages, and the feed.
    """
    lists = [list_paths(FRONT, public, per_page)]
    lists += [list_paths(tag_path(slug), by_tag.get(slug, 0), per_page) for slug in post.tags]
    return (post_path(post.slug), *(path for pages in lists for path in pages), FEED)


def group(path: str) -> str:
    """What kind of page a path is: `front`, `tag`, `feed`, `sitemap` or `post`."""
    first, _, rest = path.strip("/").partition("/")
    if not first or (first == "page" and rest):
        return "front"
    if first in ("tag", "feed"):
        return first
    return "sitemap" if first.startswith("sitemap") else "post"
