"""Random faults over time: what happens when, chosen by a seed, and how each of them ends."""

from __future__ import annotations

import os
import random
import sched
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
from redis.exceptions import RedisError

from celery_anp.errors import AnpError
from tests.faults.places import hide
from tests.faults.scene import LEASE, Scene
from tests.support.stack import Process

#: Seconds between two faults, at least and at most.
PAUSE = (1.5, 6.0)
#: Seconds between two looks for processes that ended by themselves.
LOOK = 0.1
#: What is no fault, and yet ends a worker's bodies: it had stalled, or it failed.
LEFT = "left by itself"


@dataclass(frozen=True)
class Strike:
    """One fault that hit something."""

    at: float
    what: str
    #: Processes that it killed, stopped or cut off.
    pids: frozenset[int] = frozenset()


@dataclass
class Storm:
    """Faults on a scene, one after the other and over each other; never two outages of Redis at once.

    Args:
        scene: its processes.
        seed: of the choice.
    """

    scene: Scene
    seed: int
    strikes: list[Strike] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.agenda = sched.scheduler(time.time, time.sleep)
        self.until = 0.0
        self.redis_is_away = False
        self.ended: set[str] = set()
        self.by_themselves: list[str] = []
        kinds = [
            (3, self.kill_worker), (2, self.kill_elsewhere), (4, self.kill_child), (4, self.stop_worker),
            (3, self.kill_beat), (2, self.stop_beat), (2, self.restart_redis), (2, self.freeze_redis),
            (2, self.cut_all), (3, self.swallow_one), (4, self.double_message), (4, self.delete_messages),
            (2, self.replace_worker),
        ]  # fmt: skip
        self.weights = [weight for weight, _ in kinds]
        self.kinds: list[Callable[[], None]] = [kind for _, kind in kinds]

    def blow(self, seconds: float) -> None:
        """Let faults happen for some time, and end all of them."""
        self.until = time.time() + seconds
        self._after(PAUSE[1], self._strike)
        self._after(LOOK, self._replace_who_left)
        self.agenda.run()

    def _strike(self) -> None:
        """One fault, and the next one later."""
        if time.time() < self.until:
            self._after(self.chance.uniform(*PAUSE), self._strike)
            self.chance.choices(self.kinds, self.weights)[0]()

    # -- workers and beats ------------------------------------------------------------------------

    def kill_worker(self) -> None:
        """kill -9 of a worker tree; another one takes its place."""
        worker = self._one("worker")
        if worker is None:
            return
        self._kill(worker, "kill -9 worker")

    def kill_elsewhere(self) -> None:
        """kill -9 of a worker tree whose death nobody can see; another one takes its place."""
        worker = self._one("worker")
        if worker is None:
            return
        with suppress(RedisError, AnpError, StopIteration, AssertionError):  # Redis is away, or it is no node yet
            hide(self.scene.ledger, self.scene.node_of(worker))
        self._kill(worker, "kill -9 worker elsewhere")

    def _kill(self, worker: Process, what: str) -> None:
        self._struck(what, worker)
        self.ended.add(worker.name)
        worker.kill()
        self._after(self.chance.uniform(0, 3), self._new_worker)

    def kill_child(self) -> None:
        """kill -9 of one child."""
        worker = self._one("worker")
        children = worker.children() if worker else []
        if children:
            child = self.chance.choice(children)
            self.strikes.append(Strike(time.time(), "kill -9 child", frozenset({child.pid})))
            with suppress(psutil.Error):
                child.kill()

    def stop_worker(self) -> None:
        """SIGSTOP of a worker tree, shorter or longer than its lease."""
        self._stop(self._one("worker"), "SIGSTOP worker")

    def kill_beat(self) -> None:
        """kill -9 of a beat; another one takes its place."""
        beat = self._one("beat")
        if beat is None:
            return
        self._struck("kill -9 beat", beat)
        self.ended.add(beat.name)
        beat.kill()
        self._after(self.chance.uniform(0, 3), self._new_beat)

    def stop_beat(self) -> None:
        """SIGSTOP of a beat."""
        self._stop(self._one("beat"), "SIGSTOP beat")

    def replace_worker(self) -> None:
        """SIGTERM to a worker while another takes its place."""
        worker = self._one("worker")
        if worker is None:
            return
        self._struck("SIGTERM worker", worker)
        self.ended.add(worker.name)
        worker.process.terminate()
        self._new_worker()

    def _stop(self, process: Process | None, what: str) -> None:
        if process is None:
            return
        self._struck(what, process)
        with self.scene.journal.alone():
            process.pause()
        self._after(self.chance.uniform(0.5, 2 * LEASE), process.resume)

    def _new_worker(self) -> None:
        self.scene.stack.worker(concurrency=2, wait=False)

    def _new_beat(self) -> None:
        self.scene.stack.beat(wait=False)

    def _replace_who_left(self) -> None:
        """What a supervisor does for a process that ended by itself."""
        if time.time() >= self.until:
            return
        self._after(LOOK, self._replace_who_left)
        for process in self.scene.stack.processes:
            if process.process.poll() is not None and process.name not in self.ended:
                self.ended.add(process.name)
                self.by_themselves.append(f"{process.name}, code {process.process.returncode}")
                self.strikes.append(Strike(time.time(), LEFT, frozenset({process.pid})))
                self._after(1.0, self._new_worker if process.name.startswith("worker") else self._new_beat)

    def _one(self, kind: str) -> Process | None:
        """One that lives, is not on its way out and not stopped; None when there is none."""
        living = [process for process in self.scene.alive() if process.name.startswith(kind)]
        left = [process for process in living if process.name not in self.ended and not process.paused]
        return self.chance.choice(left) if left else None

    # -- Redis, its connections and its messages --------------------------------------------------

    def restart_redis(self) -> None:
        """Redis is killed and started again."""
        if self._redis_goes("Redis restarted"):
            assert self.scene.server.pid
            os.kill(self.scene.server.pid, signal.SIGKILL)
            self._after(self.chance.uniform(0.2, LEASE), self._redis_starts)

    def freeze_redis(self) -> None:
        """Redis stands still."""
        if self._redis_goes("Redis frozen"):
            pid = self.scene.server.pid
            assert pid
            os.kill(pid, signal.SIGSTOP)
            self._after(self.chance.uniform(0.5, 2 * LEASE), lambda: self._redis_goes_on(pid))

    def cut_all(self) -> None:
        """Every connection is reset, and new ones are refused for a moment."""
        if self._redis_goes("connections cut"):
            self.scene.proxy.cut(refuse=True)
            self._after(self.chance.uniform(0.1, 2), self._connections_heal)

    def swallow_one(self) -> None:
        """What one process sends and gets is swallowed."""
        process = self.chance.choice([p for p in self.scene.alive() if not p.paused])
        self._struck("packets swallowed", process)
        self.scene.proxy.swallow(process.name)
        self._after(self.chance.uniform(0.5, 2 * LEASE), lambda: self.scene.proxy.heal(process.name))

    def double_message(self) -> None:
        """Messages come again: of runs that wait, run or have ended."""
        with suppress(RedisError, Exception):
            runs = self.scene.ledger.runs(20)
            for run in self.chance.sample(runs, min(3, len(runs))):
                self.scene.ring_again(run.run_id)
        self.strikes.append(Strike(time.time(), "message doubled"))

    def delete_messages(self) -> None:
        """Messages that nobody has taken yet are gone."""
        if not self.redis_is_away:
            with suppress(RedisError):
                self.scene.ledger.store.client.delete("default")
            self.strikes.append(Strike(time.time(), "messages deleted"))

    def _redis_goes(self, what: str) -> bool:
        if self.redis_is_away:
            return False
        self.redis_is_away = True
        self.strikes.append(Strike(time.time(), what, self._pids(*self.scene.alive())))
        return True

    def _redis_starts(self) -> None:
        self.scene.server.start()
        self.redis_is_away = False

    def _redis_goes_on(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)
        self.redis_is_away = False

    def _connections_heal(self) -> None:
        self.scene.proxy.heal()
        self.redis_is_away = False

    # -- time -------------------------------------------------------------------------------------

    def _after(self, seconds: float, action: Callable[[], object]) -> None:
        self.agenda.enter(seconds, 0, action)

    def _struck(self, what: str, process: Process) -> None:
        self.strikes.append(Strike(time.time(), what, self._pids(process)))

    def _pids(self, *processes: Process) -> frozenset[int]:
        return frozenset(one.pid for process in processes for one in process.tree())
