"""Posts go live once, and a late attempt changes nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from celery_anp.errors import BadSetting, LostOwnership
from tests.integration.site.conftest import NOW
from worker.demo import filling
from worker.settings import Settings
from worker.site import database, fence, publishing, stale, tags
from worker.site.object_cache import ObjectCache
from worker.site.outcomes import Refreshed
from worker.site.posts import Posts, is_status
from worker.site.tables import fences, options, postmeta, term_taxonomy
from worker.site.tables import posts as table

pytestmark = pytest.mark.long

SOON = NOW + timedelta(seconds=35)


def publish(posts: Posts, ids: list[int], fence_number: int | None = 1, run: str = "r1") -> list[int]:
    live = publishing.publish(posts.engine, ids, site="main", run=run, fence_number=fence_number, now=SOON)
    return [one.id for one in live]


def test_only_posts_whose_time_has_come_are_due_the_longest_overdue_first(posts: Posts) -> None:
    assert posts.due(100, NOW) == []
    due = posts.due(100, SOON)
    assert [post.date - NOW for post in posts.describe(due)] == [timedelta(seconds=s) for s in (10, 20, 30)]
    assert posts.due(2, SOON) == due[:2]


def test_publishing_makes_due_posts_public_and_says_how_late_they_are(posts: Posts) -> None:
    ids = posts.due(100, SOON)
    before = posts.count()
    live = publishing.publish(posts.engine, ids, site="main", run="r1", fence_number=1, now=SOON)
    assert [one.late for one in live] == [25.0, 15.0, 5.0]
    assert posts.count() == before + 3
    assert posts.due(100, SOON) == []


def test_a_post_that_is_not_due_any_more_is_left_alone(posts: Posts) -> None:
    ids = posts.due(100, SOON)
    with database.writing(posts.engine) as connection:
        moved = update(table).where(table.c.ID.in_(ids[:1])).values(post_date_gmt=NOW + timedelta(days=1))
        connection.execute(moved)
        connection.execute(update(table).where(table.c.ID.in_(ids[1:2])).values(post_status="draft"))
    assert publish(posts, ids) == ids[2:]


def test_a_second_attempt_finds_what_the_first_one_did_and_does_nothing_twice(posts: Posts) -> None:
    ids = posts.due(100, SOON)
    assert publish(posts, ids, 1) == ids
    again = publishing.publish(
        posts.engine, ids, site="main", run="r1", fence_number=2, now=SOON + timedelta(minutes=5)
    )
    assert [one.late for one in again] == [25.0, 15.0, 5.0]
    with database.reading(posts.engine) as connection:
        query = select(func.count()).where(postmeta.c.meta_key == publishing.MARK)
        assert connection.scalar(query) == len(ids)


def test_a_late_attempt_is_refused_and_changes_nothing(posts: Posts) -> None:
    ids = posts.due(100, SOON)
    publish(posts, ids[:1], 5)
    before = posts.count()
    with pytest.raises(LostOwnership, match="fence 4"):
        publish(posts, ids, 4)
    assert posts.count() == before
    with database.reading(posts.engine) as connection:
        assert connection.scalar(select(fences.c.fence).where(fences.c.name == "publish:main")) == 5


def test_a_fence_is_forgotten_when_the_write_it_guarded_is_rolled_back(posts: Posts) -> None:
    def fail_after_the_guard() -> None:
        with database.writing(posts.engine) as connection:
            fence.guard(connection, "publish:main", 9)
            connection.execute(insert(table).values(ID=1))

    with pytest.raises(IntegrityError):
        fail_after_the_guard()
    assert publish(posts, posts.due(1, SOON), 8)


def test_of_many_writers_at_once_the_highest_fence_stands_and_none_fails_on_a_busy_database(posts: Posts) -> None:
    refused: list[int] = []
    broken: list[Exception] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        try:
            with database.writing(posts.engine) as connection:
                fence.guard(connection, "race", number)
        except LostOwnership:
            refused.append(number)
        except Exception as error:
            broken.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading(posts.engine) as connection:
        assert connection.scalar(select(fences.c.fence).where(fences.c.name == "race")) == 8
    assert not broken
    assert 8 not in refused


def test_what_a_writer_read_stays_true_until_it_commits(posts: Posts) -> None:
    def raise_by_one() -> None:
        with database.writing(posts.engine) as connection:
            mine = options.c.option_name == "posts_per_page"
            seen = connection.scalar(select(options.c.option_value).where(mine).with_for_update())
            connection.execute(update(options).where(mine).values(option_value=str(int(seen or 0) + 1)))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(raise_by_one) for _ in range(40)]:
            done.result()
    assert posts.per_page() == filling.PER_PAGE + 40


def test_term_counts_follow_and_a_drift_is_mended(posts: Posts) -> None:
    ids = posts.due(100, SOON)
    touched = {slug for post in posts.describe(ids) for slug in post.tags}
    with database.writing(posts.engine) as connection:
        connection.execute(update(term_taxonomy).values(count=0))
    publish(posts, ids)
    for slug in touched:
        with database.reading(posts.engine) as connection:
            public = connection.scalars(select(table.c.ID).where(is_status("publish"))).all()
            wanted = sum(slug in found for found in tags.of_posts(connection, public).values())
        assert posts.tag_counts([slug])[slug] == wanted


def test_unpublishing_puts_back_what_the_run_published_and_nothing_else(posts: Posts) -> None:
    ids = posts.due(100, SOON)
    with database.writing(posts.engine) as connection:
        connection.execute(update(table).where(table.c.ID.in_(ids[:1])).values(post_status="publish"))
    before = posts.tag_counts()
    assert publish(posts, ids) == ids[1:]
    back = publishing.unpublish(posts.engine, ids, site="main", run="r1", fence_number=2)
    assert [post.id for post in back] == ids[1:]
    assert posts.due(100, SOON) == ids[1:]
    assert {slug: posts.tag_counts()[slug] for slug in before} == posts.tag_counts()
    assert publishing.unpublish(posts.engine, ids, site="main", run="r1", fence_number=3) == []


def test_another_run_does_not_put_back_what_this_one_published(posts: Posts) -> None:
    ids = posts.due(100, SOON)
    publish(posts, ids, run="r1")
    assert publishing.unpublish(posts.engine, ids, site="main", run="r2", fence_number=9) == []
    assert posts.due(100, SOON) == []


def test_stale_pages_stay_noted_while_the_cache_is_away_and_are_cleared_by_the_next_look(
    posts: Posts, cache: ObjectCache, known: Settings
) -> None:
    ids = posts.due(100, SOON)
    publish(posts, ids)
    away = ObjectCache.connect(known.model_copy(update={"cache_url": "redis://127.0.0.1:1/0"}), retries=0)
    assert stale.clear(posts.engine, away) == Refreshed(0, 3)
    assert stale.clear(posts.engine, cache).left == 0
    with database.reading(posts.engine) as connection:
        assert not connection.scalar(select(func.count()).where(postmeta.c.meta_key == stale.NOTE))


def test_hottest_posts_come_by_views_and_only_public_ones(posts: Posts) -> None:
    with database.writing(posts.engine) as connection:
        connection.execute(delete(postmeta).where(postmeta.c.meta_key == "views", postmeta.c.post_id == 5))
        future = posts.due(1, SOON)[0]
        for post_id, views in ((5, "9000001"), (future, "9000002")):
            row = {"post_id": post_id, "meta_key": "views", "meta_value": views}
            connection.execute(insert(postmeta).values(row))
    assert posts.hottest(3)[0].id == 5
    assert len(posts.hottest(3)) == 3


def test_a_database_that_is_not_there_is_said_and_not_made(known: Settings) -> None:
    path = known.state / "nothing.sqlite3"
    with pytest.raises(BadSetting, match="is not there"):
        Posts.connect(known.model_copy(update={"database_url": f"sqlite:///{path}"}))
    assert not path.exists()


@pytest.mark.parametrize("url", ["nonsense", "postgresqll://x/y"])
def test_a_database_url_that_cannot_be_one_is_said(known: Settings, url: str) -> None:
    with pytest.raises(BadSetting, match="ANP_DATABASE_URL"):
        Posts.connect(known.model_copy(update={"database_url": url}))


def test_statements_are_counted_for_the_context_that_asked(posts: Posts) -> None:
    with database.measured() as queries:
        posts.count()
        posts.per_page()
    posts.count()
    assert queries.count == 2
    assert queries.seconds > 0
