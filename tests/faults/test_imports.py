"""Imports of 8,000 rows by real workers that are killed, on SQLite and MariaDB: every row once, and all of it back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.support import feed
from tests.support.eventually import eventually
from tests.support.import_site import ImportSite, import_site
from tests.support.mariadb import MariaDB

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
ROWS = 8_000
CHUNK = 500


@pytest.fixture
def site(redis: Redis, tmp_path: Path, database_url: str) -> Iterator[ImportSite]:
    with import_site(tmp_path, os.environ["ANP_REDIS_URL"], database_url) as site:
        yield site


@pytest.mark.parametrize("database_url", ["sqlite", "mariadb"], indirect=True)
def test_killed_three_times_imported_again_and_rolled_back(site: ImportSite) -> None:
    before = feed.content(site.engine)
    location = site.source("feed.ndjson", feed.rows(ROWS))
    run_id = site.begin(location)
    for part in (0, 1, 2):
        worker = site.worker()
        site.passes(run_id, ROWS * part // 4)
        worker.kill()
        kept = site.point(run_id)
        # A chunk is there with its checkpoint or not at all.
        assert kept.position % CHUNK == 0
        assert ROWS * part // 4 < kept.position < ROWS
        assert feed.counts(site.engine)["sources"] == kept.position == kept.added
    site.worker()
    run = site.ends(run_id)
    assert (run.state, run.as_expected, run.losses) == ("succeeded", True, run.attempts - 1)
    assert (run.result["resumed_at"], run.result["records"], run.result["added"]) == (kept.position, ROWS, ROWS)

    imported = feed.content(site.engine)
    again = site.ends(site.begin(location))
    assert (again.result["same"], again.result["added"], again.result["changed"]) == (ROWS, 0, 0)
    assert feed.content(site.engine) == imported

    site.operate(again.run_id, "rollback")
    nothing = ("succeeded", "there was nothing to undo")
    eventually(lambda: (run := site.stack.run(again.run_id)) and (run.state, run.reason) == nothing, 60, nothing[1])
    assert feed.content(site.engine) == imported
    assert site.rolled_back(run_id).state == "rolled_back"
    assert feed.content(site.engine) == before
    assert feed.counts(site.engine)["records"] == 0


def test_a_rollback_that_is_killed_goes_on_behind_its_last_batch(site: ImportSite) -> None:
    site.worker()
    first = site.ends(site.begin(site.source("feed.ndjson", feed.rows(ROWS))))
    imported = feed.content(site.engine)
    second = site.begin(site.source("next.ndjson", feed.rows(ROWS, edition=" anew")))
    assert site.ends(second).result["changed"] == ROWS
    changes = feed.counts(site.engine)["changes"]
    site.stack.ledger.operate(second, "rollback", "tests")
    eventually(lambda: feed.counts(site.engine)["changes"] != changes, 60, "the rollback to begin")
    site.stack.processes[0].kill()
    assert feed.content(site.engine) != imported
    site.worker()
    assert site.stack.reaches(second, {"rolled_back", "rollback_failed"}, 120).state == "rolled_back"
    assert feed.content(site.engine) == imported
    assert first.result["added"] == ROWS


def test_mariadb_is_restarted_and_the_worker_killed_meanwhile(mariadb: MariaDB, redis: Redis, tmp_path: Path) -> None:
    with import_site(tmp_path, os.environ["ANP_REDIS_URL"], mariadb.database()) as site:
        run_id = site.begin(site.source("feed.ndjson", feed.rows(ROWS)))
        worker = site.worker()
        site.passes(run_id, ROWS // 10)
        mariadb.kill()
        worker.kill()
        site.worker()
        mariadb.start()
        site.engine.dispose()
        assert site.point(run_id).position == feed.counts(site.engine)["sources"]
        site.passes(run_id, ROWS // 2)
        mariadb.kill()
        waits = site.stack.reaches(run_id, "delayed", 30)
        assert waits.error is not None
        assert "The database does not answer" in waits.error["message"]
        mariadb.start()
        site.engine.dispose()
        run = site.ends(run_id, 90)
        assert (run.state, run.result["added"], run.result["records"]) == ("succeeded", ROWS, ROWS)
        assert feed.counts(site.engine) == {"posts": 50 + ROWS, "sources": ROWS, "changes": ROWS, "records": ROWS + 8}


def test_a_source_that_changed_before_the_next_attempt_is_refused_and_all_is_taken_back(
    redis: Redis, tmp_path: Path
) -> None:
    with import_site(tmp_path, os.environ["ANP_REDIS_URL"], f"sqlite:///{tmp_path / 'site.sqlite3'}") as site:
        before = feed.content(site.engine)
        run_id = site.begin(site.source("feed.ndjson", feed.rows(2_000)))
        (site.folder / "hold").write_text("1000")
        worker = site.worker()
        eventually((site.folder / "held").exists, 30, "the first attempt to be held")
        worker.kill()
        assert site.point(run_id).position == 1_000
        (site.folder / "hold").unlink()
        site.source("feed.ndjson", feed.rows(2_000, edition=" anew"))
        site.worker()
        run = site.ends(run_id)
        assert run.state == "rolled_back"
        assert run.error is not None
        assert "The source changed while it was imported" in run.error["message"]
        assert feed.content(site.engine) == before


def test_a_worker_that_stood_still_past_its_lease_writes_nothing_more(site: ImportSite) -> None:
    """Its node is dead to the ledger, its process is not: it wakes up before a chunk that another has written."""
    run_id = site.begin(site.source("feed.ndjson", feed.rows(3_000)))
    hold = site.folder / "hold"
    hold.write_text("1000")
    late = site.worker()
    eventually((site.folder / "held").exists, 30, "the first attempt to be held")
    late.pause()
    hold.unlink()
    site.worker()
    run = site.ends(run_id)
    assert (run.result["resumed_at"], run.result["added"], run.attempts) == (1_000, 3_000, 2)
    imported = feed.content(site.engine)
    late.resume()
    eventually(lambda: "dead" in late.said() or "lost" in late.said() or "lease" in late.said(), 20, "it to notice")
    assert feed.content(site.engine) == imported
    assert feed.counts(site.engine)["sources"] == 3_000
