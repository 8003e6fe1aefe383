"""The demo's database: made whole or not at all, planned anew at each start, and never somebody else's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, update

from celery_anp.errors import Refused
from tests.integration.site.conftest import NOW
from worker.demo import content, filling
from worker.site import database, tags
from worker.site.posts import Posts, is_status
from worker.site.tables import options
from worker.site.tables import posts as table


def test_a_new_database_has_two_thousand_public_posts_with_tags_and_views(posts: Posts) -> None:
    assert posts.count() == filling.POSTS
    assert len(posts.hottest(filling.POSTS)) == filling.POSTS
    with database.reading(posts.engine) as connection:
        ids = connection.scalars(select(table.c.ID).where(is_status("publish"))).all()
        assert len(tags.of_posts(connection, ids)) == filling.POSTS
    assert posts.due(100, NOW) == []


def test_the_same_database_is_made_every_time(posts: Posts, tmp_path: Path) -> None:
    other = content.seed(f"sqlite:///{tmp_path}/other.sqlite3", NOW)
    query = select(table).order_by(table.c.ID)
    with database.reading(posts.engine) as one, database.reading(other) as another:
        assert one.execute(query).all() == another.execute(query).all()


def test_a_second_start_gives_waiting_posts_new_times_and_adds_no_more(posts: Posts) -> None:
    before = posts.count("future")
    later = NOW + timedelta(hours=5)
    content.seed(posts.engine.url.render_as_string(), later)
    assert posts.count("future") == before
    assert posts.due(100, later) == []
    assert posts.count_due(later + timedelta(seconds=60)) == 6


def test_a_filling_that_is_cut_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = database.engine(f"sqlite:///{tmp_path}/cut.sqlite3")
    monkeypatch.setattr(filling, "VIEWS", object())  # the last insert cannot be sent
    with pytest.raises(Exception, match="object"):
        filling.fill(engine, NOW)
    assert inspect(engine).get_table_names() == []


def test_a_database_with_posts_of_others_is_refused_and_not_touched(posts: Posts) -> None:
    with database.writing(posts.engine) as connection:
        named = options.c.option_name == "blogname"
        connection.execute(update(options).where(named).values(option_value="Our company"))
    before = posts.count("future")
    with pytest.raises(Refused, match="not the demo's"):
        content.seed(posts.engine.url.render_as_string(), NOW + timedelta(days=3))
    assert posts.count("future") == before
    assert posts.due(100, NOW) == []
