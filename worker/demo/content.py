"""The demo site's database: made where there is none, and planned anew at each start, so that posts are due soon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, inspect, make_url, select, update

from celery_anp.errors import Refused
from worker.demo import filling
from worker.site import database
from worker.site.posts import is_status, utc_now
from worker.site.tables import options, posts

#: When the next posts are due: (until, every), both counted in seconds from now.
RHYTHM = ((300, 10), (7200, 120), (86_400, 900))


def seed(url: str, now: datetime | None = None) -> Engine:
    """Make the demo's database where there is none, and see that posts are due in the next minutes.

    Args:
        url: of the database, as SQLAlchemy writes it; the folder of an SQLite file is made.
        now: UTC without a zone; the host's clock when left out.

    Returns:
        The engine.

    Raises:
        BadSetting: the URL cannot be used.
        Refused: the database has posts that are not the demo's.
        OSError, sqlalchemy.exc.SQLAlchemyError: the database cannot be written.
    """
    path = make_url(url).database
    if url.startswith("sqlite") and path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = database.engine(url)
    if not inspect(engine).has_table(options.name):
        filling.fill(engine, now or utc_now())
    elif not _is_ours(engine):
        raise Refused(
            "This database is not the demo's, and no posts are written into it",
            expected="an empty database, or one that was made by the demo",
            given=engine.url.render_as_string(),
        )
    refresh(engine, now or utc_now())
    return engine


def _is_ours(engine: Engine) -> bool:
    query = select(options.c.option_value).where(options.c.option_name == "blogname")
    with database.reading(engine) as connection:
        return connection.scalar(query) == filling.NAME


def refresh(engine: Engine, now: datetime) -> int:
    """Plan the coming day anew: posts that are still to come, overdue or not, get the next due times.

    Args:
        engine: of a seeded database.
        now: UTC without a zone.

    Returns:
        How many posts are due from now on.
    """
    due = list(due_times(now))
    with database.writing(engine) as connection:
        waiting = list(connection.scalars(select(posts.c.ID).where(is_status("future")).order_by(posts.c.ID)))
        for post_id, when in zip(waiting, due, strict=False):
            connection.execute(update(posts).where(post_id == posts.c.ID).values(filling.dates(when)))
        last = connection.scalar(select(func.max(posts.c.ID))) or 0
        missing = due[len(waiting) :]
        filling.insert_posts(connection, range(last, last + len(missing)), missing, "future")
    return len(due)


def due_times(now: datetime) -> Iterator[datetime]:
    """When the next posts are due: close together at first, then further apart."""
    start = 0
    for until, every in RHYTHM:
        for seconds in range(start + every, until + 1, every):
            yield now + timedelta(seconds=seconds)
        start = until
