"""Real workers and beats that a test starts, kills, pauses and stops, and the journal they write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from redis import Redis

from celery_anp.process import bound
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.run import FINAL, Run
from celery_anp.reliability.store import Store, connect
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """One worker or beat with its children."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The main process."""
        return self.process.pid

    def tree(self) -> list[psutil.Process]:
        """The main process and everything below it."""
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]
        return []

    def children(self) -> list[psutil.Process]:
        """The pool children."""
        return [p for p in self.tree()[1:] if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    @property
    def paused(self) -> bool:
        """Whether it was stopped by a signal."""
        return any(process.status() == psutil.STATUS_STOPPED for process in self.tree()[:1])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the tree."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """kill -9 of the whole tree, and wait until it is gone.

        A child that was forked later holds the main process' broker connection open: Redis would hand the next message
        to nobody.
        """
        tree = self.tree()
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=10)
        eventually(lambda: all(_is_gone(process) for process in tree), 10, f"the children of {self.name} to be gone")

    def pause(self) -> None:
        """SIGSTOP for the whole tree, and wait until it stands still."""
        self.signal(signal.SIGSTOP)
        still = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        eventually(lambda: all(p.status() in still for p in self.tree()), 10, f"{self.name} to stand still")

    def resume(self) -> None:
        """SIGCONT for the whole tree."""
        self.signal(signal.SIGCONT)

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM to the main process; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=timeout)

    def said(self) -> str:
        """What it has logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def _is_gone(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


@dataclass
class Stack:
    """Processes on one Redis; everything it started is gone when it is left.

    Args:
        folder: for logs and the journal.
        redis_url: broker, results and ledger.
        settings: further settings by lower-case name, without `ANP_`.
        variables: further variables of the environment, such as PYTHONHASHSEED, of what is started from now on.
    """

    folder: Path
    redis_url: str
    settings: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        prefix = self.settings.get("prefix", "anp")
        self.ledger = Ledger(Store(connect(self.redis_url), prefix), lease=int(float(self.lease) * 1000))
        self.journal = self.folder / "journal"

    @property
    def lease(self) -> str:
        """The lease of its nodes, in seconds."""
        return self.settings.get("lease", os.environ.get("ANP_LEASE", "15"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            if process.process.poll() is None:
                process.resume()
                process.kill()
        if error is not None:
            for process in self.processes:
                print(f"--- {process.name}\n{process.said()[-4000:]}")
        self.ledger.store.client.close()

    # -- processes --------------------------------------------------------------------------------

    def worker(self, *arguments: str, concurrency: int = 2, app: str = "worker.app", wait: bool = True) -> Process:
        """Start a worker; it is ready when its node is in the ledger and it takes messages."""
        name = f"worker{len(self.processes)}"
        process = self.start(
            name, "-A", app, "worker", "-l", "INFO", "-c", str(concurrency), "-n", f"{name}@%h",
            "--without-gossip", "--without-mingle", *arguments,
        )  # fmt: skip
        if wait:
            eventually(lambda: " ready." in process.said(), 30, f"{name} to be ready")
        return process

    def beat(
        self,
        *arguments: str,
        schedules: str = "",
        app: str = "worker.app",
        wait: bool = True,
        file: str = "schedules.toml",
    ) -> Process:
        """Start a beat on schedules given as TOML, in a file of our folder."""
        name = f"beat{len(self.processes)}"
        path = self.folder / file
        if schedules:
            path.write_text(schedules, encoding="utf-8")
        process = self.start(
            name, "-A", app, "beat", "-S", "celery_anp.beat:Scheduler", "-l", "INFO", *arguments,
            schedules=str(path),
        )  # fmt: skip
        if wait:
            eventually(lambda: "beat has " in process.said(), 30, f"{name} to have its schedules")
        return process

    def start(self, name: str, *arguments: str, **settings: str) -> Process:
        """Start celery with arguments, in a session of its own that dies with us."""
        log = self.folder / f"{name}.log"
        env = self.environment(**settings)
        with log.open("wb") as output:
            child = bound.start([sys.executable, "-m", "celery", *arguments], output=output, env=env, cwd=ROOT)
        process = Process(name, child, log)
        self.processes.append(process)
        return process

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of a process of this stack."""
        anp = {"redis_url": self.redis_url, "lease": self.lease, "tasks": os.environ["ANP_TASKS"]}
        anp |= {"app": os.environ["ANP_APP"]} if "ANP_APP" in os.environ else {}
        anp |= self.settings | settings
        env = {k: v for k, v in os.environ.items() if not k.startswith("ANP_")}
        env |= {f"ANP_{key.upper()}": value for key, value in anp.items()}
        env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(self.folder)]), "PYTHONUNBUFFERED": "1"}
        return env | self.variables

    def anp(self, *arguments: str, file: str = "schedules.toml") -> subprocess.CompletedProcess[str]:
        """Run `anp` as an operator would, on the schedules of a file of our folder."""
        env = self.environment(schedules=str(self.folder / file))
        command = [sys.executable, "-m", "celery_anp", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    # -- what happened ----------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """A run as the ledger has it."""
        return self.ledger.run(run_id)

    def ends(self, run_id: str, timeout: float = 20) -> Run:
        """The run once it is final."""
        return self.reaches(run_id, FINAL, timeout)

    def reaches(self, run_id: str, states: str | Iterable[str], timeout: float = 20) -> Run:
        """The run once it is in one of some states."""
        wanted = {states} if isinstance(states, str) else set(states)

        def there() -> Run | None:
            run = self.ledger.run(run_id)
            assert run.state in wanted, f"{run.state} ({run.reason})"
            return run

        run = eventually(there, timeout, f"{run_id} to be {' or '.join(sorted(wanted))}")
        assert run is not None
        return run

    def lines(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Lines of the journal, those of one event or with some fields only."""
        if not self.journal.exists():
            return []
        lines = [json.loads(line) for line in self.journal.read_text().splitlines()]
        wanted = {**fields, **({"event": event} if event else {})}
        return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]


@contextmanager
def on_empty_redis(folder: Path, settings: dict[str, str] | None = None) -> Iterator[Stack]:
    """A stack for several tests, on this test run's Redis, which is emptied before.

    Args:
        folder: for logs and the journal.
        settings: further settings, as `Stack` takes them.
    """
    url = os.environ["ANP_REDIS_URL"]
    with Redis.from_url(url) as client:
        client.flushall()
    with Stack(folder, url, settings or {}) as stack:
        yield stack
