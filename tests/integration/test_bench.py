"""The benchmarks run as `make bench` runs them: they measure nothing here, they only must not rot unseen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from celery_anp.settings import environment


@pytest.mark.parametrize("name", ["hops", pytest.param("commands", marks=pytest.mark.long)])
def test_a_benchmark_runs_and_prints_its_table(name: str) -> None:
    command = [sys.executable, "-m", "tests.bench", name, "--quick"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("| ")]) > 2, done.stdout
