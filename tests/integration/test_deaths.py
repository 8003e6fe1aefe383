"""A death that can be seen is not waited for, and nobody is taken for dead who may live.

The lease is so long that no test here is explained by its end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celery_anp.execution import children
from celery_anp.node.deaths import Deaths
from celery_anp.process.place import INITIAL, Place, System
from celery_anp.reliability import nodes
from celery_anp.reliability.records import Begun
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.moved import new
from tests.support.probe import probe
from tests.support.stack import ROOT, Process, Stack

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="a death can be proved on Linux only"),
]
#: Seconds in which a run whose worker's death can be proved is there again, and what a busy machine may add.
SOON = 3.0 + 5.0
NO_TICKS = '[[schedule]]\nname = "never"\ntask = "probe.add"\ncron = "0 0 1 1 *"\ninput = { x = 1, y = 2 }\n'


@pytest.fixture
def stack(stack: Stack) -> Stack:
    stack.settings["lease"] = "120"
    stack.ledger = replace(stack.ledger, lease=120_000)
    return stack


def at_its_gate(stack: Stack, run_id: str) -> int:
    """The pid of the child whose body stands at a gate."""
    return int(eventually(lambda: stack.lines("at", run=run_id), 30, f"{run_id} to reach its gate")[-1]["pid"])


def look(stack: Stack) -> None:
    """What upkeep of any process of ours on this host does each second."""
    Deaths(stack.ledger).look()


def goes_back(stack: Stack, run_id: str) -> None:
    """The run goes back to its queue as soon as the kernel has ended what was killed."""

    def back() -> bool:
        look(stack)
        return stack.run(run_id).state == "queued"

    eventually(back, SOON, f"{run_id} to go back")


def reasons(stack: Stack, run_id: str) -> list[str]:
    return [step.reason for step in stack.run(run_id).history]


def kill_main(worker: Process) -> None:
    """kill -9 of the main process alone, as the kernel does it when memory is short."""
    os.kill(worker.pid, signal.SIGKILL)
    worker.process.wait(10)


def send(stack: Stack, *script: list[object]) -> str:
    return str(probe.delay(str(stack.journal), list(script)).id)


# -- what is proved -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(kill_main, id="the main process"),
        pytest.param(Process.kill, id="the whole tree"),
    ],
)
def test_another_worker_of_the_host_takes_over_at_once(stack: Stack, kill: object) -> None:
    victim = stack.worker(concurrency=1)
    run_id = send(stack, ["gate again", "never"], ["gate", "first"])
    at_its_gate(stack, run_id)
    stack.worker(concurrency=1)
    kill(victim)  # type: ignore[operator]
    eventually(lambda: stack.run(run_id).attempts == 2, SOON, "the second attempt")
    assert f"its worker was killed: pid {victim.pid} is gone" in reasons(stack, run_id)
    points = stack.ledger.store.read("hget", stack.ledger.row_key(run_id), "loss_points")
    assert (stack.run(run_id).losses, points) == (1, "1")


def test_a_worker_that_its_supervisor_starts_again_finds_what_it_left(stack: Stack) -> None:
    victim = stack.worker(concurrency=1)
    run_id = send(stack, ["effect", "e"], ["gate", "first"])
    at_its_gate(stack, run_id)
    node = stack.ledger.nodes()[0].node
    victim.kill()
    again = stack.worker(concurrency=1)
    assert node not in {one.node for one in stack.ledger.nodes()}, "looked at before it serves"
    assert again.said().index("is dead, its worker was killed") < again.said().index(" ready.")
    Journal(stack.journal).open("first")
    assert stack.ends(run_id).attempts == 2


def test_a_beat_sees_it_too(stack: Stack) -> None:
    stack.beat(schedules=NO_TICKS)
    victim = stack.worker(concurrency=1)
    run_id = send(stack, ["gate", "first"])
    at_its_gate(stack, run_id)
    victim.kill()
    stack.reaches(run_id, "queued", SOON)
    assert [node.kind for node in stack.ledger.nodes()] == ["beat"]


def test_a_dead_beat_leaves(stack: Stack) -> None:
    beat = stack.beat(schedules=NO_TICKS)
    look(stack)
    assert [node.kind for node in stack.ledger.nodes()] == ["beat"]
    beat.kill()
    look(stack)
    assert stack.ledger.nodes() == []
    assert stack.ledger.reap(host=System().host) == {}


# -- what is not --------------------------------------------------------------------------------------------------


def test_a_stopped_worker_keeps_its_lease(stack: Stack) -> None:
    worker = stack.worker(concurrency=1)
    run_id = send(stack, ["gate", "first"])
    at_its_gate(stack, run_id)
    worker.pause()
    look(stack)
    assert (stack.run(run_id).state, len(stack.ledger.nodes())) == ("running", 1)
    worker.resume()
    Journal(stack.journal).open("first")
    assert stack.ends(run_id).attempts == 1


def test_while_a_body_outlives_its_worker_its_run_stays_with_it(stack: Stack) -> None:
    victim = stack.worker(concurrency=1)
    run_id = send(stack, ["outlive"], ["gate", "first"])
    child = at_its_gate(stack, run_id)
    kill_main(victim)
    look(stack)
    assert stack.run(run_id).state == "running", "its body lives"
    os.kill(child, signal.SIGKILL)
    goes_back(stack, run_id)


def test_a_body_that_outlives_its_worker_may_end_its_run(stack: Stack) -> None:
    victim = stack.worker(concurrency=1)
    run_id = send(stack, ["outlive"], ["effect", "e"], ["gate", "first"], ["undo", "late"])
    at_its_gate(stack, run_id)
    kill_main(victim)
    look(stack)
    Journal(stack.journal).open("first")
    ended = stack.ends(run_id)
    assert (ended.state, ended.attempts, ended.losses) == ("succeeded", 1, 0)
    look(stack)
    assert stack.ledger.reap(host=System().host) == {}, "the node leaves with its last row"


def test_while_what_a_body_has_started_lives_its_run_stays(stack: Stack) -> None:
    victim = stack.worker(concurrency=1)
    run_id = send(stack, ["start", "sleep", "60"], ["gate", "first"])
    child = at_its_gate(stack, run_id)
    (started,) = stack.lines("started", run=run_id)
    kill_main(victim)
    node = stack.run(run_id).node
    assert node
    _, _, name = stack.ledger.held(node)[run_id].partition("|")
    eventually(lambda: not children.is_alive(name), 10, "the child to be gone")
    look(stack)
    assert stack.run(run_id).state == "running"
    assert os.getpgid(started["started"]) == child
    os.kill(started["started"], signal.SIGKILL)
    goes_back(stack, run_id)


# -- what is written down of others -------------------------------------------------------------------------------


def registered(stack: Stack, there: Place, *, child: str = "") -> str:
    """A node that says that it lives there, with a run of its own; the run's id."""
    stack.ledger.heartbeat("other", {
        "kind": "worker", "host": there.host, "place": str(there), "tasks": json.dumps(["task"]), "lease": "120000",
    })  # fmt: skip
    stack.ledger.plan([new("a")])
    assert isinstance(stack.ledger.begin("a", "other", child or f"{there.pid}.{there.start}", "t", "a", ""), Begun)
    return "a"


def ours() -> Place:
    here = System().here()
    assert here
    return here


def test_a_number_that_was_used_again_is_a_death(stack: Stack) -> None:
    run_id = registered(stack, replace(ours(), start=ours().start - 1))
    look(stack)
    assert stack.run(run_id).state == "queued"
    assert f"its worker was killed: pid {os.getpid()} is another process now" in reasons(stack, run_id)


def test_a_node_that_lives_is_left_alone(stack: Stack) -> None:
    run_id = registered(stack, ours())
    look(stack)
    assert stack.run(run_id).state == "running"


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"space": "pid:[1]"}, {"boot": "other", "machine": ""}])
def test_a_node_elsewhere_is_left_alone(stack: Stack, other: Any) -> None:
    run_id = registered(stack, replace(ours(), pid=5_000_000, **other))
    look(stack)
    assert stack.run(run_id).state == "running"


def after_a_boot(tmp_path: Path, seconds: float) -> System:
    """This machine as it would look after it was started again."""
    proc = tmp_path / "proc"
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text("8f6c9f0e-51b5-4b6e-9d0f-0c1f4f5f9a11\n")
    for name in ("self", "1", str(os.getpid())):
        (proc / name).symlink_to(f"/proc/{name}")
    machine = tmp_path / "machine-id"
    machine.write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    return System(proc, machine, clock=lambda: seconds)


def silent_for(stack: Stack, seconds: float) -> None:
    """The node has renewed its lease so long ago, and has it still."""
    key, now = stack.ledger.store.key("nodes"), stack.ledger.now()
    stack.ledger.store.read("zadd", key, {"other": int(now + 120_000 - seconds * 1000)})


@pytest.mark.skipif(str(Path("/proc/self/ns/pid").readlink()) != INITIAL, reason="in a container no machine is known")
def test_a_host_that_was_started_again_has_lost_its_nodes_and_its_twin_has_not(stack: Stack, tmp_path: Path) -> None:
    system = after_a_boot(tmp_path, seconds=20)
    now = system.here()
    assert now
    assert now.machine
    run_id = registered(stack, replace(now, boot="6b1e5a4c-8a55-4d4e-9f5e-b5d3f4f0c9d1", pid=7, start=700))
    assert nodes.silence(stack.ledger.store, "nobody") == 0
    silent_for(stack, 3)
    Deaths(stack.ledger, system).look()
    assert stack.run(run_id).state == "running", "a machine cloned with its names has renewed its lease since"
    silent_for(stack, 30)
    Deaths(stack.ledger, system).look()
    assert stack.run(run_id).state == "queued"
    assert "its machine was started again" in reasons(stack, run_id)


#: Two processes in one pid namespace: the first registers and dies, the second gets its number, and a third one looks.
REUSED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from celery_anp.node.deaths import Deaths
from celery_anp.process.place import System
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.store import Store, connect
ledger = Ledger(Store(connect(sys.argv[1]), "anp"), lease=120_000)
def child(do):
    pid = os.fork()
    if pid == 0:
        os.setpgrp()
        do()
        os._exit(0)
    return pid
def register():
    here = System().here()
    ledger.heartbeat("other", {"kind": "worker", "host": here.host, "place": str(here), "tasks": '["task"]'})
    ledger.begin("a", "other", f"{here.pid}.{here.start}", "t", "a", "")
first = child(register)
os.waitpid(first, 0)
Path("/proc/sys/kernel/ns_last_pid").write_text(str(first - 1))
second = child(signal.pause)
Deaths(ledger).look()
print(first == second, ledger.run("a").state, ledger.run("a").reason)
os.kill(second, 9)
"""


@pytest.fixture
def unshare() -> list[str]:
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no namespace can be made here")
    return command


def run_in(command: list[str], stack: Stack, script: str) -> str:
    done = subprocess.run(
        [*command, sys.executable, "-c", script, stack.redis_url],
        cwd=ROOT, env=stack.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_number_that_the_kernel_gave_again_is_a_death(stack: Stack, unshare: list[str]) -> None:
    stack.ledger.plan([new("a")])
    told = run_in(unshare, stack, REUSED)
    assert re.fullmatch(r"True queued its worker was killed: pid \d+ is another process now", told)


@pytest.mark.parametrize("with_proc", [True, False])
def test_from_another_pid_namespace_nobody_is_dead(stack: Stack, unshare: list[str], with_proc: bool) -> None:
    run_id = registered(stack, replace(ours(), pid=5_000_000))
    command = unshare if with_proc else unshare[:-1]
    script = "\n".join([*REUSED.splitlines()[:9], "Deaths(ledger).look()", "print(System().here() is not None)"])
    assert run_in(command, stack, script) == str(with_proc)
    assert stack.run(run_id).state == "running"
