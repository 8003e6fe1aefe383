"""How long the lists of a site are: of all its posts, of an author's, of a year's, a month's or a day's."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection, func, select

from worker.site.posts import DEFAULT_PER_PAGE
from worker.site.prefixed import Tables


def pages(connection: Connection, tables: Tables, posts: int) -> int:
    """Pages of a list of so many posts, with room for one more: the post that is about to appear, or has just gone."""
    return ceil((posts + 1) / _per_page(connection, tables))


def length(connection: Connection, tables: Tables, *, author: str | None, since: str | None) -> int:
    """How many public posts a list has.

    Args:
        connection: to the site's database.
        tables: under the site's prefix.
        author: only this author's, by the name in the URL.
        since: only of this year, month or day: the beginning of an ISO date.
    """
    posts, users = tables.posts, tables.users
    query = select(func.count()).select_from(posts)
    query = query.where(posts.c.post_type == "post", posts.c.post_status == "publish")
    if author is not None:
        query = query.join(users, posts.c.post_author == users.c.ID).where(users.c.user_nicename == author)
    if since is not None:
        query = query.where(posts.c.post_date.between(*_span(since)))
    return int(connection.scalar(query) or 0)


def _per_page(connection: Connection, tables: Tables) -> int:
    options = tables.options
    query = select(options.c.option_value).where(options.c.option_name == "posts_per_page")
    value = str(connection.scalar(query) or "")
    return int(value) if value.isdigit() and int(value) else DEFAULT_PER_PAGE


def _span(since: str) -> tuple[datetime, datetime]:
    """The first moment of a year, month or day, given as the beginning of an ISO date, and its last second."""
    first = datetime.fromisoformat((since + "-01-01")[:10])
    if len(since) == 4:
        following = first.replace(year=first.year + 1)
    elif len(since) == 7:
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    else:
        following = first + timedelta(days=1)
    return first, following - timedelta(seconds=1)
