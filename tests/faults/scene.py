"""The scene of one cell: a Redis of its own, two workers and sometimes a beat, each behind a link that can be cut."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from celery.app.control import Control
from celery.canvas import Signature
from kombu import Connection

from celery_anp.errors import AnpError
from celery_anp.local.embedded.server import LEDGER, RedisServer
from celery_anp.reliability.records import NewRun
from celery_anp.reliability.run import Run
from celery_anp.sending.call import new_id
from celery_anp.sending.draft import draft
from celery_anp.sending.message import built, written
from tests.faults.bodies import Deaths, Ended
from tests.support.doubled import double
from tests.support.eventually import eventually
from tests.support.journal import Journal, Line
from tests.support.linked import LinkedStack
from tests.support.probe import probe
from tests.support.proxy import Proxy
from tests.support.stack import Process
from worker.app import app

#: Seconds of the lease in every cell: short, so that cells are quick; long enough for a busy machine.
LEASE = 3.0
#: A schedule that never comes: a beat that only does upkeep.
NO_TICKS = '[[schedule]]\nname = "never"\ntask = "probe.add"\ncron = "0 0 1 1 *"\ninput = { x = 1, y = 2 }\n'
#: A queue that nobody reads until `Scene.listen`.
LATER = "later"


class Scene:
    """What a cell acts on; also a context manager that ends all of it.

    Args:
        folder: for everything it writes.
        hash_seed: of its first process; see `LinkedStack`.
        **settings: of its processes, by lower-case name.
    """

    def __init__(self, folder: Path, *, hash_seed: int = 0, **settings: str) -> None:
        self.folder = folder
        self.hash_seed = hash_seed
        self.settings = {"lease": f"{LEASE:g}", **settings}
        self.struck = 0.0
        self.outage = 0.0
        self.gates: list[str] = []
        self.watched: list[str] = []
        #: When a fault killed or stopped a process, by its pid.
        self.hit: dict[int, float] = {}
        self.child = 0
        self.victim: Process
        self._open = ExitStack()

    def __enter__(self) -> Self:
        redis_folder = self.folder / "redis"
        self.server = self._open.enter_context(RedisServer(redis_folder, LEDGER))
        self.proxy = self._open.enter_context(Proxy(self.server.port))
        self.stack = LinkedStack(self.folder, self.server, self.proxy, hash_seed=self.hash_seed, **self.settings)
        self.journal = Journal(self.stack.journal)
        self.ledger = self.stack.ledger
        self.broker = self._open.enter_context(Connection(self.server.url))
        self.control = Control(app)
        self.control.mailbox.producer_pool = None  # else it would publish to the app's own Redis
        self._open.push(self.stack)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.server.pid:
            os.kill(self.server.pid, signal.SIGCONT)
        self._open.__exit__(kind, error, trace)

    # -- processes --------------------------------------------------------------------------------

    def two_workers(self) -> None:
        """Two workers with one child each; either may be the victim."""
        workers = [self.stack.worker(concurrency=1, wait=False) for _ in range(2)]
        for worker in workers:
            eventually(partial(self._is_ready, worker), 40, f"{worker.name} to be ready")
        self.victim = workers[0]

    def _is_ready(self, worker: Process) -> bool:
        return " ready." in worker.said()

    def worker_of(self, pid: int) -> Process:
        """The worker that a child belongs to."""
        for process in self.stack.processes:
            if pid in {one.pid for one in process.tree()}:
                return process
        raise AssertionError(f"no worker has a child {pid}")

    def alive(self) -> list[Process]:
        """The processes that run."""
        return [process for process in self.stack.processes if process.process.poll() is None]

    def node_of(self, worker: Process) -> str:
        """The node that a worker is now."""
        return next(node.node for node in self.ledger.nodes() if node.pid == worker.pid)

    def lease_of(self, node: str) -> float:
        """When a node's lease ends (ms); 0 when it has left."""
        return float(self.ledger.store.client.zscore(self.ledger.store.key("nodes"), node) or 0)

    def kill_child(self) -> None:
        """kill -9 of the victim's child; the one that stood at the gate, if one did."""
        pid = self.child or self.victim.children()[0].pid
        self.hit[pid] = time.time()
        os.kill(pid, signal.SIGKILL)

    def hits(self, process: Process) -> Process:
        """Note that a fault kills or stops a process with its children."""
        self.hit |= {one.pid: time.time() for one in process.tree()}
        return process

    def ended(self) -> Ended:
        """Which bodies were ended or stopped: by a fault, or by their own node."""
        told = Deaths(process.said() for process in self.stack.processes)

        def by_a_fault(entry: Line) -> bool:
            return any(entry["at"] < self.hit.get(entry[who], 0) for who in ("pid", "parent"))

        return lambda entry, _: by_a_fault(entry) or told.tell(entry)

    def child_lives(self) -> bool:
        """Whether the child that stood at the gate is still there."""
        return self.child in {process.pid for process in self.victim.children()}

    def resume_child(self) -> None:
        """SIGCONT for the victim's child, while its main process stays stopped."""
        os.kill(self.child, signal.SIGCONT)

    # -- runs -------------------------------------------------------------------------------------

    def input(self, script: Sequence[list[Any]], lock: str) -> dict[str, Any]:
        """What the probe is called with."""
        return {"path": str(self.journal.path), "script": list(script), "lock": lock}

    def draft(self, *script: list[Any], lock: str = "", queue: str = "", **links: Any) -> NewRun:
        """A run of the probe, not planned yet; links as Celery puts them into a message."""
        checked = probe.contract.check((), self.input(script, lock or "own"))
        run_id = new_id(probe.name, None)
        message, name, priority = built(probe, run_id, checked, {"queue": queue} if queue else None)
        message.headers.update(group=links.pop("group", None), group_index=links.pop("group_index", 0))
        message.body[2].update(links)
        return draft(probe, run_id, checked, written(message, name, priority))

    def send(self, *script: list[Any], lock: str = "", queue: str = "", ring: bool = True) -> str:
        """Plan a run and ring, as a beat does.

        Returns:
            Its id; the verdict watches it.
        """
        return self._plan(self.draft(*script, lock=lock, queue=queue), ring=ring)

    def send_chain(self, first: Sequence[list[Any]], second: Sequence[list[Any]]) -> str:
        """Plan the first of two runs that are chained, and ring.

        Returns:
            Its id; the verdict watches both.
        """
        link = self.link(second)
        return self._plan(self.draft(*first, chain=[link]), link.id)

    def send_chord(self, part: Sequence[list[Any]], body: Sequence[list[Any]]) -> str:
        """Plan the only part of a chord, and ring.

        Returns:
            Its id; the verdict watches the chord's body too.
        """
        link, group = self.link(body), str(uuid4())
        self.ledger.store.client.set(app.backend.get_key_for_group(group, ".s"), 1)
        return self._plan(self.draft(*part, group=group, chord=link), link.id)

    def link(self, script: Sequence[list[Any]]) -> Signature:
        """What may follow a run; its id is chosen."""
        return probe.si(**self.input(script, "next")).set(task_id=str(uuid4()))

    def _plan(self, new: NewRun, *following: str, ring: bool = True) -> str:
        assert new.message is not None
        self.ledger.plan([replace(new, message=replace(new.message, held=not ring))])
        self.watched += [new.run_id, *following]
        return new.run_id

    def ring_again(self, run_id: str) -> None:
        """Double a run's message, if it has one."""
        double(self.ledger, run_id)

    def waiting_messages(self) -> int:
        """Messages that nobody has taken."""
        return sum(self.ledger.store.client.llen(queue) for queue in ("default", LATER))

    def listen(self, queue: str) -> None:
        """Let every worker that lives read a queue."""
        self._ask_all("add_consumer", queue=queue)

    def stop_listening(self, queue: str) -> None:
        """Let no worker read a queue."""
        self._ask_all("cancel_consumer", queue=queue)

    def hears(self) -> None:
        """Every worker that lives answers: none is up but stalled."""
        self._ask_all("ping")

    def _ask_all(self, command: str, **arguments: str) -> None:
        for worker in self.alive():
            if worker.name.startswith("worker") and not worker.paused:
                name = f"{worker.name}@{socket.gethostname()}"
                eventually(partial(self._answer, command, arguments, name), 20, f"{name} to answer {command}")

    def _answer(self, command: str, arguments: dict[str, str], worker: str) -> Any:
        return self.control.broadcast(
            command, arguments, connection=self.broker, destination=[worker], reply=True, timeout=1, limit=1
        )

    # -- the moment -------------------------------------------------------------------------------

    def reaches_gate(self, gate: str, run_id: str) -> None:
        """Wait until a process stands at a gate; its worker is the victim."""
        line = eventually(lambda: self.journal.lines("at", name=gate, run=run_id), 20, f"{run_id} to reach {gate}")[-1]
        self.gates.append(gate)
        self.victim = self.worker_of(line["pid"])
        self.child = int(line["pid"])

    def strike(self) -> None:
        """Now the fault happens."""
        self.struck = time.time()

    def open_gates(self) -> None:
        """Let everybody go on."""
        for gate in self.gates:
            self.journal.open(gate)

    def goes_on(self, timeout: float) -> float:
        """Wait until the watched runs do anything after the strike.

        Returns:
            Seconds from the strike to the first line of the last of them.
        """
        return max(self._first_line(run_id, timeout) for run_id in self.watched)

    def _first_line(self, run_id: str, timeout: float) -> float:
        def line() -> Any:
            run = self.ledger.find(run_id)
            later = [
                line for line in self.journal.lines(run=run_id)
                if line["at"] > self.struck and line["event"] != "at" and line["accepted"]
            ]  # fmt: skip
            return later[:1] or ([{"at": self.struck}] if run and run.final else [])

        return float(eventually(line, timeout, f"{run_id} to go on")[0]["at"]) - self.struck

    def works_on(self) -> None:
        """Every worker that lives is a node of the ledger and answers, and a new run succeeds."""
        pids = {worker.pid for worker in self.alive() if worker.name.startswith("worker")}
        eventually(lambda: pids <= {node.pid for node in self.ledger.nodes()}, 20, "every worker to be a node")
        self.hears()
        self.stack.ends(self.send(["effect", "last"], lock="last"), 20)

    def runs(self) -> list[Run]:
        """The watched runs."""
        return [self.ledger.run(run_id) for run_id in self.watched]

    def story(self) -> str:
        """Everything that was recorded, for who looks for the cause of a failure."""
        parts = [f"struck at {datetime.fromtimestamp(self.struck, UTC)}, hash seeds from {self.hash_seed}"]
        with suppress(AnpError):
            parts += [life(run) for run in self.runs()]
        parts += [f"{datetime.fromtimestamp(line.pop('at'), UTC):%H:%M:%S.%f} {line}" for line in self.journal.lines()]
        parts += [f"--- {process.name}\n{process.said()[-4000:]}" for process in self.stack.processes]
        return "\n".join(parts)


def life(run: Run) -> str:
    """What became of a run, line by line."""
    steps = [f"{step.time:%H:%M:%S.%f} {step.after} {step.node} {step.reason}" for step in run.history]
    entries = [f"undo {entry.name} of attempt {entry.attempt}: {entry.outcome} {entry.note}" for entry in run.undo]
    return "\n  ".join([f"{run.run_id}: {run.state}", *steps, *entries])
