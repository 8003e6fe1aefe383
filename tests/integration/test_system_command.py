"""`system.command` runs real programs: what the allow-list says, in a group of its own, for as long as it may."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from celery_anp.errors import BadDeclaration, BadInput, BadSetting
from celery_anp.process import group
from celery_anp.reliability.rollback import Entry
from celery_anp.settings import read
from celery_anp.tasks import allow_list
from celery_anp.tasks.system import CommandFailedError, command
from tests.support.eventually import eventually
from tests.support.stack import Stack

ENVIRONMENT = {"PATH": os.defpath}
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the allow-list and names it in the settings."""

    def to_file(text: str) -> Path:
        path = tmp_path / "commands.toml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        monkeypatch.setenv("ANP_COMMANDS", str(path))
        read.cache_clear()
        return path

    yield to_file
    read.cache_clear()


def sh(script: str, **options: Any) -> group.Outcome:
    return group.run(["/bin/sh", "-c", script], environment=ENVIRONMENT, **{"time_limit": 20, **options})


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def number_in(path: Path) -> int:
    return int(eventually(lambda: path.exists() and path.read_text().strip(), what=f"a number in {path.name}"))


def test_both_streams_are_kept_in_order() -> None:
    assert sh("echo one; echo two >&2; echo three").tail == "one\ntwo\nthree\n"


def test_only_the_end_of_a_long_output_is_kept() -> None:
    outcome = sh("seq 1 20000; echo end")
    assert len(outcome.tail) == group.TAIL
    assert outcome.tail.endswith("20000\nend\n")


def test_output_that_is_no_text_does_not_break_the_run() -> None:
    assert "�" in sh(r"printf '\377\376'").tail


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_code_is_that_of_a_shell(script: str, code: int) -> None:
    assert sh(script).exit_code == code


def test_a_program_that_is_not_there_is_127_and_named() -> None:
    outcome = group.run(["no-such-program"], environment=ENVIRONMENT, time_limit=5)
    assert outcome.exit_code == 127
    assert "no-such-program" in outcome.tail


def test_words_reach_the_program_as_they_are() -> None:
    odd = ["$HOME", "a b", "*", ";", "ü"]
    code = "import sys; print(sys.argv[1:])"
    outcome = group.run([sys.executable, "-c", code, *odd], environment=ENVIRONMENT, time_limit=20)
    assert outcome.tail.strip() == repr(odd)


def test_a_command_that_reads_gets_no_input() -> None:
    assert sh("cat; echo done").tail == "done\n"


def test_signals_are_as_a_fresh_program_expects_them() -> None:
    assert sh("yes | head -n 1; echo ${?}").tail == "y\n0\n"
    code = "import signal; print([s.name for s in (signal.SIGTERM, signal.SIGCHLD) if signal.getsignal(s) != 0])"
    assert group.run([sys.executable, "-c", code], environment=ENVIRONMENT, time_limit=20).tail == "[]\n"


def test_the_time_limit_asks_first() -> None:
    outcome = sh("trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done", time_limit=0.5)
    assert (outcome.exit_code, outcome.killed) == (7, "time limit")
    assert outcome.tail.endswith("bye\n")


def test_the_time_limit_ends_a_whole_group_that_does_not_listen(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {pid}; while :; do sleep 1; done' & wait; sleep 60"
    outcome = sh(script, time_limit=0.5, grace=0.3)
    assert (outcome.exit_code, outcome.killed) == (137, "time limit")
    eventually(lambda: not alive(number_in(pid)), what="the grandchild is gone")


def test_what_a_command_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    outcome = sh(f"sleep 300 & echo $! > {pid}")
    assert outcome.exit_code == 0
    eventually(lambda: not alive(number_in(pid)), what="the leftover is gone")


def test_a_command_that_closes_its_output_is_still_waited_for() -> None:
    assert sh("exec >&- 2>&-; sleep 0.4; exit 4").exit_code == 4


def test_a_stop_ends_it() -> None:
    asked = iter([False, True, True, True])
    assert sh("sleep 60", stop=lambda: next(asked)).killed == "stopped"


def test_a_killed_caller_takes_the_whole_group_along(tmp_path: Path) -> None:
    child, grandchild = tmp_path / "child", tmp_path / "grandchild"
    script = f"echo $$ > {child}; sleep 300 & echo $! > {grandchild}; wait"
    code = "from celery_anp.process import group; "
    code += f"group.run(['/bin/sh', '-c', {script!r}], time_limit=300, environment={{}})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as caller:
        pids = [number_in(child), number_in(grandchild)]
        assert all(map(alive, pids))
        caller.send_signal(signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)), what="command and grandchild are gone")


def test_a_run_gives_exit_code_time_and_output(write: Write, tmp_path: Path) -> None:
    write(f"""
        [[command]]
        name = "hello"
        argv = ["/bin/sh", "-c", "pwd; echo $GREETING $RUN_ID"]
        directory = "{tmp_path}"
        environment = {{ GREETING = "servus" }}
    """)
    ended = command("hello")
    assert ended.exit_code == 0
    assert ended.tail.splitlines() == [str(tmp_path), "servus"]
    assert 0 < ended.seconds < 20


def test_a_command_does_not_see_our_secrets(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANP_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    write('[[command]]\nname = "env"\nargv = ["env"]\n')
    tail = command("env").tail
    assert "PATH=" in tail
    assert "secret" not in tail


def test_another_exit_code_fails_and_says_its_last_words(write: Write) -> None:
    write('[[command]]\nname = "bad"\nargv = ["/bin/sh", "-c", "echo disk full; exit 3"]\n')
    with pytest.raises(CommandFailedError, match=r"Expected: exit code 0 .* Given: exit code 3.*disk full"):
        command("bad")


def test_exit_codes_that_count_as_success_are_those_of_the_list(write: Write) -> None:
    write('[[command]]\nname = "grep"\nargv = ["/bin/sh", "-c", "exit 1"]\nok_exit_codes = [0, 1]\n')
    assert command("grep").exit_code == 1


def test_a_time_limit_fails_the_run(write: Write) -> None:
    write('[[command]]\nname = "slow"\nargv = ["sleep", "60"]\ntimeout = "1s"\n')
    with pytest.raises(CommandFailedError, match="ended by time limit"):
        command("slow")


def test_a_rollback_runs_the_undo_of_the_list(write: Write, tmp_path: Path) -> None:
    effect = tmp_path / "effect"
    write(f'''
        [[command]]
        name = "half"
        argv = ["/bin/sh", "-c", "touch {effect}; exit 3"]
        undo = ["rm", "{effect}"]
    ''')
    with pytest.raises(CommandFailedError):
        command("half")
    assert effect.exists()
    command.rollback([Entry("command", {"command": "half"}, 0)], "half")
    assert not effect.exists()


def test_a_cancelled_run_ends_its_command_and_then_its_undo_is_not_stopped(
    stack: Stack, write: Write, tmp_path: Path
) -> None:
    pid, undone = tmp_path / "pid", tmp_path / "undone"
    path = write(f"""
        [[command]]
        name = "long"
        argv = ["/bin/sh", "-c", "echo $$ > {pid}; exec sleep 60"]
        undo = ["/bin/sh", "-c", "sleep 0.5; touch {undone}"]
    """)
    stack.settings["commands"] = str(path)
    stack.worker(concurrency=1)
    result = command.delay("long")
    sleeper = number_in(pid)
    stack.ledger.operate(result.id, "cancel", "tests")
    run = stack.ends(result.id)
    assert (run.state, run.attempts, [entry.outcome for entry in run.undo]) == ("rolled_back", 2, ["undone"])
    assert run.error is not None
    assert "ended by stopped" in run.error["message"]
    assert (alive(sleeper), undone.exists()) == (False, True)


def test_a_command_that_cannot_be_undone_fails_and_one_with_too_little_time_is_not_begun(
    stack: Stack, write: Write, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    path = write(f"""
        [[command]]
        name = "once"
        argv = ["false"]
        [[command]]
        name = "slow"
        argv = ["touch", "{begun}"]
        timeout = "2h"
    """)
    stack.settings["commands"] = str(path)
    stack.worker(concurrency=1)
    run = stack.ends(command.delay("once").id)
    assert (run.state, [entry.outcome for entry in run.undo]) == ("failed", ["skipped"])
    assert "exit code 1" in run.reason
    short = stack.ends(command.apply_async(("slow",), time_limit=3600).id)
    assert (short.state, begun.exists()) == ("failed", False)
    assert "a time limit of at least 7260 s" in short.reason
    assert stack.ends(command.delay("slow").id).state == "succeeded"


def test_a_rollback_without_undo_is_skipped_and_says_so(write: Write) -> None:
    write('[[command]]\nname = "once"\nargv = ["false"]\n')
    entry = Entry("command", {"command": "once"}, 0)
    command.rollback([entry], "once")
    assert entry.skipped == "once has no undo in the allow-list"


def test_an_unknown_name_is_refused_when_enqueued(write: Write) -> None:
    write('[[command]]\nname = "backup"\nargv = ["true"]\n')
    with pytest.raises(BadInput, match="Did you mean 'backup'"):
        command.validate_input((), {"command": "bakup"})
    with pytest.raises(BadInput, match="Did you mean 'backup'"):
        command("bakup")


def test_without_a_list_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANP_COMMANDS", raising=False)
    read.cache_clear()
    with pytest.raises(BadSetting, match="ANP_COMMANDS is not set"):
        command("anything")
    read.cache_clear()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[command]]\nname = "a"\nargv = []\n', "argv: List should have at least 1 item"),
        ('[[command]]\nname = "a"\nargv = "rm -rf"\n', "argv: Input should be a valid list"),
        ('[[command]]\nname = "a"\nargs = ["x"]\n', "args is not known. Did you mean 'argv'?"),
        ('[[command]]\nname = "a"\nargv = ["x"]\ntimeout = "soon"\n', "timeout: a duration"),
        ('[[command]]\nname = "a"\nargv = ["x"]\ntimeout = "8d"\n', "less than or equal to 604800"),
        ('[[command]]\nname = "a"\nargv = ["x"]\n' * 2, "declared twice"),
        ('[[commands]]\nname = "a"\n', "only [[command]] entries"),
        ("command = [", "is not TOML"),
    ],
)
def test_an_allow_list_that_cannot_be_right_is_refused(write: Write, text: str, said: str) -> None:
    with pytest.raises(BadDeclaration) as caught:
        allow_list.allowed(write(text))
    assert said in str(caught.value)


def test_a_list_that_everybody_may_write_is_refused(write: Write) -> None:
    path = write('[[command]]\nname = "a"\nargv = ["true"]\n')
    path.chmod(0o666)
    with pytest.raises(BadSetting, match="written by everybody"):
        command("a")
