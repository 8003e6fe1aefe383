"""Producers that order a set each in their own way ask for one lock, and for one run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from celery_anp.settings import environment
from worker.app import app

pytestmark = pytest.mark.long

PRODUCER = """
import json, sys
from celery import Celery
from celery_anp.app import guard
from celery_anp.errors import KeyConflict

app = Celery("theirs", broker=sys.argv[1], backend=sys.argv[1])
guard(app, typed=True)

@app.task(name="warm", lock="site:{sites}")
def warm(sites: set[str], depths: dict[str, float]) -> None:
    pass

names = ["berlin", "rome", "tokyo", "lima", "oslo", "cairo"]
turn = int(sys.argv[2])
turned = names[turn:] + names[:turn]
given = {"sites": set(names), "depths": {name: 1 if turn % 2 else 1.0 for name in turned}}
ids = [warm.apply_async(kwargs=given, **options).id for options in ({}, {"key": "once"}, {"unique_for": 60})]
print(json.dumps(ids))
"""


@pytest.mark.usefixtures("redis")
def test_processes_with_other_hash_seeds_share_one_lock_one_key_and_one_unique_run(tmp_path: Path) -> None:
    script = tmp_path / "producer.py"
    script.write_text(PRODUCER)
    asked = []
    for seed in range(4):
        command = [sys.executable, str(script), str(app.conf.broker_url), str(seed)]
        done = subprocess.run(
            command, env={**environment(), "PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        asked.append(json.loads(done.stdout))
    plain, keyed, unique = (set(ids) for ids in zip(*asked, strict=True))
    assert (len(plain), keyed, len(unique)) == (4, {"warm#once"}, 1)
    assert list(app.ledger.locks()) == ["site:['berlin', 'cairo', 'lima', 'oslo', 'rome', 'tokyo']"]
    assert sorted(run.state for run in app.ledger.runs()) == ["blocked"] * 5 + ["queued"]


@pytest.mark.usefixtures("redis")
def test_another_input_is_still_a_conflict(redis: Redis, tmp_path: Path) -> None:
    script = tmp_path / "producer.py"
    script.write_text(PRODUCER)
    subprocess.run([sys.executable, str(script), str(app.conf.broker_url), "0"], check=True, env=environment())
    script.write_text(PRODUCER.replace('"rome", ', ""))
    command = [sys.executable, str(script), str(app.conf.broker_url), "0"]
    done = subprocess.run(command, check=False, env=environment(), capture_output=True, text=True)
    assert (done.returncode, "KeyConflict" in done.stderr) == (1, True)
    assert redis.hlen(app.ledger.store.key("locks")) == 2
