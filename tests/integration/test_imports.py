"""What a command imports is what it costs: nothing of Celery's, and nothing that only other commands need.

Imports are looked at and not seconds: a busy machine would make a liar of a clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from celery_anp.settings import environment
from tests.support.stack import Stack

#: No command that looks at the ledger, or steers it, needs one of these.
HEAVY = {"celery", "kombu", "billiard", "httpx", "flower", "tornado", "sqlalchemy", "asyncio", "redis", "rich"}
MODELS = {"pydantic", "pydantic_core", "croniter"}
#: Each of them with what else it must not import.
COMMANDS = {
    "--version": {*MODELS, "typer"},
    "health redis": {*MODELS, "typer", "http", "dataclasses", "logging", "ssl"},
    "health worker": {*MODELS, "typer", "http", "dataclasses", "logging", "ssl"},
    "health beat": {*MODELS, "typer", "http", "dataclasses", "logging", "ssl"},
    "health site": {*MODELS, "typer"},
    "health flower": {*MODELS, "typer"},
    "health metrics": {*MODELS, "typer"},
    "status": MODELS,
    "runs list": MODELS,
    "runs show a-run": MODELS,
    "runs cancel a-run": MODELS,
    "runs retry a-run --note why": MODELS,
    "schedules list": set(),
    "schedules show a-schedule": set(),
    "schedules next": set(),
    "schedules pause a-schedule --for 1h": MODELS,
    "schedules resume a-schedule": MODELS,
    "schedules disable a-schedule": MODELS,
    "schedules enable a-schedule": MODELS,
}
#: What ends with 1: nobody is at work, and the ledger refuses what the run and the schedule are not in a state for.
FAILING = {
    *(f"health {part}" for part in ("worker", "beat", "site", "flower", "metrics")), "status", "runs cancel a-run",
    "runs retry a-run --note why", "schedules resume a-schedule", "schedules enable a-schedule",
}  # fmt: skip
SCRIPT = """
import sys
from celery_anp.cli.entry import main
sys.argv = ["anp", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    code = ended.code or 0
else:
    code = 0
sys.stderr.write("\\n" + " ".join({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


@pytest.fixture
def known(stack: Stack, redis: Redis) -> Redis:
    """A ledger with a schedule and a run that an operator may ask for."""
    declared = {"name": "a-schedule", "task": "maintenance.heartbeat", "every": 3600}
    redis.hset(stack.ledger.store.key("live"), "a-schedule", json.dumps(declared))
    redis.hset(stack.ledger.store.key("run:a-run"), mapping={"state": "succeeded", "task": "a.task"})
    redis.zadd(stack.ledger.store.key("runs"), {"a-run": 1})
    return redis


def imported(folder: Path, command: str) -> tuple[int, str, set[str]]:
    """A command's exit code, what it said, and the packages that it has loaded."""
    clean = {name: value for name, value in environment().items() if not name.startswith("ANP_")}
    clean |= {"ANP_REDIS_URL": environment()["ANP_REDIS_URL"], "ANP_SITE_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command.split()],
        cwd=folder, env=clean, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said, _, modules = done.stderr.rpartition("\n")
    assert "Traceback" not in said
    assert "not foreseen" not in said
    return done.returncode, done.stdout + said, set(modules.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_only_asks_the_ledger_imports_little(known: Redis, tmp_path: Path, command: str) -> None:
    code, said, modules = imported(tmp_path, command)
    assert (command, code) == (command, 1 if command in FAILING else 0), said
    assert modules & (HEAVY | COMMANDS[command]) == set(), said


def test_the_commands_above_reach_the_ledger(known: Redis, tmp_path: Path) -> None:
    assert "a-run" in imported(tmp_path, "runs list")[1]
    assert "a-schedule" in imported(tmp_path, "schedules list")[1]
    assert "a-schedule is paused" in imported(tmp_path, "schedules pause a-schedule --for 1h")[1]
    assert "redis is healthy" in imported(tmp_path, "health redis")[1]


def test_the_engine_alone_loads_nothing_of_the_site(tmp_path: Path) -> None:
    code = "import sys, celery_anp; print(*{name.partition('.')[0] for name in sys.modules})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert set(told.stdout.split()) & {*HEAVY, *MODELS, "starlette", "worker"} == set()
