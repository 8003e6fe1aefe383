"""The whole way, with real beats and workers: nobody visits the site, and all of it happens on time, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from celery_anp.local.embedded.server import CACHE, LEDGER, RedisServer
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.wordpress.conftest import SECRET
from tests.wordpress.lab import Lab
from tests.wordpress.test_triggers import trigger, visit

SCHEDULES = """
[[schedule]]
name = "publish"
task = "content.publish_due"
every = "5s"

[[schedule]]
name = "events"
task = "wordpress.run_due_events"
every = "5s"
input = { event_limit = 5, repeatable = ["lab_work"] }
"""
Started = Callable[[str], Stack]


@pytest.fixture
def anp(lab: Lab, plugin: Path, tmp_path: Path) -> Iterator[Started]:
    """Starts an anp with a Redis, a worker and a beat of its own, on this WordPress."""
    with ExitStack() as opened:

        def start(name: str) -> Stack:
            (folder := tmp_path / name).mkdir()
            ledger = opened.enter_context(RedisServer(folder / "redis", LEDGER))
            cache = opened.enter_context(RedisServer(folder / "cache", CACHE))
            ways = {"php": {"wordpress_path": str(lab.path)}, "http": {"wordpress_secret": SECRET}}
            site = {"site_kind": "wordpress", "site_url": lab.url, "database_url": lab.database_url}
            stack = Stack(folder, ledger.url, {**site, "cache_url": cache.url, **ways[name.partition(" ")[0]]})
            opened.enter_context(stack)
            stack.worker()
            stack.beat(schedules=SCHEDULES)
            return stack

        yield start


def lives(lab: Lab, ids: list[int]) -> list[int]:
    return [lab.logged(f"post {post}", "live") for post in ids]


def test_fifty_posts_with_no_visitor_are_live_within_a_minute_each_once(lab: Lab, anp: Started) -> None:
    ids = lab.future(50, 8)
    due = time.time() + 8
    stack = anp("php")
    eventually(lambda: set(lab.statuses(ids)) == {"publish"}, 68, "the posts to be live")
    assert time.time() - due < 60
    assert lives(lab, ids) == [1] * 50

    def told() -> int:
        runs = [run for run in stack.ledger.runs(limit=50) if run.task == "content.publish_due" and run.final]
        wrong = [run.public() for run in runs if run.state == "succeeded" and not run.as_expected]
        assert not wrong, wrong
        return sum(run.result["count"] for run in runs if run.result)

    eventually(lambda: told() == 50, 40, "the ledger to tell of each post once")


def test_posts_that_were_due_while_everything_was_down_are_published_after_the_start(lab: Lab, anp: Started) -> None:
    ids = lab.future(10, -3600)
    lab.sql("UPDATE wp_options SET option_value = 'a:0:{}' WHERE option_name = 'cron'")  # and their events are lost
    anp("http")
    eventually(lambda: set(lab.statuses(ids)) == {"publish"}, 60, "the posts to be live")
    assert lives(lab, ids) == [1] * 10


def test_two_anps_visitors_and_a_crontab_at_once_do_each_thing_once(lab: Lab, anp: Started) -> None:
    stacks = [anp("php one"), anp("http two")]
    tokens = [f"t{number}" for number in range(8)]
    ids, due = lab.future(8, 4), time.time() + 4
    for number, token in enumerate(tokens):
        lab.event(4 + number // 2, 0, token)

    def all_done() -> bool:
        if time.time() < due + 15:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda what: what(lab), (visit, visit, trigger, trigger)))
        assert [post for post in ids if lab.statuses([post]) != ["publish"]] == []
        assert [token for token in tokens if not lab.logged(token, "end")] == []
        return True

    eventually(all_done, 90, "all of it to be done")
    assert len(stacks) == 2
    assert {token: lab.logged(token) for token in tokens} == dict.fromkeys(tokens, 1)
    assert lives(lab, ids) == [1] * 8


def test_a_worker_is_killed_in_the_middle_of_an_event(lab: Lab, anp: Started) -> None:
    lab.event(-10, 4, "cut")
    lab.event(-5, 0, "after")
    stack = anp("php")
    eventually(lambda: lab.logged("cut"), 30, "the event to run")
    stack.processes[0].kill()
    stack.worker()
    eventually(lambda: lab.logged("after", "end"), 40, "the other event to run")
    eventually(lambda: lab.logged("cut", "end"), 60, "the lost event to run again")
    assert (lab.logged("cut"), lab.logged("after")) == (2, 1)
