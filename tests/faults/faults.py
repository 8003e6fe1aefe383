"""The faults, and what each adds to the time that a run may take to go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from celery_anp.node.deaths import Deaths
from celery_anp.process.place import System
from tests.faults.places import hide, show
from tests.faults.scene import LATER, LEASE, Scene
from tests.faults.steps import Step
from tests.support.eventually import eventually

#: Seconds that Redis is away when it is killed, and when its connections are cut.
RESTART = 1.5
BLIP = 1.0
#: Seconds that something is silent: longer than the lease.
SILENCE = LEASE + 1


@dataclass(frozen=True)
class Fault:
    """One fault."""

    name: str
    #: Lets it happen and, where it ends by itself, end; opens the gates at its worst moment.
    strike: Callable[[Scene, Step], None]
    #: Seconds that Redis is away for all.
    outage: float = 0.0
    #: A process was stopped: it may come back late.
    late: bool = False
    #: The next doorbell may be lost with it.
    doorbell: bool = False
    #: The death can be proved where it happens: nobody waits for the lease.
    proved: bool = False
    #: It needs a beat.
    beat: bool = False

    def __str__(self) -> str:
        return self.name


def last(seconds: float) -> None:
    """How long a fault lasts: the one place where time itself is waited for."""
    time.sleep(seconds)


def kill_tree(scene: Scene, _: Step) -> None:
    """kill -9 of a worker with its children."""
    scene.strike()
    scene.hits(scene.victim).kill()
    scene.open_gates()


def kill_main(scene: Scene, _: Step) -> None:
    """kill -9 of a worker's main process alone; the kernel ends its children."""
    scene.strike()
    os.kill(scene.hits(scene.victim).pid, signal.SIGKILL)
    scene.victim.process.wait(10)
    scene.open_gates()


def kill_and_restart(scene: Scene, step: Step) -> None:
    """kill -9 of a worker; its supervisor starts another one at once."""
    kill_tree(scene, step)
    scene.stack.worker(concurrency=1, wait=False)


def kill_elsewhere(scene: Scene, step: Step) -> None:
    """kill -9 of a worker whose death nobody can see, as on another host."""
    hide(scene.ledger, scene.node_of(scene.victim))
    kill_tree(scene, step)


def kill_and_reuse(scene: Scene, step: Step) -> None:
    """kill -9 of a worker, whose pid is another process by the time that somebody looks."""
    node = scene.node_of(scene.victim)
    place = hide(scene.ledger, node)
    kill_tree(scene, step)
    show(scene.ledger, node, replace(place, pid=os.getpid()))


def reboot(scene: Scene, step: Step) -> None:
    """kill -9 of a worker with its machine; of the next boot a process comes that looks."""
    node = scene.node_of(scene.victim)
    place = hide(scene.ledger, node)
    if not place.machine:
        pytest.skip("in a container no machine is known")
    kill_tree(scene, step)
    show(scene.ledger, node, replace(place, boot=str(uuid4())))
    Deaths(scene.ledger, System(clock=lambda: 0.0)).look()


def kill_child(scene: Scene, _: Step) -> None:
    """kill -9 of the child, its main process lives."""
    scene.strike()
    scene.kill_child()
    scene.open_gates()


def stop_and_continue(scene: Scene, step: Step) -> None:
    """SIGSTOP for longer than the lease; it wakes up when its run has gone on without it."""
    node = scene.node_of(scene.victim)
    scene.strike()
    with scene.journal.alone():
        scene.hits(scene.victim).pause()
    scene.open_gates()
    step.go_on(scene)
    eventually(lambda: node not in {n.node for n in scene.ledger.nodes()}, 4 * LEASE, "the stopped node to be dead")
    scene.goes_on(30)
    if step.held:
        scene.resume_child()  # alone: its main process would kill it, and nothing late would be tried
        eventually(lambda: "was refused" in scene.victim.said(), 10, "the late result to be refused")
    scene.victim.resume()


def kill_beat(scene: Scene, _: Step) -> None:
    """kill -9 of the only beat."""
    scene.strike()
    scene.stack.processes[0].kill()
    scene.open_gates()


def restart_redis(scene: Scene, _: Step) -> None:
    """Redis is killed and started again on its append-only file."""
    assert scene.server.pid
    scene.strike()
    os.kill(scene.server.pid, signal.SIGKILL)
    scene.open_gates()
    last(RESTART)
    scene.server.start()


def freeze_redis(scene: Scene, _: Step) -> None:
    """Redis stands still for longer than the lease."""
    assert scene.server.pid
    scene.strike()
    os.kill(scene.server.pid, signal.SIGSTOP)
    scene.open_gates()
    last(SILENCE)
    os.kill(scene.server.pid, signal.SIGCONT)


def cut_connections(scene: Scene, _: Step) -> None:
    """Every connection is reset, and new ones for a moment."""
    scene.strike()
    scene.proxy.cut(refuse=True)
    scene.open_gates()
    last(BLIP)
    scene.proxy.heal()


def swallow_packets(scene: Scene, step: Step) -> None:
    """The victim's packets are swallowed without a reset, for longer than the lease."""
    scene.strike()
    scene.proxy.swallow(scene.victim.name)
    if step.held:
        scene.goes_on(30)
        assert not scene.child_lives(), "its node could not fence itself in time: two bodies live"
        scene.open_gates()
    else:
        scene.open_gates()
        last(SILENCE)
    scene.proxy.heal()


def double_message(scene: Scene, step: Step) -> None:
    """The same message comes again, twice."""
    scene.strike()
    for run_id in scene.watched * 2:
        scene.ring_again(run_id)
    step.go_on(scene)
    eventually(lambda: scene.waiting_messages() == 0, 10, "the doubled messages to be taken")
    scene.open_gates()


def delete_message(scene: Scene, step: Step) -> None:
    """The message that is rung next is gone from its list before anybody reads it."""
    assert step.next_ring
    scene.stop_listening("default")
    step.next_ring(scene)
    eventually(lambda: scene.waiting_messages() > 0, 10, "a message to delete")
    scene.strike()
    scene.ledger.store.client.delete("default", LATER)
    scene.listen("default")


def rolling_restart(scene: Scene, _: Step) -> None:
    """SIGTERM to a worker while another takes its place; its body goes on when it could have said goodbye before."""
    scene.stack.worker(concurrency=1, wait=False)
    node = scene.node_of(scene.victim)
    scene.victim.process.terminate()
    eventually(lambda: "Warm shutdown" in scene.victim.said(), 20, "the victim to shut down")
    renewed = scene.lease_of(node) + LEASE * 1000 / 2

    def left_or_stays() -> bool:
        lease = scene.lease_of(node)
        return lease == 0 or lease > renewed

    eventually(left_or_stays, 20, "it to leave or to renew its lease")
    scene.strike()
    scene.open_gates()
    assert scene.victim.process.wait(timeout=30) == 0


FAULTS = (
    Fault("kill -9 worker", kill_tree, proved=True),
    Fault("kill -9 main process", kill_main, proved=True),
    Fault("kill -9 worker, restarted", kill_and_restart, proved=True),
    Fault("kill -9 worker, pid reused", kill_and_reuse, proved=True),
    Fault("kill -9 worker, host rebooted", reboot, proved=True),
    Fault("kill -9 worker elsewhere", kill_elsewhere),
    Fault("kill -9 child", kill_child, doorbell=True),  # the pool may hand it to the dead child
    Fault("SIGSTOP and SIGCONT", stop_and_continue, late=True),
    Fault("kill -9 beat", kill_beat, beat=True),
    Fault("Redis restarted", restart_redis, outage=RESTART),
    Fault("Redis frozen", freeze_redis, outage=SILENCE),
    Fault("connections cut", cut_connections, outage=BLIP),
    Fault("packets swallowed", swallow_packets),
    Fault("message doubled", double_message),
    Fault("message deleted", delete_message, doorbell=True),
    Fault("rolling restart", rolling_restart),
)
