"""Imports write the tables of one prefix, and say so before they read anything."""

from __future__ import annotations

import pytest

from celery_anp.errors import BadSetting
from worker.settings import Settings
from worker.tasks import importing


def test_a_wordpress_with_other_tables_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Settings(site_kind="wordpress", wordpress_table_prefix="blog_")
    monkeypatch.setattr(importing, "settings", lambda: known)
    with pytest.raises(BadSetting, match=r"other names.*blog_"):
        importing.import_content(source="feed", location="none.ndjson", format="ndjson")
