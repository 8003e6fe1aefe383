"""Imports on SQLite and MariaDB: what is written, what is refused, and what a rollback leaves alone."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, update

from celery_anp.errors import BadSource, DatabaseTrouble, LimitExceeded, LostOwnership
from tests.support import feed
from worker.settings import Settings
from worker.site import database, fence, stale
from worker.site.importing import checkpoint, chunks, location, reading, tables, undoing
from worker.site.importing.checkpoint import Checkpoint
from worker.site.importing.chunks import Job
from worker.site.importing.reading import Manner
from worker.site.tables import options, posts, term_taxonomy, terms

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = feed.site(database_url)
    tables.prepare(engine)
    yield engine
    engine.dispose()


def brought(engine: Engine, given: Any, run: str = "run-1", fence_number: int | None = None, **job: Any) -> Checkpoint:
    """All rows written by one attempt."""
    file = io.BytesIO("\n".join(json.dumps(row) for row in given).encode())
    one = Job(engine, run, "feed", fence_number, **job)
    point = chunks.write(one, chunks.begin(one), reading.read(file, Manner("ndjson")), lambda _: None)
    chunks.finish(one, point, 30)
    return point


def undone(engine: Engine, run: str = "run-1") -> undoing.Undone:
    return undoing.undo(Job(engine, run, "feed", None), lambda *_: None)


def title(engine: Engine, number: int) -> str:
    query = select(posts.c.post_title).where(posts.c.post_name == f"imported-{number}")
    with database.reading(engine) as connection:
        return str(connection.scalar(query))


def edit(engine: Engine, number: int, text: str) -> None:
    with database.writing(engine) as connection:
        connection.execute(update(posts).where(posts.c.post_name == f"imported-{number}").values(post_title=text))


def test_new_rows_are_added_changed_ones_changed_and_the_same_left_alone(engine: Engine) -> None:
    before = feed.content(engine)
    assert brought(engine, feed.rows(30)).added == 30
    first = feed.content(engine)
    mixed = [*feed.rows(10), *feed.rows(10, edition=" b", first=10), *feed.rows(20, first=20)]
    point = brought(engine, mixed, "run-2", rows=10)
    assert (point.added, point.changed, point.same) == (10, 10, 20)
    assert title(engine, 15) == "Imported 15 b"
    assert undone(engine, "run-2") == undoing.Undone(removed=10, restored=10)
    assert feed.content(engine) == first
    assert undone(engine) == undoing.Undone(removed=30)
    assert feed.content(engine) == before


def test_a_new_post_has_its_author_its_local_time_and_a_guid_that_stays(engine: Engine) -> None:
    with database.writing(engine) as connection:
        connection.execute(insert(options).values(option_name="timezone_string", option_value="Europe/Berlin"))
    row = {**next(feed.rows(1)), "date": "2026-07-01T12:00:00Z"}
    brought(engine, [row], author=7)
    with database.reading(engine) as connection:
        found = connection.execute(select(posts).where(posts.c.post_name == "imported-0")).mappings().one()
    assert (found["post_author"], found["guid"]) == (7, "urn:anp:feed:a0")
    assert (str(found["post_date"]), str(found["post_date_gmt"])) == ("2026-07-01 14:00:00", "2026-07-01 12:00:00")


def test_what_is_to_be_public_later_waits_and_may_go_live_before_a_rollback(engine: Engine) -> None:
    brought(engine, [{**next(feed.rows(1)), "date": "2999-01-01T00:00:00Z"}])
    with database.writing(engine) as connection:
        found = connection.scalar(select(posts.c.post_status).where(posts.c.post_name == "imported-0"))
        connection.execute(update(posts).where(posts.c.post_name == "imported-0").values(post_status="publish"))
    assert found == "future"
    assert undone(engine).removed == 1


def test_a_rollback_leaves_what_somebody_changed_since_and_says_how_many(engine: Engine) -> None:
    brought(engine, feed.rows(5))
    edit(engine, 3, "by an editor")
    assert undone(engine) == undoing.Undone(removed=4, left=1)
    assert title(engine, 3) == "by an editor"
    assert undone(engine) == undoing.Undone()


def test_a_run_that_was_taken_back_can_be_run_again(engine: Engine) -> None:
    brought(engine, feed.rows(5))
    undone(engine)
    point = brought(engine, feed.rows(5))
    assert (point.position, point.added) == (5, 5)
    assert undone(engine).removed == 5


def test_ids_that_differ_only_in_case_or_accent_are_different_posts(engine: Engine) -> None:
    row = next(feed.rows(1))
    rows = [{**row, "id": name, "slug": f"s{n}"} for n, name in enumerate(("a", "A", "ä", "1"))]
    assert brought(engine, rows).added == 4
    assert brought(engine, rows, "run-2").same == 4


def test_another_title_is_no_other_address_where_the_source_names_none(engine: Engine) -> None:
    row = {**next(feed.rows(1)), "slug": None}
    brought(engine, [row])
    assert brought(engine, [{**row, "title": "Other"}], "run-2").changed == 1
    assert title(engine, 0) == "Other"


def test_a_slug_that_another_post_has_is_a_bad_row_with_its_line(engine: Engine) -> None:
    with database.reading(engine) as connection:
        taken = str(connection.scalar(select(posts.c.post_name).limit(1)))
    rows = list(feed.rows(3))
    rows[1]["slug"] = taken
    rows[2]["slug"] = rows[0]["slug"]
    point = brought(engine, rows)
    assert (point.added, point.bad) == (1, 2)
    told = {row["line"]: (row["field"], row["reason"]) for row in point.bad_rows}
    assert told[2][0] == told[3][0] == "slug"
    assert "it is the slug of post" in told[2][1]
    assert told[3][1] == "row 'a0' has it too"


def test_the_tags_count_their_posts_and_terms_of_other_kinds_are_left_alone(engine: Engine) -> None:
    with database.writing(engine) as connection:
        values = {"term_id": 1, "taxonomy": "nav_menu", "description": "", "count": 9}
        connection.execute(insert(term_taxonomy).values(values))
    brought(engine, feed.rows(20))

    def counts() -> dict[str, int]:
        query = select(terms.c.slug, term_taxonomy.c.taxonomy, term_taxonomy.c.count.label("posts"))
        query = query.join(term_taxonomy, term_taxonomy.c.term_id == terms.c.term_id)
        with database.reading(engine) as connection:
            return {
                row.slug if row.taxonomy == "post_tag" else row.taxonomy: row.posts for row in connection.execute(query)
            }

    assert (counts()["imported"], counts()["feed-0"], counts()["nav_menu"]) == (20, 3, 9)
    undone(engine)
    assert (counts().get("imported"), counts()["nav_menu"]) == (None, 9)


def test_two_sources_at_once_make_a_tag_once(engine: Engine) -> None:
    begin = threading.Barrier(2)

    def bring(source: str) -> None:
        given = [{**row, "slug": f"{source}-{row['slug']}"} for row in feed.rows(200)]
        file = io.BytesIO("\n".join(json.dumps(row) for row in given).encode())
        job = Job(engine, f"run-{source}", source, None, rows=20)
        point = chunks.begin(job)
        begin.wait(10)
        chunks.write(job, point, reading.read(file, Manner("ndjson")), lambda _: None)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bring, ("a", "b")))
    slugs = [slug for _, slug in feed.content(engine)["terms"]]
    assert len(slugs) == len(set(slugs))
    assert feed.counts(engine)["sources"] == 400


def test_the_chunk_of_a_late_attempt_is_refused_by_the_fence(engine: Engine) -> None:
    late = Job(engine, "run-1", "feed", 7, rows=10)
    records = reading.read(io.BytesIO("\n".join(json.dumps(row) for row in feed.rows(30)).encode()), Manner("ndjson"))
    point = chunks.begin(late)
    seen: list[int] = []

    def overtaken(after: Checkpoint) -> None:
        seen.append(after.position)
        with database.writing(engine) as connection:
            fence.guard(connection, "import:feed", 8)

    with pytest.raises(LostOwnership, match="fence 7, which a later attempt has overtaken"):
        chunks.write(late, point, records, overtaken)
    assert seen == [10]
    assert feed.counts(engine)["sources"] == 10


def test_an_attempt_without_a_fence_cannot_write_over_a_checkpoint_that_moved(engine: Engine) -> None:
    brought(engine, feed.rows(10))
    chunk = chunks.Chunk(rows=[])
    chunk.passed = 1
    with pytest.raises(LostOwnership, match="was moved by another attempt"):
        chunks.write_one(Job(engine, "run-1", "feed", None), Checkpoint(), chunk)


def test_a_chunk_that_fails_at_its_very_end_leaves_neither_posts_nor_checkpoint(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, left = stale.note, [2]

    def fails(connection: Any, ids: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise RuntimeError("as asked")
        note(connection, ids)

    monkeypatch.setattr(stale, "note", fails)
    with pytest.raises(RuntimeError, match="as asked"):
        brought(engine, feed.rows(30), rows=10)
    with database.reading(engine) as connection:
        point = checkpoint.read(connection, "run-1")
    assert point is not None
    assert (point.position, point.added, feed.counts(engine)["sources"]) == (10, 10, 10)
    monkeypatch.setattr(stale, "note", note)
    assert brought(engine, feed.rows(30), rows=10).added == 30


def test_a_full_disk_leaves_whole_chunks_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    engine = feed.site(f"sqlite:///{tmp_path / 'full.sqlite3'}")
    tables.prepare(engine)
    room = {"pages": 0}

    @event.listens_for(engine, "connect")
    def _limit(connection: Any, _record: object) -> None:
        if room["pages"]:
            connection.execute(f"PRAGMA max_page_count={room['pages']}")

    with database.reading(engine) as connection:
        room["pages"] = 120 + int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    with pytest.raises(DatabaseTrouble, match="The database's disk is full") as full:
        brought(engine, feed.rows(2_000), rows=100)
    assert full.value.retry_safe
    with database.reading(engine) as connection:
        kept = int(connection.execute(select(tables.runs.c.position)).scalar_one())
    assert 0 < kept < 2_000
    assert feed.counts(engine)["sources"] == kept
    room["pages"] = 0
    assert brought(engine, feed.rows(2_000), rows=100).added == 2_000
    assert feed.counts(engine)["posts"] == 2_050


def test_texts_beyond_latin_and_quotes_come_back_as_they_were(engine: Engine) -> None:
    row = {**next(feed.rows(1)), "title": "日本 🎉 'q' \\ \"d\" %s :x", "content": "a\u0000b\r\nc" * 3}
    brought(engine, [row])
    with database.reading(engine) as connection:
        found = connection.execute(select(posts).where(posts.c.post_name == "imported-0")).mappings().one()
    assert (found["post_title"], found["post_content"]) == (row["title"], row["content"])
    assert brought(engine, [row], "run-2").same == 1


@pytest.fixture
def known(tmp_path: Path) -> Settings:
    (tmp_path / "imports").mkdir()
    return Settings(state=tmp_path)


def test_a_file_of_two_gigabytes_is_refused_before_it_is_read(known: Settings) -> None:
    path = known.state / "imports" / "big.ndjson"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)
    with pytest.raises(LimitExceeded, match=r"at most 1073741824 bytes .IMPORT_FILE_LIMIT.\. Given: 2147483648"):
        location.opened("big.ndjson", known).__enter__()


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "link", "missing", ".", "pipe"])
def test_only_files_below_the_folder_of_imports_are_read(known: Settings, name: str) -> None:
    import os

    (known.state / "secret").write_text("{}")
    (known.state / "imports" / "link").symlink_to(known.state / "secret")
    os.mkfifo(known.state / "imports" / "pipe")
    with pytest.raises(BadSource):
        location.opened(name, known).__enter__()


def test_a_file_that_somebody_writes_meanwhile_is_noticed(known: Settings) -> None:
    path = known.state / "imports" / "feed"
    path.write_text("{}")
    with location.opened("feed", known) as at:
        at.require_unchanged()
        path.write_text("{}{}")
        with pytest.raises(BadSource, match="changed while it was imported"):
            at.require_unchanged()
