"""`content.import` in a real worker, as an editor's schedule or an operator runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import select

from celery_anp.errors import BadInput
from tests.support import feed
from tests.support.eventually import eventually
from tests.support.import_site import ImportSite, import_site
from tests.support.overtaken import overtaken
from worker.settings import Settings
from worker.site import database, pages
from worker.site.importing.tables import changes
from worker.site.object_cache import ObjectCache, Page
from worker.site.posts import Post, utc_now
from worker.site.tables import postmeta, posts
from worker.tasks.importing import import_content

pytestmark = pytest.mark.long

BROKEN = '{"id": "b1", "title": "B", "date": "2026-11-21"}\n{"id": \n'


@pytest.fixture(scope="module")
def shared(redis_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImportSite]:
    folder = tmp_path_factory.mktemp("imports")
    with Redis.from_url(os.environ["ANP_REDIS_URL"]) as client:
        client.flushall()
    with import_site(folder, os.environ["ANP_REDIS_URL"], f"sqlite:///{folder / 'site.sqlite3'}") as site:
        site.folder.mkdir()
        site.worker()
        yield site


@pytest.fixture
def site(shared: ImportSite) -> Iterator[ImportSite]:
    """The shared site; each test takes back what it brought."""
    before = feed.content(shared.engine)
    yield shared
    assert feed.content(shared.engine) == before


def test_one_bad_row_stops_an_import_before_anything_is_written(site: ImportSite) -> None:
    feed.ndjson(site.folder / "bad", feed.rows(700)).open("a").write(BROKEN)
    run = site.ends(site.begin("bad"))
    assert (run.state, run.attempts) == ("failed", 2)
    assert run.error is not None
    assert run.error["message"].startswith(
        "2 rows are bad: line 701, field 'date': the date has no zone: end it with Z or +01:00, or name the import's"
        " `timezone`, given '2026-11-21'; line 702: not JSON: Expecting value at column 7."
    )
    assert run.undo == ()


def test_bad_rows_are_left_out_and_told_where_that_is_wanted(site: ImportSite) -> None:
    feed.ndjson(site.folder / "some", feed.rows(700)).open("a").write(BROKEN)
    run = site.ends(site.begin("some", skip_bad=2))
    assert (run.state, run.result["added"], run.result["bad"], run.progress) == ("succeeded", 700, 2, "702/702")
    assert [(row["line"], row["field"]) for row in run.result["bad_rows"]] == [(701, "date"), (702, "")]
    assert site.rolled_back(run.run_id).state == "rolled_back"


def test_a_bad_row_that_only_the_site_knows_takes_back_the_chunks_before_it(site: ImportSite) -> None:
    rows = list(feed.rows(1_200))
    rows[1_100]["slug"] = rows[3]["slug"]
    run = site.ends(site.begin(site.source("late", iter(rows))))
    assert run.state == "rolled_back"
    assert run.error is not None
    assert "line 1101, field 'slug'" in run.error["message"]
    assert [entry.outcome for entry in run.undo] == ["undone"]


def test_an_attempt_that_is_too_late_neither_writes_nor_takes_back(site: ImportSite) -> None:
    before, worker = feed.content(site.engine), site.stack.processes[0]
    with overtaken(site.engine, "import:feed", worker) as refused:
        run_id = site.begin(site.source("overtaken", feed.rows(20)))
        refused()
        assert feed.content(site.engine) == before
    assert site.ends(run_id).result["added"] == 20
    brought = feed.content(site.engine)
    with overtaken(site.engine, "import:feed", worker) as refused:
        site.operate(run_id, "rollback")
        refused()
        assert feed.content(site.engine) == brought
    site.stack.reaches(run_id, "rolled_back")


def test_a_cancelled_import_ends_between_two_chunks_and_is_taken_back(site: ImportSite) -> None:
    hold, held = site.folder / "hold", site.folder / "held"
    hold.write_text("500")
    run_id = site.begin(site.source("cancelled", feed.rows(1_500)))
    eventually(held.exists, 30, "it to be held")
    site.operate(run_id, "cancel")
    held.unlink()
    hold.unlink()
    run = site.ends(run_id)
    assert (run.state, run.attempts) == ("rolled_back", 2)
    assert run.progress == "1000/1000", "the hook takes back what two chunks of three had brought"
    assert "cancelled: cancel by tests" in [step.reason for step in run.history]


def test_of_two_imports_of_one_source_at_once_the_second_waits_and_changes_nothing(site: ImportSite) -> None:
    hold = site.folder / "hold"
    hold.write_text("500")
    location = site.source("twice", feed.rows(1_500))
    second_worker = site.worker()
    first = site.begin(location)
    eventually((site.folder / "held").exists, 30, "the first to be held")
    second = site.begin(location)
    waiting = site.stack.run(second)
    assert (waiting.state, waiting.lock) == ("blocked", "import:feed")
    hold.unlink()
    (site.folder / "held").unlink()
    assert site.ends(first).result["added"] == 1_500
    assert site.ends(second).result["same"] == 1_500
    assert site.rolled_back(first).state == "rolled_back"
    second_worker.stop()


def test_a_source_that_somebody_writes_meanwhile_is_refused_and_taken_back(site: ImportSite) -> None:
    hold = site.folder / "hold"
    hold.write_text("500")
    run_id = site.begin(site.source("written", feed.rows(1_500)))
    eventually((site.folder / "held").exists, 30, "it to be held")
    (site.folder / "held").unlink()
    (site.folder / "written").open("a").write("\n")
    hold.unlink()
    run = site.ends(run_id)
    assert run.state == "rolled_back"
    assert run.error is not None
    assert "The source changed while it was imported" in run.error["message"]


def test_old_pages_are_cleared_after_an_import_and_after_its_rollback(site: ImportSite) -> None:
    cache = ObjectCache.connect(Settings(cache_url=site.stack.settings["cache_url"]))

    def keep(path: str, *tags: str) -> None:
        assert cache.put(path, Page(path, tags=tags), since=cache.get(path).at)

    keep("/", "list:front")
    keep("/about/", "post:1")
    run = site.ends(site.begin(site.source("pages", feed.rows(20))))
    assert (run.as_expected, run.result["stale"], run.result["pages_cleared"]) == (True, 0, 1)
    assert cache.get("/").page is None
    with database.reading(site.engine) as connection:
        post = connection.scalar(select(posts.c.ID).where(posts.c.post_name == "imported-3"))
    keep("/imported-3/", f"post:{post}")
    keep("/tag/imported/", *pages.cache_tags([Post(0, "", utc_now(), ("imported",))]))
    assert site.rolled_back(run.run_id).state == "rolled_back"
    assert [cache.get(path).page for path in ("/imported-3/", "/tag/imported/")] == [None, None]
    assert cache.get("/about/").page is not None
    with database.reading(site.engine) as connection:
        assert not connection.scalars(select(postmeta.c.meta_id).where(postmeta.c.meta_key == "_anp_stale")).all()
        assert not connection.scalars(select(changes.c.id)).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"format": "xml"}, "format"),
        ({"source": "A b"}, "source"),
        ({"columns": {"a": "titel"}}, "'a' cannot be 'titel'"),
        ({"timezone": "Berlin"}, "a zone like Europe/Berlin"),
        ({"chunk": 5_000}, "chunk"),
        ({"skip_bad": -1}, "skip_bad"),
    ],
)
def test_bad_input_is_refused_when_enqueued(redis: Redis, given: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        import_content.apply_async(kwargs={"source": "feed", "location": "x", "format": "csv", **given})


def test_a_source_that_is_not_there_fails_at_once_and_says_where_it_must_be(site: ImportSite, tmp_path: Path) -> None:
    run = site.ends(site.begin("nothing.ndjson"))
    assert run.error is not None
    assert "a file below" in run.error["message"]
    assert run.failures == 0
