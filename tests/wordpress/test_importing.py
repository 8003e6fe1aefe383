"""An import on a WordPress clears the objects and pages of what it added, changed and took back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.wordpress.lab import Lab
from tests.wordpress.test_cache_pages import states
from worker.settings import Settings
from worker.site.importing import undoing
from worker.site.importing.chunks import Job
from worker.site.posts import Posts
from worker.site.served.chosen import chosen
from worker.tasks import importing
from worker.tasks.importing import import_content

#: A page that no post's change affects.
OTHER = "/sample-page/"
#: The lab keeps its posts between two test runs.
NAME = f"brought-in-{uuid4().hex[:8]}"


@pytest.fixture
def given(cached: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the task, with a folder of imports."""
    known = cached.model_copy(update={"imports": tmp_path, "state": tmp_path})
    monkeypatch.setattr(importing, "settings", lambda: known)
    return known


def bring(known: Settings, **row: Any) -> Any:
    """Import one row."""
    record = {"id": "1", "title": "Brought in", "date": "2026-01-02T03:04:05Z", "slug": NAME, **row}
    assert known.imports is not None
    (known.imports / "posts.ndjson").write_text(json.dumps(record))
    return import_content(source=NAME, location="posts.ndjson", format="ndjson")


def test_its_posts_show_and_vanish_and_nothing_else_is_cleared(lab: Lab, given: Settings) -> None:
    def title() -> str:
        page = httpx.get(f"{lab.url}/{NAME}/", trust_env=False)
        return page.text if page.status_code == 200 else ""

    states(lab, ["/", OTHER])
    done = bring(given)
    assert (done.added, done.stale) == (1, 0)
    assert states(lab, ["/", OTHER]) == {"/": "MISS", OTHER: "HIT"}
    assert "Brought in" in title()

    done = bring(given, title="Brought in again")
    assert (done.changed, done.stale) == (1, 0)
    assert "Brought in again" in title()
    assert states(lab, [OTHER]) == {OTHER: "HIT"}

    engine = Posts.connect(given).engine
    for (run,) in lab.sql("SELECT run_id FROM anp_import WHERE source = :source ORDER BY run_id DESC", source=NAME):
        undoing.undo(Job(engine, run, NAME, None), lambda *_: None)
    assert "Brought in" in title()  # still kept by the page cache
    assert chosen(given).refresh_imported(engine).left == 0
    assert not title()
    assert states(lab, [OTHER]) == {OTHER: "HIT"}
