"""`anp schedules` as an operator uses it: pause, restart, trigger, resume, backfill, diff, why a tick did not run."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from celery_anp.reliability.run import Run
from tests.support.eventually import eventually
from tests.support.stack import Stack

EACH_SECOND = """
[[schedule]]
name = "s"
task = "probe.add"
every = "1s"
input = { x = 1, y = 2 }
"""
Done = subprocess.CompletedProcess[str]


def ticks(stack: Stack, state: str | None = None) -> list[Run]:
    return sorted(stack.ledger.runs(1000, schedule="s", state=state), key=lambda run: run.run_id)


def document(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def time_of(run: Run) -> str:
    return run.run_id.partition("@")[2]


@pytest.mark.timeout(300)  # a dozen commands, each a process of its own
@pytest.mark.long
def test_a_pause_is_kept_over_a_restart_and_the_backfill_makes_up_for_it(stack: Stack) -> None:
    stack.worker()
    beat = stack.beat(schedules=EACH_SECOND)
    eventually(lambda: ticks(stack, "succeeded"), 20, "a run")
    paused = stack.anp("schedules", "pause", "s", "--for", "10m", "--note", "upgrade", "--by", "ada")
    assert paused.returncode == 0
    assert "s is paused by ada until" in paused.stdout
    eventually(lambda: ticks(stack, "skipped"), 10, "a skipped tick")
    beat.stop()
    stack.beat()
    count = len(ticks(stack, "skipped"))
    eventually(lambda: len(ticks(stack, "skipped")) >= count + 2, 20, "skipped ticks after the restart")

    triggered = stack.anp("schedules", "trigger", "s", "--wait")
    assert (triggered.returncode, "succeeded" in triggered.stdout) == (0, True)
    listed = document(stack.anp("schedules", "list", "--json"))
    assert (listed[0]["hand"]["by"], listed[0]["hand"]["note"]) == ("ada", "upgrade")

    skipped = ticks(stack, "skipped")
    explained = stack.anp("schedules", "show", "s", "--tick", time_of(skipped[0]))
    assert "it is skipped, paused: by ada, upgrade" in explained.stdout

    assert "s runs again" in stack.anp("schedules", "resume", "s", "--by", "bob").stdout
    held = [run for run in ticks(stack, "skipped") if run.reason.startswith("paused")][:4]
    ranged = ("schedules", "backfill", "s", "--from", time_of(held[0]), "--to", time_of(held[-1]), "--rate", "6000")
    dry = document(stack.anp(*ranged, "--dry-run", "--json"))
    assert (dry["ordered"], dry["run"] >= len(held)) == (False, True)
    assert stack.anp(*ranged).returncode == 0
    for run in held:
        assert stack.ends(run.run_id, 60).state in ("succeeded", "skipped")
    eventually(lambda: {stack.run(run.run_id).state for run in held} == {"succeeded"}, 60, "the backfill")
    eventually(lambda: not document(stack.anp("schedules", "show", "s", "--json"))["backfill"], 30, "its end")
    shown = stack.anp("schedules", "show", "s")
    for words in ("pause", "resume", "backfill", "backfilled", "ada", "bob"):
        assert words in shown.stdout


def test_diff_tells_what_the_files_would_change(stack: Stack) -> None:
    stack.beat(schedules=EACH_SECOND + EACH_SECOND.replace('"s"', '"gone"'))
    eventually(lambda: len(stack.ledger.cursors()) == 2, 20, "the cursors")
    assert "are the ones that are live" in stack.anp("schedules", "diff").stdout
    edited = EACH_SECOND.replace('"1s"', '"5m"') + EACH_SECOND.replace('"s"', '"new"')
    (stack.folder / "next.toml").write_text(edited, encoding="utf-8")
    found = document(stack.anp("schedules", "diff", "--json", file="next.toml"))
    assert [entry["name"] for entry in found["added"]] == ["new"]
    assert [entry["name"] for entry in found["removed"]] == ["gone"]
    assert found["changed"][0]["changes"] == {"every": {"live": 1, "files": 300}}
    assert len(found["changed"][0]["next"]) == 3
    told = stack.anp("schedules", "diff", "--exit-code", file="next.toml")
    assert told.returncode == 1
    assert [line[:1] for line in told.stdout.splitlines()] == ["+", "-", "~", " "]


@pytest.mark.long
def test_no_command_tells_a_secret_of_a_schedules_input(stack: Stack) -> None:
    secretive = (
        '[[schedule]]\nname = "s"\ntask = "probe.secretive"\ncron = "0 0 1 1 *"\n'
        'input = { password = "tell-nobody", user = "ada" }\n'
    )
    beat = stack.beat(schedules=secretive)
    eventually(stack.ledger.cursors, 20, "the cursor")
    (stack.folder / "schedules.toml").write_text(secretive.replace("tell-nobody", "tell-nobody-either"))
    told = stack.anp("schedules", "diff").stdout + stack.anp("schedules", "diff", "--json").stdout
    eventually(lambda: "read anew" in beat.said(), 20, "the edit to be live")
    eventually(lambda: "input: password" in stack.anp("schedules", "show", "s").stdout, 20, "its history")
    told += stack.anp("schedules", "show", "s").stdout + stack.anp("schedules", "list", "--json").stdout
    assert "(secret)" in told
    assert "tell-nobody" not in told


def test_show_says_why_there_is_no_decision(stack: Stack) -> None:
    yearly = EACH_SECOND.replace('every = "1s"', 'cron = "0 0 1 1 *"')
    stack.beat(schedules=yearly)
    eventually(stack.ledger.cursors, 20, "the cursor")

    def why(tick: str) -> str:
        return stack.anp("schedules", "show", "s", "--tick", tick).stdout

    assert "is not due then; the tick before is 2024-01-01" in why("2024-07-01T12:00:00Z")
    assert "it is not due yet" in why("2090-01-01T00:00:00Z")
    assert "there is no decision" in why("2024-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("pause", "t"), 2, "no schedule 't'"),
        (("pause", "s", "--for", "soon"), 2, "--for cannot be read"),
        (("pause", "s", "--for", "0s"), 2, "at least one second"),
        (("resume", "s"), 1, "neither paused nor disabled"),
        (("enable", "s"), 1, "enabled = false"),
        (("backfill", "s", "--from", "yesterday"), 2, "--from cannot be read"),
        (("backfill", "s", "--from", "2026-01-02", "--to", "2026-01-01"), 2, "--from before --to"),
        (("backfill", "s", "--from", "2026-01-01", "--to", "2026-01-01T00:00:09Z"), 1, "--again"),
        (("backfill", "s", "--from", "2025-01-01", "--to", "2026-01-01"), 2, "at most 10000 ticks"),
        (("backfill", "s", "--from", "2026-01-01", "--to", "2090-01-01"), 2, "a time of the past"),
        (("backfill", "s", "--from", "2026-01-01", "--to", "9999-12-31"), 2, "within a century of now"),
        (("backfill", "s", "--stop"), 1, "no backfill of s"),
        (("show", "s", "--tick", "noon"), 2, "--tick cannot be read"),
        (("reload",), 1, "No beat is alive"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_with_what_would_be_right(
    stack: Stack, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (stack.folder / "schedules.toml").write_text(EACH_SECOND, encoding="utf-8")
    done = stack.anp("schedules", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
