"""Reading posts: which are due, which are read most, which are public. Nothing here writes.

The truth about a scheduled post is its row (`future`, and its time has come), never WordPress' cron option.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Engine, Integer, and_, cast, func, select

from worker.settings import Settings
from worker.site import database, tags
from worker.site.tables import options, postmeta, posts

VIEWS = "views"
DEFAULT_PER_PAGE = 10


@dataclass(frozen=True, slots=True)
class Post:
    """What the cache and the sitemap need to know about a post."""

    #: wp_posts.ID
    id: int
    #: Its part of the URL.
    slug: str
    #: When it is or was due, UTC.
    date: datetime
    #: Slugs of its tags, sorted.
    tags: tuple[str, ...] = ()


def utc_now() -> datetime:
    """Now as WordPress' `_gmt` columns hold it: UTC, whole seconds, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def is_status(status: str) -> ColumnElement[bool]:
    """The condition for posts (not pages or revisions) of one status."""
    return and_(posts.c.post_type == "post", posts.c.post_status == status)


def is_due(now: datetime) -> ColumnElement[bool]:
    """The condition for posts that should be live and are not."""
    return and_(is_status("future"), posts.c.post_date_gmt <= now)


class Posts:
    """The posts of one site.

    Args:
        engine: of the site's database.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def connect(cls, settings: Settings) -> Posts:
        """The posts that the settings name.

        Raises:
            BadSetting: the database URL cannot be used, or names a file that is not there.
        """
        return cls(database.existing(settings.database_url))

    def due(self, batch: int, now: datetime | None = None) -> list[int]:
        """Ids of posts whose time has come and that are not live, the longest overdue first.

        Args:
            batch: how many at most.
            now: UTC without a zone; the host's clock when left out.
        """
        query = select(posts.c.ID).where(is_due(now or utc_now()))
        query = query.order_by(posts.c.post_date_gmt, posts.c.ID).limit(batch)
        with database.reading(self.engine) as connection:
            return list(connection.scalars(query))

    def count_due(self, now: datetime | None = None) -> int:
        """How many posts should be live at `now` (UTC without a zone) and are not."""
        query = select(func.count()).select_from(posts).where(is_due(now or utc_now()))
        with database.reading(self.engine) as connection:
            return connection.scalar(query) or 0

    def describe(self, ids: Sequence[int]) -> list[Post]:
        """The posts with these ids, in the order of their ids; unknown ids are left out."""
        with database.reading(self.engine) as connection:
            return described(connection, ids)

    def hottest(self, limit: int) -> list[Post]:
        """The public posts with the most views, most first."""
        views = cast(postmeta.c.meta_value, Integer)
        query = select(posts.c.ID).join(postmeta, postmeta.c.post_id == posts.c.ID)
        query = query.where(is_status("publish"), postmeta.c.meta_key == VIEWS)
        query = query.order_by(views.desc(), posts.c.ID).limit(limit)
        with database.reading(self.engine) as connection:
            ids = list(connection.scalars(query))
            found = {post.id: post for post in described(connection, ids)}
        return [found[post_id] for post_id in ids]

    def public(self, after: int, limit: int) -> list[tuple[int, str, datetime]]:
        """A chunk of the public posts, in the order of their ids.

        Args:
            after: only ids above this one; 0 for the first chunk.
            limit: how many at most.

        Returns:
            (id, slug, last change in UTC) of each.
        """
        query = select(posts.c.ID, posts.c.post_name, posts.c.post_modified_gmt)
        query = query.where(is_status("publish"), after < posts.c.ID).order_by(posts.c.ID).limit(limit)
        with database.reading(self.engine) as connection:
            return [(row.ID, row.post_name, row.post_modified_gmt) for row in connection.execute(query)]

    def count(self, status: str = "publish") -> int:
        """How many posts have this status."""
        query = select(func.count()).select_from(posts).where(is_status(status))
        with database.reading(self.engine) as connection:
            return connection.scalar(query) or 0

    def tag_counts(self, slugs: Collection[str] | None = None) -> dict[str, int]:
        """How many public posts each of these tags has (all tags without `slugs`), as the table says."""
        with database.reading(self.engine) as connection:
            return tags.counts(connection, slugs)

    def per_page(self) -> int:
        """How many posts a list page shows: the site's own option."""
        query = select(options.c.option_value).where(options.c.option_name == "posts_per_page")
        with database.reading(self.engine) as connection:
            value = connection.scalar(query)
        return int(value) if value and value.isdigit() and int(value) else DEFAULT_PER_PAGE


def described(connection: Connection, ids: Sequence[int]) -> list[Post]:
    """Like `Posts.describe`, in the caller's transaction."""
    query = select(posts.c.ID, posts.c.post_name, posts.c.post_date_gmt).where(posts.c.ID.in_(ids))
    rows = connection.execute(query.order_by(posts.c.ID)).all()
    of = tags.of_posts(connection, ids)
    return [Post(row.ID, row.post_name, row.post_date_gmt, of.get(row.ID, ())) for row in rows]
