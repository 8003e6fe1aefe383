"""One post's change clears the pages that the site declares and no other; the declaration can be put to the test."""

from __future__ import annotations

import shutil
import struct
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.wordpress.lab import Lab
from worker.settings import Settings
from worker.site import looking, warm, worth
from worker.site.affected import Shown
from worker.site.flight import Flights
from worker.site.purging import Files, NotPurged, Purge
from worker.site.warm import Manners
from worker.site.wordpress import caches, publishing, ways
from worker.site.wordpress.publishing import Orders
from worker.site.wordpress.site import Site

#: A must-use plugin of ours.
SPREAD = Path(__file__).parents[2] / "deploy" / "wordpress" / "anp-pages.php"
#: Pages that no post's change affects.
OTHERS = ["/sample-page/", "/wp-sitemap.xml", "/comments/feed/"]


@pytest.fixture
def narrow(tmp_path: Path) -> Path:
    """A declaration that forgets pages: this theme prints the newest posts below each post."""
    place = tmp_path / "pages.toml"
    paths = ("/{slug}/", "/", "/feed/", "/category/{category}/", "/tag/{tag}/")
    place.write_text('sitemap = "/wp-sitemap.xml"\n' + "".join(f'[[page]]\npath = "{path}"\n' for path in paths))
    return place


def states(lab: Lab, paths: list[str]) -> dict[str, str]:
    """What the page cache says of each page; asking keeps it."""
    made = warm.visit(lab.url, paths, Manners(4, timeout=30))
    return {visit.path: visit.cache for visit in made if visit.status == 200}


def publish(known: Settings, ids: list[int]) -> list[int]:
    site = Site.connect(known)
    return [
        one.id for one in publishing.publish(site, ways.chosen(known), ids, Orders("run-1", ("publish:pages", None)))
    ]


def test_a_publish_clears_the_pages_that_show_the_post_and_no_other(lab: Lab, cached: Settings, narrow: Path) -> None:
    known = cached.model_copy(update={"pages": narrow})
    lab.seed(3)
    [post] = lab.future(1, -90)
    declared = Shown.connect(known).by([post])
    far = [path for path in Shown.connect(cached).by([post]) if path not in declared][-5:]
    states(lab, [*declared, *OTHERS, *far])
    assert set(states(lab, [*declared, *OTHERS, *far]).values()) == {"HIT"}
    assert publish(known, [post]) == [post]
    assert publishing.clear(Site.connect(known)).left == 0
    after = states(lab, [*declared, *OTHERS, *far])
    assert {path for path, state in after.items() if state != "HIT"} == set(declared)
    title = lab.sql("SELECT post_name FROM wp_posts WHERE ID = :id", id=post)[0][0]
    assert f"/{title}/" in httpx.get(f"{lab.url}/", trust_env=False).text


def test_a_refresh_replaces_the_kept_page(lab: Lab, cached: Settings, narrow: Path) -> None:
    known = cached.model_copy(update={"pages": narrow, "page_cache": "refresh"})
    [post] = lab.future(1, -90)
    states(lab, ["/"])
    publish(known, [post])
    assert publishing.clear(Site.connect(known)).left == 0
    front = httpx.get(f"{lab.url}/", trust_env=False)
    name = lab.sql("SELECT post_name FROM wp_posts WHERE ID = :id", id=post)[0][0]
    assert (front.headers["X-Cache-Status"], f"/{name}/" in front.text) == ("HIT", True)


def test_a_server_that_knows_no_purge_is_told_and_not_taken_for_success(lab: Lab) -> None:
    with pytest.raises(NotPurged, match="405"):
        Purge(lab.url).purge(["/"])


def test_the_shipped_declaration_is_right_for_this_theme_and_a_narrow_one_is_found_out(
    lab: Lab, cached: Settings, narrow: Path
) -> None:
    lab.seed(3)
    [post] = lab.future(1, -90)
    known = cached.model_copy(update={"page_cache": "refresh"})
    before = looking.look(known, post, limit=15)
    assert [path for path, seen in before.pages.items() if not seen.stable] == []
    publish(known, [post])
    caches.clear_posts(known.model_copy(update={"pages": narrow}), [post])
    right = looking.verify(known, before)
    assert (right.ok, right.undeclared_changed, right.declared_unchanged) == (True, [], [])
    assert right.untouched > 2
    wrong = looking.verify(known.model_copy(update={"pages": narrow}), before)
    assert not wrong.ok
    assert wrong.undeclared_changed


def test_pages_come_back_by_a_rollback_unless_something_was_published_since(lab: Lab, cached: Settings) -> None:
    pages = ["/", "/sample-page/"]
    kept: list[Any] = []

    def record(*portion: Any) -> None:
        kept.append(portion)

    def cleared() -> None:
        kept.clear()
        states(lab, pages)
        done = caches.clear(cached, [1], pages, record=record, keep=500_000)
        assert done.pages == 2
        assert done.kept >= 2

    cleared()
    assert sum(caches.restore(cached, *portion)["restored"] for portion in kept) >= 2
    assert set(states(lab, pages).values()) == {"HIT"}
    cleared()
    publish(cached, lab.future(1, -90))
    assert sum(caches.restore(cached, *portion)["restored"] for portion in kept) == 0
    assert "HIT" not in states(lab, pages).values()


def test_the_sitemap_is_read_whole_and_two_warmers_have_each_page_rendered_once(lab: Lab, cached: Settings) -> None:
    paths = worth.paths(cached, 12)
    assert len(paths) == 12
    assert all(path.startswith("/") for path in paths)
    paths = [path for path in paths if path != "/feed/"]
    for _ in range(5):  # on a busy machine one of the two may be done before the other has begun
        made = visited_twice_at_once(lab, cached, paths)
        assert len(made) == 2 * len(paths)
        shared = [visit for visit in made if visit.shared]
        if shared:
            break
    assert shared
    assert {visit.cache for visit in shared} == {"HIT"}


def visited_twice_at_once(lab: Lab, cached: Settings, paths: list[str]) -> list[warm.Visit]:
    """The visits of two warmers that begin together on pages that are not kept."""
    Files.of(cached).purge(paths)
    made: list[warm.Visit] = []
    begun = threading.Barrier(2)

    def warmer() -> None:
        flights = Flights.connect(cached, "ask")
        begun.wait()
        # X-Refresh goes past nginx' own lock: without ours each page would be rendered twice.
        made.extend(warm.visit(lab.url, paths, Manners(2, headers={"X-Refresh": "1"}), flights=flights))

    both = [threading.Thread(target=warmer) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    return made


def test_with_our_plugin_kept_pages_end_at_different_times(lab: Lab, cached: Settings) -> None:
    lab.seed(10)
    paths = [path for path in worth.paths(cached, 14) if path != "/feed/"]
    pages = Files.of(cached)
    place = lab.path / "wp-content" / "mu-plugins" / SPREAD.name
    pages.purge([*paths, "/no-such-page/"])
    shutil.copy(SPREAD, place)
    try:
        states(lab, [*paths, "/no-such-page/"])
    finally:
        place.unlink()
    # The head of nginx' file: its version, then when the page ends; seconds since 1970.
    left = [struct.unpack("=QQ", pages.file(path).read_bytes()[:16])[1] - time.time() for path in paths]
    assert all(500 < seconds < 665 for seconds in left)
    assert max(left) - min(left) > 10
    assert not pages.file("/no-such-page/").exists()
