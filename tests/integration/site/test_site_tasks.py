"""The site's tasks in a real worker: what they do, what they say, and how they are undone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from celery_anp.errors import BadInput
from celery_anp.reliability.run import Run
from tests.support.overtaken import overtaken
from tests.support.stack import Stack
from worker.app import app
from worker.demo import content, filling
from worker.settings import Settings
from worker.site import builds, database, pages
from worker.site.object_cache import ObjectCache
from worker.site.posts import Posts, is_status, utc_now
from worker.site.tables import posts as table
from worker.tasks.cache import audit_cache, clear_pages, warm_pages
from worker.tasks.content import build_sitemap, publish_due

pytestmark = pytest.mark.long

TASKS = "worker.tasks.content,worker.tasks.cache"


def started(known: Settings, folder: Path, **changes: str) -> Stack:
    """A worker that works on this test's site."""
    names = ("cache_url", "database_url", "site_url", "state")
    values = {name: str(getattr(known, name)) for name in names}
    stack = Stack(folder, known.redis_url, {**values, "tasks": TASKS, **changes})
    stack.worker(concurrency=1)
    return stack


@pytest.fixture
def stack(known: Settings, tmp_path: Path) -> Iterator[Stack]:
    with started(known, tmp_path) as stack:
        yield stack


def ended(stack: Stack, task: Any, **given: Any) -> Run:
    return stack.ends(task.apply_async(kwargs=given).id)


def asked_back(stack: Stack, run_id: str) -> None:
    stack.ledger.operate(run_id, "rollback", "tests")


def rolled_back(stack: Stack, run: Run) -> Run:
    asked_back(stack, run.run_id)
    return stack.reaches(run.run_id, {"rolled_back", "rollback_failed", "succeeded"})


def make_due(posts: Posts, count: int) -> list[int]:
    """Plan posts so that this many are due by now, and no other while the test runs, however slow the machine is."""
    now = utc_now()
    content.refresh(posts.engine, now - timedelta(seconds=10 * count + 5))
    with database.writing(posts.engine) as connection:
        later = (is_status("future"), table.c.post_date_gmt > now)
        connection.execute(update(table).where(*later).values(filling.dates(now + timedelta(days=1))))
    return posts.due(100)


def test_due_posts_go_live_and_a_rollback_takes_them_off_every_page(
    stack: Stack, reader: httpx.Client, posts: Posts
) -> None:
    ids = make_due(posts, 3)
    path = pages.post_path(posts.describe(ids)[0].slug)
    assert reader.get("/").headers["X-Cache"] == "MISS"
    run = ended(stack, publish_due)
    assert (run.state, run.as_expected) == ("succeeded", True)
    assert run.result["ids"] == ids
    assert run.result["pages_cleared"] == 1
    assert 25 <= run.result["latest_seconds"] < 60
    assert reader.get(path).status_code == 200
    assert path in reader.get("/").text

    assert rolled_back(stack, run).state == "rolled_back"
    assert posts.due(100)[:3] == ids
    assert reader.get(path).status_code == 404
    assert path not in reader.get("/").text


def test_an_attempt_that_is_too_late_neither_publishes_nor_takes_back(stack: Stack, posts: Posts) -> None:
    ids, worker = make_due(posts, 3), stack.processes[0]
    with overtaken(posts.engine, "publish:main", worker) as refused:
        result = publish_due.delay()
        refused()
        assert posts.due(100) == ids
    assert stack.ends(result.id).result["ids"] == ids
    with overtaken(posts.engine, "publish:main", worker) as refused:
        asked_back(stack, result.id)
        refused()
        assert posts.due(100) == []
    assert stack.reaches(result.id, "rolled_back").state == "rolled_back"
    assert posts.due(100) == ids


def test_an_attempt_that_is_too_late_neither_swaps_a_sitemap_in_nor_back(
    stack: Stack, posts: Posts, known: Settings
) -> None:
    home, worker = builds.folder(known), stack.processes[0]
    with overtaken(posts.engine, "sitemap:main", worker) as refused:
        result = build_sitemap.delay()
        refused()
        assert builds.live(home) is None
    built = stack.ends(result.id).result["build"]
    assert builds.live(home) == built
    with overtaken(posts.engine, "sitemap:main", worker) as refused:
        asked_back(stack, result.id)
        refused()
        assert builds.live(home) == built
    stack.reaches(result.id, "rolled_back")
    assert builds.live(home) is None


def test_a_second_run_publishes_nothing_twice(stack: Stack, posts: Posts) -> None:
    make_due(posts, 2)
    first, second = ended(stack, publish_due), ended(stack, publish_due)
    assert (first.result["count"], second.result["count"]) == (2, 0)


def test_posts_go_live_while_the_cache_is_away_and_the_run_says_that_it_is_not_as_expected(
    known: Settings, tmp_path: Path, posts: Posts
) -> None:
    ids = make_due(posts, 2)
    with started(known, tmp_path, cache_url="redis://127.0.0.1:1/0") as stack:
        run = ended(stack, publish_due)
    assert (run.state, run.as_expected) == ("succeeded", False)
    assert (run.result["ids"], run.result["stale"]) == (ids, 2)


def test_cleared_pages_come_back_by_a_rollback(stack: Stack, reader: httpx.Client, cache: ObjectCache) -> None:
    for path in ("/tag/python/", "/tag/python/page/2/", "/tag/go/"):
        reader.get(path)
    run = ended(stack, clear_pages, tag="python")
    assert (run.result["pages"], run.result["kept"], run.result["rendered_again"]) == (2, 2, 0)
    assert cache.get("/tag/python/").page is None
    assert rolled_back(stack, run).state == "rolled_back"
    assert reader.get("/tag/python/page/2/").headers["X-Cache"] == "HIT"


def test_what_was_not_kept_is_named_and_skipped_by_the_rollback(stack: Stack, reader: httpx.Client) -> None:
    reader.get("/tag/go/")
    run = ended(stack, clear_pages, prefix="/tag/", restore_limit=0)
    assert (run.result["pages"], run.result["rendered_again"]) == (1, 1)
    after = rolled_back(stack, run)
    assert [(entry.name, entry.outcome) for entry in after.undo] == [("rendered again", "skipped")]
    assert (after.state, after.reason) == ("succeeded", "there was nothing to undo")


def test_a_pattern_fails_at_once_and_clears_nothing(stack: Stack, reader: httpx.Client) -> None:
    reader.get("/")
    run = ended(stack, clear_pages, prefix="anp:ledger:")
    assert (run.state, run.attempts) == ("failed", 2)
    assert run.error is not None
    assert run.error["type"] == "Refused"
    assert reader.get("/").headers["X-Cache"] == "HIT"


def test_a_sitemap_is_swapped_in_and_only_the_live_one_can_be_rolled_back(
    stack: Stack, reader: httpx.Client, known: Settings
) -> None:
    home = builds.folder(known)
    first, second = ended(stack, build_sitemap, chunk=700), ended(stack, build_sitemap, chunk=1000)
    assert (first.result["parts"], second.result["parts"], second.as_expected) == (3, 2, True)
    assert reader.get("/sitemap-3.xml").status_code == 404
    assert [entry.outcome for entry in rolled_back(stack, first).undo] == ["skipped"]
    assert builds.live(home) == second.result["build"]
    assert [entry.outcome for entry in rolled_back(stack, second).undo] == ["undone"]
    assert builds.live(home) == first.result["build"]
    assert reader.get("/sitemap-3.xml").status_code == 200


def test_warming_and_auditing_say_what_they_saw(stack: Stack, reader: httpx.Client) -> None:
    first, second = ended(stack, warm_pages, pages=20), ended(stack, warm_pages, pages=20)
    assert (first.result["pages"], first.result["misses"], first.as_expected) == (20, 20, True)
    assert (second.result["hits"], second.result["database_calls"]) == (20, 0)
    seen = ended(stack, audit_cache)
    assert seen.as_expected
    assert seen.result["groups"]["post"]["keys"] == 18


def test_a_site_that_does_not_answer_is_not_what_warming_expects(stack: Stack) -> None:
    run = ended(stack, warm_pages, pages=30)
    assert (run.state, run.as_expected) == ("succeeded", False)
    assert run.result["stopped"]


@pytest.mark.parametrize(
    ("task", "given", "field"),
    [
        (warm_pages, {"pages": 0}, "pages"),
        (warm_pages, {"concurrency": 1000}, "concurrency"),
        (publish_due, {"site": "*"}, "site"),
        (publish_due, {"batch": "many"}, "batch"),
        (build_sitemap, {"chunk": 50_001}, "chunk"),
        (clear_pages, {"prefix": "/tag/*"}, "prefix"),
        (clear_pages, {"tag": "a:b"}, "tag"),
        (clear_pages, {"pots": 1}, "did you mean 'post'"),
    ],
)
def test_bad_input_is_refused_when_enqueued(known: Settings, task: Any, given: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput, match=f"(?i){field}"):
        task.apply_async(kwargs=given)
    assert not app.ledger.runs(10)


def test_the_demo_plans_its_posts_anew_each_time_it_starts(known: Settings, posts: Posts) -> None:
    before = posts.count("future")
    now = utc_now()
    content.seed(known.database_url, now)
    assert posts.due(100, now) == []
    assert posts.count("future") == before
    assert posts.count_due(now + timedelta(seconds=60)) == 6
