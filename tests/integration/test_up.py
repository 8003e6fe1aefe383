"""`anp up`: one command starts everything, and whatever ends it leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from celery_anp.settings import environment, settings
from tests.support.eventually import eventually

#: Seconds for a whole stack to start on a busy machine.
START = 60
EVERY_SECOND = """
[[schedule]]
name = "beat-of-heart"
task = "maintenance.heartbeat"
every = "1s"
catchup = "skip"
"""
BROKEN = """
import time

from worker.app import app

@app.task(name="broken", owner="tests", expects="nothing", no_rollback="does nothing")
def broken() -> None:
    raise ValueError("as ever")

broken.retries = type(broken.retries)(max=0)

@app.task(name="long", owner="tests", expects="patience", no_rollback="does nothing")
def long() -> None:
    time.sleep(60)
"""


class Up:
    """One `anp up` on a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.out = folder / "out.txt"
        (folder / "schedules.toml").write_text(EVERY_SECOND)
        self.env = {name: value for name, value in environment().items() if not name.startswith("ANP_")}
        self.env |= {"ANP_REDIS_SERVER": settings().redis_server}
        self.env |= {"ANP_SCHEDULES": str(folder / "schedules.toml"), "ANP_STATE": str(self.state)}
        self.seen: set[psutil.Process] = set()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, before: tuple[str, ...] = ()) -> psutil.Process:
        command = [*before, sys.executable, "-m", "celery_anp", "up", *arguments]
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(command, env=self.env, stdout=out, stderr=out)
        return psutil.Process(self.process.pid)

    def with_tasks(self, module: str) -> None:
        (self.folder / "further.py").write_text(module)
        self.env |= {"ANP_TASKS": "further", "PYTHONPATH": str(self.folder)}

    def ready(self) -> None:
        eventually(lambda: self.ended() or "beat-of-heart@" in self.said(), START, "the first run is told")
        assert not self.ended(), self.said()
        self.look()

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def look(self) -> set[psutil.Process]:
        assert self.process is not None
        self.seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        return self.seen

    def said(self) -> str:
        return self.out.read_text()

    def left(self) -> list[psutil.Process]:
        return [p for p in self.seen if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def anp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "celery_anp", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def end(self) -> None:
        for process in (self.process, *self.left()):
            if process is not None and psutil.pid_exists(process.pid):
                process.kill()
        if self.process is not None:
            self.process.wait()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path)
    yield made
    made.end()


def test_it_stops_by_itself_meets_its_schedules_and_leaves_one_row_per_tick_and_no_process(stack: Up) -> None:
    stack.start("--for", "4")
    stack.ready()
    assert stack.process is not None
    assert stack.process.wait(START) == 0, stack.said()
    assert stack.left() == []
    assert "met its expected result" in stack.said()
    listed = stack.anp("runs", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    ticks = sorted(datetime.fromisoformat(row["tick"]) for row in json.loads(listed.stdout))
    assert len(ticks) >= 3
    assert {after - before for before, after in pairwise(ticks)} == {timedelta(seconds=1)}


@pytest.mark.long
def test_the_other_commands_find_it_while_it_runs_and_after_it_has_stopped(stack: Up) -> None:
    stack.start()
    stack.ready()
    status = stack.anp("status", "--json")
    assert status.returncode == 0, status.stdout
    assert [answer["ok"] for answer in json.loads(status.stdout)["answers"]] == [True] * 4
    assert stack.anp("health", "worker").returncode == stack.anp("health", "redis").returncode == 0
    done = stack.anp("tasks", "run", "maintenance.heartbeat", "--key", "once", "--wait", "--json")
    assert (done.returncode, json.loads(done.stdout)["run_id"]) == (0, "maintenance.heartbeat#once")
    second = stack.anp("up")
    assert (second.returncode, "runs already" in second.stderr) == (1, True)
    assert stack.process is not None
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(START) == 0, stack.said()
    with ThreadPoolExecutor() as several:
        show = partial(stack.anp, "runs", "show")
        for shown in several.map(show, ["maintenance.heartbeat#once"] * 3):
            assert (shown.returncode, "succeeded" in shown.stdout) == (0, True), shown.stderr
    assert stack.anp("status").returncode == 1
    refused = stack.anp("tasks", "run", "maintenance.heartbeat")
    assert (refused.returncode, "anp up" in refused.stderr) == (1, True)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_of_it(stack: Up, number: signal.Signals) -> None:
    stack.start()
    stack.ready()
    assert stack.process is not None
    stack.process.send_signal(number)
    assert stack.process.wait(START) == 0, stack.said()
    assert stack.left() == []
    assert not (stack.state / "stack.json").exists()


@pytest.mark.long
def test_a_second_signal_does_not_wait_for_a_long_run(stack: Up) -> None:
    stack.with_tasks(BROKEN)
    stack.start()
    stack.ready()
    assert stack.anp("tasks", "run", "long", "--key", "it").returncode == 0
    eventually(lambda: "running" in stack.anp("runs", "list", "--task", "long").stdout, START, "it runs")
    assert stack.process is not None
    began = time.monotonic()
    stack.process.send_signal(signal.SIGINT)
    eventually(lambda: part(stack, "beat") is None, START, "it is stopping")
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(START) == 0, stack.said()
    assert time.monotonic() - began < 15
    assert stack.left() == []


def test_a_signal_during_the_start_stops_all_of_it(stack: Up) -> None:
    stack.start()
    eventually(lambda: (stack.state / "stack.json").exists() and len(stack.look()) >= 3, START, "it is starting")
    assert stack.process is not None
    stack.process.send_signal(signal.SIGTERM)
    stack.process.wait(START)
    assert stack.left() == []


def test_killed_hard_it_leaves_no_process(stack: Up) -> None:
    stack.start()
    stack.ready()
    assert len(stack.look()) >= 8
    assert stack.process is not None
    stack.process.kill()
    stack.process.wait()
    eventually(lambda: not stack.left(), 10, "every process is gone")
    assert stack.anp("runs", "list").returncode == 0


@pytest.mark.long
def test_it_stops_when_the_process_that_started_it_dies(stack: Up) -> None:
    shell = stack.start(before=("sh", "-c", '"$@" & wait', "sh"))
    stack.ready()
    shell.kill()
    eventually(lambda: not stack.left(), START, "every process is gone")


@pytest.mark.long
def test_a_part_that_dies_is_started_again_and_it_is_said(stack: Up) -> None:
    stack.start()
    stack.ready()
    for name in ("worker", "redis"):
        first = part(stack, name)
        assert first is not None
        first.kill()
        eventually(partial(says, stack, f"{name} died once and was started again"), START)
    before = stack.said().count("succeeded")
    eventually(lambda: stack.said().count("succeeded") > before, START, "work goes on")
    eventually(lambda: not any(map(is_zombie, stack.look())), START, "no zombie is left")


@pytest.mark.long
def test_a_schedule_that_does_not_meet_its_expected_result_fails_it(stack: Up) -> None:
    stack.with_tasks(BROKEN)
    (stack.folder / "schedules.toml").write_text(
        EVERY_SECOND + '[[schedule]]\nname = "bad"\ntask = "broken"\nevery = "1s"\n'
    )
    stack.start("--for", "4")
    assert stack.process is not None
    assert stack.process.wait(START) == 1
    verdict = [line for line in stack.said().splitlines() if line.startswith("! ")]
    assert len(verdict) == 1
    assert verdict[0].startswith("! bad: bad@")
    assert "as ever" in verdict[0]


def test_a_wrong_schedule_is_told_before_anything_is_started(stack: Up) -> None:
    (stack.folder / "schedules.toml").write_text(EVERY_SECOND.replace("1s", "often"))
    stack.start()
    assert stack.process is not None
    assert stack.process.wait(START) == 2
    assert "beat-of-heart" in stack.said()
    assert "Traceback" not in stack.said()
    assert not stack.state.exists()


def part(stack: Up, name: str) -> psutil.Process | None:
    """The process of a part: a child that was called so, or that works in a folder of that name."""
    assert stack.process is not None
    for child in psutil.Process(stack.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.cwd() == str(stack.state / name) or child.cmdline()[-1:] == [name]:
                return child
    return None


def says(stack: Up, words: str) -> bool:
    return words in stack.said()


def is_zombie(process: psutil.Process) -> bool:
    return process.is_running() and process.status() == psutil.STATUS_ZOMBIE
