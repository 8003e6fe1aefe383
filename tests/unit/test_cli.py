"""The command line as a user meets it: exit codes, messages, one document on stdout."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from celery_anp.cli import by, main, printing
from celery_anp.cli.tasks import parsed
from celery_anp.errors import BadInput
from celery_anp.settings import environment

Anp = Callable[..., subprocess.CompletedProcess[str]]
SCHEDULE = '[[schedule]]\nname = "beat-of-heart"\ntask = "maintenance.heartbeat"\ncron = "0 3 * * *"\n'


@pytest.fixture
def anp(tmp_path: Path) -> Anp:
    """Runs `anp` in an empty folder with a clean environment."""
    clean = {name: value for name, value in environment().items() if not name.startswith("ANP_")}
    (tmp_path / "s.toml").write_text(SCHEDULE)
    clean |= {"ANP_APP": "worker.app:app", "ANP_SCHEDULES": str(tmp_path / "s.toml"), "COLUMNS": "200"}

    def run(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "celery_anp", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=clean | env, input=stdin, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tasks", "show", "maintenance.hartbeat"), "maintenance.heartbeat"),
        (("tasks", "run", "maintenance.heartbeat", "sitee=1"), "does not fit"),
        (("tasks", "run", "maintenance.heartbeat", "nonsense"), "field=value"),
        (("schedules", "next", "beat-of-hart"), "beat-of-heart"),
        (("schedules", "import-cron", "/nowhere"), "No such file"),
        (("status", "--window", "soon"), "duration"),
        (("flower",), "ANP_FLOWER_PASSWORD"),
        (("flwer",), "flower"),
        (("runs", "list", "--limit", "0"), "--limit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage_ends_with_2_and_says_what_would_be_right(anp: Anp, arguments: tuple[str, ...], said: str) -> None:
    done = anp(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_an_app_it_says_how_to_name_one(anp: Anp) -> None:
    done = anp("tasks", "list", ANP_APP="")
    assert (done.returncode, "-A module" in done.stderr) == (2, True)


@pytest.mark.parametrize(("app", "said"), [("wrker.app", "No module named 'wrker'"), ("worker.app:ap", "has no 'ap'")])
def test_an_app_that_is_not_there_is_told_with_what_is_missing(anp: Anp, app: str, said: str) -> None:
    done = anp("-A", app, "tasks", "list")
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_every_command_of_every_group_is_there_and_helps(anp: Anp) -> None:
    command: Any = typer.main.get_command(main.app)
    context = command.make_context("anp", ["status"], resilient_parsing=True)
    for name in main.COMMANDS:
        group = command.get_command(context, name)
        assert group is not None, name
        assert group.help, name
        if isinstance(group, click.Group):
            listed = group.list_commands(context)
            assert len(listed) > 1, f"{name} has commands"
            commands = [group.get_command(context, one) for one in listed]
            assert all(found and found.help for found in commands), name
    assert "--install-completion" not in anp("schedules", "--help").stdout


def test_a_command_that_only_looks_at_the_ledger_imports_no_app(anp: Anp) -> None:
    done = anp("-A", "not.there", "runs", "list", ANP_REDIS_URL="redis://127.0.0.1:1/0")
    assert (done.returncode, "127.0.0.1:1" in done.stderr) == (1, True)


def test_a_wrong_setting_is_named_with_a_near_one(anp: Anp) -> None:
    for command, app in ((("runs", "list"), ""), (("tasks", "list"), "worker.app:app")):
        done = anp(*command, ANP_REDIS_ULR="redis://x", ANP_APP=app)
        assert (done.returncode, "ANP_REDIS_URL" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", [("runs", "list"), ("tasks", "run", "maintenance.heartbeat"), ("health", "beat")])
def test_without_a_stack_it_says_how_to_get_one(anp: Anp, command: tuple[str, ...]) -> None:
    done = anp(*command)
    assert done.returncode == 1
    assert "`anp up`" in done.stderr
    assert "ANP_REDIS_URL" in done.stderr


def test_a_named_redis_that_does_not_answer_is_the_one_that_is_told(anp: Anp) -> None:
    done = anp("runs", "list", ANP_REDIS_URL="redis://127.0.0.1:1/0")
    assert (done.returncode, "127.0.0.1:1" in done.stderr) == (1, True)


def test_status_without_a_stack_is_an_answer_not_an_error(anp: Anp) -> None:
    done = anp("status", "--json")
    answer = json.loads(done.stdout)["answers"][0]
    assert (done.returncode, answer["question"], answer["ok"]) == (1, "is it up", False)


def test_tasks_and_next_ticks_can_be_read_without_a_stack_as_one_document(anp: Anp) -> None:
    tasks = json.loads(anp("tasks", "list", "--json").stdout)
    assert "maintenance.heartbeat" in [task["name"] for task in tasks]
    assert all(task["owner"] and task["expects"] and task["rollback"] for task in tasks)
    assert {task["limit"] for task in tasks} == {1000}
    ticks = json.loads(anp("schedules", "next", "--limit", "3", "--json").stdout)
    assert [tick["tick"][11:] for tick in ticks] == ["03:00:00.000Z"] * 3


def test_a_crontab_becomes_files_and_what_could_not_be_converted_is_told(anp: Anp, tmp_path: Path) -> None:
    crontab = "0 3 * * * /usr/local/bin/backup --full\n@reboot /bin/true\n"
    done = anp("schedules", "import-cron", "-", "--to", "made", stdin=crontab, TZ="Asia/Tokyo")
    assert (done.returncode, "line 2" in done.stderr) == (1, True)
    assert "cron's clock is that of Asia/Tokyo, this machine's" in done.stderr
    made = (tmp_path / "made" / "crontab.toml").read_text()
    assert 'cron = "0 3 * * *"\ntimezone = "Asia/Tokyo"\n' in made
    assert f'directory = "{pwd.getpwuid(os.getuid()).pw_dir}"' in (tmp_path / "made" / "commands.toml").read_text()
    assert "/usr/local/bin/backup" in (tmp_path / "made" / "commands.toml").read_text()
    again = anp("schedules", "import-cron", "-", "--to", "made", stdin=crontab)
    assert (again.returncode, "crontab.toml" in again.stderr) == (2, True)


def test_a_crontab_is_on_the_clock_of_the_zone_that_is_named(anp: Anp) -> None:
    crontab = "0 3 * * * /usr/local/bin/backup | gzip\n"
    named = ("schedules", "import-cron", "-", "--timezone", "Europe/Rome", "--allow-shell")
    done = anp(*named, stdin=crontab, TZ="Asia/Tokyo")
    assert (done.returncode, 'timezone = "Europe/Rome"' in done.stdout) == (0, True)
    refused = anp("schedules", "import-cron", "-", stdin=crontab)
    assert (refused.returncode, "allow one with --allow-shell" in refused.stderr) == (1, True)


def test_the_version_and_the_help_need_nothing(anp: Anp) -> None:
    assert anp("--version").stdout.startswith("anp ")
    helped = anp("--help")
    assert (helped.returncode, "anp up" in helped.stdout) == (0, True)


def test_values_are_json_where_they_are_json_else_text() -> None:
    given = ["site=main", "batch=5", "dry=true", "ids=[1, 2]", "note=a=b", "empty=", "zip=01234"]
    assert parsed(given) == {
        "site": "main", "batch": 5, "dry": True, "ids": [1, 2], "note": "a=b", "empty": "", "zip": "01234",
    }  # fmt: skip


@pytest.mark.parametrize("values", [["site"], ["=1"], ["a=1", "a=2"]])
def test_input_that_cannot_be_read_is_refused(values: list[str]) -> None:
    with pytest.raises(BadInput):
        parsed(values)


def test_a_table_in_a_pipe_is_neither_cut_nor_coloured(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    printing.table(("name", "state"), [(long, "failed"), ("[red]", None)])
    assert capsys.readouterr().out.splitlines()[1:] == [f"{long}  failed", f"{'[red]':300}  -"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "-"), (0.04, "0.0 s"), (9.96, "10.0 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h")],
)
def test_durations_read_as_people_say_them(seconds: float | None, told: str) -> None:
    assert printing.ago(seconds) == told


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 10001"), OSError("No username set")])
def test_a_user_without_a_name_can_operate(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)
    assert by.operator("") == "operator"
    assert by.operator("ada") == "ada"


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("import no_such_library", "shop", "No module named 'no_such_library'"),
        ("\nraise RuntimeError('no database')", "shop", "RuntimeError: no database .*shop.py, line 2"),
        ("def (", "shop", "invalid syntax .shop.py, line 1"),
        ("def make(): pass", "shop:make", "is no Celery app.*Given: function"),
        ("def make(): pass", "shop:", "is no Celery app"),
        ("", "../shop", "cannot be imported"),
    ],
)
def test_an_app_that_cannot_be_had_says_what_its_module_said(
    anp: Anp, tmp_path: Path, text: str, name: str, said: str
) -> None:
    (tmp_path / "shop.py").write_text(text)
    done = anp("-A", name, "tasks", "list")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(said, done.stderr), done.stderr
