"""Writes the demo's posts, tags and options into WordPress' tables.

Everything but the dates is the same on every machine; the dates are counted from the time that is given.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from worker.demo import writing
from worker.site import database, tags
from worker.site.posts import VIEWS
from worker.site.tables import (
    metadata,
    options,
    postmeta,
    posts,
    term_relationships,
    term_taxonomy,
    terms,
)

POSTS = 2000
YEARS = 6
PER_PAGE = 10
#: The site's name; it says that a database is the demo's.
NAME = "The Long Running Job"


def fill(engine: Engine, now: datetime, count: int = POSTS) -> None:
    """Make the tables and fill them with public posts, in one transaction.

    Args:
        engine: of an empty database.
        now: UTC without a zone; every post is older.
        count: how many posts.
    """
    with database.writing(engine) as connection:
        metadata.create_all(connection)
        connection.execute(insert(options), list(_options()))
        _insert_tags(connection)
        insert_posts(connection, range(count), _past(now, count), "publish")
        tags.recount(connection)


def _past(now: datetime, count: int) -> list[datetime]:
    draw = random.Random(writing.SEED)  # noqa: S311  repeatable on purpose
    step = YEARS * 365 * 86_400 / count
    return [now - timedelta(seconds=int((count - number - draw.random() * 0.9) * step)) for number in range(count)]


def insert_posts(connection: Connection, numbers: Sequence[int], dates: Sequence[datetime], status: str) -> None:
    if not numbers:
        return
    texts = [writing.text(number) for number in numbers]
    connection.execute(
        insert(posts),
        [_row(number, text, when, status) for number, text, when in zip(numbers, texts, dates, strict=True)],
    )
    ids = _tag_ids(connection)
    connection.execute(
        insert(term_relationships),
        [
            {"object_id": number + 1, "term_taxonomy_id": ids[tag]}
            for number, text in zip(numbers, texts, strict=True)
            for tag in text.tags
        ],
    )
    connection.execute(
        insert(postmeta),
        [{"post_id": number + 1, "meta_key": VIEWS, "meta_value": str(_views(number))} for number in numbers],
    )


def _row(number: int, text: writing.Text, when: datetime, status: str) -> dict[str, Any]:
    return {
        "ID": number + 1,
        "post_author": 1 + number % 5,
        "post_title": text.title,
        "post_name": text.slug,
        "post_excerpt": text.excerpt,
        "post_content": text.body,
        "post_status": status,
        "guid": f"/?p={number + 1}",
        **dates(when),
    }


def dates(when: datetime) -> dict[str, datetime]:
    """The four date columns of a post."""
    return dict.fromkeys(("post_date", "post_date_gmt", "post_modified", "post_modified_gmt"), when)


def _views(number: int) -> int:
    """Few posts are read much and most are read little (Zipf)."""
    rank = random.Random(writing.SEED - number).randint(1, POSTS)  # noqa: S311  repeatable on purpose
    return int(180_000 / rank**0.9)


def _insert_tags(connection: Connection) -> None:
    names = writing.all_tags()
    numbered = list(enumerate(names, start=1))
    connection.execute(
        insert(terms),
        [{"term_id": at, "name": name.replace("-", " "), "slug": name} for at, name in numbered],
    )
    connection.execute(
        insert(term_taxonomy),
        [{"term_taxonomy_id": at, "term_id": at, "taxonomy": tags.TAXONOMY} for at, _ in numbered],
    )


def _tag_ids(connection: Connection) -> dict[str, int]:
    query = select(terms.c.slug, term_taxonomy.c.term_taxonomy_id)
    query = query.join(term_taxonomy, term_taxonomy.c.term_id == terms.c.term_id)
    return {row.slug: row.term_taxonomy_id for row in connection.execute(query)}


def _options() -> Iterator[dict[str, str]]:
    values = {
        "blogname": NAME,
        "blogdescription": "Notes on software that has to work at night",
        "posts_per_page": str(PER_PAGE),
        "permalink_structure": "/%postname%/",
    }
    for name, value in values.items():
        yield {"option_name": name, "option_value": value, "autoload": "yes"}
