"""The declaration filled in from the database: categories with those above them, archives of dates, encoded slugs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from worker.settings import Settings
from worker.site import database
from worker.site.affected import Shown
from worker.site.posts import Posts
from worker.site.tables import posts as table
from worker.site.tables import term_relationships, term_taxonomy, terms

pytestmark = pytest.mark.long

#: As WordPress keeps a slug that is not ASCII: encoded, in lower case; its links and nginx' keys have it so.
SLUG = "%d0%ba%d1%8d%d1%88"


@pytest.fixture
def post(posts: Posts) -> int:
    """A public post of a category below another, alone in its year."""
    with database.writing(posts.engine) as connection:
        day = datetime.fromisoformat("2019-03-07 10:00")
        row = {"post_name": SLUG, "post_status": "publish", "post_type": "post", "post_date": day}
        made = connection.execute(insert(table).values(**row))
        number = int(made.lastrowid)
        for term, slug, parent, count in ((9001, "news", 0, 25), (9002, "world", 9001, 1), (9003, "other", 0, 3)):
            connection.execute(insert(terms).values(term_id=term, slug=slug, name=slug))
            kind = {"taxonomy": "category", "parent": parent, "count": count}
            connection.execute(insert(term_taxonomy).values(term_taxonomy_id=term, term_id=term, **kind))
        connection.execute(insert(term_relationships).values(object_id=number, term_taxonomy_id=9002))
    return number


def affected(known: Settings, tmp_path: Path, post: int, *entries: str) -> list[str]:
    place = tmp_path / "pages.toml"
    place.write_text("".join(f"[[page]]\n{entry}\n" for entry in entries))
    return Shown.connect(known.model_copy(update={"pages": place})).by([post])


@pytest.mark.parametrize(
    ("entry", "paths"),
    [
        ("path = '/{slug}/'", [f"/{SLUG}/"]),
        ("path = '/archives/{id}'", ["/archives/{id}"]),
        ("path = '/category/{category}/'", ["/category/news/", "/category/news/world/"]),
        (
            "path = '/category/{category}/'\npages = 'all'",
            ["/category/news/", "/category/news/page/2/", "/category/news/page/3/", "/category/news/world/"],
        ),
        (
            "path = '/category/{category}/'\npages = 2",
            ["/category/news/", "/category/news/page/2/", "/category/news/world/"],
        ),
        ("path = '/{year}/'\npages = 'all'", ["/2019/"]),
        ("path = '/{year}/{month}/'\npages = 'all'", ["/2019/03/"]),
        ("path = '/{year}/{month}/{day}/'\npages = 'all'", ["/2019/03/07/"]),
        ("path = '/tag/{tag}/'\npages = 'all'", []),
        ("path = '/wp-sitemap-posts-post-{sitemap}.xml'", ["/wp-sitemap-posts-post-2.xml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_paths_are_filled_in(known: Settings, tmp_path: Path, post: int, entry: str, paths: list[str]) -> None:
    assert affected(known, tmp_path, post, entry) == [path.replace("{id}", str(post)) for path in paths]


def test_every_post_is_every_public_post(known: Settings, tmp_path: Path, post: int, posts: Posts) -> None:
    found = affected(known, tmp_path, post, "path = '/feed/'", "path = '/{slug}/'\nevery = 'post'")
    assert len(found) == posts.count() + 1
    assert f"/{SLUG}/" in found


def test_an_unknown_post_affects_nothing(known: Settings, tmp_path: Path, post: int) -> None:
    entries = ("path = '/'", "path = '/{slug}/'\nevery = 'post'")
    assert affected(known, tmp_path, 99_999_999, *entries) == []
