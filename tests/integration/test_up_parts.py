"""What `anp up` is made of: children that end with us, their supervision, the state folder."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from celery_anp.errors import AnpError, BadSetting
from celery_anp.local import state_folder
from celery_anp.local.state_folder import StateFolder
from celery_anp.process import bound, supervisor
from celery_anp.process.service import Service
from celery_anp.process.supervisor import Supervisor
from celery_anp.settings import environment
from tests.support.eventually import eventually

STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.alarm(60);"
    "print('up', flush=True); signal.pause()"
)
FAMILY = "import subprocess; p=subprocess.Popen(['sleep','60']); print(p.pid, flush=True); p.wait()"


def python(program: str, log: Path, healthy: bool = True) -> Service:
    return Service([sys.executable, "-c", program], log=log, env=environment(), healthy=lambda: healthy)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_child_does_not_outlive_a_killed_parent() -> None:
    program = "import sys, time; from celery_anp.process import bound; "
    program += "print(bound.start(['sleep', '60']).pid, flush=True); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    eventually(lambda: psutil.Process(child).name() == "sleep", what="the child runs")
    parent.kill()
    parent.wait()
    eventually(lambda: gone(child), what="the child is gone")


def test_stopping_a_child_ends_its_process_group(tmp_path: Path) -> None:
    log = tmp_path / "family.log"
    child = python(FAMILY, log)
    child.start()
    grandchild = int(eventually(lambda: log.read_text().strip(), what="the grandchild"))
    child.stop(grace=5)
    assert not child.alive
    eventually(lambda: gone(grandchild), what="the grandchild is gone")


def test_the_group_of_a_child_that_is_dead_already_is_ended_too(tmp_path: Path) -> None:
    log = tmp_path / "family.log"
    child = python(FAMILY, log)
    child.start()
    grandchild = int(eventually(lambda: log.read_text().strip(), what="the grandchild"))
    os.kill(child.pid or 0, signal.SIGKILL)
    eventually(lambda: gone(child.pid or 0), what="the kill took")
    child.stop(grace=5)
    eventually(lambda: gone(grandchild), what="the grandchild is gone")


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    child = python(STUBBORN, tmp_path / "stubborn.log")
    child.start()
    eventually(lambda: child.last_words() == "up")
    child.stop(grace=0.1)
    assert not child.alive


def test_a_program_that_is_not_there_ends_with_127(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as output:
        assert bound.start(["/nonsense"], output=output).wait() == 127
    assert "No such file" in (tmp_path / "log").read_text()


def test_a_child_that_ends_while_starting_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = python("print('no such table'); raise SystemExit(3)", tmp_path / "site.log", healthy=False)
    child.start()
    with pytest.raises(AnpError, match=r"site ended while starting.*no such table"):
        child.wait(10, lambda: True)


def test_a_child_that_died_is_started_again_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)
    child = python("import time; time.sleep(60)", tmp_path / "beat.log")
    watcher = Supervisor()
    watcher.add("beat", child)
    assert watcher.watch() == []
    first = child.pid or 0
    os.kill(first, signal.SIGKILL)
    eventually(lambda: any("died" in said for said in watcher.watch()), what="the death is told")
    eventually(lambda: watcher.watch() and child.alive and child.pid != first, what="it was started again")
    assert watcher.watch() == ["beat died once and was started again"]
    watcher.remove("beat", 5)
    assert not child.alive
    assert watcher.watch() == []


def test_the_pause_before_a_restart_grows_to_its_limit() -> None:
    assert [supervisor.pause(deaths) for deaths in (0, 1, 2, 10)] == [1.0, 2.0, 4.0, 30.0]


def test_one_stack_at_a_time_holds_a_state_folder(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path / "s"), StateFolder(tmp_path / "s")
    assert not second.held()
    first.hold()
    first.publish({"redis_url": "redis://x"}, {})
    assert second.held()
    with pytest.raises(AnpError, match=f"held by process {os.getpid()}"):
        second.hold()
    first.release()
    assert not second.held()
    assert second.stack() == {}
    second.hold()
    second.release()


def test_secrets_of_a_stack_are_for_its_user_only(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "s")
    state.hold()
    state.publish({"redis_url": "redis://:secret@x"}, {"url": "http://x", "user": "anp"})
    password, new = state.flower_password()
    assert (state.flower_password(), new) == ((password, False), True)
    assert len(password) >= 20
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in state.path.iterdir()}
    assert modes == {"lock": 0o600, "log": 0o700, "stack.json": 0o600, "flower-password": 0o600}
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    state.release()


def test_a_long_log_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.hold()
    state.release()
    state.log("beat").write_bytes(b"x" * (state_folder.LONG_LOG + 1))
    state.log("site").write_text("short")
    state.hold()
    state.release()
    assert sorted(log.name for log in state.log("any").parent.iterdir()) == ["beat.log.1", "site.log"]


def test_a_state_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(BadSetting, match="/proc/nothing"):
        StateFolder(Path("/proc/nothing")).hold()
