"""Redis restarts while a worker is at work: who asks it something waits for it, and no outcome changes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from celery_anp.local.embedded.server import RedisServer
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import probe
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def stack(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker whose lease outlives each outage."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    with Stack(tmp_path_factory.mktemp("stack"), redis_server.url, {"lease": "15"}) as stack:
        stack.worker(concurrency=5)
        yield stack


@pytest.fixture
def journal(stack: Stack) -> Iterator[Journal]:
    yield Journal(stack.journal)
    for file in stack.folder.glob("journal*"):
        file.unlink()


def run(stack: Stack, *script: list[Any]) -> str:
    kwargs = {"path": str(stack.journal), "script": list(script), "lock": str(script)}
    return str(probe.apply_async(kwargs=kwargs).id)


def stands_at(journal: Journal, gate: str, run_id: str, times: int = 1) -> int:
    """The child that stands at a gate, for the nth time."""
    lines = eventually(lambda: journal.lines("at", name=gate, run=run_id)[times - 1 :], 30, f"{run_id} at {gate}")
    return int(lines[-1]["pid"])


@contextmanager
def outage(server: RedisServer) -> Iterator[None]:
    """Redis is killed, and starts again in the end."""
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: not server.alive, 10, "Redis to be gone")
    try:
        yield
    finally:
        server.start()


def asks_again(stack: Stack, run_id: str, times: int = 1) -> None:
    """The attempt has met the outage."""
    worker = stack.processes[0]
    eventually(lambda: worker.said().count(f"{run_id} asks the ledger again") >= times, 10, f"{run_id} to ask again")


def test_a_body_waits_with_what_it_records_and_reads(stack: Stack, journal: Journal, redis_server: RedisServer) -> None:
    words: list[list[Any]] = [["undo", "u"], ["progress", 1, 2], ["step", "s"], ["cancelled"], ["retry", 0, {}]]
    runs = [run(stack, ["gate", "go"], word) for word in words]
    for run_id in runs:
        stands_at(journal, "go", run_id)
    with outage(redis_server):
        journal.open("go")
        for run_id in runs:
            asks_again(stack, run_id)
    ended = [stack.ends(run_id) for run_id in runs]
    assert [(one.state, one.attempts) for one in ended] == [("succeeded", 1)] * 4 + [("succeeded", 2)]
    assert [entry.name for entry in ended[0].undo] == ["u"]
    assert ended[1].progress == "1/2"
    assert any("retry asked for" in step.reason for step in ended[4].history)


def test_a_hook_outlives_an_outage_at_each_of_its_entries(
    stack: Stack, journal: Journal, redis_server: RedisServer
) -> None:
    run_id = run(stack, *(["undo", name] for name in "abc"), ["fail", "KeyError"], ["gate undone", "mark"])
    for times in (1, 2, 3):
        stands_at(journal, "mark", run_id, times)
        with outage(redis_server):
            journal.open("mark")
            asks_again(stack, run_id, times)
            journal.close("mark")
    ended = stack.ends(run_id)
    assert (ended.state, ended.losses) == ("rolled_back", 0)
    assert [line["name"] for line in journal.lines("undone")] == ["c", "b", "a"]


def test_a_soft_limit_that_passes_while_the_attempt_settles_comes_too_late(
    stack: Stack, journal: Journal, redis_server: RedisServer
) -> None:
    run_id = run(stack, ["gate", "end"])
    child = stands_at(journal, "end", run_id)
    with outage(redis_server):
        journal.open("end")
        asks_again(stack, run_id)
        os.kill(child, signal.SIGUSR1)  # what the main process sends at the soft limit
        eventually(lambda: f"{run_id} has ended already" in stack.processes[0].said(), 10, "the limit to be ignored")
    ended = stack.ends(run_id)
    assert (ended.state, ended.attempts) == ("succeeded", 1)
