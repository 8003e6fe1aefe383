"""The whole stack in containers: the compose file that ships, with an overlay for the tests, as its own project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import Celery

from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.run import FINAL, Run
from celery_anp.reliability.store import Store, connect
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
IMAGE = "anp:stack-test"
#: The lease of the overlay, in seconds, and what a death may take beyond it.
LEASE, MORE = 3.0, 10.0
JOURNAL = "/var/lib/anp/journal"
EACH_SECOND = """
[[schedule]]
name = "tick"
task = "probe.add"
every = "1s"
input = { x = 1, y = 2 }
overlap = "allow_all"
catchup = "all"
"""


def engine() -> str:
    """Why there is no Docker engine with Compose; empty if there is one."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            return f"`{' '.join(command)}` fails: {done.stderr.strip() or done.stdout.strip()}"
    return ""


@dataclass
class Compose:
    """One project: its files, its containers, and its ledger as seen from here.

    Args:
        folder: for a copy of the compose file, secrets and what the probe needs.
    """

    folder: Path
    name: str = field(default_factory=lambda: f"anptest{uuid4().hex[:8]}")
    #: Every volume that one of its containers has had, also those without a name of ours.
    volumes: set[str] = field(default_factory=set)
    _ledger: Ledger | None = None

    def __post_init__(self) -> None:
        (self.folder / "deploy").mkdir(parents=True)
        for file in ("docker-compose.yml", ".env.example", "deploy/make_secrets.py"):
            shutil.copy(ROOT / file, self.folder / file)
        for folder in ("deploy/prometheus", "deploy/grafana"):
            shutil.copytree(ROOT / folder, self.folder / folder)
        shutil.copy(Path(__file__).with_name("compose.test.yml"), self.folder / "compose.test.yml")
        subprocess.run([sys.executable, "deploy/make_secrets.py"], cwd=self.folder, check=True, capture_output=True)
        (self.folder / "secrets/alert_url").write_text("http://worker-imports:9/?token=tell-nobody", encoding="utf-8")
        probe = self.folder / "probe"
        shutil.copytree(ROOT / "tests/support", probe / "tests/support", ignore=shutil.ignore_patterns("__pycache__"))
        (probe / "tests/__init__.py").touch()
        (probe / "each-second.toml").write_text(EACH_SECOND, encoding="utf-8")
        for path in (probe, *probe.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        for path in (self.folder, *self.folder.parents):
            if path.stat().st_uid == os.geteuid() and path != Path("/tmp"):
                path.chmod(path.stat().st_mode | 0o011)

    @property
    def environment(self) -> dict[str, str]:
        """What the compose file is filled in with."""
        return {
            **os.environ, "COMPOSE_PROJECT_NAME": self.name, "COMPOSE_FILE": "docker-compose.yml:compose.test.yml",
            "ANP_IMAGE": IMAGE, "PROBE": str(self.folder / "probe"), "ANP_UID": self.user, "COMPOSE_PROGRESS": "quiet",
        }  # fmt: skip

    @property
    def user(self) -> str:
        """The user id of the containers: the owner of the secrets."""
        return str((self.folder / "secrets/redis_url").stat().st_uid)

    # -- commands ---------------------------------------------------------------------------------

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """`docker compose …` in this project."""
        return self._run(["docker", "compose", *arguments], check=check, timeout=timeout)

    def docker(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """`docker …`."""
        return self._run(["docker", *arguments], check=check, timeout=timeout)

    def _run(self, command: list[str], *, check: bool, timeout: float) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done

    def build(self) -> None:
        """Build the images from the repository, as `make image` does."""
        env = {**self.environment, "COMPOSE_FILE": "docker-compose.yml"}
        done = subprocess.run(
            ["docker", "compose", "--profile", "demo", "build", "-q", "worker", "redis", "mariadb"],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def up(self, *services: str) -> None:
        """Start what does not run, until it is healthy."""
        self._ledger = None  # another container may have another address
        self("up", "-d", "--no-build", "--wait", "--wait-timeout", "180", *services)
        self._remember_volumes()

    def down(self) -> None:
        """Remove containers, volumes and networks, as `make stack-down` does."""
        self._remember_volumes()
        self("--profile", "*", "down", "-v", "--remove-orphans", "-t", "2", check=False)

    def left(self) -> str:
        """Containers, volumes and networks of this project that are still there."""
        label = f"label=com.docker.compose.project={self.name}"
        kinds = (("ps", "-a"), ("volume", "ls"), ("network", "ls"))
        named = "".join(self.docker(*kind, "-q", "--filter", label).stdout for kind in kinds)
        # The ones that an image declares carry no label of the project.
        there = set(self.docker("volume", "ls", "-q").stdout.split())
        return named + "\n".join(sorted(self.volumes & there))

    def _remember_volumes(self) -> None:
        for container in self("ps", "-aq").stdout.split():
            mounts = self.inspect(container)["Mounts"]
            self.volumes |= {mount["Name"] for mount in mounts if mount["Type"] == "volume"}

    # -- containers -------------------------------------------------------------------------------

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers."""
        return self("ps", "-q", service).stdout.split()

    @contextmanager
    def supervised(self, queue: str, lease: float) -> Iterator[str]:
        """One more worker, with a queue and a lease of its own, whose container the engine starts again when it ends.

        Yields:
            Its container.
        """
        name = f"{self.name}-{queue}"
        self("run", "-d", "--no-deps", "--name", name, "-e", f"ANP_LEASE={lease:g}", "worker", "worker", "-Q", queue)
        try:
            self.docker("update", "--restart", "unless-stopped", name)
            yield name
        finally:
            self.docker("rm", "-f", "-v", name)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", container).stdout)
        return found[0]

    def address(self, service: str) -> str:
        """The address of a service's container on the network behind."""
        networks: Mapping[str, Any] = self.inspect(self.containers(service)[0])["NetworkSettings"]["Networks"]
        return str(networks[f"{self.name}_back"]["IPAddress"])

    def container_of(self, run: Run) -> str:
        """The container whose worker runs a run."""
        # A container's host name is its short id.
        return next(node.host for node in self.ledger().nodes() if node.node == run.node)

    def secret(self, name: str) -> str:
        """One of the secrets."""
        return (self.folder / "secrets" / name).read_text(encoding="utf-8").strip()

    # -- the ledger -------------------------------------------------------------------------------

    @property
    def redis_url(self) -> str:
        """Broker and ledger, over the network behind, which this host can reach."""
        return self.secret("redis_url").replace("@redis:", f"@{self.address('redis')}:")

    def ledger(self) -> Ledger:
        """The ledger."""
        if self._ledger is None:
            self._ledger = Ledger(Store(connect(self.redis_url), "anp"), lease=int(LEASE * 1000))
        return self._ledger

    def send(self, *script: list[Any], key: str, queue: str = "default") -> str:
        """Enqueue a probe; its run id. By a plain producer: it is quick, so that the run still runs when we look."""
        producer = Celery("producer", broker=self.redis_url, set_as_current=False)
        producer.conf.task_default_queue = queue
        fields = {"path": JOURNAL, "script": list(script), "lock": key}
        with producer.connection_for_write() as connection:
            producer.send_task("probe", kwargs=fields, task_id=f"probe#{key}", connection=connection)
        return f"probe#{key}"

    def journal(self, run_id: str, event: str) -> list[dict[str, Any]]:
        """Lines that a run's bodies have written."""
        done = self("exec", "-T", "beat", "cat", JOURNAL, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [line for line in lines if line.get("run") == run_id and line["event"] == event]

    def unbroken_ticks(self) -> list[Run]:
        """The ticks of the schedule that ticks each second, once they go on: none is missing or there twice."""

        def ticks() -> list[Run]:
            return sorted(self.ledger().runs(1000, schedule="tick"), key=lambda run: run.run_id)

        newest = ticks()[-1].run_id
        eventually(lambda: ticks()[-1].run_id > newest, 60, "ticks to go on")
        runs = ticks()[:-3]
        times = [run.tick for run in runs if run.tick]
        assert [f"{a} -> {b}" for a, b in pairwise(times) if b - a != timedelta(seconds=1)] == []
        return runs

    def reaches(self, run_id: str, states: frozenset[str] | set[str] = FINAL, timeout: float = 60) -> Run:
        """The run once it is in one of some states."""

        def there() -> Run | None:
            run = self.ledger().run(run_id)
            assert run.state in states, f"{run.state} ({run.reason})"
            return run

        run = eventually(there, timeout, f"{run_id} to be {' or '.join(sorted(states))}")
        assert run is not None
        return run
