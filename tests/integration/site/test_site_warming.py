"""Warming: each page is rendered once, politely, with figures that can be compared; and looks that find wrong pages."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from celery_anp.settings import environment
from tests.integration.site.test_site_tasks import ended, make_due, started
from tests.support.eventually import eventually
from tests.support.stack import Stack
from worker.settings import Settings
from worker.site import affected, pages, publishing, stale, warm, worth
from worker.site.flight import Flights
from worker.site.object_cache import ObjectCache
from worker.site.posts import Posts
from worker.site.warm import Manners
from worker.site.worth import BadSitemap
from worker.tasks.cache import warm_pages
from worker.tasks.content import build_sitemap

pytestmark = pytest.mark.long


@pytest.fixture
def stack(known: Settings, tmp_path: Path) -> Iterator[Stack]:
    with started(known, tmp_path) as stack:
        yield stack


def anp(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery_anp", *arguments]
    return subprocess.run(command, env=environment() | env, capture_output=True, text=True, timeout=100, check=False)


def at_once(count: int, work: Any) -> list[Any]:
    """Do something in several threads that begin together; what they returned."""
    found: list[Any] = []
    barrier = threading.Barrier(count)

    def one() -> None:
        barrier.wait()
        found.append(work())

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_a_hot_page_is_rendered_once_however_many_ask_for_it(reader: httpx.Client, known: Settings) -> None:
    for path in ("/", "/page/2/", "/feed/"):
        answers = at_once(12, lambda path=path: httpx.get(known.site_url + path, trust_env=False, timeout=30))
        assert [answer.status_code for answer in answers] == [200] * 12
        assert sorted(answer.headers["X-Cache"] for answer in answers) == ["HIT"] * 11 + ["MISS"]


def test_two_warmers_in_two_processes_have_each_page_rendered_once(
    reader: httpx.Client, known: Settings, posts: Posts
) -> None:
    wanted = [pages.post_path(post.slug) for post in posts.hottest(30)]
    code = (
        "import json, sys; from worker.settings import settings; from worker.site import warm;"
        "from worker.site.flight import Flights; from worker.site.warm import Manners; known = settings();"
        "made = warm.visit(known.site_url, json.loads(sys.argv[1]), Manners(4), flights=Flights.connect(known, 'ask'));"
        "print(json.dumps([visit.cache for visit in made]))"
    )
    command = [sys.executable, "-c", code, json.dumps(wanted)]
    told = at_once(2, lambda: subprocess.check_output(command, env=environment(), text=True, timeout=60))
    states = [state for one in told for state in json.loads(one)]
    assert (states.count("MISS"), states.count("HIT")) == (30, 30)


def test_a_flight_is_one_at_a_time_and_ends_with_its_owner_only(cache: ObjectCache) -> None:
    flights = Flights(cache.client, cache.root, "ask")
    with flights.flight("/a/") as ours:
        assert ours
        with flights.flight("/a/") as second, flights.flight("/b/") as other:
            assert (second, other) == (False, True)
        assert flights.flying("/a/")  # the second one did not end it
        assert not flights.landed("/a/", 0.05)
        assert 0 < cache.client.pttl("anp:site:flight:ask:/a/") <= 30_000  # or by itself
    assert not flights.flying("/a/")
    with flights.flight("/a/") as again:
        assert again


def test_where_the_cache_is_away_everybody_flies_and_nobody_waits(known: Settings) -> None:
    flights = Flights.connect(known.model_copy(update={"cache_url": "redis://127.0.0.1:1/0"}), "ask")
    began = time.monotonic()
    for _ in range(100):
        with flights.flight("/a/") as ours:
            assert ours
    assert flights.landed("/a/", 5)
    assert time.monotonic() - began < 5


def test_a_rate_is_kept(reader: httpx.Client, known: Settings) -> None:
    began = time.monotonic()
    made = warm.visit(known.site_url, ["/feed/"] * 21, Manners(8, rate=20))
    assert len(made) == 21
    assert time.monotonic() - began >= 1.0


def test_what_is_worth_warming_is_the_most_viewed_then_the_sitemap(
    stack: Stack, reader: httpx.Client, known: Settings, posts: Posts
) -> None:
    hottest = [pages.post_path(post.slug) for post in posts.hottest(8)]
    assert worth.paths(known, 10, sitemap=False) == ["/", "/feed/", *hottest]
    with pytest.raises(BadSitemap):
        worth.paths(known, 5000)
    ended(stack, build_sitemap)
    found = worth.paths(known, 5000, views="nothing")
    assert len(found) == len(set(found)) == 2002
    assert set(hottest) <= set(found)


def test_the_figures_of_each_warming_are_kept_and_compared(stack: Stack, reader: httpx.Client) -> None:
    assert anp("cache", "compare").returncode == 1
    first, second = ended(stack, warm_pages, pages=30), ended(stack, warm_pages, pages=30)
    told = json.loads(anp("cache", "compare", "--json").stdout)
    assert [one["run_id"] for one in told] == [second.run_id, first.run_id]
    before, after = told[1]["before"], told[1]["after"]
    assert (before["pages"], before["misses"], after["pages"], after["hits"]) == (20, 20, 20, 20)
    assert before["database_calls"] > after["database_calls"] == 0
    assert before["p50_ms"] > 0 < after["p50_ms"]
    assert (before["error_rate"], after["error_rate"]) == (0, 0)
    table = anp("cache", "compare", "--limit", "1")
    assert (table.returncode, "20 → 20" in table.stdout) == (0, True)


def test_a_cancelled_warming_ends_its_round(stack: Stack, reader: httpx.Client) -> None:
    result = warm_pages.delay(pages=2000, rate=100)
    eventually(lambda: stack.run(result.id).progress, 20, "it to tell how far it is")
    stack.ledger.operate(result.id, "cancel", "tests")
    run = stack.ends(result.id)
    assert (run.state, run.result["after"]) == ("succeeded", None)
    assert 25 <= run.result["pages"] < 2000


def test_the_demos_declaration_names_the_pages_that_its_tags_do(known: Settings, posts: Posts) -> None:
    [post] = posts.describe([make_due(posts, 1)[0]])
    counts = posts.tag_counts(post.tags)
    # One more than now: the post is about to appear, and may make a list a page longer.
    by_tag = {slug: count + 1 for slug, count in counts.items()}
    wanted = pages.paths(post, public=posts.count() + 1, by_tag=by_tag, per_page=posts.per_page())
    assert set(affected.Shown.connect(known).by([post.id])) == set(wanted)


def test_a_look_finds_what_is_declared_wrongly(
    reader: httpx.Client, known: Settings, posts: Posts, tmp_path: Path, stack: Stack
) -> None:
    ended(stack, build_sitemap)
    [post] = make_due(posts, 1)
    look = str(tmp_path / "look.json")
    assert anp("cache", "look", look, "--post", str(post), "--limit", "60").returncode == 0
    publishing.publish(posts.engine, [post], site="main", run=None, fence_number=None)
    stale.clear(posts.engine, ObjectCache.connect(known))
    right = anp("cache", "verify", look, "--json")
    told = json.loads(right.stdout)
    assert (right.returncode, told["undeclared_changed"], told["declared_unchanged"]) == (0, [], [])
    assert told["untouched"] > 10
    forgetful = tmp_path / "pages.toml"
    forgetful.write_text('[[page]]\npath = "/{slug}/"\n[[page]]\npath = "/robots.txt"\n[[page]]\npath = "/feed/"\n')
    wrong = anp("cache", "verify", look, ANP_PAGES=str(forgetful))
    assert wrong.returncode == 1
    assert "changed and not declared" in wrong.stdout
    assert "\n  /\n" in wrong.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cache", "verify", "/nowhere.json"), "anp cache look"),
        (("cache", "look", "x.json", "--post", "99999999"), "id of a post"),
        (("cache", "clear", "--group", "posts"), "on the demo site"),
        (("cache", "clear", "--post", "1", "--tag", "go"), "exactly one"),
    ],
    ids=str,
)
def test_bad_usage_is_told(known: Settings, arguments: tuple[str, ...], said: str) -> None:
    done = anp(*arguments)
    assert (done.returncode, said in done.stderr) == (2, True)
