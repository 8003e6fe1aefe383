"""What the demo's pages show, read from WordPress' tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from worker.site import tags
from worker.site.posts import is_status
from worker.site.tables import options, posts, term_relationships, term_taxonomy, terms

_CARD = (posts.c.ID, posts.c.post_title, posts.c.post_name, posts.c.post_excerpt, posts.c.post_date_gmt)


@dataclass(frozen=True, slots=True)
class Card:
    """A post as it stands in a list."""

    id: int
    title: str
    slug: str
    excerpt: str
    date: datetime
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Article:
    """A post on its own page."""

    card: Card
    #: HTML, as its editors wrote it.
    body: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list."""

    cards: Sequence[Card]
    page: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Site:
    """The site's own options."""

    name: str
    description: str
    per_page: int


def site(connection: Connection) -> Site:
    """The options that every page needs."""
    names = ("blogname", "blogdescription", "posts_per_page")
    query = select(options.c.option_name, options.c.option_value).where(options.c.option_name.in_(names))
    found = {row.option_name: row.option_value for row in connection.execute(query)}
    return Site(found.get("blogname", ""), found.get("blogdescription", ""), int(found.get("posts_per_page") or 10))


def front(connection: Connection, page: int, per_page: int) -> Listing | None:
    """A page of all public posts, newest first; None when there is no such page."""
    total = connection.scalar(select(func.count()).select_from(posts).where(is_status("publish"))) or 0
    return _listing(connection, select(*_CARD), total, page, per_page)


def tagged(connection: Connection, slug: str, page: int, per_page: int) -> Listing | None:
    """A page of the public posts with this tag, newest first; None when there is no such page or tag."""
    total = tags.counts(connection, [slug]).get(slug)
    if total is None:
        return None
    query = (
        select(*_CARD)
        .join(term_relationships, term_relationships.c.object_id == posts.c.ID)
        .join(term_taxonomy, term_taxonomy.c.term_taxonomy_id == term_relationships.c.term_taxonomy_id)
        .join(terms, terms.c.term_id == term_taxonomy.c.term_id)
        .where(terms.c.slug == slug, term_taxonomy.c.taxonomy == tags.TAXONOMY)
    )
    return _listing(connection, query, total, page, per_page)


def article(connection: Connection, slug: str) -> Article | None:
    """A public post; None when there is none, or not yet."""
    query = select(*_CARD, posts.c.post_content).where(is_status("publish"), posts.c.post_name == slug)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Article(_card(row, tags.of_posts(connection, [row.ID]).get(row.ID, ())), row.post_content)


def _listing(
    connection: Connection, query: Select[*tuple[Any, ...]], total: int, page: int, per_page: int
) -> Listing | None:
    pages = max(1, ceil(total / per_page))
    if not 1 <= page <= pages:
        return None
    query = query.where(is_status("publish")).order_by(posts.c.post_date.desc(), posts.c.ID.desc())
    rows = connection.execute(query.offset((page - 1) * per_page).limit(per_page)).all()
    of = tags.of_posts(connection, [row.ID for row in rows])
    return Listing([_card(row, of.get(row.ID, ())) for row in rows], page, pages, total)


def _card(row: Row[*tuple[Any, ...]], slugs: tuple[str, ...]) -> Card:
    return Card(row.ID, row.post_title, row.post_name, row.post_excerpt, row.post_date_gmt, slugs)
