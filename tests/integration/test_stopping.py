"""However a worker is stopped, a body that may run on is not entered again elsewhere, whatever its hash seed."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import probe, unspeakable
from tests.support.stack import Process, Stack

#: Each orders the sets of a process in another way; among eight, Celery's steps stand in every order that matters.
SEEDS = range(8)
#: Bodies in each worker.
EACH = 2
#: A schedule that never comes.
NO_TICKS = '[[schedule]]\nname = "never"\ntask = "probe.add"\ncron = "0 0 1 1 *"\ninput = { x = 1, y = 2 }\n'


@pytest.fixture
def stack(stack: Stack) -> Stack:
    stack.settings["lease"] = "10"  # many processes start at once
    return stack


def ready(*workers: Process) -> None:
    for worker in workers:
        eventually(lambda w=worker: " ready." in w.said(), 60, f"{worker.name} to be ready")  # type: ignore[misc]


def one_for_each_seed(stack: Stack, *arguments: str) -> list[Process]:
    """Workers side by side, each with a hash seed and a queue of its own."""
    workers = []
    for seed in SEEDS:
        stack.variables["PYTHONHASHSEED"] = str(seed)
        workers.append(stack.worker("-Q", f"seed{seed}", *arguments, concurrency=EACH, wait=False))
    ready(*workers)
    return workers


def fill(stack: Stack, *script: list[object], each: int = EACH) -> list[str]:
    """Runs for each of the workers, whose bodies stand at their gate when this returns."""
    runs = []
    for seed in SEEDS:
        for number in range(each):
            kwargs = {"path": str(stack.journal), "script": list(script), "lock": f"{seed} {number}"}
            runs.append(probe.apply_async((), kwargs, queue=f"seed{seed}").id)
    eventually(lambda: len(stack.lines("at")) == len(runs), 30, "the bodies to stand at their gate")
    return runs


def relief(stack: Stack) -> Process:
    """Another worker, which takes whatever the others leave."""
    queues = ",".join(f"seed{seed}" for seed in SEEDS)
    return stack.worker("-Q", queues, concurrency=EACH)


def leases(stack: Stack) -> dict[str, float]:
    """When the lease of each node ends, by its id (ms)."""
    store = stack.ledger.store
    return dict(store.read("zrange", store.key("nodes"), 0, -1, False, True))


def keep_their_nodes(stack: Stack) -> None:
    """Every node renews its lease once more: none has said goodbye."""
    before = leases(stack)

    def all_renewed() -> bool:
        now = leases(stack)
        assert now.keys() == before.keys(), "a node left while bodies ran"
        return all(now[node] > ends + stack.ledger.lease / 5 for node, ends in before.items())

    eventually(all_renewed, 15, "every lease to be renewed")


def entered(stack: Stack) -> dict[str, int]:
    """How often the body of each run was entered."""
    return dict(Counter(line["run"] for line in stack.lines("begin")))


def test_a_warm_shutdown_lets_every_body_end_where_it_runs(stack: Stack) -> None:
    workers = one_for_each_seed(stack)
    runs = fill(stack, ["gate", "open"])
    relief(stack)
    for worker in workers:
        worker.process.send_signal(signal.SIGTERM)
    for worker in workers:
        eventually(lambda w=worker: "Warm shutdown" in w.said(), 20, f"{worker.name} to shut down")  # type: ignore[misc]
    keep_their_nodes(stack)
    Journal(stack.journal).open("open")
    assert [worker.process.wait(timeout=30) for worker in workers] == [0] * len(workers)
    assert {stack.ends(run).state for run in runs} == {"succeeded"}
    assert entered(stack) == dict.fromkeys(runs, 1)
    assert {stack.run(run).losses for run in runs} == {0}
    assert len(stack.ledger.nodes()) == 1, "a worker left without a goodbye"


def test_bodies_beside_an_embedded_beat_belong_to_the_worker_and_end_where_they_run(stack: Stack) -> None:
    (stack.folder / "schedules.toml").write_text(NO_TICKS, encoding="utf-8")
    stack.settings |= {"schedules": str(stack.folder / "schedules.toml"), "lease": "3"}
    worker = stack.worker("-B")
    eventually(lambda: len(stack.ledger.nodes()) == 2, 20, "worker and beat to be nodes")
    mine = next(node.node for node in stack.ledger.nodes() if node.kind == "worker")
    runs = [probe.delay(str(stack.journal), [["gate", "open"]], lock=f"lock {n}").id for n in range(2)]
    eventually(lambda: len(stack.lines("at")) == 2, 20, "the bodies to stand at their gate")
    keep_their_nodes(stack)
    keep_their_nodes(stack)
    assert {stack.run(run).node for run in runs} == {mine}
    worker.process.send_signal(signal.SIGTERM)
    eventually(lambda: "Warm shutdown" in worker.said(), 20, "the worker to shut down")
    relief = stack.worker()
    Journal(stack.journal).open("open")
    assert worker.process.wait(timeout=30) == 0
    assert {stack.ends(run).state for run in runs} == {"succeeded"}
    assert entered(stack) == dict.fromkeys(runs, 1)
    eventually(lambda: [node.pid for node in stack.ledger.nodes()] == [relief.pid], 10, "both to have said goodbye")


def unheard(stack: Stack) -> Process:
    """A worker that begins bodies without taking notice of it."""
    stack.settings["tasks"] = "tests.support.probe,tests.support.unheard"
    stack.variables["UNHEARD"] = str(stack.journal)
    return stack.worker(concurrency=1)


def begins_unheard(stack: Stack) -> str:
    """A run whose body stands at its gate while the main process does not know of it."""
    run = probe.delay(str(stack.journal), [["gate", "open"]]).id
    for gate in ("open", "heard"):
        eventually(lambda g=gate: stack.lines("at", name=g), 20, f"somebody to stand at {gate}")  # type: ignore[misc]
    return str(run)


def test_a_body_that_the_event_loop_has_not_heard_of_is_not_taken_for_an_idle_child(stack: Stack) -> None:
    stack.settings["lease"] = "3"
    worker = unheard(stack)
    run = begins_unheard(stack)
    for _ in range(3):
        keep_their_nodes(stack)
    assert (stack.run(run).state, stack.run(run).losses) == ("running", 0)
    worker.process.send_signal(signal.SIGTERM)
    Journal(stack.journal).open("heard")
    Journal(stack.journal).open("open")
    assert worker.process.wait(timeout=30) == 0
    assert stack.run(run).state == "succeeded"
    assert entered(stack) == {run: 1}


def test_a_child_that_has_just_begun_is_not_ended_when_the_pool_shrinks(stack: Stack) -> None:
    worker = unheard(stack)
    run = begins_unheard(stack)
    worker.process.send_signal(signal.SIGUSR2)
    eventually(lambda: "All processes busy" in worker.said(), 20, "the pool to refuse to shrink")
    Journal(stack.journal).open("heard")
    Journal(stack.journal).open("open")
    assert stack.ends(run).state == "succeeded"
    assert entered(stack) == {run: 1}


def test_a_child_whose_body_ended_without_being_settled_does_not_say_for_ever_that_it_runs_it(stack: Stack) -> None:
    stack.settings["lease"] = "3"
    stack.worker(concurrency=1)
    run = unspeakable.delay().id
    eventually(lambda: stack.run(run).losses or stack.run(run).final, 15, "the run to end or to be lost")
