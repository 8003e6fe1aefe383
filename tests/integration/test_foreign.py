"""An ordinary Celery project with a `worker.py` and `schedules` of its own, on the wheel, away from this repository."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from celery_anp.local.embedded.server import RedisServer
from celery_anp.process import bound
from celery_anp.process.port import free
from tests.support import foreign
from tests.support.eventually import eventually
from tests.support.wheel import Installed

LONG = 60.0
#: Each command is a process, and the first test waits for the wheel, a worker and a beat.
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@dataclass
class Project:
    """The project, with a worker and a beat that it started as every Celery project does."""

    folder: Path
    installed: Installed
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *arguments: str, program: str = "celery", **env: str) -> None:
        """Start `celery`, or `anp`, with arguments."""
        with (self.folder / f"{arguments[2]}.log").open("wb") as log:
            command = [str(self.installed.bin / program), *arguments]
            child = bound.start(command, output=log, env=self.installed.env(**env), cwd=self.folder)
        self.started.append(child)

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `anp` with arguments."""
        return self.installed.run("anp", *arguments, folder=self.folder, COLUMNS="200", **env)

    def told(self, *arguments: str, **env: str) -> str:
        """What `anp` says; it is fine."""
        done = self.run(*arguments, **env)
        assert done.returncode == 0, f"anp {' '.join(arguments)}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def read(self, *arguments: str, **env: str) -> Any:
        """What `anp` says as JSON."""
        return json.loads(self.told(*arguments, "--json", **env))

    def logs(self) -> str:
        """The ends of what worker and beat have said."""
        return "".join(f"\n--- {log.name}\n{log.read_text()[-3000:]}" for log in self.folder.glob("*.log"))


@pytest.fixture(scope="module")
def project(
    installed: Installed, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """The project at work, for all tests here."""
    url = os.environ["ANP_REDIS_URL"]
    with Redis.from_url(url) as client:
        client.flushall()
    made = Project(foreign.write(tmp_path_factory.mktemp("theirs"), url), installed)
    try:
        made.start("-A", "proj", "worker", "-l", "INFO")
        made.start("-A", "proj", "beat", "-S", "anp", "-l", "INFO", ANP_SCHEDULES="night.toml")
        # Beat waits for nobody: its first look at the worker may be before it is there.
        eventually(lambda: "hello ann" in made.run("-A", "proj", "runs", "list").stdout, LONG, "its beat to greet")
        wrong = [answer for answer in made.read("-A", "proj", "status")["answers"] if not answer["ok"]]
        assert wrong == [], "nothing is bad for want of a site"
        yield made
    finally:
        for child in made.started:
            child.terminate()
        for child in made.started:
            child.wait(30)


def names(found: Any) -> list[str]:
    return sorted(one["name"] for one in found)


def test_it_is_named_three_ways_and_looks_for_its_own_broker(project: Project) -> None:
    expected = ["greet", "nightly", "note"]
    assert names(project.read("-A", "proj", "schedules", "list")) == expected
    assert names(project.read("schedules", "list", ANP_APP="proj:app")) == expected
    unnamed = project.run("schedules", "list")
    assert (unnamed.returncode, "-A" in unnamed.stderr) == (1, True), unnamed.stderr
    named = project.folder / "pyproject.toml"
    named.write_text(foreign.PYPROJECT)
    try:
        assert names(project.read("schedules", "list")) == expected
    finally:
        named.unlink()


def test_its_guarded_tasks_are_seen_and_run(project: Project) -> None:
    assert names(project.read("-A", "proj", "tasks", "list")) == ["tasks.fail", "tasks.greet"]
    assert project.read("-A", "proj", "tasks", "show", "tasks.greet")["input"][0]["name"] == "name"
    told = project.read("-A", "proj", "tasks", "run", "tasks.greet", "name=bob", "--key", "once", "--wait")
    assert told["result"] == "hello bob"
    assert project.read("-A", "proj", "runs", "show", told["run_id"])["state"] == "succeeded"
    run = project.read("-A", "proj", "runs", "list", "--schedule", "note", "--limit", "1")[0]
    assert run["state"] in {"queued", "sent"}, "the task that is not guarded is Celery's"
    refused = project.run("-A", "proj", "tasks", "run", "tasks.note")
    assert (refused.returncode, "not guarded" in refused.stderr) == (2, True), refused.stderr
    assert project.run("-A", "proj", "schedules", "trigger", "note").returncode == 0


def test_its_schedules_are_steered(project: Project) -> None:
    of = ("-A", "proj", "schedules")
    assert project.read(*of, "show", "greet")["task"] == "tasks.greet"
    assert project.read(*of, "next", "nightly", "--limit", "2")[0]["schedule"] == "nightly"
    assert project.read(*of, "pause", "greet", "--by", "ada", "--note", "lunch")["in_force"] is True
    assert project.read(*of, "trigger", "greet", "--wait")["result"] == "hello ann"
    skipped = ("-A", "proj", "runs", "list", "--state", "skipped")
    eventually(lambda: any("lunch" in run["reason"] for run in project.read(*skipped)), LONG, "a tick to be skipped")
    assert project.read(*of, "resume", "greet")["in_force"] is False
    assert project.read(*of, "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-03", "--again",
                        "--dry-run")["run"] == 2  # fmt: skip
    assert project.read(*of, "diff", ANP_SCHEDULES="night.toml")["same"] is True


def test_the_checklist_is_of_its_broker_and_tells_whose_owner_is_missing(project: Project) -> None:
    told = project.run("-A", "proj", "check", "--json", ANP_SCHEDULES="night.toml").stdout
    points = json.loads(told)["points"]
    assert any(point["ok"] for point in points if point["area"] == "ledger"), told
    assert [point["wrong"] for point in points if point["area"] == "schedules"] == [
        "not all of it is said of greet, note"
    ]


def test_metrics_are_of_its_broker(project: Project) -> None:
    port = free()
    project.start("-A", "proj", "metrics", "--port", str(port), program="anp")
    page = f"http://127.0.0.1:{port}/metrics"
    eventually(lambda: "tasks.greet" in httpx.get(page).text, LONG, "its runs to be counted")


def test_who_operates_on_a_run_is_told(project: Project) -> None:
    run_id = project.read("-A", "proj", "tasks", "run", "tasks.fail")["run_id"]
    eventually(lambda: project.read("-A", "proj", "runs", "show", run_id)["state"] == "failed", LONG, "the run to fail")
    project.told("-A", "proj", "runs", "retry", run_id, "--by", "ada", "--note", "once more")
    eventually(lambda: project.read("-A", "proj", "runs", "show", run_id)["attempts"] == 2, LONG, "the second attempt")
    assert "retry by ada" in project.told("-A", "proj", "runs", "show", run_id)


def test_a_broken_schedule_file_or_app_stops_no_operator(project: Project) -> None:
    (project.folder / "broken.toml").write_text("[[schedul")
    env = {"ANP_SCHEDULES": "broken.toml", "ANP_REDIS_URL": os.environ["ANP_REDIS_URL"]}
    for app in ("proj", "there_is_no_such_module"):
        env["ANP_APP"] = app
        assert names(project.read("schedules", "list", **env)) == ["greet", "nightly", "note"]
        assert project.read("schedules", "disable", "nightly", **env)["in_force"] is True
        assert project.read("schedules", "enable", "nightly", **env)["in_force"] is False
        assert project.read("schedules", "pause", "note", "--for", "1s", **env)["kind"] == "paused"
        assert project.read("schedules", "next", "greet", "--limit", "1", **env)
        assert project.read("runs", "list", "--limit", "1", **env)
        assert project.run("status", "--json", **env).stdout.startswith("{")
    assert project.run("schedules", "diff", **{**env, "ANP_APP": "proj"}).returncode == 2
