"""Bodies and hooks that end badly: each run gets a named state and a clear error, and the worker stays up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from celery_anp.local.embedded.server import RedisServer
from celery_anp.reliability.run import Run
from tests.faults import endings
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import picky, probe
from tests.support.stack import Stack, on_empty_redis
from tests.support.still_works import still_works

pytestmark = pytest.mark.long

TASKS = "tests.support.probe,tests.faults.endings"


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with on_empty_redis(tmp_path_factory.mktemp("endings"), {"tasks": TASKS}) as stack:
        stack.worker()
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Iterator[Stack]:
    """The shared stack; whatever ended in it, its one worker is still there and works."""
    yield shared
    still_works(shared)


@pytest.fixture
def journal(stack: Stack, request: pytest.FixtureRequest) -> Journal:
    return Journal(stack.folder / request.node.name.replace("/", " "))


def message_of(run: Run) -> str:
    assert run.error is not None, f"{run.state}: {run.reason}"
    return str(run.error["message"])


def bodies(run: Run) -> int:
    """How often its body was entered."""
    return [step.after for step in run.history].count("running")


@pytest.mark.parametrize(
    ("way", "state", "says"),
    [
        ("awkward", "failed", "awkward 7"),
        ("object", "failed", "JSON"),
    ],
)
def test_what_cannot_be_kept_is_a_failure_that_says_so(stack: Stack, way: str, state: str, says: str) -> None:
    run = stack.ends(endings.ends.delay(way).id)
    assert (run.state, run.attempts, run.losses) == (state, 1, 0)
    assert says in message_of(run) + run.reason


def test_a_body_that_runs_out_of_memory_fails_and_leaves_its_worker_up(stack: Stack) -> None:
    result = endings.ends.delay("memory")
    run = stack.ends(result.id)
    assert (run.state, run.attempts, run.losses) == ("failed", 1, 0)
    with pytest.raises(MemoryError, match="as asked"):
        result.get(timeout=10)


def test_a_validator_that_raises_an_error_of_its_own_is_a_failure_that_is_tried_again(stack: Stack) -> None:
    there = stack.folder / "there"
    there.touch()
    result = picky.apply_async((str(there),), countdown=0.5)
    there.unlink()
    run = stack.ends(result.id)
    assert (run.state, run.attempts, run.losses) == ("failed", 2, 0)
    assert "No such file" in message_of(run)


@pytest.mark.parametrize("way", ["os._exit", "kill"])
def test_a_body_that_takes_its_process_down_ends_in_quarantine(stack: Stack, way: str) -> None:
    run = stack.ends(endings.ends.delay(way).id, 40)
    assert (run.state, run.losses) == ("quarantined", 3)
    assert "its child" in run.reason


def test_a_body_that_swallows_its_soft_limit_and_goes_on_ends_by_the_hard_one(stack: Stack, journal: Journal) -> None:
    result = endings.goes_on.apply_async((str(journal.path),), soft_time_limit=1, time_limit=2)
    run = stack.ends(result.id)
    assert (run.state, run.attempts, run.losses) == ("failed", 1, 0)
    assert "its hard time limit of 2 s passed" in message_of(run)
    assert len(journal.lines("swallowed")) == 1


def test_undo_data_that_is_not_json_fails_the_run_before_its_effect(stack: Stack, journal: Journal) -> None:
    run = stack.ends(endings.records.delay(str(journal.path), 1, odd=True).id)
    assert (run.state, bodies(run)) == ("failed", 1)
    assert "Undo entry 'entry 0' cannot be kept. Expected: JSON values" in message_of(run)
    assert journal.lines() == []


def test_an_undo_entry_that_is_too_large_fails_the_run_before_its_effect(stack: Stack, journal: Journal) -> None:
    run = stack.ends(endings.records.delay(str(journal.path), 70_000).id)
    assert (run.state, bodies(run)) == ("failed", 1)
    assert "Undo entry 'entry 0' is too large" in message_of(run)
    assert journal.lines() == []


def test_undo_entries_beyond_their_limit_fail_the_run_and_those_before_are_undone(
    stack: Stack, journal: Journal
) -> None:
    run = stack.ends(endings.records.delay(str(journal.path), 500, count=10).id)
    assert (run.state, bodies(run)) == ("rolled_back", 1)
    assert "are full" in message_of(run)
    effects = [f"entry {line['number']}" for line in journal.lines("effect")]
    assert effects == ["entry 0", "entry 1", "entry 2"]
    assert [line["name"] for line in journal.lines("undone")] == effects[::-1]


def test_a_hook_that_gives_up_keeps_its_lock_until_an_operator_resolves_it(stack: Stack, journal: Journal) -> None:
    broken = stack.ends(endings.fails.delay(str(journal.path), "resolved", "at once").id)
    assert broken.state == "rollback_failed"
    assert "The hook cannot go on" in broken.reason
    assert [(entry.outcome, "BadUsage" in entry.note) for entry in broken.undo] == [("failed", True)]
    assert message_of(broken) == "as asked"
    assert f"the rollback of {broken.run_id} failed" in stack.processes[0].said()
    waiting = endings.fails.delay(str(journal.path), "resolved", "fine")
    assert stack.run(waiting.id).state == "blocked"
    assert broken.run_id in stack.run(waiting.id).reason
    run = stack.ledger.operate(broken.run_id, "resolve", "tests", "mended by hand")
    assert run.state == "rolled_back"
    assert "mended by hand" in run.reason
    assert stack.ends(waiting.id).state == "succeeded"


def test_a_hook_that_was_mended_is_asked_again_by_an_operator(stack: Stack, journal: Journal) -> None:
    broken = stack.ends(endings.fails.delay(str(journal.path), "mended", "at once").id)
    assert broken.state == "rollback_failed"
    (journal.path.parent / f"{journal.path.name}.mended").touch()
    stack.ledger.operate(broken.run_id, "rollback", "tests")
    mended = stack.reaches(broken.run_id, "rolled_back")
    assert [entry.outcome for entry in mended.undo] == ["undone"]
    assert len(journal.lines("undone")) == 2


@pytest.mark.faults
def test_a_hook_that_raises_is_tried_five_times_before_it_waits_for_a_person(stack: Stack, journal: Journal) -> None:
    broken = stack.ends(endings.fails.delay(str(journal.path), "five", "each time").id, 90)
    assert (broken.state, len(journal.lines("undone"))) == ("rollback_failed", 5)
    assert "RuntimeError after 5 attempts" in broken.reason


@pytest.mark.parametrize("what", ["undo", "step", "progress", "result"])
def test_an_effect_after_lost_ownership_is_refused_and_told(stack: Stack, journal: Journal, what: str) -> None:
    result = endings.late.delay(str(journal.path), what)
    eventually(lambda: journal.lines("at"), 20, "the body to stand at its gate")
    held = stack.run(result.id)
    assert held.node
    assert held.fence
    state = stack.ledger.lose(result.id, held.node, held.fence, "fenced", "taken by the test")
    assert state == "queued"
    assert stack.ends(result.id).result == "second"
    journal.open(what)
    if what == "result":
        refused = f"The late result of {result.id} was refused"
    else:
        eventually(lambda: journal.lines("lost"), 10, "the refusal")
        refused = f"This attempt does not own {result.id} any more, so its {what} was refused"
        assert refused in journal.lines("lost")[0]["says"]
    eventually(lambda: refused in stack.processes[0].said(), 10, "the log to tell of it")
    after: Any = stack.run(result.id)
    assert (after.state, after.result, after.attempts, after.undo) == ("succeeded", "second", 2, ())


def test_a_body_without_its_row_is_killed(stack: Stack, journal: Journal) -> None:
    result = probe.delay(str(journal.path), [["gate", "held"]], lock="stray")
    first = at_gate(journal, result.id, 1)
    held = stack.run(result.id)
    assert held.node
    assert held.fence
    stack.ledger.lose(result.id, held.node, held.fence, "fenced", "taken by the test")
    second = at_gate(journal, result.id, 2)
    eventually(lambda: not psutil.pid_exists(first), 20, "the body whose row another attempt has to be killed")
    journal.open("held")
    run = stack.ends(result.id)
    assert (run.state, run.attempts, run.losses) == ("succeeded", 2, 1)
    assert [line["pid"] for line in journal.lines("end")] == [second]


def test_a_body_that_shall_finish_outlives_its_nodes_self_fencing(
    stack: Stack, journal: Journal, redis_server: RedisServer
) -> None:
    worker = stack.processes[0]
    finishes = endings.late.delay(str(journal.path), "result").id
    is_killed = probe.delay(str(journal.path), [["gate", "held"]], lock="fenced").id
    for run_id in (finishes, is_killed):
        at_gate(journal, run_id, 1)
    assert redis_server.pid
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        eventually(lambda: f"which runs {is_killed}: its lease could not be renewed" in worker.said(), 20)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    for gate in ("result", "held"):
        journal.open(gate)
    ended = [stack.ends(run_id) for run_id in (finishes, is_killed)]
    assert [(run.state, run.attempts) for run in ended] == [("succeeded", 1), ("succeeded", 2)]
    assert ended[0].result == "first"


def test_a_childs_death_is_told_at_once(redis_server: RedisServer, tmp_path: Path) -> None:
    settings = {"tasks": TASKS, "lease": "120"}  # the heartbeats, which would find it too, are 24 s apart
    with Stack(tmp_path, os.environ["ANP_REDIS_URL"], settings) as stack:
        stack.worker("-Q", "apart", concurrency=1)
        result = probe.apply_async((str(stack.journal), [["gate", "held"]]), queue="apart")
        os.kill(at_gate(Journal(stack.journal), result.id, 1), signal.SIGKILL)
        at_gate(Journal(stack.journal), result.id, 2, timeout=10)
        lost = stack.run(result.id)
        assert (lost.losses, lost.attempts) == (1, 2)
        assert "signal 9" in next(step.reason for step in lost.history if step.before == "running")


def at_gate(journal: Journal, run_id: str, times: int, timeout: float = 20) -> int:
    """The process of a run's latest attempt, once so many of them stood at a gate."""
    lines = eventually(
        lambda: len(found := journal.lines("at", run=run_id)) == times and found, timeout, f"{run_id} at its gate"
    )
    assert lines
    return int(lines[-1]["pid"])
