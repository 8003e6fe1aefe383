"""Watched queries on SQLite and MariaDB: a plan that got worse is found, and the index that is named mends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from celery_anp.errors import BadDeclaration
from celery_anp.settings import environment
from tests.support import feed
from tests.support.stack import ROOT, Stack
from worker.site import database
from worker.site.queries import baseline, declared
from worker.site.queries.compare import Compared, compare
from worker.site.queries.declared import Query
from worker.site.queries.explain import explain
from worker.site.tables import MARIADB

pytestmark = pytest.mark.long

POSTS = 1_500
WATCHED = declared.declared()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = feed.site(database_url, POSTS)
    yield engine
    engine.dispose()


def drop(engine: Engine, index: str, table: str) -> None:
    with database.writing(engine) as connection:
        connection.execute(text(f"DROP INDEX {index}" + (f" ON {table}" if engine.dialect.name in MARIADB else "")))


def looked(engine: Engine) -> dict[str, Compared]:
    return {one.query: one for one in compare(engine, list(WATCHED.values()), baseline.kept(engine))}


@pytest.mark.parametrize(
    ("query", "index", "table", "kinds"),
    [
        ("front-page", "type_status_date", "wp_posts", {"full scan", "filesort", "rows read"}),
        ("posts-due", "type_status_date", "wp_posts", {"full scan", "rows read"}),
        ("stale-pages", "meta_key", "wp_postmeta", {"full scan"}),
    ],
)
def test_a_dropped_index_is_found_and_the_one_that_is_named_mends_it(
    engine: Engine, query: str, index: str, table: str, kinds: set[str]
) -> None:
    baseline.keep(engine, explain(engine, list(WATCHED.values())))
    assert not any(one.findings for one in looked(engine).values())
    drop(engine, index, table)
    worse = looked(engine)[query].findings
    assert {finding.kind for finding in worse} >= kinds - {"rows read"}
    if engine.dialect.name in MARIADB:
        assert {finding.kind for finding in worse} >= kinds
    (mend,) = {finding.add for finding in worse}
    assert mend.startswith(f"CREATE INDEX {index} ON {table} (")
    with database.writing(engine) as connection:
        connection.execute(text(mend))
    assert not any(one.findings for one in looked(engine).values())


def test_an_index_that_is_missing_from_the_beginning_is_found_without_a_baseline(engine: Engine) -> None:
    drop(engine, "meta_key", "wp_postmeta")
    (finding,) = looked(engine)["stale-pages"].findings
    assert (finding.kind, finding.add[:12]) == ("missing index", "CREATE INDEX")


def test_ten_times_the_rows_are_a_finding_that_says_that_the_table_grew(engine: Engine) -> None:
    baseline.keep(engine, explain(engine, list(WATCHED.values())))
    with database.writing(engine) as connection:
        rows = [{"id": 1, "key": "_anp_stale", "value": ""}] * 9_000
        connection.execute(
            text("INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES (:id, :key, :value)"), rows
        )
    found = looked(engine)["meta-of-posts"].findings
    (read,) = (finding for finding in found if finding.kind == "rows read")
    assert "wp_postmeta has 10,500 rows, before 1,500" in read.said


def test_a_baseline_of_another_question_is_none(engine: Engine) -> None:
    asked = WATCHED["front-page"]
    baseline.keep(engine, explain(engine, [asked]))
    other = asked.model_copy(update={"values": {"type": "page", "status": "publish"}})
    (one,) = compare(engine, [other], baseline.kept(engine))
    assert (one.before, one.findings) == (None, ())


@pytest.mark.parametrize(
    "sql", ["WITH x AS (SELECT 1) DELETE FROM wp_posts", "SELECT nothing FROM nowhere", "SELECT :x"]
)
def test_a_query_that_writes_or_is_wrong_is_refused_by_the_database(engine: Engine, sql: str) -> None:
    before = feed.content(engine)
    with pytest.raises(BadDeclaration, match="does not take the query 'bad'"):
        explain(engine, [Query(name="bad", why="x", sql=sql)])
    assert feed.content(engine) == before


def test_the_statement_and_the_entry_are_checked_when_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "q.toml"
    for entry, said in (
        ('sql = "DELETE FROM x"', "begins with SELECT or WITH"),
        ('sql = "SELECT 1; DROP TABLE x"', "without a semicolon"),
        ('sql = "SELECT 1"\nqsl = 1', "qsl"),
    ):
        path.write_text(f'[[query]]\nname = "a"\nwhy = "b"\n{entry}\n')
        with pytest.raises(BadDeclaration, match=said):
            declared.declared([str(path)])


def anp(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery_anp", *words], cwd=ROOT, env=environment(database_url=url), text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_line_takes_a_baseline_compares_and_writes_the_note(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    note = tmp_path / "notes" / "note.md"
    assert anp(database_url, "db", "baseline").returncode == 0
    assert anp(database_url, "db", "compare").returncode == 0
    drop(engine, "type_status_date", "wp_posts")
    done = anp(database_url, "db", "compare", "--note", str(note), "--title", "No index", "--json")
    assert done.returncode == 1
    verdicts = {one["query"]: one["verdict"] for one in json.loads(done.stdout)}
    assert verdicts["front-page"] == "worse"
    written = note.read_text()
    assert written.startswith("# No index\n")
    assert "CREATE INDEX type_status_date ON wp_posts" in written
    assert "$" not in written
    assert "loopback" not in written
    assert anp(database_url, "db", "compare", "--note", str(note)).returncode == 2
    assert anp(database_url, "db", "explain", "frontpage").returncode == 2


def test_the_task_tells_what_got_worse_and_is_not_as_expected(
    engine: Engine, database_url: str, redis: object, tmp_path: Path
) -> None:
    from worker.tasks.database import review_queries

    baseline.keep(engine, explain(engine, [WATCHED["front-page"]]))
    drop(engine, "type_status_date", "wp_posts")
    with Stack(tmp_path, os.environ["ANP_REDIS_URL"], {"database_url": database_url}) as stack:
        stack.worker(concurrency=1)
        run = stack.ends(review_queries.apply_async(kwargs={"queries": ["front-page", "post-by-slug"]}).id)
    assert (run.state, run.as_expected) == ("succeeded", False)
    assert {finding["kind"] for finding in run.result["findings"]} >= {"full scan", "filesort"}
    assert run.result["without_baseline"] == ["post-by-slug"]
