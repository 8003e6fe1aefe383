"""However a worker is stopped, a body that may run on is not entered again elsewhere, whatever its hash seed."""

from __future__ import annotations

import signal
import socket
from collections import Counter

import pytest

from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import probe
from tests.support.stack import Process, Stack
from worker.app import app

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

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
        eventually(lambda w=worker: " ready." in w.said(), 120, f"{worker.name} to be ready")  # type: ignore[misc]


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


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM], ids=["SIGQUIT", "SIGTERM made SIGQUIT"])
def test_the_grace_of_a_shutdown_ends_only_the_bodies_that_outlast_it(stack: Stack, number: signal.Signals) -> None:
    stack.settings["grace"] = "4"
    if number == signal.SIGTERM:  # as in the image
        stack.variables["REMAP_SIGTERM"] = "SIGQUIT"
    workers = one_for_each_seed(stack)
    long = fill(stack, ["gate", "long"], ["effect", "e"], each=1)
    short = fill(stack, ["gate", "short"], ["effect", "e"], each=1)
    relief(stack)
    for worker in workers:
        worker.process.send_signal(number)
    for worker in workers:
        eventually(lambda w=worker: "Soft Shutdown" in w.said(), 20, f"{worker.name} to shut down")  # type: ignore[misc]
    Journal(stack.journal).open("short")
    for worker in workers:
        worker.process.wait(timeout=40)
    Journal(stack.journal).open("long")
    assert {stack.ends(run, 40).state for run in (*long, *short)} == {"succeeded"}
    assert entered(stack) == dict.fromkeys(short, 1) | dict.fromkeys(long, 2)
    assert {line["run"] for line in stack.lines("effect") if line["again"]} == set()
    points = [stack.ledger.store.read("hget", stack.ledger.row_key(run), "loss_points") for run in long]
    assert set(points) == {"0"}, "a shutdown counts against its runs"


def test_a_second_signal_ends_the_bodies_at_once_and_counts_against_no_run(stack: Stack) -> None:
    stack.settings["grace"] = "60"
    workers = one_for_each_seed(stack)
    runs = fill(stack, ["gate", "open"])
    for said in ("Soft Shutdown", "Waiting gracefully", ""):
        for worker in workers:
            worker.process.send_signal(signal.SIGQUIT)
        for worker in workers:
            eventually(lambda w=worker, s=said: s in w.said(), 20, f"{worker.name} to hear")  # type: ignore[misc]
    for worker in workers:
        worker.process.wait(timeout=30)
    assert {stack.reaches(run, "queued").losses for run in runs} == {1}
    assert {"shut down" in stack.run(run).reason for run in runs} == {True}
    Journal(stack.journal).open("open")
    relief(stack)
    assert {stack.ends(run, 40).state for run in runs} == {"succeeded"}
    assert entered(stack) == dict.fromkeys(runs, 2)


def test_a_worker_that_waits_for_its_bodies_is_not_taken_for_stalled(stack: Stack) -> None:
    stack.settings |= {"tasks": "tests.support.probe,tests.support.stalled", "grace": "8"}
    worker = stack.worker(concurrency=2)  # one child is idle, work waits: a stalled worker ends after three seconds
    run = probe.delay(str(stack.journal), [["sleep", 10]]).id
    eventually(lambda: stack.lines("begin"), 20, "the body to begin")
    worker.process.send_signal(signal.SIGQUIT)
    eventually(lambda: "Soft Shutdown" in worker.said(), 10, "the grace to begin")
    probe.delay(str(stack.journal), [["effect", "e"]], lock="other")
    worker.process.wait(timeout=30)
    assert "stalled" not in worker.said()
    assert "its worker was shut down" in stack.reaches(run, "queued").reason


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


def asked(stack: Stack, worker: Process, command: str, **arguments: object) -> list[dict[str, dict[str, object]]]:
    """What a worker answers to a remote control command."""
    name = f"{worker.name}@{socket.gethostname()}"
    answer = eventually(
        lambda: app.control.broadcast(command, arguments, destination=[name], reply=True, timeout=2), 20, command
    )
    return list(answer or [])


def test_no_command_of_remote_control_ends_a_body(stack: Stack) -> None:
    stack.settings["tasks"] = "tests.support.probe,tests.support.restarts"
    worker = stack.worker(concurrency=2)
    runs = [probe.delay(str(stack.journal), [["gate", "open"]], lock=f"lock {n}").id for n in range(2)]
    eventually(lambda: len(stack.lines("at")) == 2, 20, "the bodies to stand at their gate")
    assert "ok" in str(asked(stack, worker, "pool_grow", n=2))
    assert "ok" in str(asked(stack, worker, "pool_restart"))
    for _ in range(3):
        asked(stack, worker, "pool_shrink", n=1)
    stack.worker()
    app.control.shutdown(destination=[f"{worker.name}@{socket.gethostname()}"])
    keep_their_nodes(stack)
    Journal(stack.journal).open("open")
    assert worker.process.wait(timeout=30) == 0
    assert {stack.ends(run).state for run in runs} == {"succeeded"}
    assert entered(stack) == dict.fromkeys(runs, 1)


def test_children_that_come_and_go_under_load_end_no_body(stack: Stack) -> None:
    stack.variables["AUTOSCALE_KEEPALIVE"] = "1"
    stack.worker("--autoscale=4,1", "--max-tasks-per-child=2")
    runs: list[str] = []
    for size in (12, 1, 8, 1, 12):  # it grows and shrinks
        wave = [probe.delay(str(stack.journal), [["sleep", 0.3]], lock=f"{len(runs)} {n}").id for n in range(size)]
        runs += wave
        assert {stack.ends(run, 40).state for run in wave} == {"succeeded"}
        if size == 1:
            eventually(lambda: len(stack.processes[0].children()) < 4, 30, "the pool to shrink")
    assert entered(stack) == dict.fromkeys(runs, 1)
    assert "Scaling down" in stack.processes[0].said()
